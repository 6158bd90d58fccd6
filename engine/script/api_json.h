/* weir.json and weir.null.
 *
 * weir.json.decode(text) -> value
 *     The value of a JSON text: see script/convert.h for what becomes what. Raises "invalid JSON at byte
 *     N: reason" (N from 1) where text is not one JSON value (RFC 8259, UTF-8, at most 1000 levels).
 *
 * weir.json.encode(value) -> text
 *     The value as JSON without white space, members in byte order of their names. Raises, naming the
 *     path ("value.items[3].name: a function cannot be written as JSON"), where it holds what JSON
 *     cannot: a function, a thread, nan, an array with gaps, a table that contains itself, strings that
 *     are not UTF-8; and past API_JSON_MAX bytes. A table or userdata whose metatable has a function
 *     __json(value) goes out as the JSON text which that returns.
 *
 * weir.json.array(t?) -> t
 *     Marks t (a new table where it is nil) as an array, so that it is written as [] even when empty,
 *     and returns it. Raises where t has another metatable.
 *
 * weir.null
 *     What null is decoded to, and is written as. It is equal to itself only, and true in a condition. */
#ifndef SCRIPT_API_JSON_H
#define SCRIPT_API_JSON_H

#include <lua.h>

/* The longest text that weir.json.encode makes, in bytes. */
#define API_JSON_MAX ((size_t)256 << 20)

/* The module table is on top of the stack: adds `json` and `null`. convert_open comes first. */
void api_json_open(lua_State *L);

#endif
