#include "state/store.h"

#include <stdlib.h>
#include <sys/random.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/list.h"
#include "state/order.h"
#include "state/store_index.h"
#include "state/store_parts.h"
#include "json/merge.h"

struct store *store_new(size_t patch_max) {
    struct store *store = calloc(1, sizeof *store);
    if (!store) {
        return NULL;
    }
    strmap_init(&store->names);
    heap_init(&store->heap);
    buf_init(&store->merged, patch_max);
    uint64_t random[2];
    if (getrandom(random, sizeof random, GRND_NONBLOCK) != (ssize_t)sizeof random) {
        random[0] = random[1] = (uint64_t)(uintptr_t)store; /* early at boot: better than fixed ones */
    }
    store->seed = random[0];
    store->epoch = random[1];
    return store;
}

void store_clear(struct store *store) {
    for (size_t i = 0; i < store->type_count; i++) {
        table_free(&store->types[i]->table);
        store_index_detach(store->types[i]);
        free(store->types[i]);
    }
    free(store->types);
    store->types = NULL;
    store->type_count = store->type_room = 0;
    strmap_free(&store->names, NULL);
    memset(store->recent, 0, sizeof store->recent);
    heap_free(&store->heap);
    store->epoch++;
}

struct store *store_like(const struct store *store) {
    struct store *like = store_new(store->merged.max);
    if (like && !store_index_copy_plans(store, like)) {
        store_free(like);
        return NULL;
    }
    return like;
}

void store_free(struct store *store) {
    if (!store) {
        return;
    }
    store_clear(store);
    store_index_free_plans(store);
    buf_free(&store->merged);
    free(store);
}

/* --- types --- */

static struct slice name_of(const struct store_type *type) {
    return slice_of(type->name, type->name_len);
}

/* By its length, its start and its end. */
static inline struct store_type **recent(const struct store *store, struct slice name) {
    uint32_t mix = (uint32_t)name.len;
    if (name.len >= 4) {
        mix += slice_four_bytes(name.ptr) * 3 + slice_four_bytes(name.ptr + name.len - 4);
    } else if (name.len > 0) {
        mix += (unsigned char)name.ptr[0] * 3u + (unsigned char)name.ptr[name.len - 1];
    }
    return (struct store_type **)&store->recent[mix * 0x9E3779B1u >> (32 - STORE_RECENT_BITS)];
}

static inline bool is_named(const struct store_type *type, struct slice name) {
    return slice_equal_short(name_of(type), name);
}

static struct store_type *find_type(const struct store *store, struct slice name) {
    struct store_type *type = *recent(store, name);
    return type && is_named(type, name) ? type : strmap_get(&store->names, name);
}

static bool type_room(struct store *store) {
    struct store_type **types = list_room(store->types, store->type_count, &store->type_room, 4,
                                          sizeof *types);
    store->types = types ? types : store->types;
    return types;
}

static struct store_type *add_type(struct store *store, struct slice name) {
    if (store->type_count == HEAP_TYPES_MAX || !type_room(store)) {
        return NULL;
    }
    struct store_type *type = malloc(sizeof *type + name.len);
    if (!type) {
        return NULL;
    }
    table_init(&type->table, &store->heap, (uint32_t)store->type_count);
    type->name_len = name.len;
    type->indexes = NULL;
    type->index_count = 0;
    memcpy(type->name, name.ptr, name.len);
    if (!store_index_attach(store, type) || !strmap_put(&store->names, name, type)) {
        store_index_detach(type);
        free(type);
        return NULL;
    }
    store->types[store->type_count++] = type;
    return type;
}

/* --- changes --- */

uint64_t store_hash(uint64_t seed, struct slice key) {
    return XXH3_64bits_withSeed(key.ptr, key.len, seed);
}

uint64_t store_seed(const struct store *store) {
    return store->seed;
}

static uint64_t aim_at(const struct store *store, struct slice key) {
    return table_aim(store_hash(store->seed, key));
}

enum { TIDY_MOVES = 16 };

/* Moves some entities out of slabs in which little lives. A move that finds no memory changes nothing. */
static __attribute__((noinline)) void tidy(struct store *store) {
    uint32_t refs[TIDY_MOVES];
    uint64_t aims[TIDY_MOVES];
    size_t count = heap_next(&store->heap, refs, TIDY_MOVES);
    for (size_t i = 0; i < count; i++) {
        aims[i] = aim_at(store, heap_key(&store->heap, refs[i]));
        table_touch(&store->types[heap_type(&store->heap, refs[i])]->table, aims[i]);
    }
    for (size_t i = 0; i < count; i++) {
        struct table *table = &store->types[heap_type(&store->heap, refs[i])]->table;
        table_move(table, aims[i], refs[i], heap_move(&store->heap, refs[i]));
    }
}

static struct store_place place_of(const struct store *store, struct slice type, struct slice key) {
    return (struct store_place){
        .type = find_type(store, type), .type_name = type, .aim = aim_at(store, key), .epoch = store->epoch};
}

void store_aim(struct store *store, struct slice type, uint64_t hash, struct store_place *place) {
    struct store_type **slot = recent(store, type);
    struct store_type *found = *slot;
    if (!found || !is_named(found, type)) {
        found = strmap_get(&store->names, type);
        *slot = found ? found : *slot;
    }
    place->type = found;
    place->type_name = type;
    place->aim = table_aim(hash);
    place->epoch = store->epoch;
    if (found) {
        table_touch(&found->table, place->aim);
    }
}

void store_near(const struct store *store, struct store_place *place) {
    if (place->type && place->epoch == store->epoch) {
        const struct table *table = &place->type->table;
        uint32_t ref = table_guess(table, &place->aim);
        heap_touch(&store->heap, ref, table_usual(table));
    }
}

/* The type may have come into being since. */
static struct store_type *type_at(const struct store *store, const struct store_place *place) {
    return place->type ? place->type : find_type(store, place->type_name);
}

static bool out_of_memory(struct error *e) {
    return error_set(e, ERROR_MEMORY, "out of memory while storing a value");
}

/* A type that is new, was so when the place was aimed at, or has indexes. */
static __attribute__((noinline)) bool put_other(struct store *store, const struct store_place *place,
                                                struct slice key, struct slice value, struct error *e) {
    struct store_type *type = type_at(store, place);
    type = type ? type : add_type(store, place->type_name);
    return (type && store_index_put(store, type, place->aim, key, value)) || out_of_memory(e);
}

static inline bool put(struct store *store, const struct store_place *place, struct slice key,
                       struct slice value, struct error *e) {
    if (!place->type || place->type->index_count > 0) {
        return put_other(store, place, key, value, e);
    }
    return table_put(&place->type->table, place->aim, key, value) || out_of_memory(e);
}

bool store_merged(const struct store *store, const struct event *patch, struct buf *out, struct error *e) {
    buf_clear(out);
    return json_merge_patch(out, store_get(store, patch->type, patch->key), patch->value, e);
}

static __attribute__((noinline)) bool apply_patch(struct store *store, const struct store_place *place,
                                                  const struct event *patch, struct error *e) {
    struct slice old = store_get_at(store, place, patch->key);
    buf_clear(&store->merged);
    bool ok = json_merge_patch(&store->merged, old, patch->value, e) &&
              put(store, place, patch->key, buf_slice(&store->merged), e);
    buf_clear(&store->merged);
    buf_shrink(&store->merged, 1 << 20);
    return ok;
}

static __attribute__((noinline)) void apply_delete(struct store *store, const struct store_place *place,
                                                   struct slice key) {
    struct store_type *type = type_at(store, place);
    if (type && type->index_count > 0) {
        store_index_remove(store, type, place->aim, key);
    } else if (type) {
        table_remove(&type->table, place->aim, key);
    }
}

bool store_apply_at(struct store *store, const struct store_place *place, const struct event *change,
                    struct error *e) {
    if (place->epoch != store->epoch) {
        return store_apply(store, change, e);
    }
    if (heap_is_sparse(&store->heap)) {
        tidy(store);
    }
    if (change->operation == EVENT_DELETE) {
        apply_delete(store, place, change->key);
        return true;
    }
    return change->operation == EVENT_PATCH ? apply_patch(store, place, change, e)
                                            : put(store, place, change->key, change->value, e);
}

bool store_apply(struct store *store, const struct event *change, struct error *e) {
    struct store_place place = place_of(store, change->type, change->key);
    return store_apply_at(store, &place, change, e);
}

struct slice store_get_at(const struct store *store, const struct store_place *place, struct slice key) {
    if (place->epoch != store->epoch) {
        return store_get(store, place->type_name, key);
    }
    const struct store_type *type = type_at(store, place);
    uint32_t ref = type ? table_find(&type->table, place->aim, key) : 0;
    return ref ? heap_value(&store->heap, ref) : (struct slice){0};
}

struct slice store_get(const struct store *store, struct slice type, struct slice key) {
    struct store_place place = place_of(store, type, key);
    return store_get_at(store, &place, key);
}

/* --- all of it --- */

/* Adds up a number over one type, or over all. */
static size_t sum(const struct store *store, struct slice name, size_t (*of)(const struct table *table)) {
    if (name.ptr) {
        const struct store_type *type = find_type(store, name);
        return type ? of(&type->table) : 0;
    }
    size_t total = 0;
    for (size_t i = 0; i < store->type_count; i++) {
        total += of(&store->types[i]->table);
    }
    return total;
}

static size_t count_of(const struct table *table) {
    return table->count;
}

static size_t bytes_of(const struct table *table) {
    return table->bytes;
}

size_t store_count(const struct store *store, struct slice type) {
    return sum(store, type, count_of);
}

size_t store_bytes(const struct store *store) {
    return sum(store, (struct slice){0}, bytes_of);
}

size_t store_resident(const struct store *store) {
    size_t total = sizeof *store + heap_resident(&store->heap) +
                   store->type_room * sizeof(struct store_type *);
    for (size_t i = 0; i < store->type_count; i++) {
        total += sizeof *store->types[i] + store->types[i]->name_len;
    }
    return total + store->merged.cap;
}

static int compare_names(const void *a, const void *b) {
    return slice_compare(*(const struct slice *)a, *(const struct slice *)b);
}

struct slice *store_types(const struct store *store, size_t *count) {
    *count = 0;
    struct slice *names = malloc((store->type_count + 1) * sizeof *names);
    if (!names) {
        return NULL;
    }
    for (size_t i = 0; i < store->type_count; i++) {
        if (store->types[i]->table.count > 0) {
            names[(*count)++] = name_of(store->types[i]);
        }
    }
    qsort(names, *count, sizeof *names, compare_names);
    return names;
}

static struct store_row row_at(const struct store *store, uint32_t ref) {
    return (struct store_row){heap_key(&store->heap, ref), heap_value(&store->heap, ref)};
}

bool store_next(const struct store *store, struct slice type_name, size_t *cursor, struct store_row *row) {
    const struct store_type *type = find_type(store, type_name);
    while (type && type->table.places && *cursor < table_places(&type->table)) {
        uint32_t ref = (uint32_t)type->table.places[(*cursor)++];
        if (ref) {
            *row = row_at(store, ref);
            return true;
        }
    }
    return false;
}

uint32_t *store_order(const struct store *store, struct slice type_name, size_t *count) {
    const struct store_type *type = find_type(store, type_name);
    static const struct table none;
    *count = type ? type->table.count : 0;
    return order_of(type ? &type->table : &none);
}

void store_row(const struct store *store, const uint32_t *order, size_t count, size_t i,
               struct store_row *row) {
    enum { NEAR = 8 };
    if (i + NEAR < count) {
        heap_touch(&store->heap, order[i + NEAR], 256);
    }
    *row = row_at(store, order[i]);
}

struct store_row *store_rows(const struct store *store, struct slice type, size_t *count) {
    uint32_t *order = store_order(store, type, count);
    struct store_row *rows = order ? malloc((*count + 1) * sizeof *rows) : NULL;
    for (size_t i = 0; rows && i < *count; i++) {
        store_row(store, order, *count, i, &rows[i]);
    }
    free(order);
    *count = rows ? *count : 0;
    return rows;
}

/* --- adoption --- */

static bool adopt(struct store *store, const struct store_image *image) {
    struct heap *heap = &store->heap;
    bool ok = true;
    heap_adopt(heap, image->map, image->map_len);
    for (size_t i = 0; ok && i < image->type_count; i++) {
        const struct store_image_type *from = &image->types[i];
        struct store_type *type = add_type(store, from->name);
        ok = type != NULL;
        if (ok && from->place_count > 0) {
            table_adopt(&type->table, from->places, from->place_count, from->count, from->bytes);
            store_index_outdate(type);
        }
    }
    for (size_t i = 0; ok && i < image->slab_count; i++) {
        ok = heap_adopt_slab(heap, image->slabs[i].base, image->slabs[i].units, image->slabs[i].live);
    }
    for (size_t i = 0; ok && i < image->large_count; i++) {
        const struct store_image_large *large = &image->larges[i];
        ok = heap_adopt_large(heap, large->type, large->bytes, large->key_len, large->value_len);
    }
    return ok;
}

bool store_adopt(struct store *store, const struct store_image *image, struct error *e) {
    store_clear(store);
    if (!adopt(store, image)) {
        heap_adopt_use(&store->heap); /* the mapping stays the caller's */
        store->heap.map = NULL;
        store_clear(store);
        return error_set(e, ERROR_MEMORY, "out of memory while taking over a snapshot");
    }
    store->seed = image->seed;
    heap_adopt_end(&store->heap, store_bytes(store));
    return true;
}
