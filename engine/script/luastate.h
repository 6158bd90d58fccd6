/* The Lua states that weir makes for itself, and how they deal with memory. */
#ifndef SCRIPT_LUASTATE_H
#define SCRIPT_LUASTATE_H

#include <lua.h>

struct luastate;

/* As luaL_newstate, with an allocator and a garbage collector that fit events, each of which is garbage soon
 * (script/memory.h). NULL: out of memory. */
struct luastate *luastate_new(void);

lua_State *luastate_lua(const struct luastate *state);

/* Closes it. NULL is fine. */
void luastate_free(struct luastate *state);

#endif
