/* state:where: rows by the values of their fields, and the indexes that make it fast. */
#ifndef SCRIPT_API_WHERE_H
#define SCRIPT_API_WHERE_H

#include <lua.h>

/* where(state, type, {field = value, ...}) -> an array of the values of that type for which all of it holds, in
 * byte order of their keys. Values are strings, numbers (1 is 1.0), booleans or weir.null, which is a null that
 * is there. Raises on anything else. */
int api_where(lua_State *L);

/* index(stream, type, field): where finds entities of the type by the field without a look at all of them. */
int api_where_index(lua_State *L);

#endif
