/* What of a batch a database has to do: for each type the last value of each key, and the keys that are gone. Pure.
 *
 * All rows between two resets come to one row a key; before the last reset only the types count, so that which tables
 * there are does not depend on how a stream was cut into batches. */
#ifndef SINK_POSTGRES_PLAN_H
#define SINK_POSTGRES_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"
#include "base/strmap.h"
#include "sink/batch.h"

struct pg_plan_type {
    struct slice type;        /* of the batch */
    uint32_t *puts, *deletes; /* rows of the batch, in the byte order of their keys */
    size_t put_count, delete_count;
    bool wanted; /* something was put: the table must be there */
};

struct pg_plan {
    bool clear;                 /* nothing of before is left */
    struct pg_plan_type *types; /* in the order in which they come first */
    size_t type_count;
    uint32_t *rows; /* what puts and deletes point into */
    struct strmap by_type;
};

/* skip: a byte a row of the batch, not 0 where the row is passed over. The plan points into the batch. False: out of
 * memory, and there is nothing to free. */
bool pg_plan_make(struct pg_plan *plan, const struct sink_batch *batch, const unsigned char *skip);
void pg_plan_free(struct pg_plan *plan);

#endif
