#include "base/strmap.h"

#include <stdlib.h>
#include <xxhash.h>

enum { STRMAP_LEAST = 16 };

void strmap_init(struct strmap *map) {
    *map = (struct strmap){0};
}

void strmap_free(struct strmap *map, void (*drop)(void *value)) {
    for (size_t i = 0; i < map->places; i++) {
        struct strmap_entry *entry = &map->entries[i];
        if (entry->key.ptr) {
            if (drop) {
                drop(entry->value);
            }
            free((void *)entry->key.ptr);
        }
    }
    free(map->entries);
    strmap_init(map);
}

/* The key's place, or the free place where it would go. There is always a free one. */
static struct strmap_entry *find(const struct strmap *map, struct slice key, uint64_t hash) {
    size_t mask = map->places - 1;
    for (size_t i = hash & mask;; i = (i + 1) & mask) {
        struct strmap_entry *entry = &map->entries[i];
        if (!entry->key.ptr || (entry->hash == hash && slice_equal(entry->key, key))) {
            return entry;
        }
    }
}

static uint64_t hash_of(struct slice key) {
    return XXH3_64bits(key.ptr, key.len);
}

void *strmap_get(const struct strmap *map, struct slice key) {
    if (map->count == 0) {
        return NULL;
    }
    return find(map, key, hash_of(key))->value;
}

static bool grow(struct strmap *map) {
    struct strmap bigger = {.places = map->places ? map->places * 2 : STRMAP_LEAST, .count = map->count};
    bigger.entries = calloc(bigger.places, sizeof *bigger.entries);
    if (!bigger.entries) {
        return false;
    }
    for (size_t i = 0; i < map->places; i++) {
        if (map->entries[i].key.ptr) {
            *find(&bigger, map->entries[i].key, map->entries[i].hash) = map->entries[i];
        }
    }
    free(map->entries);
    *map = bigger;
    return true;
}

bool strmap_put(struct strmap *map, struct slice key, void *value) {
    if ((map->count + 1) * 4 > map->places * 3 && !grow(map)) {
        return false;
    }
    uint64_t hash = hash_of(key);
    struct strmap_entry *entry = find(map, key, hash);
    if (!entry->key.ptr) {
        char *copy = malloc(key.len + 1);
        if (!copy) {
            return false;
        }
        memcpy(copy, key.ptr, key.len);
        copy[key.len] = '\0';
        *entry = (struct strmap_entry){hash, slice_of(copy, key.len), NULL};
        map->count++;
    }
    entry->value = value;
    return true;
}

void *strmap_remove(struct strmap *map, struct slice key) {
    if (map->count == 0) {
        return NULL;
    }
    struct strmap_entry *entry = find(map, key, hash_of(key));
    void *value = entry->value;
    if (!entry->key.ptr) {
        return NULL;
    }
    free((void *)entry->key.ptr);
    *entry = (struct strmap_entry){0};
    map->count--;
    /* Close the gap: whoever probed past it moves back. */
    size_t mask = map->places - 1;
    for (size_t i = ((size_t)(entry - map->entries) + 1) & mask; map->entries[i].key.ptr;
         i = (i + 1) & mask) {
        struct strmap_entry moved = map->entries[i];
        map->entries[i] = (struct strmap_entry){0};
        *find(map, moved.key, moved.hash) = moved;
    }
    return value;
}

const struct strmap_entry *strmap_next(const struct strmap *map, size_t *at) {
    while (*at < map->places) {
        const struct strmap_entry *entry = &map->entries[(*at)++];
        if (entry->key.ptr) {
            return entry;
        }
    }
    return NULL;
}
