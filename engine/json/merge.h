/* JSON Merge Patch (RFC 7396) on text: what the patch does not touch keeps its bytes, so that numbers
 * such as 1.10 or 12345678901234567890 come out as they went in. */
#ifndef JSON_MERGE_H
#define JSON_MERGE_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/slice.h"

/* Appends the target with the patch applied. Both are validated JSON texts (json/scan.h), white space
 * around them allowed, and must not lie in out's memory. The target may be absent (ptr NULL); one that
 * is not an object counts as {}.
 *
 * Members keep the target's order, new ones follow in the patch's order. Names are equal when they
 * stand for the same bytes ("\u0061" is "a"). Of two members with one name only the last counts, in
 * its place. Arrays of the patch replace and keep their nulls.
 *
 * Time is O(n log n) in the length of both texts, whatever they hold.
 *
 * False with e (ERROR_LIMIT at out's cap, ERROR_MEMORY): out is then as long as it was before. */
bool json_merge_patch(struct buf *out, struct slice target, struct slice patch, struct error *e);

#endif
