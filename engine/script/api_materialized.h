/* weir.MaterializedState, its native half: a store (state/store.h) that also knows the order in which its
 * entities came, as the RFC's Map does. The class is lua/weir/state_materialized.lua, which checks what the
 * script wrote and calls the functions of weir._materialized. `core` is the userdata; types and keys are
 * strings; `types` below is a type or an array of them.
 *
 *     new(default_type) -> core
 *     read(core, text) -> kind, type, typed, keyed  what a message is: "change", "reset" or "control"; its type
 *                                                   (typed: its own, not the default one); whether it has a key.
 *                                                   Or nil, reason where it is no event
 *     apply(core, text, key?) -> true               applies it, key in the place of its own. Or nil, reason, and
 *                                                   nothing has changed
 *     merged(core, text, key?) -> json              what a patch would leave; likewise
 *     get(core, type, key) -> value | nil           values are fresh Lua values
 *     json(core, type, key) -> text | nil
 *     has(core, type, key) -> boolean
 *     count(core, type?) -> integer
 *     rows(core, types) -> array of values          in the order in which they came
 *     keys(core, type) -> array of keys             likewise
 *     entries(core, type) -> { key = value }
 *     clear(core)
 *     source(stream) -> isRead, isLive              of a weir.stream: whether the worker has begun to read it */
#ifndef SCRIPT_API_MATERIALIZED_H
#define SCRIPT_API_MATERIALIZED_H

#include <lua.h>

/* The longest message or merged value, in bytes. */
#define API_MATERIALIZED_MAX ((size_t)256 << 20)

/* The module table is on top of the stack: adds `_materialized`. */
void api_materialized_open(lua_State *L);

#endif
