/* A map from byte strings to pointers, for names: types, headers, options. Open addressing over
 * XXH3 hashes. Keys are copied; values are the caller's. */
#ifndef BASE_STRMAP_H
#define BASE_STRMAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

struct strmap_entry {
    uint64_t hash;
    struct slice key; /* ptr is owned by the map; NULL means a free place */
    void *value;
};

struct strmap {
    struct strmap_entry *entries;
    size_t count;
    size_t places; /* a power of two, or 0 */
};

void strmap_init(struct strmap *map);

/* Frees keys and places; `drop`, where given, is called for each value. */
void strmap_free(struct strmap *map, void (*drop)(void *value));

/* The value, or NULL where the key is not there. */
void *strmap_get(const struct strmap *map, struct slice key);

/* Stores value (not NULL) under key, replacing what was there. False: out of memory, unchanged. */
bool strmap_put(struct strmap *map, struct slice key, void *value);

/* Takes the key out and returns its value, or NULL where it is not there. */
void *strmap_remove(struct strmap *map, struct slice key);

/* Walks in no particular order: pass *at = 0 first; NULL at the end. */
const struct strmap_entry *strmap_next(const struct strmap *map, size_t *at);

#endif
