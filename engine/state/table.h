/* One type's entities: where in the heap the entity with a key is. The store has one for each type.
 *
 * A place is hash << 32 | reference, with the upper half of the key's 64-bit hash; 0 is a free place. The home
 * of a hash is hash * place_count >> 32. Entities are probed for linearly from there on, and lie in the order
 * of their hashes: a search ends at the first place that is free or has a larger hash. Behind place_count there
 * are table_spill(place_count) more places for what does not fit before the end; the last one is always free.
 * So growing and shrinking are one pass in order, without a look at the entities. */
#ifndef STATE_TABLE_H
#define STATE_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"
#include "state/heap.h"

struct table {
    struct heap *heap;  /* where its entities are; not owned */
    uint64_t *places;   /* NULL: none yet */
    size_t place_count; /* homes, at most 2^32; there are table_places() places */
    size_t count;
    size_t bytes;  /* of live keys and values */
    uint32_t type; /* the number that its blocks carry */
    bool adopted;  /* the places lie in the heap's mapping */
};

/* Allocates nothing. */
void table_init(struct table *table, struct heap *heap, uint32_t type);

/* Gives the places back; the entities are the heap's. */
void table_free(struct table *table);

/* Takes over places in the heap's mapping; they are changed in place. */
void table_adopt(struct table *table, uint64_t *places, size_t place_count, size_t count, size_t bytes);

static inline size_t table_spill(size_t place_count) {
    return place_count < 64 ? place_count : 64;
}

/* Places in the array. */
static inline size_t table_places(const struct table *table) {
    return table->place_count + table_spill(table->place_count);
}

static inline size_t table_home(const struct table *table, uint64_t place) {
    return (size_t)((place >> 32) * table->place_count >> 32);
}

/* How a key is looked up: the upper half of its hash, and in the lower half a place where it may be (from
 * table_guess), or 0. */
static inline uint64_t table_aim(uint64_t hash) {
    return hash & 0xFFFFFFFF00000000u;
}

/* The reference, 0 where there is none; good until the next change. */
uint32_t table_find(const struct table *table, uint64_t aim, struct slice key);

/* Asks for the places that the search begins with. */
static inline __attribute__((always_inline)) void table_touch(const struct table *table, uint64_t aim) {
    if (table->places) {
        __builtin_prefetch(&table->places[table_home(table, aim)]);
    }
}

/* About as many bytes as most blocks have, at most 256. */
static inline size_t table_usual(const struct table *table) {
    for (size_t lines = 1; lines < 4; lines++) {
        if (table->bytes < table->count * (lines * 64 - 16)) {
            return lines * 64;
        }
    }
    return 256;
}

/* The reference of the first entity with this hash, most likely the one that is looked for; 0: none. Writes
 * its place into *aim. Does not touch the heap. */
uint32_t table_guess(const struct table *table, uint64_t *aim);

/* All entities with a hash, which lie side by side: from table_seek on, as long as table_at gives a reference. */
size_t table_seek(const struct table *table, uint64_t aim);

static inline uint32_t table_at(const struct table *table, size_t at, uint64_t aim) {
    uint64_t place = table->count > 0 ? table->places[at] : 0;
    return place >> 32 == aim >> 32 ? (uint32_t)place : 0;
}

/* For a walk over all places: asks for the entity of one further on. */
static inline __attribute__((always_inline)) void table_touch_ahead(const struct table *table, size_t at) {
    enum { AHEAD = 12 };
    if (at + AHEAD < table_places(table)) {
        heap_touch(table->heap, (uint32_t)table->places[at + AHEAD], table_usual(table));
    }
}

/* False: out of memory, or a key or value of 4 GB; nothing changed. */
bool table_put(struct table *table, uint64_t aim, struct slice key, struct slice value);

/* False: there is none. */
bool table_remove(struct table *table, uint64_t aim, struct slice key);

/* The entity is at `to` from now on. */
void table_move(struct table *table, uint64_t aim, uint32_t from, uint32_t to);

#endif
