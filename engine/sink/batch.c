#include "sink/batch.h"

#include <stdlib.h>
#include <string.h>

/* A row: its texts lie one behind the other in the batch's bytes. */
struct row {
    enum sink_op op;
    uint32_t chunk; /* of the chunks */
    size_t at;      /* of the type */
    size_t type_len, key_len, value_len;
    uint64_t sequence, index;
};

struct chunk {
    size_t at, len;
};

struct sink_batch {
    struct buf bytes;
    struct buf offsets;
    struct row *rows;
    size_t count, room;
    struct chunk *chunks;
    size_t chunk_count, chunk_room;
    struct sink_place place;
};

enum {
    OFFSETS_MAX = 16 << 20,
    BYTES_KEEP = 16 << 20, /* what stays allocated of an empty batch */
    ROOM_FIRST = 64,
};

static bool copy_text(char **to, const char *from) {
    *to = from ? strdup(from) : NULL;
    return !from || *to;
}

bool sink_place_set(struct sink_place *to, const struct sink_place *from) {
    struct sink_place place = {.skip = from->skip, .sequence = from->sequence};
    if (!copy_text(&place.offset, from->offset) || !copy_text(&place.notes, from->notes)) {
        sink_place_free(&place);
        return false;
    }
    sink_place_free(to);
    *to = place;
    return true;
}

void sink_place_free(struct sink_place *place) {
    free(place->offset);
    free(place->notes);
    *place = (struct sink_place){0};
}

struct sink_batch *sink_batch_new(size_t max) {
    struct sink_batch *batch = calloc(1, sizeof *batch);
    if (batch) {
        buf_init(&batch->bytes, max);
        buf_init(&batch->offsets, OFFSETS_MAX);
    }
    return batch;
}

void sink_batch_free(struct sink_batch *batch) {
    if (batch) {
        buf_free(&batch->bytes);
        buf_free(&batch->offsets);
        sink_place_free(&batch->place);
        free(batch->rows);
        free(batch->chunks);
        free(batch);
    }
}

void sink_batch_clear(struct sink_batch *batch) {
    buf_clear(&batch->bytes);
    buf_clear(&batch->offsets);
    buf_shrink(&batch->bytes, BYTES_KEEP);
    buf_shrink(&batch->offsets, BYTES_KEEP);
    batch->count = batch->chunk_count = 0;
}

/* The texts that are only theirs lie behind all others. Offsets stay: they are few. */
void sink_batch_cut(struct sink_batch *batch, size_t count) {
    if (count < batch->count) {
        batch->bytes.len = batch->rows[count].at;
        batch->count = count;
    }
}

/* Doubles an array that is full. */
static bool grow(void **items, size_t *room, size_t count, size_t size) {
    if (count < *room) {
        return true;
    }
    size_t wanted = *room ? *room * 2 : ROOM_FIRST;
    void *grown = realloc(*items, wanted * size);
    if (!grown) {
        return false;
    }
    *items = grown;
    *room = wanted;
    return true;
}

/* The rows of one chunk share its offset. */
static bool reserve_chunk(struct sink_batch *batch, struct slice offset) {
    if (batch->chunk_count > 0) {
        const struct chunk *last = &batch->chunks[batch->chunk_count - 1];
        if (slice_equal(slice_of(batch->offsets.ptr + last->at, last->len), offset)) {
            return true;
        }
    }
    if (!grow((void **)&batch->chunks, &batch->chunk_room, batch->chunk_count, sizeof *batch->chunks) ||
        !buf_reserve(&batch->offsets, offset.len + 1)) {
        return false;
    }
    batch->chunks[batch->chunk_count++] = (struct chunk){batch->offsets.len, offset.len};
    return buf_append_slice(&batch->offsets, offset) && buf_append_byte(&batch->offsets, '\0');
}

bool sink_batch_add(struct sink_batch *batch, const struct sink_row *row, struct error *e) {
    if (!buf_reserve(&batch->bytes, row->type.len + row->key.len + row->value.len)) {
        return buf_error(&batch->bytes, e, "changes that wait to be committed", "raise limits.sinkBatch");
    }
    if (!grow((void **)&batch->rows, &batch->room, batch->count, sizeof *batch->rows) ||
        !reserve_chunk(batch, row->offset)) {
        return error_set(e, ERROR_MEMORY, "out of memory for changes that wait to be committed");
    }
    batch->rows[batch->count++] = (struct row){
        .op = row->op,
        .chunk = (uint32_t)(batch->chunk_count - 1),
        .at = batch->bytes.len,
        .type_len = row->type.len,
        .key_len = row->key.len,
        .value_len = row->value.len,
        .sequence = row->sequence,
        .index = row->index,
    };
    return buf_append_slice(&batch->bytes, row->type) && buf_append_slice(&batch->bytes, row->key) &&
           buf_append_slice(&batch->bytes, row->value);
}

bool sink_batch_reach(struct sink_batch *batch, const struct sink_place *place) {
    return sink_place_set(&batch->place, place);
}

size_t sink_batch_count(const struct sink_batch *batch) {
    return batch->count;
}

size_t sink_batch_bytes(const struct sink_batch *batch) {
    return batch->bytes.len;
}

const struct sink_place *sink_batch_place(const struct sink_batch *batch) {
    return &batch->place;
}

struct sink_row sink_batch_row(const struct sink_batch *batch, size_t i) {
    const struct row *row = &batch->rows[i];
    const struct chunk *chunk = &batch->chunks[row->chunk];
    const char *at = batch->bytes.ptr ? batch->bytes.ptr + row->at : "";
    return (struct sink_row){
        .op = row->op,
        .type = slice_of(at, row->type_len),
        .key = slice_of(at + row->type_len, row->key_len),
        .value = slice_of(at + row->type_len + row->key_len, row->value_len),
        .sequence = row->sequence,
        .index = row->index,
        .offset = slice_of(batch->offsets.ptr + chunk->at, chunk->len),
    };
}
