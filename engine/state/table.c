#include "state/table.h"

#include <stdlib.h>
#include <string.h>

enum {
    TABLE_LEAST = 8,
    TABLE_SMALL = 1024, /* up to here tables double, then they grow by half */
};

void table_init(struct table *table, uint32_t type) {
    *table = (struct table){.type = type};
}

static void free_places(struct table *table, struct heap *heap) {
    if (table->adopted) {
        table->adopted = false;
        heap_unuse(heap);
    } else {
        free(table->places);
    }
    table->places = NULL;
}

void table_free(struct table *table, struct heap *heap) {
    free_places(table, heap);
    table_init(table, table->type);
}

void table_adopt(struct table *table, struct heap *heap, uint64_t *places, size_t place_count, size_t count,
                 size_t bytes) {
    heap_adopt_use(heap);
    table->places = places;
    table->place_count = place_count;
    table->count = count;
    table->bytes = bytes;
    table->adopted = true;
}

/* The first place with this hash, or the one where it would go. Free places are 0, which is as good as more
 * than any hash when 1 is taken off. */
static size_t seek(const struct table *table, uint64_t hash) {
    const uint64_t *places = table->places;
    uint64_t least = hash & 0xFFFFFFFF00000000u;
    size_t i = table_home(table, hash);
    while (places[i] - 1 < least) {
        i++;
    }
    return i;
}

static bool same_hash(uint64_t place, uint64_t hash) {
    return place != 0 && place >> 32 == hash >> 32;
}

/* The key's place, from the first with its hash on. False: *i is where it would go. */
static bool search(const struct table *table, const struct heap *heap, uint64_t hash, struct slice key,
                   size_t *at) {
    size_t i = seek(table, hash);
    for (; same_hash(table->places[i], hash); i++) {
        if (slice_equal(heap_key(heap, (uint32_t)table->places[i]), key)) {
            *at = i;
            return true;
        }
    }
    *at = i;
    return false;
}

uint32_t table_guess(const struct table *table, uint64_t hash) {
    if (table->count == 0) {
        return 0;
    }
    uint64_t place = table->places[seek(table, hash)];
    return same_hash(place, hash) ? (uint32_t)place : 0;
}

uint32_t table_find(const struct table *table, const struct heap *heap, uint64_t hash, struct slice key) {
    size_t i;
    return table->count > 0 && search(table, heap, hash, key, &i) ? (uint32_t)table->places[i] : 0;
}

/* Puts the old places into as many new ones, in their order. False: no memory, or they do not fit before the
 * end. */
static bool resize(struct table *table, struct heap *heap, size_t place_count) {
    struct table bigger = *table;
    bigger.place_count = place_count;
    bigger.places = calloc(table_places(&bigger), sizeof *bigger.places);
    bigger.adopted = false;
    if (!bigger.places) {
        return false;
    }
    size_t end = table_places(&bigger) - 1;
    size_t next = 0;
    for (size_t i = 0; table->places && i < table_places(table); i++) {
        uint64_t place = table->places[i];
        if (place == 0) {
            continue;
        }
        size_t home = table_home(&bigger, place);
        next = home > next ? home : next;
        if (next == end) {
            free(bigger.places);
            return false;
        }
        bigger.places[next++] = place;
    }
    free_places(table, heap);
    *table = bigger;
    return true;
}

static bool grow(struct table *table, struct heap *heap) {
    size_t count = table->place_count;
    count += count < TABLE_LEAST ? TABLE_LEAST : count < TABLE_SMALL ? count : count / 2;
    return count <= (size_t)1 << 32 && resize(table, heap, count);
}

static bool is_full(const struct table *table) {
    return (table->count + 1) * 8 > table->place_count * 7;
}

/* Makes a free place at i, by moving those behind it. False: there is none before the end. */
static bool open_place(struct table *table, size_t i) {
    size_t end = i;
    while (table->places[end]) {
        end++;
    }
    if (end + 1 == table_places(table)) {
        return false;
    }
    memmove(&table->places[i + 1], &table->places[i], (end - i) * sizeof *table->places);
    return true;
}

static bool add(struct table *table, struct heap *heap, uint64_t hash, struct slice key, struct slice value) {
    size_t i;
    if (is_full(table) && !grow(table, heap)) {
        return false;
    }
    uint32_t ref = heap_add(heap, table->type, key, value);
    if (!ref) {
        return false;
    }
    while (search(table, heap, hash, key, &i), !open_place(table, i)) {
        if (!grow(table, heap)) {
            heap_remove(heap, ref);
            return false;
        }
    }
    table->places[i] = (hash & 0xFFFFFFFF00000000u) | ref;
    table->count++;
    table->bytes += key.len + value.len;
    return true;
}

bool table_put(struct table *table, struct heap *heap, uint64_t hash, struct slice key, struct slice value) {
    size_t i;
    if (table->count == 0 || !search(table, heap, hash, key, &i)) {
        return add(table, heap, hash, key, value);
    }
    uint32_t ref = (uint32_t)table->places[i];
    size_t before = heap_value(heap, ref).len;
    uint32_t to = heap_change(heap, ref, value);
    if (!to) {
        return false;
    }
    table->places[i] = (hash & 0xFFFFFFFF00000000u) | to;
    table->bytes = table->bytes - before + value.len;
    return true;
}

/* Moves the entities behind a freed place back, as far as their homes allow. */
static void close_place(struct table *table, size_t i) {
    size_t end = i + 1;
    while (table->places[end] && table_home(table, table->places[end]) < end) {
        end++;
    }
    memmove(&table->places[i], &table->places[i + 1], (end - i - 1) * sizeof *table->places);
    table->places[end - 1] = 0;
}

bool table_remove(struct table *table, struct heap *heap, uint64_t hash, struct slice key) {
    size_t i;
    if (table->count == 0 || !search(table, heap, hash, key, &i)) {
        return false;
    }
    uint32_t ref = (uint32_t)table->places[i];
    table->bytes -= heap_key(heap, ref).len + heap_value(heap, ref).len;
    table->count--;
    heap_remove(heap, ref);
    close_place(table, i);
    if (table->place_count > TABLE_LEAST && table->count * 8 < table->place_count) {
        resize(table, heap, table->place_count / 4); /* a failure only keeps it large */
    }
    return true;
}

void table_move(struct table *table, uint64_t hash, uint32_t from, uint32_t to) {
    size_t i = seek(table, hash);
    while ((uint32_t)table->places[i] != from) {
        i++;
    }
    table->places[i] = (hash & 0xFFFFFFFF00000000u) | to;
}
