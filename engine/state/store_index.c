#include "state/store_index.h"

#include <stdlib.h>
#include <string.h>

/* --- plans: what was asked for, whether there is such a type or not --- */

static bool plan_exists(const struct store *store, struct slice type, struct slice field, size_t *of_type) {
    *of_type = 0;
    for (size_t i = 0; i < store->plan_count; i++) {
        const struct store_plan *plan = &store->plans[i];
        *of_type += slice_equal(plan->type, type);
        if (slice_equal(plan->type, type) && slice_equal(plan->field, field)) {
            return true;
        }
    }
    return false;
}

static bool add_plan(struct store *store, struct slice type, struct slice field) {
    struct store_plan *plans = realloc(store->plans, (store->plan_count + 1) * sizeof *plans);
    char *text = malloc(type.len + field.len + 1);
    store->plans = plans ? plans : store->plans;
    if (!plans || !text) {
        free(text);
        return false;
    }
    memcpy(text, type.ptr, type.len);
    memcpy(text + type.len, field.ptr, field.len);
    plans[store->plan_count++] = (struct store_plan){
        .text = text, .type = slice_of(text, type.len), .field = slice_of(text + type.len, field.len)};
    return true;
}

static void drop_last_plan(struct store *store) {
    free(store->plans[--store->plan_count].text);
}

bool store_index_field(const struct store *store, struct slice type, size_t i, struct slice *field) {
    for (size_t plan = 0; plan < store->plan_count; plan++) {
        if (slice_equal(store->plans[plan].type, type) && i-- == 0) {
            *field = store->plans[plan].field;
            return true;
        }
    }
    return false;
}

bool store_index_copy_plans(const struct store *from, struct store *to) {
    for (size_t i = 0; i < from->plan_count; i++) {
        if (!add_plan(to, from->plans[i].type, from->plans[i].field)) {
            return false;
        }
    }
    return true;
}

void store_index_free_plans(struct store *store) {
    while (store->plan_count > 0) {
        drop_last_plan(store);
    }
    free(store->plans);
    store->plans = NULL;
}

static bool attach(struct store *store, struct store_type *type, struct slice field) {
    struct store_index *indexes = realloc(type->indexes, (type->index_count + 1) * sizeof *indexes);
    if (indexes) {
        type->indexes = indexes;
        struct store_index *index = &indexes[type->index_count++];
        *index = (struct store_index){.field = field, .built = type->table.count == 0};
        index_init(&index->index, &store->heap.table_bytes);
    }
    return indexes != NULL;
}

bool store_index(struct store *store, struct slice type_name, struct slice field, struct error *e) {
    size_t of_type;
    if (plan_exists(store, type_name, field, &of_type)) {
        return true;
    }
    if (of_type == STORE_INDEXES_MAX) {
        return error_set(e, ERROR_LIMIT, "a type can have %d indexes", STORE_INDEXES_MAX);
    }
    if (!add_plan(store, type_name, field)) {
        return error_set(e, ERROR_MEMORY, "out of memory for an index");
    }
    struct store_type *type = strmap_get(&store->names, type_name);
    if (type && !attach(store, type, store->plans[store->plan_count - 1].field)) {
        drop_last_plan(store);
        return error_set(e, ERROR_MEMORY, "out of memory for an index");
    }
    return true;
}

bool store_index_attach(struct store *store, struct store_type *type) {
    for (size_t i = 0; i < store->plan_count; i++) {
        const struct store_plan *plan = &store->plans[i];
        if (slice_equal(plan->type, slice_of(type->name, type->name_len)) &&
            !attach(store, type, plan->field)) {
            store_index_detach(type);
            return false;
        }
    }
    return true;
}

void store_index_detach(struct store_type *type) {
    for (size_t i = 0; i < type->index_count; i++) {
        index_free(&type->indexes[i].index);
    }
    free(type->indexes);
    type->indexes = NULL;
    type->index_count = 0;
}

void store_index_outdate(struct store_type *type) {
    for (size_t i = 0; i < type->index_count; i++) {
        index_free(&type->indexes[i].index);
        type->indexes[i].built = false;
    }
}

/* --- changes --- */

/* What a change does to one index. */
struct shift {
    bool removes, adds;
    uint64_t before, after;
};

static bool entry_of(const struct store *store, struct slice text, uint64_t aim, uint64_t *entry) {
    uint32_t hash;
    if (!field_hash(text, store->seed, &hash)) {
        return false;
    }
    *entry = (uint64_t)hash << 32 | aim >> 32;
    return true;
}

/* before and after: the entity's values, ptr NULL where it has none. */
static struct shift shift_of(const struct store *store, const struct store_index *index, uint64_t aim,
                             struct slice before, struct slice after) {
    struct shift shift = {0};
    if (!index->built) {
        return shift;
    }
    before = before.ptr ? field_of(before, index->field) : before;
    after = after.ptr ? field_of(after, index->field) : after;
    if (before.ptr && after.ptr && slice_equal(before, after)) {
        return shift;
    }
    shift.removes = entry_of(store, before, aim, &shift.before);
    shift.adds = entry_of(store, after, aim, &shift.after);
    if (shift.removes && shift.adds && shift.before == shift.after) {
        shift.removes = shift.adds = false;
    }
    return shift;
}

/* Adds first: what was reserved is for the index as it was. */
static void apply_shifts(struct store_type *type, const struct shift *shifts) {
    for (size_t i = 0; i < type->index_count; i++) {
        if (shifts[i].adds) {
            index_add(&type->indexes[i].index, shifts[i].after);
        }
        if (shifts[i].removes) {
            index_remove(&type->indexes[i].index, shifts[i].before);
        }
    }
}

static struct slice value_now(const struct store_type *type, uint64_t aim, struct slice key) {
    uint32_t ref = table_find(&type->table, aim, key);
    return ref ? heap_value(type->table.heap, ref) : (struct slice){0};
}

bool store_index_put(struct store *store, struct store_type *type, uint64_t aim, struct slice key,
                     struct slice value) {
    struct shift shifts[STORE_INDEXES_MAX] = {{0}};
    struct slice before = value_now(type, aim, key);
    for (size_t i = 0; i < type->index_count; i++) {
        shifts[i] = shift_of(store, &type->indexes[i], aim, before, value);
        if (shifts[i].adds && !index_reserve(&type->indexes[i].index, shifts[i].after)) {
            return false;
        }
    }
    if (!table_put(&type->table, aim, key, value)) {
        return false;
    }
    apply_shifts(type, shifts);
    return true;
}

void store_index_remove(struct store *store, struct store_type *type, uint64_t aim, struct slice key) {
    struct shift shifts[STORE_INDEXES_MAX] = {{0}};
    struct slice before = value_now(type, aim, key);
    for (size_t i = 0; i < type->index_count; i++) {
        shifts[i] = shift_of(store, &type->indexes[i], aim, before, (struct slice){0});
    }
    table_remove(&type->table, aim, key);
    apply_shifts(type, shifts);
}

bool store_index_build(struct store *store, struct store_type *type, struct store_index *index) {
    const struct table *table = &type->table;
    for (size_t i = 0; table->places && i < table_places(table); i++) {
        uint64_t entry;
        uint32_t ref = (uint32_t)table->places[i];
        table_touch_ahead(table, i);
        if (!ref || !entry_of(store, field_of(heap_value(table->heap, ref), index->field), table->places[i],
                              &entry)) {
            continue;
        }
        if (!index_reserve(&index->index, entry)) {
            index_free(&index->index);
            return false;
        }
        index_add(&index->index, entry);
    }
    index->built = true;
    return true;
}
