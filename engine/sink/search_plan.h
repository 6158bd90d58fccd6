/* What a batch comes to: the last word about each entity. Servers without transactions get no more than that, so that
 * the order in which rows are stored does not matter. */
#ifndef SINK_SEARCH_PLAN_H
#define SINK_SEARCH_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/strmap.h"
#include "sink/batch.h"

/* A type, as long as the sink lives. */
struct search_type {
    struct slice type; /* owned, as is */
    char *name;        /* of its index or collection */
    size_t number;     /* in the order in which types came */
    bool ready;        /* it is known to be there, and to be this stream's */
};

struct search_types {
    struct strmap map; /* -> struct search_type */
    const char *prefix;
};

void search_types_init(struct search_types *types, const char *prefix); /* borrowed */
void search_types_free(struct search_types *types);

/* The type, new where it was not there. NULL: out of memory. */
struct search_type *search_types_get(struct search_types *types, struct slice type);

struct search_entry {
    struct search_type *type;
    size_t row; /* of the batch */
};

struct search_plan {
    const struct sink_batch *batch; /* borrowed */
    bool clears;                    /* everything that is older goes before the first entry is stored: */
    uint64_t cleared_at;            /* the sequence of that reset */
    struct search_entry *entries;   /* type by type */
    size_t count, room;
};

/* Frees what it held. False with e: out of memory. */
bool search_plan_make(struct search_plan *plan, struct search_types *types, const struct sink_batch *batch,
                      struct error *e);
void search_plan_free(struct search_plan *plan);

#endif
