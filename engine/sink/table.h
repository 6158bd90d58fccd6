/* Names in SQL: of tables, after the types of a stream, and of columns, after the properties of a schema. Pure.
 *
 * What a stream calls its types is bytes that a stranger wrote. A name is taken as it is where the database takes it
 * so and nothing else can be meant by it; otherwise it gets a name of its own: letters and digits of it, and a hash.
 * Whoever makes a table tries attempt 0, and where that is taken by another type of its stream, 1, 2, ...:
 *
 *     for (unsigned attempt = 0; attempt < TABLE_ATTEMPTS; attempt++)
 *         if (table_name(dialect, prefix, type, attempt, &name) && <nobody has it, compared by table_fold>) ...
 *
 * and remembers what came of it (_sync_tables), since it depends on who came first. */
#ifndef SINK_TABLE_H
#define SINK_TABLE_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/slice.h"

enum table_dialect { TABLE_SQLITE, TABLE_POSTGRES, TABLE_MYSQL };

/* A name of its own has at most so many bytes, and no name more than TABLE_NAME_MAX. */
enum { TABLE_ATTEMPTS = 1000, TABLE_OWN_MAX = 60, TABLE_NAME_MAX = 256, TABLE_PREFIX_MAX = 32 };

/* The table for a type: out is cleared and gets it, unquoted. prefix may be NULL. False: there is no such name,
 * for attempt 0 alone (it is reserved, too long, ...), or out of memory: go on with the next attempt. */
bool table_name(enum table_dialect dialect, const char *prefix, struct slice type, unsigned attempt,
                struct buf *out);

/* The same for the column of a property. */
bool table_column_name(enum table_dialect dialect, struct slice property, unsigned attempt, struct buf *out);

/* A name of its own for `what` (an index: "users.userId"), the same every time. False: out of memory. */
bool table_own_name(struct slice what, unsigned attempt, struct buf *out);

/* Appends the name as an identifier in quotes. False: out of memory, or the cap. */
bool table_quote(enum table_dialect dialect, struct slice name, struct buf *out);

/* True where the database takes the two for one, or might: SQLite knows no case of ASCII letters, MySQL of none. */
bool table_same(enum table_dialect dialect, struct slice a, struct slice b);

/* True where the bytes are text to every database: UTF-8 (so no lone surrogate), without the character NUL. */
bool table_text_fits(struct slice text);

/* The same with a reason: e says "the key holds the character NUL, which ... cannot keep". what: "the key". */
bool table_check_text(struct slice text, const char *what, struct error *e);

/* A setting `prefix`: what is put in front of the names of tables, ASCII letters, digits and "_". NULL is fine. */
bool table_check_prefix(const char *prefix, struct error *e);

#endif
