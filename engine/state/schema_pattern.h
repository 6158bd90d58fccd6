/* Lua patterns (manual of Lua 5.4, 6.4.1) on strings of any bytes, without Lua: compiled once, in the C locale, and
 * matched within limits. */
#ifndef STATE_SCHEMA_PATTERN_H
#define STATE_SCHEMA_PATTERN_H

#include <stdbool.h>

#include "base/error.h"
#include "base/slice.h"

struct schema_pattern;

/* How deep a match may have to look back, and how many steps it may take apart from those for each byte: past these
 * a string does not match. */
#define SCHEMA_PATTERN_DEPTH 200
#define SCHEMA_PATTERN_STEPS 1000000

/* NULL with e: ERROR_MEMORY, or ERROR_ARGUMENT where it is no pattern. The caller frees it. */
struct schema_pattern *schema_pattern_new(struct slice pattern, struct error *e);

/* NULL is fine. */
void schema_pattern_free(struct schema_pattern *pattern);

/* Whether it is found in the string; anywhere, unless it is anchored. */
bool schema_pattern_finds(const struct schema_pattern *pattern, struct slice string);

#endif
