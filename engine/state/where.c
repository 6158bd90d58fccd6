/* store_where: look-ups by members of the values. */
#include <stdlib.h>

#include "base/list.h"
#include "state/order.h"
#include "state/store_index.h"

enum { ROOM_LEAST = 16, NEAR = 8 };

struct matches {
    const struct table *table;
    const struct store_condition *conditions;
    size_t condition_count;
    uint32_t *refs;
    size_t count, room;
};

static bool fits(const struct matches *matches, uint32_t ref) {
    struct slice value = heap_value(matches->table->heap, ref);
    for (size_t i = 0; i < matches->condition_count; i++) {
        const struct store_condition *condition = &matches->conditions[i];
        if (!field_is(field_of(value, condition->field), &condition->is)) {
            return false;
        }
    }
    return true;
}

/* False: out of memory. */
static bool take_fitting(struct matches *matches, uint32_t ref) {
    if (!fits(matches, ref)) {
        return true;
    }
    uint32_t *refs = list_room(matches->refs, matches->count, &matches->room, ROOM_LEAST, sizeof *refs);
    if (!refs) {
        return false;
    }
    matches->refs = refs;
    refs[matches->count++] = ref;
    return true;
}

static bool scan(struct matches *matches) {
    const struct table *table = matches->table;
    for (size_t i = 0; table->places && i < table_places(table); i++) {
        uint32_t ref = (uint32_t)table->places[i];
        table_touch_ahead(table, i);
        if (ref && !take_fitting(matches, ref)) {
            return false;
        }
    }
    return true;
}

/* entries: of an index, all with the same value's hash. Two entities may have one entry. */
static bool look_up(struct matches *matches, const uint64_t *entries, size_t count) {
    const struct table *table = matches->table;
    for (size_t i = 0; i < count; i++) {
        if (i + 2 * NEAR < count) {
            table_touch(table, entries[i + 2 * NEAR] << 32);
        }
        if (i + NEAR < count) {
            uint64_t aim = entries[i + NEAR] << 32;
            heap_touch(table->heap, table_guess(table, &aim), table_usual(table));
        }
        if (i > 0 && entries[i] == entries[i - 1]) {
            continue;
        }
        uint32_t ref;
        for (size_t at = table_seek(table, entries[i] << 32); (ref = table_at(table, at, entries[i] << 32));
             at++) {
            if (!take_fitting(matches, ref)) {
                return false;
            }
        }
    }
    return true;
}

struct range {
    const struct index *index; /* NULL: none */
    uint64_t least, most;
    size_t count;
};

static struct store_index *index_on(struct store_type *type, struct slice field) {
    for (size_t i = 0; i < type->index_count; i++) {
        if (slice_equal(type->indexes[i].field, field)) {
            return &type->indexes[i];
        }
    }
    return NULL;
}

/* The part of an index that leaves least to look at. An index that cannot be built is not used. */
static struct range narrowest(struct store *store, struct store_type *type, const struct matches *matches) {
    struct range best = {0};
    for (size_t i = 0; i < matches->condition_count; i++) {
        const struct store_condition *condition = &matches->conditions[i];
        struct store_index *index = index_on(type, condition->field);
        if (!index || (!index->built && !store_index_build(store, type, index))) {
            continue;
        }
        struct range range = {.index = &index->index,
                              .least = (uint64_t)field_value_hash(&condition->is, store->seed) << 32};
        range.most = range.least | UINT32_MAX;
        range.count = index_count(range.index, range.least, range.most);
        if (!best.index || range.count < best.count) {
            best = range;
        }
    }
    return best;
}

static bool find(struct store *store, struct store_type *type, struct matches *matches) {
    struct range range = narrowest(store, type, matches);
    if (!range.index) {
        return scan(matches);
    }
    uint64_t *entries = malloc((range.count + 1) * sizeof *entries);
    bool ok = entries != NULL;
    if (ok) {
        index_copy(range.index, range.least, range.most, entries);
        ok = look_up(matches, entries, range.count);
    }
    free(entries);
    return ok;
}

uint32_t *store_where(struct store *store, struct slice type_name, const struct store_condition *conditions,
                      size_t condition_count, size_t *count) {
    struct store_type *type = strmap_get(&store->names, type_name);
    struct matches matches = {.conditions = conditions, .condition_count = condition_count};
    bool ok = true;
    *count = 0;
    if (type) {
        matches.table = &type->table;
        ok = find(store, type, &matches) && order_sort(&store->heap, matches.refs, matches.count);
    }
    if (ok && !matches.refs) {
        matches.refs = malloc(sizeof *matches.refs); /* nothing fits, which is not out of memory */
        ok = matches.refs != NULL;
    }
    if (!ok) {
        free(matches.refs);
        return NULL;
    }
    *count = matches.count;
    return matches.refs;
}
