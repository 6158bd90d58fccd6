/* JSON strings and the bytes they stand for.
 *
 * A lone surrogate (\ud800) is legal JSON but no UTF-8. It becomes the three bytes that UTF-8 would
 * give it, and those bytes become the escape again: what comes in goes out. */
#ifndef JSON_TEXT_H
#define JSON_TEXT_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/slice.h"

/* The escape whose backslash is at `at` (a pair of surrogates is one) in a valid string that goes on to
 * `end`: writes the 1 to 4 bytes it stands for and returns the place behind it. */
const char *json_take_escape(const char *at, const char *end, char *out, size_t *len);

/* Appends what a valid JSON string (with its quotes) stands for. False: out of memory, or the cap. */
bool json_unquote(struct buf *out, struct slice string);

/* Appends bytes as a JSON string with quotes. Bytes that are not UTF-8 (lone surrogates apart) are
 * refused: false with e->code ERROR_SYNTAX and the position; otherwise memory or the cap. */
bool json_quote(struct buf *out, struct slice bytes, struct error *e);

#endif
