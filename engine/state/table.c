#include "state/table.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

enum { TABLE_LEAST = 16, ROOM_STEP = 16 };

void table_init(struct table *table, uint64_t seed) {
    *table = (struct table){.seed = seed};
}

void table_clear(struct table *table) {
    for (size_t i = 0; i < table->place_count; i++) {
        free(table->places[i]);
    }
    free(table->places);
    table_init(table, table->seed);
}

static uint64_t hash_of(const struct table *table, struct slice key) {
    return XXH3_64bits_withSeed(key.ptr, key.len, table->seed);
}

/* The key's place, or the free one where it would go. There is always a free one. */
static size_t find(const struct table *table, struct slice key, uint64_t hash) {
    size_t mask = table->place_count - 1;
    size_t i = hash & mask;
    for (;; i = (i + 1) & mask) {
        const struct table_entity *entity = table->places[i];
        if (!entity || (entity->hash == hash && slice_equal(table_key(entity), key))) {
            return i;
        }
    }
}

const struct table_entity *table_find(const struct table *table, struct slice key) {
    if (table->count == 0) {
        return NULL;
    }
    return table->places[find(table, key, hash_of(table, key))];
}

static bool resize(struct table *table, size_t place_count) {
    struct table_entity **places = calloc(place_count, sizeof *places);
    if (!places) {
        return false;
    }
    size_t mask = place_count - 1;
    for (size_t i = 0; i < table->place_count; i++) {
        struct table_entity *entity = table->places[i];
        if (!entity) {
            continue;
        }
        size_t to = entity->hash & mask;
        while (places[to]) {
            to = (to + 1) & mask;
        }
        places[to] = entity;
    }
    free(table->places);
    table->places = places;
    table->place_count = place_count;
    return true;
}

/* A block for this key and value: the old one where it fits and does not waste more than half. */
static struct table_entity *make_room(struct table_entity *old, size_t need) {
    if (old && old->room >= need && old->room / 2 <= need + ROOM_STEP) {
        return old;
    }
    size_t room = (need + ROOM_STEP - 1) / ROOM_STEP * ROOM_STEP;
    if (room > UINT32_MAX) {
        return NULL;
    }
    struct table_entity *entity = realloc(old, sizeof *entity + room);
    if (entity) {
        entity->room = (uint32_t)room;
    }
    return entity;
}

bool table_put(struct table *table, struct slice key, struct slice value) {
    if (key.len > UINT32_MAX || value.len > UINT32_MAX - key.len) {
        return false;
    }
    if ((table->count + 1) * 4 > table->place_count * 3 &&
        !resize(table, table->place_count ? table->place_count * 2 : TABLE_LEAST)) {
        return false;
    }
    uint64_t hash = hash_of(table, key);
    size_t place = find(table, key, hash);
    struct table_entity *old = table->places[place];
    size_t old_value = old ? old->value_len : 0;
    struct table_entity *entity = make_room(old, key.len + value.len);
    if (!entity) {
        return false;
    }
    if (!old) {
        entity->hash = hash;
        entity->key_len = (uint32_t)key.len;
        memcpy(entity->bytes, key.ptr, key.len);
        table->count++;
        table->bytes += key.len;
    }
    memcpy(entity->bytes + key.len, value.ptr, value.len);
    entity->value_len = (uint32_t)value.len;
    table->bytes = table->bytes - old_value + value.len;
    table->places[place] = entity;
    return true;
}

/* Moves the entities behind a freed place back, so that no probe stops too early. */
static void close_gap(struct table *table, size_t gap) {
    size_t mask = table->place_count - 1;
    for (size_t i = (gap + 1) & mask; table->places[i]; i = (i + 1) & mask) {
        size_t home = table->places[i]->hash & mask;
        if (((i - home) & mask) >= ((i - gap) & mask)) {
            table->places[gap] = table->places[i];
            table->places[i] = NULL;
            gap = i;
        }
    }
}

bool table_remove(struct table *table, struct slice key) {
    if (table->count == 0) {
        return false;
    }
    size_t place = find(table, key, hash_of(table, key));
    struct table_entity *entity = table->places[place];
    if (!entity) {
        return false;
    }
    table->bytes -= (size_t)entity->key_len + entity->value_len;
    table->count--;
    table->places[place] = NULL;
    free(entity);
    close_gap(table, place);
    if (table->place_count > TABLE_LEAST && table->count * 8 < table->place_count) {
        resize(table, table->place_count / 2); /* a failure only keeps it large */
    }
    return true;
}
