#include "sink/redis/plan.h"

#include <stdint.h>
#include <string.h>

enum { GROUP_ROWS = 1000 };
static const size_t names_max = (size_t)1 << 30;
static const size_t string_max = (size_t)512 << 20; /* proto-max-bulk-len, as it comes */

void redis_plan_init(struct redis_plan *plan, const struct redis_keys *keys) {
    *plan = (struct redis_plan){.keys = keys};
    strmap_init(&plan->types);
    buf_init(&plan->names, names_max);
    buf_init(&plan->ends, names_max);
}

static void forget(struct redis_plan *plan) {
    strmap_free(&plan->types, NULL);
    strmap_init(&plan->types);
    buf_clear(&plan->names);
    buf_clear(&plan->ends);
    plan->type_count = plan->rows = plan->bytes = 0;
}

void redis_plan_free(struct redis_plan *plan) {
    forget(plan);
    buf_free(&plan->names);
    buf_free(&plan->ends);
}

bool redis_plan_is_too_long(const struct sink_row *row) {
    return row->key.len > string_max || row->value.len > string_max || row->type.len > string_max / 4;
}

static bool has_entity(const struct sink_row *row) {
    return row->op == SINK_PUT || row->op == SINK_DELETE;
}

static bool is_passed_over(const struct sink_row *row) {
    return row->op == SINK_EMIT || redis_plan_is_too_long(row);
}

static bool know_type(struct redis_plan *plan, struct slice type) {
    if (strmap_get(&plan->types, type)) {
        return true;
    }
    if (!redis_keys_put_type(plan->keys, &plan->names, type) ||
        !buf_append(&plan->ends, &plan->names.len, sizeof plan->names.len)) {
        return false;
    }
    plan->type_count++;
    /* NOLINTNEXTLINE(performance-no-int-to-ptr): the map's value is a number */
    return strmap_put(&plan->types, type, (void *)(uintptr_t)plan->type_count);
}

bool redis_plan_make(struct redis_plan *plan, const struct sink_batch *batch, struct error *e) {
    struct slice last = {NULL, 0};
    forget(plan);
    plan->batch = batch;
    for (size_t i = 0; i < sink_batch_count(batch); i++) {
        struct sink_row row = sink_batch_row(batch, i);
        if (is_passed_over(&row)) {
            continue;
        }
        if (has_entity(&row) && (!last.ptr || !slice_equal(row.type, last))) {
            if (!know_type(plan, row.type)) {
                return error_set(e, ERROR_MEMORY, "out of memory for a batch of rows");
            }
            last = row.type;
        }
        plan->rows++;
        plan->bytes += row.key.len + row.value.len;
    }
    return true;
}

bool redis_plan_is_direct(const struct redis_plan *plan) {
    return plan->bytes <= PLAN_DIRECT_BYTES && plan->rows <= PLAN_DIRECT_ROWS;
}

void redis_plan_put_keys(const struct redis_plan *plan, struct redis_command *command) {
    size_t start = 0;
    for (size_t i = 0; i < plan->type_count; i++) {
        size_t end;
        memcpy(&end, plan->ends.ptr + i * sizeof end, sizeof end);
        redis_command_add(command, slice_of(plan->names.ptr + start, end - start));
        start = end;
    }
}

/* The rows behind *at that are of one kind and type, as many as a group may have: *end is behind them. */
static size_t group_of(const struct redis_plan *plan, size_t at, size_t *end, size_t bytes_max) {
    struct sink_row first = sink_batch_row(plan->batch, at);
    size_t count = 0;
    size_t bytes = 0;
    size_t i = at;
    for (; i < sink_batch_count(plan->batch) && count < GROUP_ROWS; i++) {
        struct sink_row row = sink_batch_row(plan->batch, i);
        if (is_passed_over(&row)) {
            continue;
        }
        bytes += row.key.len + row.value.len;
        if (row.op != first.op || !slice_equal(row.type, first.type) || (count > 0 && bytes > bytes_max) ||
            (count > 0 && row.op == SINK_CLEAR)) {
            break;
        }
        count++;
    }
    *end = i;
    return count;
}

static size_t put_group(const struct redis_plan *plan, struct redis_command *command, size_t at, size_t end,
                        size_t count) {
    struct sink_row first = sink_batch_row(plan->batch, at);
    bool is_put = first.op == SINK_PUT;
    bool is_clear = first.op == SINK_CLEAR;
    redis_command_text(command, is_put ? "p" : is_clear ? "c" : "d");
    redis_command_number(command, is_clear ? 0 : (uintptr_t)strmap_get(&plan->types, first.type));
    redis_command_number(command, is_clear ? 0 : count);
    for (size_t i = at; !is_clear && i < end; i++) {
        struct sink_row row = sink_batch_row(plan->batch, i);
        if (is_passed_over(&row)) {
            continue;
        }
        redis_command_add(command, row.key);
        if (is_put) {
            redis_command_add(command, row.value);
        }
    }
    return 3 + (is_clear ? 0 : is_put ? count * 2 : count);
}

size_t redis_plan_put_rows(const struct redis_plan *plan, struct redis_command *command, size_t *at,
                           bool all) {
    size_t items = 0;
    size_t rows = 0;
    size_t begun = redis_command_bytes(command);
    size_t count = sink_batch_count(plan->batch);
    while (*at < count) {
        struct sink_row row = sink_batch_row(plan->batch, *at);
        if (is_passed_over(&row)) {
            (*at)++;
            continue;
        }
        size_t used = redis_command_bytes(command) - begun;
        if (!all && rows > 0 && (used >= PLAN_STAGE_BYTES || rows >= PLAN_STAGE_ROWS)) {
            break;
        }
        size_t end;
        size_t room = all || used >= PLAN_STAGE_BYTES ? SIZE_MAX : PLAN_STAGE_BYTES - used;
        size_t group = group_of(plan, *at, &end, room);
        items += put_group(plan, command, *at, end, group);
        rows += group;
        *at = end;
    }
    return items;
}
