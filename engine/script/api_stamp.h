/* What new events are stamped with: a random name, and the time.
 *
 *     weir.uuid() -> text     a random UUID, version 4 (RFC 9562), in lower case; raises where the system
 *                             gives no random bytes
 *
 * Private, for lua/weir/state_event.lua: _stamp.now(), the time in RFC 3339 with milliseconds;
 * _stamp.isTime(text), whether text is such a time. */
#ifndef SCRIPT_API_STAMP_H
#define SCRIPT_API_STAMP_H

#include <lua.h>

/* The module table is on top of the stack: adds `uuid` and `_stamp`. */
void api_stamp_open(lua_State *L);

#endif
