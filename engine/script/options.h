/* Reading a table of options from C. Each function looks up one name in the table at `index` and leaves
 * the stack as it was; what is not as it should be raises an error naming the option and what was
 * expected. Copies are malloc'd and the caller's: store them where __gc finds them at once. */
#ifndef SCRIPT_OPTIONS_H
#define SCRIPT_OPTIONS_H

#include <lua.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A string; NULL where the option is nil. */
char *options_text(lua_State *L, int index, const char *name);

bool options_boolean(lua_State *L, int index, const char *name);

/* The position in names (ended by NULL) of the option's string, or of `fallback` where it is nil. */
int options_choice(lua_State *L, int index, const char *name, const char *const names[],
                   const char *fallback);

/* The value at index as bytes (a number, or text like "64KB"; at least 1) or as milliseconds (a number of
 * seconds, or text like "30s"). False where it is neither. */
bool options_take_size(lua_State *L, int index, size_t *bytes);
bool options_take_duration(lua_State *L, int index, uint64_t *ms);

/* Bytes: a number, or text like "64KB". At least 1. */
size_t options_size(lua_State *L, int index, const char *name, size_t fallback);

/* Milliseconds: a number of seconds, or text like "30s". */
uint64_t options_duration(lua_State *L, int index, const char *name, uint64_t fallback);

#endif
