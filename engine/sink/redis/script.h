/* The script (script.lua) that changes a stream's keys: what it is asked, and what it answers.
 *
 * Everything that it does is done at once or not at all: it looks at everything that it could fail for before its
 * first write, and Redis itself refuses (no memory, a replica, a full disk) at the first write only.
 *
 *     keys: sync types [stage-or-type ...]          arguments: verb ...
 *
 *     open STREAM                              -> OPEN epoch offset|nil skip|nil sequence|nil notes|nil
 *     read STREAM                              -> the same, and nothing is changed (epoch may be nil)
 *     look                                     -> LOOK epoch|nil commit|nil
 *     stage EPOCH BEFORE HAVE ROWS...          -> STAGED items       (keys: sync types stage)
 *     commit EPOCH BEFORE NOW MODE ITEMS PLACE... ROWS...
 *                                              -> DONE | HERE        (keys: sync types stage type...)
 *     repair EPOCH ROWS...                     -> DONE               (keys: sync types type)
 *
 *     PLACE: "1" offset | "0" "", skip, sequence, "1" notes | "0" "", synced_at
 *     MODE: "direct", the rows follow; "staged", they are the stage's ITEMS items
 *     ROWS: groups, each OP TYPE COUNT and COUNT times KEY VALUE (OP "p") or KEY (OP "d"); OP "c" has neither.
 *           TYPE is the number of a type's key behind the stage's, from 1
 *
 * BEFORE and NOW number the commits of an epoch: a commit whose answer was lost finds that it is HERE already.
 *
 * Any of them may answer instead: LAYOUT found (written by another version), FOREIGN key what (of another kind, or
 * not weir's), FENCED epoch, LOST epoch|nil commit|nil (the server has forgotten something), CHANGED key rows known
 * (somebody else has added or removed entities), STAGE (the stage is not what it should be). */
#ifndef SINK_REDIS_SCRIPT_H
#define SINK_REDIS_SCRIPT_H

extern const char redis_script[];

#endif
