/* Values on their way to PostgreSQL: what a database cannot keep, arrays in their binary form, lines of COPY. Pure. */
#ifndef SINK_POSTGRES_CELLS_H
#define SINK_POSTGRES_CELLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/slice.h"

/* JSON that is valid may say what neither text nor jsonb can keep: the character NUL, half of a surrogate pair.
 * False with e, which says which. */
bool pg_check_json(struct slice json, struct error *e);

/* An array of one dimension, as a parameter in binary form. The buffer is the caller's. */
struct pg_array {
    struct buf *out;
    unsigned element; /* PG_TEXT, or the type jsonb */
    uint32_t count;
};

enum { PG_JSONB = 3802 };

/* Clears out. False, like the others: out of memory, or out's cap. */
bool pg_array_begin(struct pg_array *array, struct buf *out, unsigned element);

/* ptr NULL: null. */
bool pg_array_add(struct pg_array *array, struct slice value);
void pg_array_end(struct pg_array *array);

/* Appends one value of a line of COPY in text format, without what separates it. ptr NULL: null. */
bool pg_copy_cell(struct buf *out, struct slice value);

#endif
