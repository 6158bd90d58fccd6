/* What the files script/convert*.c share; nobody else needs it. */
#ifndef SCRIPT_CONVERT_INSIDE_H
#define SCRIPT_CONVERT_INSIDE_H

#include <stddef.h>

#include <lua.h>

#include "base/real.h"

/* What convert_open keeps in the registry. */
enum convert_fixture {
    CONVERT_NULL,  /* weir.null */
    CONVERT_ARRAY, /* the array metatable */
    CONVERT_HOOK,  /* the string "__json": pushed without making it again, which could raise */
    CONVERT_FIXTURES
};

/* Pushes it: one place of the stack, never raises. */
void convert_push_fixture(lua_State *L, enum convert_fixture which);

/* Bytes for a number's text. */
#define CONVERT_NUMBER_ROOM REAL_ROOM

/* Both write JSON text without a NUL behind it and return its length, whatever the locale is. A float
 * is the shortest of %.15g, %.16g and %.17g that reads back as the same float, with ".0" where it would
 * look like an integer; 0 for nan and the infinities. */
size_t convert_write_integer(lua_Integer number, char text[CONVERT_NUMBER_ROOM]);
size_t convert_write_float(lua_Number number, char text[CONVERT_NUMBER_ROOM]);

#endif
