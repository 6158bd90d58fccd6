#include "state/table.h"

#include <stdlib.h>
#include <string.h>

#include "state/pages.h"

enum {
    TABLE_LEAST = 8,
    TABLE_SMALL = 1024,     /* up to here tables double, then they grow by a quarter */
    MAPPED_LEAST = 1 << 17, /* bytes of places that come straight from the system */
};

void table_init(struct table *table, struct heap *heap, uint32_t type) {
    *table = (struct table){.heap = heap, .type = type};
}

static size_t places_size(const struct table *table) {
    return table_places(table) * sizeof *table->places;
}

static bool allocate_places(struct table *table) {
    size_t size = places_size(table);
    table->places = size < MAPPED_LEAST ? calloc(1, size) : pages_map(size);
    if (table->places) {
        table->heap->table_bytes += size;
        if (size >= MAPPED_LEAST) {
            pages_fill(table->places, size); /* all of it is touched at once */
        }
    }
    return table->places != NULL;
}

static void free_places(struct table *table) {
    table->heap->table_bytes -= places_size(table);
    if (table->adopted) {
        heap_unuse(table->heap);
    } else if (places_size(table) < MAPPED_LEAST) {
        free(table->places);
    } else {
        pages_unmap(table->places, places_size(table));
    }
}

void table_free(struct table *table) {
    free_places(table);
    table_init(table, table->heap, table->type);
}

void table_adopt(struct table *table, uint64_t *places, size_t place_count, size_t count, size_t bytes) {
    heap_adopt_use(table->heap);
    table->places = places;
    table->place_count = place_count;
    table->count = count;
    table->bytes = bytes;
    table->adopted = true;
    table->heap->table_bytes += places_size(table);
}

/* The first place with this hash, or the one where it would go. Free places are 0, which is as good as more
 * than any hash when 1 is taken off. */
static inline size_t seek(const struct table *table, uint64_t aim) {
    const uint64_t *places = table->places;
    uint64_t least = table_aim(aim);
    size_t i = table_home(table, aim);
    while (places[i] - 1 < least) {
        i++;
    }
    return i;
}

static inline bool same_hash(uint64_t place, uint64_t aim) {
    return place != 0 && place >> 32 == aim >> 32;
}

static inline bool has_key(const struct table *table, uint64_t place, struct slice key) {
    return slice_equal_short(heap_key(table->heap, (uint32_t)place), key);
}

/* The key's place, from the first with its hash on. False: *at is where it would go. */
static bool search(const struct table *table, uint64_t aim, struct slice key, size_t *at) {
    size_t i = seek(table, aim);
    for (; same_hash(table->places[i], aim); i++) {
        if (has_key(table, table->places[i], key)) {
            *at = i;
            return true;
        }
    }
    *at = i;
    return false;
}

/* The same, at first in the place that aim has. */
static inline bool locate(const struct table *table, uint64_t aim, struct slice key, size_t *at) {
    if (table->count == 0) {
        return false;
    }
    *at = (uint32_t)aim;
    if (*at < table->place_count) {
        uint64_t place = table->places[*at];
        if (same_hash(place, aim) && has_key(table, place, key)) {
            return true;
        }
    }
    return search(table, aim, key, at);
}

uint32_t table_guess(const struct table *table, uint64_t *aim) {
    if (table->count == 0) {
        return 0;
    }
    size_t at = seek(table, *aim);
    uint64_t place = table->places[at];
    if (!same_hash(place, *aim)) {
        return 0;
    }
    *aim = table_aim(*aim) | (uint32_t)at;
    return (uint32_t)place;
}

size_t table_seek(const struct table *table, uint64_t aim) {
    return table->count > 0 ? seek(table, aim) : 0;
}

uint32_t table_find(const struct table *table, uint64_t aim, struct slice key) {
    size_t at;
    return locate(table, aim, key, &at) ? (uint32_t)table->places[at] : 0;
}

/* Puts the old places into as many new ones, in their order. False: no memory, or they do not fit before the
 * end. */
static bool resize(struct table *table, size_t place_count) {
    struct table bigger = *table;
    bigger.place_count = place_count;
    bigger.adopted = false;
    if (!allocate_places(&bigger)) {
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
            free_places(&bigger);
            return false;
        }
        bigger.places[next++] = place;
    }
    free_places(table);
    *table = bigger;
    return true;
}

static bool grow(struct table *table) {
    size_t count = table->place_count;
    count += count < TABLE_LEAST ? TABLE_LEAST : count < TABLE_SMALL ? count : count / 4;
    return count <= (size_t)1 << 32 && resize(table, count);
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

static __attribute__((noinline)) bool add(struct table *table, uint64_t aim, struct slice key,
                                          struct slice value) {
    size_t i;
    if (is_full(table) && !grow(table)) {
        return false;
    }
    uint32_t ref = heap_add(table->heap, table->type, key, value);
    if (!ref) {
        return false;
    }
    while (search(table, aim, key, &i), !open_place(table, i)) {
        if (!grow(table)) {
            heap_remove(table->heap, ref);
            return false;
        }
    }
    table->places[i] = table_aim(aim) | ref;
    table->count++;
    table->bytes += key.len + value.len;
    return true;
}

bool table_put(struct table *table, uint64_t aim, struct slice key, struct slice value) {
    size_t at;
    if (!locate(table, aim, key, &at)) {
        return add(table, aim, key, value);
    }
    uint32_t ref = (uint32_t)table->places[at];
    size_t before = heap_value_len(table->heap, ref);
    uint32_t to = heap_change(table->heap, ref, value);
    if (!to) {
        return false;
    }
    table->places[at] = table_aim(aim) | to;
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

bool table_remove(struct table *table, uint64_t aim, struct slice key) {
    size_t at;
    if (!locate(table, aim, key, &at)) {
        return false;
    }
    uint32_t ref = (uint32_t)table->places[at];
    table->bytes -= heap_key(table->heap, ref).len + heap_value(table->heap, ref).len;
    table->count--;
    heap_remove(table->heap, ref);
    close_place(table, at);
    if (table->place_count > TABLE_LEAST && table->count * 3 < table->place_count) {
        resize(table, table->place_count / 2); /* a failure only keeps it large */
    }
    return true;
}

void table_move(struct table *table, uint64_t aim, uint32_t from, uint32_t to) {
    size_t i = seek(table, aim);
    while ((uint32_t)table->places[i] != from) {
        i++;
    }
    table->places[i] = table_aim(aim) | to;
}
