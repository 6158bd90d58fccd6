/* layout = "columns": the columns that a schema's properties become, and a value's cells for them.
 *
 * The table has a column for the key, "id" unless the setting `key` names another one, and one for each property. A
 * property that is called as the key's column is: its values have to be the key itself, and are not stored twice.
 * Members that the schema does not name have no column. What is missing and what is null is NULL. */
#ifndef SINK_COLUMNS_H
#define SINK_COLUMNS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/slice.h"
#include "sink/table.h"
#include "state/schema.h"
#include "state/schema_shape.h"

#define COLUMNS_KEY "id"

struct column {
    struct slice name;     /* in the table, not quoted */
    struct slice property; /* the bytes it stands for */
    enum schema_shape kind;
    bool nullable;
    bool index;
};

struct columns {
    struct slice key;    /* the name of the key's column */
    struct column *list; /* the others, in the byte order of their properties */
    size_t count;
    /* Private. */
    size_t key_property; /* the place of the property that is the key's, among all; SIZE_MAX: there is none */
    uint32_t *order;     /* of the members seen last: a guess at what comes next */
    size_t order_count;
};

struct columns_options {
    enum table_dialect dialect;
    const char *key;             /* NULL: COLUMNS_KEY */
    const struct slice *indexes; /* names of properties that get an index; other names are passed over */
    size_t index_count;
};

/* What one column of a row holds. */
struct column_cell {
    bool null;
    struct slice text; /* TEXT, DATETIME: the bytes it stands for; otherwise the value's JSON */
    union {
        int64_t integer;
        double real;
        bool boolean;
    } is;
};

/* NULL with e: out of memory, or the schema's values are not always objects with fields of its own (ERROR_ARGUMENT;
 * ask schema_has_properties before, where that is no mistake). Copies what it needs. */
struct columns *columns_new(const struct schema *schema, const struct columns_options *options,
                            struct error *e);
void columns_free(struct columns *columns);

/* True where both make the same table. */
bool columns_equal(const struct columns *a, const struct columns *b);

/* The cells (columns->count of them) of a value, which is valid JSON. Their texts are parts of value and of scratch,
 * which is cleared first, and has to have a cap of value.len or more. False with e: the value does not fit ("property
 * age: expected an integer, got a string"), or out of memory (ERROR_MEMORY). One thread at a time. */
bool columns_cells(struct columns *columns, struct slice key, struct slice value, struct column_cell *cells,
                   struct buf *scratch, struct error *e);

/* "text", "integer", ...: for messages. */
const char *columns_kind_name(enum schema_shape kind);

#endif
