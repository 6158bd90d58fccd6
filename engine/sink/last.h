/* Which rows of a batch count: for each key the last one, and none before a reset. What a sink stores in one
 * transaction is the same with these alone. Pure. */
#ifndef SINK_LAST_H
#define SINK_LAST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sink/batch.h"

/* Zero-initialise it; it keeps its memory from one batch to the next. */
struct last {
    bool clear;     /* the batch has a SINK_CLEAR: everything goes before the first of the rows */
    uint32_t *rows; /* the rows (PUT and DELETE) that count, in their order */
    size_t count;
    /* Private. */
    uint32_t *places;
    uint32_t *tags; /* of the places: a part of the hash, so that few texts are compared */
    size_t row_room, place_room;
};

/* Every row that is not before the last reset: `all`; otherwise the last of each key. False: out of memory. */
bool last_find(struct last *last, const struct sink_batch *batch, bool all);
void last_free(struct last *last);

#endif
