/* What values of a schema look like from outside: for whoever lays them out in columns. */
#ifndef STATE_SCHEMA_SHAPE_H
#define STATE_SCHEMA_SHAPE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/slice.h"
#include "state/schema.h"

enum schema_shape {
    SCHEMA_SHAPE_TEXT,
    SCHEMA_SHAPE_INTEGER, /* of 64 bits */
    SCHEMA_SHAPE_REAL,
    SCHEMA_SHAPE_BOOLEAN,
    SCHEMA_SHAPE_DATETIME, /* a string as state/schema_format.h says */
    SCHEMA_SHAPE_JSON,     /* anything else: arrays, objects, and what is now this, now that */
};

struct schema_property {
    struct slice name; /* the bytes it stands for; the schema's */
    enum schema_shape shape;
    bool may_miss; /* it may be missing, or null */
};

/* True where every value that fits is an object with the schema's own fields: no union, nothing nullable. */
bool schema_has_properties(const struct schema *schema);

/* How many, and property i of them, in the byte order of their names. Any thread may ask. */
size_t schema_property_count(const struct schema *schema);
struct schema_property schema_property(const struct schema *schema, size_t i);

#endif
