/* Names that come again and again, as those of types do: each gets a number, by which its Lua string is had
 * without making or hashing it again. */
#ifndef SCRIPT_NAMES_H
#define SCRIPT_NAMES_H

#include <lua.h>

#include "base/slice.h"

/* Names beyond this many have no number. */
#define NAMES_MAX 4096

/* Pushes an empty set of names: a userdata. */
void names_push_new(lua_State *L);

/* Pushes the table that has the names by their numbers, 1 and up, of the set at index. */
void names_push_table(lua_State *L, int index);

/* The number of the name in the set at index, which is put into it where it is new. 0: it has none. */
int names_number(lua_State *L, int index, struct slice name);

#endif
