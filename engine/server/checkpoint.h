/* Checkpoints: when the journal has grown, the content in memory goes to the streams' files, their state to
 * a new index, and the journal before it is removed.
 *
 *     loop:  prepare (a batch is sealed: what is staged then) --> start (it is safe: a new journal begins)
 *     pool:  write the streams' files, make them safe, write the index, remove what it replaces
 *     loop:  let go of the memory
 *
 * Where it fails, everything stays as it was, with one journal more, and the next one tries again. */
#ifndef SERVER_CHECKPOINT_H
#define SERVER_CHECKPOINT_H

#include "server/set.h"

bool checkpoint_init(struct streams *set);

/* Waits for the one under way. NULL of it is fine. */
void checkpoint_end(struct streams *set);

/* Which files hold what: the index's number (0: there is none), and the first journal's. */
void checkpoint_known(struct streams *set, uint64_t index, uint64_t first_journal);

/* All staged writes are in the batch that is sealed now: takes note of them, if it is time. */
void checkpoint_prepare(struct streams *set);
/* That batch failed. */
void checkpoint_abandon(struct streams *set);
/* That batch is safe. */
void checkpoint_start(struct streams *set);

#endif
