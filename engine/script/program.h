/* What weir.schema describes in Lua (a table with its description under `_def`), compiled to a struct schema at
 * the first use, and kept in the table under `_program`. */
#ifndef SCRIPT_PROGRAM_H
#define SCRIPT_PROGRAM_H

#include <lua.h>
#include <stdbool.h>

#include "state/schema.h"

/* Makes the type of the userdata that owns a compiled schema. */
void program_open(lua_State *L);

/* Whether there is a schema of weir's own at index. */
bool program_is_schema(lua_State *L, int index);

/* The compiled form of the schema at index, an absolute one; good as long as that table is. Raises where it is
 * past a limit of state/schema_build.h, on memory, and whatever the function of a lazy part raises. */
const struct schema *program_at(lua_State *L, int index);

/* Whether the schema at index, an absolute one, has parts that its compiled form passes over (refine, default,
 * strip, the schema of another library). Raises as program_at does. */
bool program_needs_lua(lua_State *L, int index);

#endif
