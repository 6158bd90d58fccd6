/* weir.event: what handlers and rules are given. A userdata that holds its own copy of the message, so
 * that a script may keep it; values are decoded when they are first touched, and then kept.
 *
 *     event.type, .key            strings
 *     event.operation             "insert" "update" "upsert" "delete" "patch"; nil for a control
 *     event.control               "snapshot-start" "snapshot-end" "reset" "up-to-date"; nil for a change
 *     event.value                 the event's own value; nil where it has none
 *     event.old_value             the one that the event carries; nil where it carries none
 *     event.old                   what was stored before it; nil where nothing was
 *     event.new                   what is stored after it: value, or a patch's result; nil for a delete
 *     event.headers               all of them, as a table
 *     event.txid, .timestamp, .from, .offset   those headers, where there are such
 *     event.text                  the message as it came
 *     event.optimistic            true: a write of this script that has not come back yet; otherwise nil
 *     event.rollback              true: such a write is undone; otherwise nil
 *     event.live                  true: the stream has been up to date since the worker started; otherwise nil
 *
 * Events are read only. pairs(event) walks over the members of the message; weir.json.encode(event) is its
 * text. */
#ifndef SCRIPT_API_EVENT_H
#define SCRIPT_API_EVENT_H

#include <lua.h>

#include "script/driver.h"

/* Creates the metatable. The module table is on top of the stack and stays there. */
void api_event_open(lua_State *L);

/* What makes events: API_EVENT_KIT values on the stack, pushed once for many events. */
enum { API_EVENT_KIT = 3 };
void api_event_push_kit(lua_State *L);

/* Pushes an event that holds copies of what item refers to; the kit is at index `kit`. Returns the number of its
 * type: the same for the same type, from 1; 0 where it has none, or there are too many types to number them all.
 * Raises on memory. */
int api_event_push(lua_State *L, int kit, const struct driver_item *item);

/* That number, of the event at index. */
int api_event_type(lua_State *L, int index);

/* Pushes the name of the type of that number, which is not 0. */
void api_event_push_type(lua_State *L, int kit, int type);

/* Fills item from the event at index: its slices are good as long as the event. Raises where it is none. */
void api_event_check(lua_State *L, int index, struct driver_item *item);

#endif
