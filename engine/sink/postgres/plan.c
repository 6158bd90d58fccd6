#include "sink/postgres/plan.h"

#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

#include "base/list.h"

#define NO_TYPE UINT32_MAX

/* While it is made. */
struct making {
    struct pg_plan *plan;
    const struct sink_batch *batch;
    const unsigned char *skip;
    size_t count;
    uint32_t *type_of; /* of each row; NO_TYPE: nothing has to be done for it */
    uint32_t *places;  /* a hash table of rows, + 1: the last of each type and key */
    size_t mask;
    size_t type_room;
    size_t from; /* behind the last reset */
};

static bool type_add(struct making *m, struct slice type, uint32_t *index) {
    struct pg_plan *plan = m->plan;
    struct pg_plan_type *types = list_room(plan->types, plan->type_count, &m->type_room, 16, sizeof *types);
    if (!types) {
        return false;
    }
    plan->types = types;
    *index = (uint32_t)plan->type_count;
    types[plan->type_count] = (struct pg_plan_type){.type = type};
    /* The map holds a place of an array that stays: there are at least as many rows as types. */
    if (!strmap_put(&plan->by_type, type, &plan->rows[plan->type_count])) {
        return false;
    }
    plan->type_count++;
    return true;
}

/* Rows of one type mostly come one after the other. */
static bool type_find(struct making *m, struct slice type, uint32_t *index) {
    if (*index < m->plan->type_count && slice_equal(m->plan->types[*index].type, type)) {
        return true;
    }
    const uint32_t *found = strmap_get(&m->plan->by_type, type);
    if (found) {
        *index = (uint32_t)(found - m->plan->rows);
        return true;
    }
    return type_add(m, type, index);
}

/* The types of all rows, and where the last reset is. */
static bool find_types(struct making *m) {
    uint32_t index = NO_TYPE;
    for (size_t i = 0; i < m->count; i++) {
        struct sink_row row = sink_batch_row(m->batch, i);
        m->type_of[i] = NO_TYPE;
        if (row.op == SINK_CLEAR) {
            m->plan->clear = true;
            m->from = i + 1;
        }
        if (m->skip[i] || (row.op != SINK_PUT && row.op != SINK_DELETE)) {
            continue;
        }
        if (!type_find(m, row.type, &index)) {
            return false;
        }
        m->type_of[i] = index;
        m->plan->types[index].wanted = m->plan->types[index].wanted || row.op == SINK_PUT;
    }
    return true;
}

/* True where no later row has this one's type and key. */
static bool is_last(struct making *m, size_t i, struct slice key) {
    size_t at = XXH3_64bits_withSeed(key.len ? key.ptr : "", key.len, m->type_of[i]) & m->mask;
    for (; m->places[at]; at = (at + 1) & m->mask) {
        size_t other = m->places[at] - 1;
        if (m->type_of[other] == m->type_of[i] && slice_equal(sink_batch_row(m->batch, other).key, key)) {
            return false;
        }
    }
    m->places[at] = (uint32_t)i + 1;
    return true;
}

/* From the end to the start: what is overwritten later has no type any more. */
static void find_last(struct making *m) {
    for (size_t i = m->count; i-- > 0;) {
        if (m->type_of[i] == NO_TYPE) {
            continue;
        }
        struct sink_row row = sink_batch_row(m->batch, i);
        if (i < m->from || !is_last(m, i, row.key)) {
            m->type_of[i] = NO_TYPE;
            continue;
        }
        struct pg_plan_type *type = &m->plan->types[m->type_of[i]];
        *(row.op == SINK_PUT ? &type->put_count : &type->delete_count) += 1;
    }
}

static void lay_out(struct making *m) {
    uint32_t *rows = m->plan->rows;
    for (size_t t = 0; t < m->plan->type_count; t++) {
        struct pg_plan_type *type = &m->plan->types[t];
        type->puts = rows;
        type->deletes = rows + type->put_count;
        rows = type->deletes + type->delete_count;
        type->put_count = type->delete_count = 0;
    }
    for (size_t i = 0; i < m->count; i++) {
        if (m->type_of[i] != NO_TYPE) {
            struct pg_plan_type *type = &m->plan->types[m->type_of[i]];
            if (sink_batch_row(m->batch, i).op == SINK_PUT) {
                type->puts[type->put_count++] = (uint32_t)i;
            } else {
                type->deletes[type->delete_count++] = (uint32_t)i;
            }
        }
    }
}

static int compare_keys(const void *a, const void *b, void *batch) {
    struct sink_row one = sink_batch_row(batch, *(const uint32_t *)a);
    struct sink_row other = sink_batch_row(batch, *(const uint32_t *)b);
    return slice_compare(one.key, other.key);
}

/* By key: indexes are faster that way, and transactions that meet lock in one order. */
static void sort_rows(struct making *m) {
    for (size_t t = 0; t < m->plan->type_count; t++) {
        struct pg_plan_type *type = &m->plan->types[t];
        qsort_r(type->puts, type->put_count, sizeof *type->puts, compare_keys, (void *)m->batch);
        qsort_r(type->deletes, type->delete_count, sizeof *type->deletes, compare_keys, (void *)m->batch);
    }
}

bool pg_plan_make(struct pg_plan *plan, const struct sink_batch *batch, const unsigned char *skip) {
    *plan = (struct pg_plan){0};
    strmap_init(&plan->by_type);
    struct making m = {.plan = plan, .batch = batch, .skip = skip, .count = sink_batch_count(batch)};
    size_t places = 16;
    while (places < m.count * 2) {
        places *= 2;
    }
    m.mask = places - 1;
    m.type_of = calloc(m.count + 1, sizeof *m.type_of);
    m.places = calloc(places, sizeof *m.places);
    plan->rows = calloc(m.count + 1, sizeof *plan->rows);
    bool ok = m.type_of && m.places && plan->rows && find_types(&m);
    if (ok) {
        find_last(&m);
        lay_out(&m);
        sort_rows(&m);
    } else {
        pg_plan_free(plan);
    }
    free(m.type_of);
    free(m.places);
    return ok;
}

void pg_plan_free(struct pg_plan *plan) {
    strmap_free(&plan->by_type, NULL);
    free(plan->types);
    free(plan->rows);
    *plan = (struct pg_plan){0};
}
