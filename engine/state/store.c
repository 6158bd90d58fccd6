#include "state/store.h"

#include <stdlib.h>
#include <sys/random.h>

#include "base/strmap.h"
#include "state/table.h"
#include "json/merge.h"

struct store_type {
    struct table table;
    size_t name_len;
    char name[];
};

struct store {
    struct strmap types;     /* name -> struct store_type */
    struct store_type *last; /* the type of the last look-up: streams come in runs of one type */
    struct buf merged;
    uint64_t seed;
};

struct store *store_new(size_t patch_max) {
    struct store *store = calloc(1, sizeof *store);
    if (!store) {
        return NULL;
    }
    strmap_init(&store->types);
    buf_init(&store->merged, patch_max);
    if (getrandom(&store->seed, sizeof store->seed, GRND_NONBLOCK) != (ssize_t)sizeof store->seed) {
        store->seed = (uint64_t)(uintptr_t)store; /* early at boot: better than a fixed one */
    }
    return store;
}

static void drop_type(void *value) {
    struct store_type *type = value;
    table_clear(&type->table);
    free(type);
}

void store_clear(struct store *store) {
    strmap_free(&store->types, drop_type);
    store->last = NULL;
}

void store_free(struct store *store) {
    if (!store) {
        return;
    }
    store_clear(store);
    buf_free(&store->merged);
    free(store);
}

static struct store_type *find_type(const struct store *store, struct slice name) {
    struct store_type *last = store->last;
    if (last && slice_equal(slice_of(last->name, last->name_len), name)) {
        return last;
    }
    return strmap_get(&store->types, name);
}

static struct store_type *make_type(struct store *store, struct slice name) {
    struct store_type *type = find_type(store, name);
    if (!type) {
        type = malloc(sizeof *type + name.len);
        if (!type) {
            return NULL;
        }
        table_init(&type->table, store->seed);
        type->name_len = name.len;
        memcpy(type->name, name.ptr, name.len);
        if (!strmap_put(&store->types, name, type)) {
            free(type);
            return NULL;
        }
    }
    store->last = type;
    return type;
}

static bool out_of_memory(struct error *e) {
    return error_set(e, ERROR_MEMORY, "out of memory while storing a value");
}

static bool put(struct store *store, struct slice type_name, struct slice key, struct slice value,
                struct error *e) {
    struct store_type *type = make_type(store, type_name);
    return (type && table_put(&type->table, key, value)) || out_of_memory(e);
}

bool store_merged(const struct store *store, const struct event *patch, struct buf *out, struct error *e) {
    buf_clear(out);
    return json_merge_patch(out, store_get(store, patch->type, patch->key), patch->value, e);
}

static bool apply_patch(struct store *store, const struct event *patch, struct error *e) {
    bool ok = store_merged(store, patch, &store->merged, e) &&
              put(store, patch->type, patch->key, buf_slice(&store->merged), e);
    buf_clear(&store->merged);
    buf_shrink(&store->merged, 1 << 20);
    return ok;
}

static void apply_delete(struct store *store, struct slice type_name, struct slice key) {
    struct store_type *type = find_type(store, type_name);
    if (type) {
        table_remove(&type->table, key);
    }
}

bool store_apply(struct store *store, const struct event *change, struct error *e) {
    switch (change->operation) {
    case EVENT_INSERT:
    case EVENT_UPDATE:
    case EVENT_UPSERT:
        return put(store, change->type, change->key, change->value, e);
    case EVENT_PATCH:
        return apply_patch(store, change, e);
    case EVENT_DELETE:
        apply_delete(store, change->type, change->key);
        return true;
    }
    return true;
}

struct slice store_get(const struct store *store, struct slice type_name, struct slice key) {
    const struct store_type *type = find_type(store, type_name);
    const struct table_entity *entity = type ? table_find(&type->table, key) : NULL;
    return entity ? table_value(entity) : (struct slice){0};
}

/* Adds up a number over one type, or over all. */
static size_t sum(const struct store *store, struct slice name, size_t (*of)(const struct table *table)) {
    if (name.ptr) {
        const struct store_type *type = find_type(store, name);
        return type ? of(&type->table) : 0;
    }
    size_t total = 0;
    size_t at = 0;
    for (const struct strmap_entry *entry; (entry = strmap_next(&store->types, &at));) {
        total += of(&((const struct store_type *)entry->value)->table);
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

static int compare_names(const void *a, const void *b) {
    return slice_compare(*(const struct slice *)a, *(const struct slice *)b);
}

struct slice *store_types(const struct store *store, size_t *count) {
    *count = 0;
    struct slice *names = malloc((store->types.count + 1) * sizeof *names);
    if (!names) {
        return NULL;
    }
    size_t at = 0;
    for (const struct strmap_entry *entry; (entry = strmap_next(&store->types, &at));) {
        if (((const struct store_type *)entry->value)->table.count > 0) {
            names[(*count)++] = entry->key;
        }
    }
    qsort(names, *count, sizeof *names, compare_names);
    return names;
}

static int compare_rows(const void *a, const void *b) {
    return slice_compare(((const struct store_row *)a)->key, ((const struct store_row *)b)->key);
}

bool store_next(const struct store *store, struct slice type_name, size_t *cursor, struct store_row *row) {
    const struct store_type *type = find_type(store, type_name);
    while (type && *cursor < type->table.place_count) {
        const struct table_entity *entity = type->table.places[(*cursor)++];
        if (entity) {
            *row = (struct store_row){table_key(entity), table_value(entity)};
            return true;
        }
    }
    return false;
}

struct store_row *store_rows(const struct store *store, struct slice type, size_t *count) {
    struct store_row *rows = malloc((store_count(store, type) + 1) * sizeof *rows);
    size_t cursor = 0;
    *count = 0;
    if (!rows) {
        return NULL;
    }
    while (store_next(store, type, &cursor, &rows[*count])) {
        (*count)++;
    }
    qsort(rows, *count, sizeof *rows, compare_rows);
    return rows;
}
