/* Schemas, compiled: a tree of nodes that checks a value's JSON text by walking over it once, without a
 * Lua value and without a JSON tree. Built with state/schema_build.h (script/api_schema.c does so from
 * what weir.schema in Lua describes), then as good as read only: several stores and threads may share one.
 *
 * What counts as what:
 *   - a string's min and max are in Unicode code points; a lone surrogate escape counts as one;
 *   - a number's bounds are compared exactly: integers of 64 bits as integers, never by way of a float;
 *   - an integer is any JSON number with a whole value of 64 bits, however written: 3, 3.0, 0.3e1;
 *   - of an object's members with one name the last counts, but in a record each of them is checked;
 *   - an optional member may be missing; null is a value, and fits only where the schema is nullable.
 *
 * A value that fits is nearly always found to fit by a quick walk (state/schema_fast.h), which remembers in the schema
 * which member came behind which: that is the one thing that changes in it, and only a guess. */
#ifndef STATE_SCHEMA_H
#define STATE_SCHEMA_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/slice.h"

#define SCHEMA_ISSUES_MAX 32 /* issues reported for one value at most */

/* One reason a value fails, as in Standard Schema. A message is cut to about 1 KB, a path to about 4 KB,
 * values quoted in a message to about 40 bytes. */
struct schema_issue {
    struct buf path;    /* "items[2].name", indexes from 0; empty for the value itself */
    struct buf keys;    /* the same as JSON: ["items",2,"name"]; empty where there was no room for it */
    struct buf message; /* "expected a string, got a number (3)" */
    struct slice value; /* the offending JSON text, a part of the checked text; ptr NULL: missing */
};

/* The first SCHEMA_ISSUES_MAX reasons; owns the paths and messages. */
struct schema_issues {
    struct schema_issue issues[SCHEMA_ISSUES_MAX];
    size_t count;
};

void schema_issues_init(struct schema_issues *issues);  /* allocates nothing yet */
void schema_issues_clear(struct schema_issues *issues); /* count becomes 0, memory stays */
void schema_issues_free(struct schema_issues *issues);

/* Appends them in one line: "text: expected a string, got a number (3); userId: is missing: expected a
 * string". False: out of memory, or out's cap; out then ends where it was reached. */
bool schema_issues_describe(const struct schema_issues *issues, struct buf *out);

struct schema;

/* True where validated JSON text fits. Otherwise issues (may be NULL) holds the reasons; it is cleared
 * first, and its values are good as long as json. Running out of memory is an issue, too: what could not be
 * checked does not fit. */
bool schema_check(const struct schema *schema, struct slice json, struct schema_issues *issues);

/* The same for a value that is not there at all: it fits where the schema is optional. */
bool schema_check_missing(const struct schema *schema, struct schema_issues *issues);

/* Frees the schema with all its nodes; NULL is fine. */
void schema_free(struct schema *schema);

#endif
