#include <stdlib.h>
#include <string.h>

#include "worker/outlet_parts.h"

enum { ROWS = 10000, BYTES = 8 << 20, EVERY_MS = 500, BATCH_MAX = 256 << 20, PATIENCE_MS = 10000 };

/* ---- failing ---- */

void outlet_fail(struct outlet *outlet, const struct error *e) {
    if (!outlet->failed) {
        outlet->failed = true;
        outlet->failure = *e;
        outlet->letters = true;
    }
    loop_defer(outlet->options.loop, &outlet->turn);
}

static void out_of_memory(struct outlet *outlet) {
    struct error e;
    error_set(&e, ERROR_MEMORY, "%s: out of memory for what goes to its sinks", outlet->options.name);
    outlet_fail(outlet, &e);
}

/* ---- committing ---- */

static bool has_news(const struct outlet *outlet) {
    return !outlet->options.audit && (outlet->mark.place.sequence > outlet->reached || outlet->mark.rows > 0);
}

/* What waits would be cut off, if nothing were being committed. */
static bool is_ripe(const struct outlet *outlet) {
    const struct outlet_limits *limits = &outlet->options.limits;
    return outlet->mark.tail || outlet->due || outlet->flush || outlet->mark.rows >= limits->rows ||
           sink_batch_bytes(outlet->filling) >= limits->bytes ||
           outlet->mark.place.sequence >= outlet->edge || outlet->load.store;
}

/* It is no use to go on: the batch that fills has enough, and the other is not committed yet. */
static bool is_full(const struct outlet *outlet) {
    const struct outlet_limits *limits = &outlet->options.limits;
    return outlet->busy > 0 &&
           (outlet->mark.rows >= limits->rows || sink_batch_bytes(outlet->filling) >= limits->bytes ||
            outlet->mark.place.sequence >= outlet->edge);
}

/* One that begins inside of the batch, which only a place that is no place can bring about, gets all of it: rather
 * twice than never. */
static bool wants(const struct outlet *outlet, const struct target *target) {
    return outlet->filled ? target->load : target->from < sink_batch_place(outlet->committing)->sequence;
}

static void hand_over(struct outlet *outlet, bool placeless) {
    outlet->first = placeless;
    for (size_t i = 0; i < outlet->target_count; i++) {
        struct target *target = &outlet->targets[i];
        if (target_is_placeless(target) == placeless && wants(outlet, target)) {
            target->busy = true;
            outlet->busy++;
            sink_commit(target->sink, outlet->committing);
        }
    }
}

void outlet_commit(struct outlet *outlet, const struct sink_place *place, bool load) {
    struct sink_batch *batch = outlet->filling;
    if (!sink_batch_reach(batch, place)) {
        out_of_memory(outlet);
        return;
    }
    outlet->filling = outlet->committing;
    outlet->committing = batch;
    outlet->filled = load;
    hand_over(outlet, true);
    if (outlet->busy == 0) {
        hand_over(outlet, false);
    }
    if (outlet->busy == 0) { /* nobody wants it */
        sink_batch_clear(batch);
        loop_defer(outlet->options.loop, &outlet->turn);
    }
}

/* Rows of what is under way change over to the other batch, which is empty. */
static bool set_aside(struct outlet *outlet) {
    size_t count = sink_batch_count(outlet->filling);
    struct error e;
    for (size_t i = outlet->mark.rows; i < count; i++) {
        struct sink_row row = sink_batch_row(outlet->filling, i);
        if (!sink_batch_add(outlet->committing, &row, &e)) {
            outlet_fail(outlet, &e);
            return false;
        }
    }
    sink_batch_cut(outlet->filling, outlet->mark.rows);
    return true;
}

static void stop_timer(struct outlet *outlet) {
    if (outlet->timing) {
        loop_timer_stop(&outlet->timer);
    }
    outlet->timing = outlet->due = false;
}

/* What has been handled is handed over. */
static void cut(struct outlet *outlet) {
    struct sink_place place = outlet->mark.place;
    place.notes = outlet_notes(outlet, false);
    if (!place.notes) {
        out_of_memory(outlet);
        return;
    }
    if (!set_aside(outlet)) {
        return;
    }
    stop_timer(outlet);
    outlet->flush = outlet->stopped;
    outlet->mark.rows = 0;
    outlet->reached = place.sequence;
    outlet_commit(outlet, &place, false);
    outlet_aim(outlet);
}

/* Nothing is being committed. */
static void advance(struct outlet *outlet) {
    if (outlet->failed || !outlet->started) {
        return;
    }
    if (has_news(outlet)) {
        if (is_ripe(outlet)) {
            cut(outlet);
        }
    } else {
        outlet->flush = outlet->stopped;
        if (outlet->load.store) {
            outlet_load_next(outlet);
        }
    }
}

static void turn(struct loop_task *task) {
    struct outlet *outlet = task->owner;
    struct outlet_host *host = &outlet->options.host;
    if (outlet->letters) {
        outlet_release(outlet);
    }
    if (outlet->failed) {
        if (!outlet->told) {
            outlet->told = true;
            host->failed(host->user, &outlet->failure);
        }
    } else if (outlet->unopened == 0 && !outlet->announced) {
        outlet->announced = true;
        host->opened(host->user);
    } else if (outlet->busy == 0) {
        advance(outlet);
        host->woken(host->user);
    }
}

static void on_time(struct loop_task *task) {
    struct outlet *outlet = task->owner;
    outlet->timing = false;
    outlet->due = true;
    if (outlet->busy == 0) {
        advance(outlet);
    }
}

/* ---- what a sink says ---- */

static void on_opened(void *user, struct sink *sink, const struct sink_place *place, const struct error *e) {
    struct target *target = user;
    struct outlet *outlet = target->outlet;
    (void)sink;
    if (target->opened) {
        return;
    }
    target->opened = true;
    target->empty = !place;
    outlet->unopened--;
    if (e) {
        outlet_fail(outlet, e);
    } else if (place && !sink_place_set(&target->place, place)) {
        out_of_memory(outlet);
    }
    loop_defer(outlet->options.loop, &outlet->turn);
}

static void on_committed(void *user, struct sink *sink, const struct error *e) {
    struct target *target = user;
    struct outlet *outlet = target->outlet;
    (void)sink;
    target->busy = false;
    outlet->busy--;
    if (e) {
        outlet_fail(outlet, e);
    }
    if (outlet->busy == 0 && outlet->first && !outlet->failed) {
        hand_over(outlet, false);
    }
    if (outlet->busy == 0) {
        sink_batch_clear(outlet->committing);
        loop_defer(outlet->options.loop, &outlet->turn);
    }
}

static bool on_refused(void *user, struct sink *sink, const struct sink_row *row, struct error *e) {
    struct target *target = user;
    const struct outlet_host *host = &target->outlet->options.host;
    error_context(e, "%s", sink->name);
    return host->refused(host->user, row, e);
}

struct sink *outlet_open_sink(struct target *target, struct error *e) {
    const struct outlet *outlet = target->outlet;
    const struct outlet_options *options = &outlet->options;
    struct sink_options sink = {
        .loop = options->loop,
        .http = options->http,
        .log = options->log,
        .stream = outlet->stream,
        .name = target->is->name,
        .settings = target->is->settings,
        .setting_count = target->is->setting_count,
        .schema = options->schema,
        .index = options->index,
        .schema_user = options->schema_user,
        .outage_limit_ms = options->outage_limit_ms,
        .host =
            {
                .user = target,
                .opened = on_opened,
                .committed = on_committed,
                .refused = on_refused,
                .kept = outlet_is_kept,
            },
    };
    if (options->audit && !outlet_audit_open(target, &sink)) {
        return NULL;
    }
    return target->is->kind->open(target->is->kind, &sink, e);
}

static bool open_sinks(struct outlet *outlet, struct error *e) {
    for (size_t i = 0; i < outlet->target_count; i++) {
        struct target *target = &outlet->targets[i];
        target->outlet = outlet;
        target->is = &outlet->options.sinks[i];
        outlet->only_emits = outlet->only_emits && target->is->emits;
        outlet->unopened++;
        target->sink = outlet_open_sink(target, e);
        if (!target->sink && target->audited) {
            outlet->unopened--;
        } else if (!target->sink) {
            return error_context(e, "%s", outlet->options.name);
        }
    }
    return true;
}

/* ---- life ---- */

static void free_outlet(struct loop_timer *timer) {
    struct outlet *outlet = timer->task.owner;
    for (size_t i = 0; i < outlet->target_count; i++) {
        sink_place_free(&outlet->targets[i].place);
    }
    outlet_load_end(outlet);
    sink_place_free(&outlet->mark.place);
    sink_batch_free(outlet->filling);
    sink_batch_free(outlet->committing);
    free(outlet->targets);
    free(outlet->stream);
    free(outlet->start);
    digest_free(&outlet->digest);
    free(outlet->notes);
    free(outlet);
}

static void close_patience(struct loop_timer *timer) {
    struct outlet *outlet = timer->task.owner;
    loop_timer_close(&outlet->patience, free_outlet);
}

void outlet_free(struct outlet *outlet) {
    if (!outlet) {
        return;
    }
    for (size_t i = 0; i < outlet->target_count; i++) {
        if (outlet->targets[i].sink) {
            sink_close(outlet->targets[i].sink);
        }
        loop_cancel(outlet->options.loop, &outlet->targets[i].look);
    }
    loop_cancel(outlet->options.loop, &outlet->turn);
    loop_timer_close(&outlet->timer, close_patience);
}

static void take_limits(struct outlet_limits *limits) {
    limits->rows = limits->rows ? limits->rows : ROWS;
    limits->bytes = limits->bytes ? limits->bytes : BYTES;
    limits->every_ms = limits->every_ms ? limits->every_ms : EVERY_MS;
    limits->batch = limits->batch ? limits->batch : BATCH_MAX;
}

static bool allocate(struct outlet *outlet, const struct outlet_options *options) {
    outlet->target_count = options->sink_count;
    outlet->targets = calloc(options->sink_count, sizeof *outlet->targets);
    outlet->target_count = outlet->targets ? options->sink_count : 0;
    outlet->stream = strdup(options->stream);
    outlet->start = strdup(options->start);
    outlet->filling = sink_batch_new(outlet->options.limits.batch);
    outlet->committing = sink_batch_new(outlet->options.limits.batch);
    return outlet->targets && outlet->stream && outlet->start && outlet->filling && outlet->committing;
}

struct outlet *outlet_new(const struct outlet_options *options, struct error *e) {
    struct outlet *outlet = calloc(1, sizeof *outlet);
    if (!outlet) {
        error_set(e, ERROR_MEMORY, "%s: out of memory for its sinks", options->name);
        return NULL;
    }
    outlet->options = *options;
    outlet->only_emits = true;
    outlet->edge = UINT64_MAX;
    outlet->turn = (struct loop_task){.run = turn, .owner = outlet};
    digest_init(&outlet->digest);
    loop_timer_init(options->loop, &outlet->timer, on_time, outlet);
    loop_timer_init(options->loop, &outlet->patience, outlet_lose_patience, outlet);
    if (!outlet->options.patience_ms) {
        outlet->options.patience_ms = PATIENCE_MS;
    }
    take_limits(&outlet->options.limits);
    bool ok = allocate(outlet, options);
    if (!ok) {
        error_set(e, ERROR_MEMORY, "%s: out of memory for its sinks", options->name);
    }
    if (!ok || !open_sinks(outlet, e)) {
        outlet_free(outlet);
        return NULL;
    }
    if (outlet->unopened == 0) {
        loop_defer(options->loop, &outlet->turn);
    }
    return outlet;
}

/* ---- rows ---- */

bool outlet_put(struct outlet *outlet, enum sink_op op, struct slice type, struct slice key,
                struct slice value, struct error *e) {
    const struct intake *intake = outlet->options.intake;
    uint64_t sequence = intake_sequence(intake);
    uint64_t index = intake_index(intake);
    struct sink_row row = {
        .op = op,
        .type = type,
        .key = key,
        .value = value,
        .sequence = sequence ? sequence - 1 : 0,
        .index = index ? index - 1 : 0,
    };
    if (outlet->options.audit || row.sequence < outlet->least || (outlet->only_emits && op != SINK_EMIT) ||
        outlet->failed) {
        return true;
    }
    row.offset = slice_from(intake->offset ? intake->offset : "-1");
    return sink_batch_add(outlet->filling, &row, e);
}

size_t outlet_pending(const struct outlet *outlet) {
    return sink_batch_count(outlet->filling) - outlet->mark.rows;
}

void outlet_drop(struct outlet *outlet, size_t count) {
    sink_batch_cut(outlet->filling, outlet->mark.rows + count);
}

static bool mark_offset(struct outlet *outlet) {
    const struct intake *intake = outlet->options.intake;
    char *offset = intake->offset ? strdup(intake->offset) : NULL;
    if (intake->offset && !offset) {
        out_of_memory(outlet);
        return false;
    }
    free(outlet->mark.place.offset);
    outlet->mark.place.offset = offset;
    outlet->mark.chunk = intake->chunks;
    return true;
}

bool outlet_mark(struct outlet *outlet) {
    const struct intake *intake = outlet->options.intake;
    struct outlet_mark *mark = &outlet->mark;
    if (mark->chunk != intake->chunks && !mark_offset(outlet)) {
        return false;
    }
    mark->place.skip = intake_index(intake);
    mark->place.sequence = intake_sequence(intake);
    mark->rows = sink_batch_count(outlet->filling);
    mark->tail = intake->up_to_date && intake->taken == 0;
    mark->digested = outlet->digest.known;
    mark->digest = outlet->digest.value;
    return true;
}

/* All sinks have what lies before the mark. */
static void pass_over(struct outlet *outlet) {
    outlet->reached = outlet->mark.place.sequence;
    if (outlet->reached == outlet->edge) {
        outlet_aim(outlet);
    }
}

static bool begin_load(struct outlet *outlet) {
    struct error e;
    if (!outlet_load_begin(outlet, outlet->load.due, &e)) {
        outlet_fail(outlet, &e);
        return false;
    }
    return true;
}

bool outlet_handled(struct outlet *outlet) {
    if (!outlet->started || outlet->failed) {
        return false;
    }
    outlet_compare(outlet, intake_sequence(outlet->options.intake));
    if (outlet->failed || !outlet_mark(outlet)) {
        return false;
    }
    if (outlet->options.audit) {
        return outlet_audit_go_on(outlet);
    }
    if (outlet->load.due && !begin_load(outlet)) {
        return false;
    }
    if (outlet->mark.place.sequence <= outlet->least && !outlet->load.store) {
        pass_over(outlet);
        return true;
    }
    if (has_news(outlet) && !outlet->timing && !outlet->due) {
        outlet->timing = true;
        loop_timer_start(&outlet->timer, outlet->options.limits.every_ms);
    }
    if (outlet->busy == 0) {
        advance(outlet);
    }
    return !outlet->failed && !outlet->load.store && !is_full(outlet);
}

void outlet_flush(struct outlet *outlet) {
    outlet->flush = true;
    if (outlet->busy == 0) {
        advance(outlet);
    }
}

void outlet_stop(struct outlet *outlet) {
    if (outlet->started && !outlet->stopped) {
        outlet_drop(outlet, 0);
        outlet_load_end(outlet);
        outlet->stopped = true;
        outlet_flush(outlet);
    }
}

bool outlet_settled(const struct outlet *outlet) {
    return outlet->busy == 0 &&
           (outlet->failed || !outlet->started || (!has_news(outlet) && !outlet->load.store));
}

uint64_t outlet_reached(const struct outlet *outlet) {
    return outlet->reached;
}

bool outlet_digest(const struct outlet *outlet, uint64_t *digest) {
    *digest = outlet->mark.digest;
    return outlet->mark.digested && outlet->mark.place.sequence == outlet->reached;
}

bool outlet_has_failed(const struct outlet *outlet) {
    return outlet->failed;
}
