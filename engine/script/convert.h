/* JSON text to Lua values and back.
 *
 *     null       weir.null, one userdata that is equal to itself only (and true in a condition)
 *     true/false boolean
 *     number     a 64-bit integer where the text has neither fraction nor exponent and fits (but -0),
 *                otherwise a float
 *     string     its bytes (a lone surrogate: see json/text.h)
 *     array      a table with the weir.array metatable, so that an empty one stays an array
 *     object     a plain table; of two members with one name, the last counts
 *
 * Back: a table with that metatable, or one whose keys are exactly 1..n (n > 0), is an array; an empty
 * table and one with string keys only is an object, its members in byte order of their names; anything
 * else is refused with the path to it. A float with a whole value keeps its fraction (1.0). A lazy value
 * (script/lazy.h) that was not touched goes out as the text it came in. */
#ifndef SCRIPT_CONVERT_H
#define SCRIPT_CONVERT_H

#include <lua.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/slice.h"

/* Creates weir.null and the array metatable in the registry: once for each Lua state. */
void convert_open(lua_State *L);

/* Pushes weir.null. */
void convert_push_null(lua_State *L);
bool convert_is_null(lua_State *L, int index);

/* Marks the table at index as an array. */
void convert_mark_array(lua_State *L, int index);

/* Pushes the value of validated JSON text. Raises on memory or stack only. */
void convert_push(lua_State *L, struct slice json);

/* Puts what is in a validated object or array into the table at index, raw; its metatable is left alone. */
void convert_fill(lua_State *L, int index, struct slice json);

/* Pushes the value that starts at `at` and is no object or array; returns the place behind it. */
const char *convert_push_scalar(lua_State *L, const char *at, const char *end);

/* Appends the value at index as JSON text. An event userdata (script/api_event.c) and any userdata or
 * table whose metatable has `__json` (a function that returns JSON text) goes out as that text. False
 * with e (ERROR_ARGUMENT naming the path, ERROR_LIMIT past the buffer's cap, JSON_DEPTH_MAX levels);
 * what was appended so far is then taken off again. Raises only what __json raises. */
bool convert_append(lua_State *L, int index, struct buf *out, struct error *e);

#endif
