/* How a schema lies in memory, for the files schema_*.c of this room only. */
#ifndef STATE_SCHEMA_NODE_H
#define STATE_SCHEMA_NODE_H

#include <stdint.h>

#include "base/buf.h"
#include "base/slice.h"
#include "state/schema_build.h"
#include "state/schema_key.h"
#include "state/schema_number.h"
#include "json/read.h"

enum { SCHEMA_FIELD_WORDS = SCHEMA_FIELDS_MAX / 64 };

struct schema_field {
    struct slice name; /* owned by the node */
    struct schema_key key;
    const struct schema_node *node;
};

/* A value that an enum allows. */
struct schema_value {
    enum json_kind kind; /* null, boolean, number or string */
    bool truth;
    struct schema_number number;
    struct slice bytes; /* what the string stands for; owned by the node */
};

struct schema_node {
    enum schema_kind kind;
    bool optional, nullable, strict;
    bool has_min, has_max;
    unsigned formats; /* of enum schema_format */
    struct schema_number min, max;
    struct slice *patterns; /* each owned */
    size_t pattern_count;
    struct schema_value *values;
    size_t value_count;
    const struct schema_node *item;
    struct schema_field *fields;
    size_t field_count;
    uint16_t *places;      /* open addressing: a field's index + 1, or 0 */
    size_t places_mask;    /* how many there are, less 1: a power of two, at least twice field_count */
    unsigned places_shift; /* what takes 64 bits to a place */
    uint64_t required[SCHEMA_FIELD_WORDS]; /* a bit for each field that must be there */
    unsigned height;                       /* nodes inside each other, this one among them */
    struct schema_node *next;              /* of all that the schema owns */
};

struct schema {
    struct schema_node *nodes;
    size_t node_count;
    const struct schema_node *root;
};

/* Appends what fits: "a string", "an integer or null", "one of "a", "b"". */
void schema_node_expect(const struct schema_node *node, struct buf *out);

/* Appends the names of an object's fields, in byte order, as far as there is room. */
void schema_node_names(const struct schema_node *node, struct buf *out);

/* Appends what an enum allows: "a", "b", as far as there is room. */
void schema_node_values(const struct schema_node *node, struct buf *out);

#endif
