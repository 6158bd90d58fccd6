/* One type's entities: a hash table from key to value text. The store has one for each type. */
#ifndef STATE_TABLE_H
#define STATE_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

/* Key and value live in one block. */
struct table_entity {
    uint64_t hash;
    uint32_t key_len;
    uint32_t value_len;
    uint32_t room; /* bytes behind this header */
    char bytes[];  /* key, then value */
};

struct table {
    struct table_entity **places; /* NULL: free */
    size_t place_count;           /* a power of two, or 0 */
    size_t count;
    size_t bytes;  /* of live keys and values */
    uint64_t seed; /* so that nobody can choose keys that collide */
};

void table_init(struct table *table, uint64_t seed);
void table_clear(struct table *table);

/* Good until the next change; NULL where there is none. */
const struct table_entity *table_find(const struct table *table, struct slice key);

/* False: out of memory, or a key or value of 4 GB; nothing changed. */
bool table_put(struct table *table, struct slice key, struct slice value);
bool table_remove(struct table *table, struct slice key);

static inline struct slice table_key(const struct table_entity *entity) {
    return slice_of(entity->bytes, entity->key_len);
}

static inline struct slice table_value(const struct table_entity *entity) {
    return slice_of(entity->bytes + entity->key_len, entity->value_len);
}

#endif
