/* The inside of a store, for those that write it out whole or take it over whole: snapshots.
 *
 * A type's number is its place in `types`, the order in which the types came into being. Types stay until the
 * store is cleared, also without entities. The hash of a key is XXH3_64bits_withSeed(key, the store's seed). */
#ifndef STATE_STORE_PARTS_H
#define STATE_STORE_PARTS_H

#include "base/strmap.h"
#include "state/heap.h"
#include "state/store.h"
#include "state/table.h"

struct store_index; /* state/store_index.h */

struct store_type {
    struct table table;
    struct store_index *indexes;
    size_t index_count;
    size_t name_len;
    char name[];
};

/* An index that was asked for; the type may be there or not. */
struct store_plan {
    char *text; /* owned: both names */
    struct slice type, field;
};

enum { STORE_RECENT_BITS = 6, STORE_RECENT = 1 << STORE_RECENT_BITS };

struct store {
    struct strmap names;       /* name -> struct store_type */
    struct store_type **types; /* by number */
    size_t type_count, type_room;
    struct store_type *recent[STORE_RECENT]; /* types found lately, by a cheap hash of their names */
    struct heap heap;
    struct store_plan *plans;
    size_t plan_count;
    struct buf merged;
    uint64_t seed;
    uint64_t epoch; /* until it is cleared: no other store has the same */
};

struct store_image_type {
    struct slice name; /* copied */
    uint64_t *places;  /* place_count + table_spill(place_count) of them, as state/table.h has them */
    size_t place_count;
    size_t count;
    size_t bytes; /* of keys and values */
};

struct store_image_slab {
    char *base;     /* NULL: a number that is not used */
    uint32_t units; /* all in blocks, back to back */
    uint32_t live;  /* units in blocks that are not marked free */
};

struct store_image_large {
    char *bytes; /* key, then value; NULL: a number that is not used */
    uint32_t key_len, value_len;
    uint32_t type;
};

/* A whole store in one mapping that can be written to without anybody seeing it (MAP_PRIVATE). Types, slabs
 * (from 1) and large entities (from 0) are numbered by their order here, and it is these numbers that the
 * blocks and places have. A writer may lay blocks out afresh, or write slabs as they are, with what is free in
 * them: then the references stay as they are. */
struct store_image {
    void *map; /* from mmap */
    size_t map_len;
    uint64_t seed; /* the one the places' hashes were made with */
    const struct store_image_type *types;
    size_t type_count;
    const struct store_image_slab *slabs;
    size_t slab_count;
    const struct store_image_large *larges;
    size_t large_count;
};

/* Makes the image the content of the store, which must be empty (after store_new or store_clear). Takes time in
 * proportion to types and slabs, not to entities. The mapping is the store's from then on: it is unmapped when
 * nothing in it is used any more. What the image says is believed: its reader has checked it. False with e: the
 * store is empty, and the mapping still the caller's. */
bool store_adopt(struct store *store, const struct store_image *image, struct error *e);

#endif
