/* weir.schema, its native half. The builder is lua/weir/schema.lua: each schema is a table with a
 * metatable of its own, compiled in script/program.h. */
#ifndef SCRIPT_API_SCHEMA_H
#define SCRIPT_API_SCHEMA_H

#include <lua.h>
#include <stdbool.h>

#include "base/slice.h"
#include "state/schema.h"

/* The metatable of schemas, in the registry. */
#define API_SCHEMA_TYPE "weir.schema"

/* The longest JSON text that a Lua value may become for parse and safeParse, in bytes. */
#define API_SCHEMA_JSON_MAX ((size_t)256 << 20)

/* The module table is on top of the stack: adds `_schema`, for lua/weir/schema.lua. convert_open comes
 * first. */
void api_schema_open(lua_State *L);

/* The compiled form of the schema at index, good as long as that table is. NULL where it is the schema of
 * another library (a table with "~standard", see standardschema.dev). Raises where it is no schema, where
 * it is past a limit of state/schema_build.h, and on memory. */
const struct schema *api_schema_check(lua_State *L, int index);

/* Whether the schema at index has parts that only Lua can check or fill in (refine, default, strip, the schema of
 * another library), which its compiled form passes over; or is another library's.
 * Raises as api_schema_check does. */
bool api_schema_needs_lua(lua_State *L, int index);

/* Pushes an array of {path =, message =, value =}; the text that was checked must still be there. Raises
 * on memory only. */
void api_schema_push_issues(lua_State *L, const struct schema_issues *issues);

#endif
