/* What lua/weir/lane.lua calls of a lane: private to the room. */
#ifndef SCRIPT_LANE_CALLS_H
#define SCRIPT_LANE_CALLS_H

#include <lua.h>

#include "script/driver.h"

/* Adds the functions to the table on top of the stack. */
void lane_calls_open(lua_State *L);

/* Pushes kind, event, issues, reason as far as there are such; the events' kit is at index `kit`. Returns the
 * number of values. */
int lane_calls_push_item(lua_State *L, int kit, enum driver_kind kind, const struct driver_item *item);

#endif
