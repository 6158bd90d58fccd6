/* Walking over JSON text that has been validated by json/scan.h: no checks, no tree, no memory. */
#ifndef JSON_READ_H
#define JSON_READ_H

#include <stdbool.h>

#include "base/slice.h"

enum json_kind { JSON_NULL, JSON_BOOLEAN, JSON_NUMBER, JSON_STRING, JSON_ARRAY, JSON_OBJECT };

/* By the first byte of a value without white space before it. */
enum json_kind json_kind_of(struct slice value);

/* "null", "boolean", "number", "string", "array", "object". */
const char *json_kind_name(enum json_kind kind);

/* The members of an object, in the order of the text:
 *
 *     struct json_walk walk;
 *     for (json_walk_open(&walk, object); json_walk_member(&walk, &name, &value);) { ... }
 *
 * name is the raw string with its quotes; value is the value's text without white space around it.
 * Likewise json_walk_item for the elements of an array. */
struct json_walk {
    const char *at, *end;
};

void json_walk_open(struct json_walk *walk, struct slice container);
bool json_walk_member(struct json_walk *walk, struct slice *name, struct slice *value);
bool json_walk_item(struct json_walk *walk, struct slice *value);

/* The place behind the value that starts at `at`. */
const char *json_skip_value(const char *at, const char *end);

/* The first quote or backslash of the string whose bytes begin at `at`, behind its opening quote. */
const char *json_find_special(const char *at, const char *end);

/* True where a raw string (with its quotes) stands for exactly these bytes; escapes are understood. */
bool json_string_is(struct slice string, struct slice bytes);

/* The last member of that name (names without escapes or with), ptr NULL where there is none. */
struct slice json_member(struct slice object, struct slice name);

/* The same, but only where its value starts; NULL: there is none. */
const char *json_find_member(struct slice object, struct slice name);

/* Without white space on either side. */
struct slice json_trim(struct slice text);

#endif
