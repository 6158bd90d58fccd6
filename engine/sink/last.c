#include "sink/last.h"

#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

#define PLACE_FREE UINT32_MAX

static bool reserve(struct last *last, size_t count) {
    if (count > last->row_room) {
        uint32_t *rows = realloc(last->rows, count * sizeof *rows);
        if (!rows) {
            return false;
        }
        last->rows = rows;
        last->row_room = count;
    }
    size_t room = 64;
    while (room < count * 2) {
        room *= 2;
    }
    if (room > last->place_room) {
        free(last->places);
        free(last->tags);
        last->places = malloc(room * sizeof *last->places);
        last->tags = malloc(room * sizeof *last->tags);
        last->place_room = last->places && last->tags ? room : 0;
    }
    return last->place_room > 0;
}

void last_free(struct last *last) {
    free(last->rows);
    free(last->places);
    free(last->tags);
    *last = (struct last){0};
}

static uint64_t hash_of(const struct sink_row *row) {
    return XXH3_64bits_withSeed(row->key.ptr, row->key.len, XXH3_64bits(row->type.ptr, row->type.len));
}

static bool same(const struct sink_row *a, const struct sink_row *b) {
    return slice_equal(a->key, b->key) && slice_equal(a->type, b->type);
}

/* True where no later row has its key. mask: the places in use, less one. */
static bool claim(struct last *last, const struct sink_batch *batch, size_t mask, uint32_t i,
                  const struct sink_row *row) {
    uint64_t hash = hash_of(row);
    uint32_t tag = (uint32_t)(hash >> 32);
    size_t at = (size_t)hash & mask;
    for (; last->places[at] != PLACE_FREE; at = (at + 1) & mask) {
        if (last->tags[at] == tag) {
            struct sink_row other = sink_batch_row(batch, last->places[at]);
            if (same(row, &other)) {
                return false;
            }
        }
    }
    last->places[at] = i;
    last->tags[at] = tag;
    return true;
}

static void reverse(uint32_t *rows, size_t count) {
    for (size_t i = 0; i < count / 2; i++) {
        uint32_t row = rows[i];
        rows[i] = rows[count - 1 - i];
        rows[count - 1 - i] = row;
    }
}

bool last_find(struct last *last, const struct sink_batch *batch, bool all) {
    size_t count = sink_batch_count(batch);
    size_t places = 64;
    last->clear = false;
    last->count = 0;
    if (!reserve(last, count)) {
        return false;
    }
    while (places < count * 2) {
        places *= 2;
    }
    memset(last->places, 0xFF, places * sizeof *last->places);
    for (size_t i = count; i-- > 0 && !last->clear;) {
        struct sink_row row = sink_batch_row(batch, i);
        last->clear = row.op == SINK_CLEAR;
        if ((row.op == SINK_PUT || row.op == SINK_DELETE) &&
            (all || claim(last, batch, places - 1, (uint32_t)i, &row))) {
            last->rows[last->count++] = (uint32_t)i;
        }
    }
    reverse(last->rows, last->count);
    return true;
}
