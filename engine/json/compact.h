/* JSON text without the white space that says nothing: what is between its tokens. */
#ifndef JSON_COMPACT_H
#define JSON_COMPACT_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/slice.h"

/* Appends text, validated by json/scan.h and not in out's memory, without white space outside strings.
 * Every other byte stays: numbers and strings come out as they were written. As a string holds no line
 * end, the result is one line. False: out of memory, or out's cap; out is then as long as it was. */
bool json_compact(struct buf *out, struct slice text);

#endif
