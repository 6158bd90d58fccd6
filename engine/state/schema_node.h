/* How a schema lies in memory, for the files schema_*.c of this room only. */
#ifndef STATE_SCHEMA_NODE_H
#define STATE_SCHEMA_NODE_H

#include <stdint.h>

#include "base/buf.h"
#include "base/slice.h"
#include "state/schema_build.h"
#include "state/schema_key.h"
#include "state/schema_multiple.h"
#include "state/schema_number.h"
#include "state/schema_pattern.h"
#include "json/read.h"

enum { SCHEMA_FIELD_WORDS = SCHEMA_FIELDS_MAX / 64 };

enum { SCHEMA_GLUE_MAX = 32 };

/* What the quick check needs comes first, so that it is in one line of the cache. */
struct schema_field {
    /* "name": as it mostly stands in a text; len 0: it is too long, or has escapes. */
    char glue[SCHEMA_GLUE_MAX];
    uint32_t glue_len;
    uint32_t glue_mask; /* a bit for each of its bytes */
    const struct schema_node *node;
    uint64_t bit; /* its own among the fields' bits, in word `word` of them */
    struct schema_field
        *next; /* the one that came behind it last: a guess, by whichever check. Atomic, relaxed */
    uint32_t word;
    struct schema_key key;
    struct slice name; /* owned by the node */
};

/* What a string has to hold. */
struct schema_text {
    enum schema_part part;
    struct slice bytes;             /* owned */
    struct schema_pattern *pattern; /* of a SCHEMA_PATTERN; owned */
};

/* A value that an enum allows. */
struct schema_value {
    enum json_kind kind; /* null, boolean, number or string */
    bool truth;
    struct schema_number number;
    struct slice bytes; /* what the string stands for; owned by the node */
    uint32_t option;    /* of a SCHEMA_TAGGED: which option it leads to */
};

/* What the quick check of a scalar needs comes first. */
struct schema_node {
    enum schema_kind kind;
    bool optional, nullable, strict;
    bool rules;       /* a string has min, max, formats or texts; a number min, max or multiple */
    unsigned formats; /* of enum schema_format */
    unsigned accepts; /* a bit for each enum json_kind that may fit */
    /* min and max for whole numbers of 64 bits, lengths and counts: least <= n <= most is the same. */
    int64_t least, most;
    size_t sure; /* so many bytes are at least `least` characters */
    size_t text_count;
    struct schema_text *texts;
    struct schema_multiple multiple; /* of a number */
    struct schema_field *first;      /* the field that came first last: as a field's next */
    struct schema_field *fields;
    size_t field_count;
    uint64_t required[SCHEMA_FIELD_WORDS]; /* a bit for each field that must be there */

    bool has_min, has_max, over, under;
    struct schema_number min, max, multiple_of;
    struct schema_value *values;
    size_t value_count;
    const struct schema_node *item;     /* of a SCHEMA_LAZY: its target */
    const struct schema_node *names;    /* of a record; or NULL */
    const struct schema_node **options; /* of a union, a tuple */
    size_t option_count;
    struct slice tag;         /* owned */
    uint16_t *places;         /* open addressing: a field's index + 1, or 0 */
    size_t places_mask;       /* how many there are, less 1: a power of two, at least twice field_count */
    unsigned places_shift;    /* what takes 64 bits to a place */
    unsigned height;          /* nodes inside each other, this one among them, up to those that are lazy */
    bool open, known;         /* schema_finish is at its kinds; has them */
    struct schema_node *next; /* of all that the schema owns */
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
