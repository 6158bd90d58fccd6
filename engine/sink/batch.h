/* A batch: changes of one stream's state, in their order, and the place that is reached with the last of
 * them. What a sink commits in one transaction.
 *
 * Rows say what has become of an entity, not what happened: a patch is the value it left, an event that changed
 * nothing is no row. Types, keys and values are bytes that a stranger wrote: a sink binds or quotes them, always. */
#ifndef SINK_BATCH_H
#define SINK_BATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/slice.h"

enum sink_op {
    SINK_PUT,    /* the entity has this value now */
    SINK_DELETE, /* there is no such entity any more (perhaps there never was) */
    SINK_CLEAR,  /* nothing is left of any type: a reset; type, key and value are empty */
    SINK_EMIT, /* something a handler has sent to a derived stream: `key` is the name of that sink, `value` the
                    event. Other sinks pass it over */
};

struct sink_row {
    enum sink_op op;
    struct slice type,
        key;             /* not quoted, not escaped: bytes, UTF-8, any character but no cap on their length */
    struct slice value;  /* PUT, EMIT: one JSON text, as the store holds it */
    uint64_t sequence;   /* of the message that made it: the number of messages before it in the stream */
    struct slice offset; /* where that message is: the chunk's offset, and */
    uint64_t index;      /* its number in the chunk, from 0 */
};

/* A place in a stream: everything before it has been applied, handled and committed. */
struct sink_place {
    char *offset;      /* of a chunk; NULL: the stream's beginning */
    uint64_t skip;     /* messages of that chunk that lie before the place */
    uint64_t sequence; /* messages before the place since the stream's beginning */
    char *notes; /* JSON text of whoever commits (worker/outlet.h), to be kept with the place; NULL: none */
};

/* Copies; frees what was there. False: out of memory, and `to` is as it was. */
bool sink_place_set(struct sink_place *to, const struct sink_place *from);
void sink_place_free(struct sink_place *place);

struct sink_batch;

/* max is in bytes of types, keys and values. NULL: out of memory. */
struct sink_batch *sink_batch_new(size_t max);
void sink_batch_free(struct sink_batch *batch);
void sink_batch_clear(struct sink_batch *batch);

/* Copies the row behind the others. False with e: the cap (limits.sinkBatch), or memory; nothing changed. */
bool sink_batch_add(struct sink_batch *batch, const struct sink_row *row, struct error *e);

/* Forgets the rows from number `count` on. */
void sink_batch_cut(struct sink_batch *batch, size_t count);

/* The place behind the last row. Copied. */
bool sink_batch_reach(struct sink_batch *batch, const struct sink_place *place);

size_t sink_batch_count(const struct sink_batch *batch); /* rows */
size_t sink_batch_bytes(const struct sink_batch *batch);
const struct sink_place *sink_batch_place(const struct sink_batch *batch);

/* Row i < count; its slices are good until the batch is changed. May be asked from any thread, as long as nobody
 * changes the batch. */
struct sink_row sink_batch_row(const struct sink_batch *batch, size_t i);

#endif
