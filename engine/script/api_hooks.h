/* What a script is asked around each request of a stream or producer: the headers and parameters that may
 * change, and what is to be done about a request that failed. The questions are answered by a Lua table
 * made in lua/weir/outgoing.lua:
 *
 *     refresh() -> headers, params    names to strings; or nil, message, code name ("system" for a file)
 *     failed(err) -> "retry", "stop" or nil
 *
 * Both run on the main state, between two turns of the loop, and must not wait: script->asked is true
 * meanwhile, and what waits, appends or stops raises (script_check_unasked). */
#ifndef SCRIPT_API_HOOKS_H
#define SCRIPT_API_HOOKS_H

#include <lua.h>
#include <stdbool.h>

#include "script/script.h"
#include "stream/hooks.h"

/* A part of its owner, whose address is the registry key of the Lua table. */
struct api_hooks {
    struct script *script;
    bool changes; /* refresh has something to say */
    bool judges;  /* failed has */
};

/* Takes the table on top of the stack, and pops it. */
void api_hooks_set(lua_State *L, struct api_hooks *hooks, bool changes, bool judges);

/* Lets go of the table. */
void api_hooks_clear(lua_State *L, struct api_hooks *hooks);

/* For the options of a source, a writer, a call, a producer: hooks must outlive it. */
struct hooks api_hooks_of(struct api_hooks *hooks);

#endif
