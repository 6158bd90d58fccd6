/* weir.producer{}: appends to a stream in batches, each message stored once (stream/producer.h). The methods
 * are documented in lua/weir/producer.lua, which checks what the script wrote. A producer lives until it is
 * detached or closed, and at most as long as the worker: what it still holds then is dropped, with a
 * warning. */
#ifndef SCRIPT_API_PRODUCER_H
#define SCRIPT_API_PRODUCER_H

#include <lua.h>

#include "script/script.h"

/* Adds the private functions that lua/weir/producer.lua uses. The module table is on top of the stack. */
void api_producer_open(lua_State *L);

/* Ends all of the script's producers. */
void api_producer_close_all(struct script *script);

#endif
