/* A worker's outlet for tests: a stream of numbered messages, sinks that are tables in memory, and an intake that is a
 * struct which says what a real one would. Included by one file of a program. */
#ifndef UNIT_OUTLET_WORLD_H
#define UNIT_OUTLET_WORLD_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "message/event.h"
#include "state/store.h"
#include "worker/outlet.h"

enum { KEYS = 6, BASES = 2 };

/* ---- a sink: what it holds outlives its openings ---- */

struct base {
    int values[KEYS]; /* 0: none */
    bool placed;
    struct sink_place place;
    uint64_t epoch;
    /* What the test asks of it. */
    bool held; /* commits are not done before it is false */
    bool refuses_to_open;
    unsigned fails_in;     /* the nth commit from now on fails; 0: none does */
    int refused;           /* a value that is never taken */
    size_t commits, rows;  /* so far */
    size_t most;           /* rows in one */
    size_t emitted;        /* events */
    char last_emitted[40]; /* the last one */
};

static struct base bases[BASES];

struct recorder {
    struct sink sink; /* first */
    struct base *base;
    struct loop *loop;
    struct loop_task task;
    const struct sink_batch *batch; /* NULL: none */
    bool opened;
};

static inline bool recorder_take(struct recorder *r, const struct sink_row *row) {
    struct base *base = r->base;
    char text[20];
    struct error e;
    snprintf(text, sizeof text, "%.*s", (int)(row->value.len < 19 ? row->value.len : 19), row->value.ptr);
    if (row->op == SINK_CLEAR) {
        memset(base->values, 0, sizeof base->values);
    } else if (row->op == SINK_EMIT) {
        if (slice_is(row->key, r->sink.name)) {
            base->emitted++;
            memcpy(base->last_emitted, text, sizeof text);
        }
    } else if (row->op == SINK_PUT && base->refused && atoi(text) == base->refused) {
        error_set(&e, ERROR_SCHEMA, "no %s here", text);
        return r->sink.host.refused(r->sink.host.user, &r->sink, row, &e);
    } else {
        base->values[row->key.ptr[0] - 'a'] = row->op == SINK_PUT ? atoi(text) : 0;
    }
    base->rows++;
    return true;
}

static inline void recorder_reach(struct sink *sink) {
    struct recorder *r = (struct recorder *)sink;
    r->base->placed = true;
    assert_true(sink_place_set(&r->base->place, sink_batch_place(r->batch)));
    r->batch = NULL;
    r->sink.host.committed(r->sink.host.user, &r->sink, NULL);
}

static inline void recorder_commit_now(struct recorder *r) {
    const struct sink_batch *batch = r->batch;
    struct base *base = r->base;
    struct error e;
    bool ok = base->fails_in == 0 || --base->fails_in > 0;
    size_t count = sink_batch_count(batch);
    if (!ok) {
        error_set(&e, ERROR_SYSTEM, "%s: the disk is full", r->sink.name);
    } else {
        base->commits++;
        base->most = count > base->most ? count : base->most;
        for (size_t i = 0; ok && i < count; i++) {
            struct sink_row row = sink_batch_row(batch, i);
            ok = recorder_take(r, &row);
        }
        if (!ok) {
            error_set(&e, ERROR_SCHEMA, "%s: a row was refused", r->sink.name);
        }
    }
    if (!ok) {
        r->batch = NULL;
        r->sink.host.committed(r->sink.host.user, &r->sink, &e);
    } else if (sink_may_commit(&r->sink, recorder_reach)) {
        recorder_reach(&r->sink);
    }
}

static inline void recorder_turn(struct loop_task *task) {
    struct recorder *r = task->owner;
    struct error e;
    if (!r->opened) {
        r->opened = true;
        error_set(&e, ERROR_SYSTEM, "%s: cannot be opened", r->sink.name);
        bool placed = r->base->placed && !r->sink.kind->placeless;
        r->sink.host.opened(r->sink.host.user, &r->sink, placed ? &r->base->place : NULL,
                            r->base->refuses_to_open ? &e : NULL);
    } else if (r->batch && !r->base->held) {
        recorder_commit_now(r);
    }
}

static inline struct sink *recorder_open(const struct sink_kind *kind, const struct sink_options *options,
                                         struct error *e) {
    struct recorder *r = sink_new(sizeof *r, kind, options, e);
    assert_non_null(r);
    if (options->setting_count == 0) {
        error_set(e, ERROR_ARGUMENT, "%s: number is missing", options->name);
        sink_release(&r->sink);
        free(r);
        return NULL;
    }
    r->base = &bases[atoi(sink_setting(options, "number"))];
    r->sink.epoch = ++r->base->epoch;
    r->loop = options->loop;
    r->task = (struct loop_task){.run = recorder_turn, .owner = r};
    loop_defer(r->loop, &r->task);
    return &r->sink;
}

static inline void recorder_commit(struct sink *sink, const struct sink_batch *batch) {
    struct recorder *r = (struct recorder *)sink;
    assert_null(r->batch);
    r->batch = batch;
    loop_defer(r->loop, &r->task);
}

static inline void recorder_close(struct sink *sink) {
    struct recorder *r = (struct recorder *)sink;
    loop_cancel(r->loop, &r->task);
    sink_release(&r->sink);
    free(r);
}

static const struct sink_kind recorder_kind = {
    .name = "recorder",
    .exact = true,
    .open = recorder_open,
    .commit = recorder_commit,
    .close = recorder_close,
};

/* ---- a worker: a stream of numbered messages, read from its start or from a snapshot ---- */

static const struct sink_setting number_settings[BASES] = {{"number", "0"}, {"number", "1"}};
static const struct outlet_sink sink_list[BASES] = {
    {.kind = &recorder_kind, .name = "one", .settings = &number_settings[0], .setting_count = 1},
    {.kind = &recorder_kind, .name = "two", .settings = &number_settings[1], .setting_count = 1},
};

static const struct sink_kind placeless_kind = {
    .name = "placeless",
    .placeless = true,
    .open = recorder_open,
    .commit = recorder_commit,
    .close = recorder_close,
};

static const struct outlet_sink mixed_list[BASES] = {
    {.kind = &recorder_kind, .name = "one", .settings = &number_settings[0], .setting_count = 1},
    {.kind = &placeless_kind, .name = "two", .settings = &number_settings[1], .setting_count = 1},
};

struct world {
    struct loop *loop;
    struct log log;
    struct intake intake;
    struct outlet *outlet;
    struct store *store;
    uint64_t quiet;
    bool opened, failed;
    struct error failure;
    unsigned refusals;
    bool pass_refused, letters_wait;
    bool is_other; /* its stream has another message */
};

static inline void world_opened(void *user) {
    ((struct world *)user)->opened = true;
}

static inline void world_woken(void *user) {
    (void)user;
}

static inline void world_failed(void *user, const struct error *e) {
    struct world *w = user;
    w->failed = true;
    w->failure = *e;
}

static inline bool world_refused(void *user, const struct sink_row *row, struct error *e) {
    struct world *w = user;
    (void)row;
    assert_non_null(strstr(e->message, "no "));
    w->refusals++;
    return w->pass_refused;
}

static inline bool world_is_kept(void *user) {
    return !((struct world *)user)->letters_wait;
}

static inline void world_begin_with(struct world *w, const struct outlet_sink *sinks, size_t sink_count,
                                    struct outlet_limits limits, const char *start) {
    struct error e;
    *w = (struct world){.loop = loop_new(&e), .store = store_new(1 << 20)};
    log_init(&w->log, stderr, LOG_OFF);
    struct outlet_options options = {
        .loop = w->loop,
        .log = &w->log,
        .intake = &w->intake,
        .name = "numbers",
        .stream = "http://host/numbers",
        .start = start,
        .sinks = sinks,
        .sink_count = sink_count,
        .limits = limits,
        .patience_ms = 20,
        .host = {w, world_opened, world_woken, world_failed, world_refused, world_is_kept},
    };
    w->outlet = outlet_new(&options, &e);
    assert_non_null(w->outlet);
}

static inline void world_begin(struct world *w, size_t sink_count, struct outlet_limits limits,
                               const char *start) {
    world_begin_with(w, sink_list, sink_count, limits, start);
}

static inline bool world_is_open(void *arg) {
    const struct world *w = arg;
    return w->opened || w->failed;
}

static inline void world_wait_open(struct world *w) {
    assert_true(loop_run_until(w->loop, world_is_open, w));
}

/* The worker is gone, as with kill -9: what a sink has not committed is lost. */
static inline void world_drop(struct world *w) {
    struct error e = {0};
    outlet_free(w->outlet);
    if (!loop_free(w->loop, &e)) {
        fail_msg("%s", e.message);
    }
    store_free(w->store);
    free(w->intake.offset);
}

static inline void bases_forget(void) {
    for (size_t i = 0; i < BASES; i++) {
        sink_place_free(&bases[i].place);
        bases[i] = (struct base){0};
    }
}

static inline void world_start(struct world *w) {
    struct error e;
    world_wait_open(w);
    assert_true(w->opened);
    if (!outlet_start(w->outlet, w->store, NULL, &w->quiet, &e)) {
        fail_msg("%s", e.message);
    }
}

static inline void world_store(struct store *store, char key, int value) {
    char text[20];
    struct error e;
    snprintf(text, sizeof text, "%d", value);
    struct event event = {
        .kind = EVENT_CHANGE,
        .operation = value ? EVENT_UPSERT : EVENT_DELETE,
        .type = SLICE("t"),
        .key = slice_of(&key, 1),
        .value = slice_from(text),
    };
    assert_true(store_apply(store, &event, &e));
}

/* Message number i: what it does is the same each time. Values are i + 1, so that it can be seen when. */
static inline void numbers_apply(int *values, uint64_t i) {
    unsigned random = (unsigned)(i * 2654435761u >> 7);
    if (random % 23 == 0) {
        memset(values, 0, KEYS * sizeof *values);
    } else if (random % 7 != 0) { /* those are rejected */
        values[random % KEYS] = random % 5 == 0 ? 0 : (int)i + 1;
    }
}

/* The same, with rows. The message is the one that the intake gave last. */
static inline void world_apply(struct world *w, uint64_t i) {
    unsigned random = (unsigned)(i * 2654435761u >> 7);
    char key = (char)('a' + random % KEYS);
    char value[20];
    struct error e;
    struct slice none = {0};
    bool ok = true;
    snprintf(value, sizeof value, "%d", (int)i + 1);
    struct event event = {.kind = EVENT_CHANGE, .type = SLICE("t"), .value = slice_from(value)};
    event.operation = w->is_other && i == 3 ? EVENT_INSERT : EVENT_UPSERT;
    outlet_note(w->outlet, random % 7 == 0 ? NULL : &event);
    if (random % 23 == 0) {
        ok = outlet_put(w->outlet, SINK_CLEAR, none, none, none, &e);
        store_clear(w->store);
    } else if (random % 7 != 0 && random % 5 == 0) {
        ok = outlet_put(w->outlet, SINK_DELETE, SLICE("t"), slice_of(&key, 1), none, &e);
        world_store(w->store, key, 0);
    } else if (random % 7 != 0) {
        ok = outlet_put(w->outlet, SINK_PUT, SLICE("t"), slice_of(&key, 1), slice_from(value), &e);
        world_store(w->store, key, (int)i + 1);
    }
    if (!ok) {
        fail_msg("%s", e.message);
    }
}

static inline void world_end_chunk(struct world *w, bool up_to_date) {
    char offset[40];
    w->intake.base += w->intake.taken;
    w->intake.skip = w->intake.skip > w->intake.taken ? w->intake.skip - w->intake.taken : 0;
    w->intake.taken = 0;
    w->intake.chunks++;
    w->intake.up_to_date = up_to_date;
    snprintf(offset, sizeof offset, "after %llu", (unsigned long long)w->intake.base);
    free(w->intake.offset);
    w->intake.offset = strdup(offset);
}

static inline bool world_is_settled(void *arg) {
    const struct world *w = arg;
    return outlet_settled(w->outlet) || w->failed;
}

static inline bool world_has_failed(void *arg) {
    return ((const struct world *)arg)->failed;
}

static inline void world_turn(struct world *w) {
    loop_wake(w->loop);
    uv_run(loop_uv(w->loop), UV_RUN_ONCE);
}

/* Hands on messages until there are `until` of them, and waits where the outlet says so. */
static inline void world_feed(struct world *w, uint64_t until) {
    while (intake_sequence(&w->intake) < until) {
        while (!outlet_handled(w->outlet)) {
            world_turn(w);
            assert_false(w->failed);
        }
        uint64_t i = intake_sequence(&w->intake);
        w->intake.taken++;
        world_apply(w, i);
    }
}

static inline void world_finish(struct world *w) {
    while (!outlet_handled(w->outlet)) {
        world_turn(w);
    }
    outlet_flush(w->outlet);
    assert_true(loop_run_until(w->loop, world_is_settled, w));
    assert_false(w->failed);
}

static inline void base_assert(size_t number, uint64_t messages) {
    int values[KEYS] = {0};
    for (uint64_t i = 0; i < messages; i++) {
        numbers_apply(values, i);
    }
    for (size_t k = 0; k < KEYS; k++) {
        if (bases[number].values[k] != values[k]) {
            fail_msg("sink %zu at message %llu: %c is %d, not %d", number, (unsigned long long)messages,
                     (int)('a' + k), bases[number].values[k], values[k]);
        }
    }
    assert_int_equal(bases[number].place.sequence, messages);
}

#endif
