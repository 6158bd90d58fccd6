#include "sink/search_plan.h"

#include <stdlib.h>
#include <string.h>

#include "sink/search_name.h"

enum { NAME_MAX_BYTES = 1024 };

void search_types_init(struct search_types *types, const char *prefix) {
    strmap_init(&types->map);
    types->prefix = prefix;
}

static void type_free(void *value) {
    struct search_type *type = value;
    free((char *)type->type.ptr);
    free(type->name);
    free(type);
}

void search_types_free(struct search_types *types) {
    strmap_free(&types->map, type_free);
}

static struct search_type *type_new(const char *prefix, struct slice name) {
    struct search_type *type = calloc(1, sizeof *type);
    char *copy = malloc(name.len + 1);
    struct buf out;
    buf_init(&out, NAME_MAX_BYTES);
    if (!type || !copy || !search_name_type(&out, prefix, name) || !buf_append_byte(&out, '\0')) {
        free(type);
        free(copy);
        buf_free(&out);
        return NULL;
    }
    if (name.len) {
        memcpy(copy, name.ptr, name.len);
    }
    type->type = slice_of(copy, name.len);
    type->name = out.ptr;
    return type;
}

struct search_type *search_types_get(struct search_types *types, struct slice type) {
    struct search_type *found = strmap_get(&types->map, type);
    if (found) {
        return found;
    }
    found = type_new(types->prefix, type);
    if (found) {
        found->number = types->map.count;
        if (!strmap_put(&types->map, type, found)) {
            type_free(found);
            found = NULL;
        }
    }
    return found;
}

void search_plan_free(struct search_plan *plan) {
    free(plan->entries);
    *plan = (struct search_plan){0};
}

static int by_type(const void *a, const void *b) {
    const struct search_entry *left = a;
    const struct search_entry *right = b;
    size_t l = left->type->number == right->type->number ? left->row : left->type->number;
    size_t r = left->type->number == right->type->number ? right->row : right->type->number;
    return (l > r) - (l < r);
}

/* Adds row i, unless a later row has spoken of its entity. */
static bool add(struct search_plan *plan, struct search_types *types, struct strmap *seen, struct buf *name,
                size_t i) {
    struct sink_row row = sink_batch_row(plan->batch, i);
    struct search_type *type = search_types_get(types, row.type);
    buf_clear(name);
    if (!type || !buf_printf(name, "%zu:", type->number) || !buf_append_slice(name, row.key)) {
        return false;
    }
    if (strmap_get(seen, buf_slice(name))) {
        return true;
    }
    plan->entries[plan->count++] = (struct search_entry){type, i};
    return strmap_put(seen, buf_slice(name), type);
}

bool search_plan_make(struct search_plan *plan, struct search_types *types, const struct sink_batch *batch,
                      struct error *e) {
    struct strmap seen;
    struct buf name;
    size_t count = sink_batch_count(batch);
    search_plan_free(plan);
    plan->batch = batch;
    plan->entries = calloc(count + 1, sizeof *plan->entries);
    strmap_init(&seen);
    buf_init(&name, (size_t)1 << 30);
    bool ok = plan->entries != NULL;
    for (size_t i = count; ok && i-- > 0 && !plan->clears;) {
        struct sink_row row = sink_batch_row(batch, i);
        plan->clears = row.op == SINK_CLEAR;
        plan->cleared_at = row.sequence;
        ok = plan->clears || row.op == SINK_EMIT || add(plan, types, &seen, &name, i);
    }
    strmap_free(&seen, NULL);
    buf_free(&name);
    if (!ok) {
        return error_set(e, ERROR_MEMORY, "out of memory for a batch of rows");
    }
    if (plan->count) {
        qsort(plan->entries, plan->count, sizeof *plan->entries, by_type);
    }
    return true;
}
