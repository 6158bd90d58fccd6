/* worker/outlet: group commits, places, restarts at any instant, over sinks that are tables in memory. The intake
 * is a struct that says what a real one would. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

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

static bool take_row(struct recorder *r, const struct sink_row *row) {
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

static void reach(struct sink *sink) {
    struct recorder *r = (struct recorder *)sink;
    r->base->placed = true;
    assert_true(sink_place_set(&r->base->place, sink_batch_place(r->batch)));
    r->batch = NULL;
    r->sink.host.committed(r->sink.host.user, &r->sink, NULL);
}

static void commit_now(struct recorder *r) {
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
            ok = take_row(r, &row);
        }
        if (!ok) {
            error_set(&e, ERROR_SCHEMA, "%s: a row was refused", r->sink.name);
        }
    }
    if (!ok) {
        r->batch = NULL;
        r->sink.host.committed(r->sink.host.user, &r->sink, &e);
    } else if (sink_may_commit(&r->sink, reach)) {
        reach(&r->sink);
    }
}

static void recorder_turn(struct loop_task *task) {
    struct recorder *r = task->owner;
    struct error e;
    if (!r->opened) {
        r->opened = true;
        error_set(&e, ERROR_SYSTEM, "%s: cannot be opened", r->sink.name);
        bool placed = r->base->placed && !r->sink.kind->placeless;
        r->sink.host.opened(r->sink.host.user, &r->sink, placed ? &r->base->place : NULL,
                            r->base->refuses_to_open ? &e : NULL);
    } else if (r->batch && !r->base->held) {
        commit_now(r);
    }
}

static struct sink *recorder_open(const struct sink_kind *kind, const struct sink_options *options,
                                  struct error *e) {
    struct recorder *r = calloc(1, sizeof *r);
    assert_non_null(r);
    assert_true(sink_init(&r->sink, kind, options));
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

static void recorder_commit(struct sink *sink, const struct sink_batch *batch) {
    struct recorder *r = (struct recorder *)sink;
    assert_null(r->batch);
    r->batch = batch;
    loop_defer(r->loop, &r->task);
}

static void recorder_close(struct sink *sink) {
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

struct worker {
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

static void on_opened(void *user) {
    ((struct worker *)user)->opened = true;
}

static void on_woken(void *user) {
    (void)user;
}

static void on_failed(void *user, const struct error *e) {
    struct worker *w = user;
    w->failed = true;
    w->failure = *e;
}

static bool on_refused(void *user, const struct sink_row *row, struct error *e) {
    struct worker *w = user;
    (void)row;
    assert_non_null(strstr(e->message, "no "));
    w->refusals++;
    return w->pass_refused;
}

static bool is_kept(void *user) {
    return !((struct worker *)user)->letters_wait;
}

static void begin_with(struct worker *w, const struct outlet_sink *sinks, size_t sink_count,
                       struct outlet_limits limits, const char *start) {
    struct error e;
    *w = (struct worker){.loop = loop_new(&e), .store = store_new(1 << 20)};
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
        .host = {w, on_opened, on_woken, on_failed, on_refused, is_kept},
    };
    w->outlet = outlet_new(&options, &e);
    assert_non_null(w->outlet);
}

static void begin(struct worker *w, size_t sink_count, struct outlet_limits limits, const char *start) {
    begin_with(w, sink_list, sink_count, limits, start);
}

static bool is_open(void *arg) {
    const struct worker *w = arg;
    return w->opened || w->failed;
}

static void wait_open(struct worker *w) {
    assert_true(loop_run_until(w->loop, is_open, w));
}

/* The worker is gone, as with kill -9: what a sink has not committed is lost. */
static void drop(struct worker *w) {
    struct error e = {0};
    outlet_free(w->outlet);
    if (!loop_free(w->loop, &e)) {
        fail_msg("%s", e.message);
    }
    store_free(w->store);
    free(w->intake.offset);
}

static void forget_bases(void) {
    for (size_t i = 0; i < BASES; i++) {
        sink_place_free(&bases[i].place);
        bases[i] = (struct base){0};
    }
}

static void start(struct worker *w) {
    struct error e;
    wait_open(w);
    assert_true(w->opened);
    if (!outlet_start(w->outlet, w->store, NULL, &w->quiet, &e)) {
        fail_msg("%s", e.message);
    }
}

static void store_put(struct store *store, char key, int value) {
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
static void apply_to(int *values, uint64_t i) {
    unsigned random = (unsigned)(i * 2654435761u >> 7);
    if (random % 23 == 0) {
        memset(values, 0, KEYS * sizeof *values);
    } else if (random % 7 != 0) { /* those are rejected */
        values[random % KEYS] = random % 5 == 0 ? 0 : (int)i + 1;
    }
}

/* The same, with rows. The message is the one that the intake gave last. */
static void apply(struct worker *w, uint64_t i) {
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
        store_put(w->store, key, 0);
    } else if (random % 7 != 0) {
        ok = outlet_put(w->outlet, SINK_PUT, SLICE("t"), slice_of(&key, 1), slice_from(value), &e);
        store_put(w->store, key, (int)i + 1);
    }
    if (!ok) {
        fail_msg("%s", e.message);
    }
}

static void end_chunk(struct worker *w, bool up_to_date) {
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

static bool is_settled(void *arg) {
    const struct worker *w = arg;
    return outlet_settled(w->outlet) || w->failed;
}

static bool has_failed(void *arg) {
    return ((const struct worker *)arg)->failed;
}

static void turn_once(struct worker *w) {
    loop_wake(w->loop);
    uv_run(loop_uv(w->loop), UV_RUN_ONCE);
}

/* Hands on messages until there are `until` of them, and waits where the outlet says so. */
static void feed(struct worker *w, uint64_t until) {
    while (intake_sequence(&w->intake) < until) {
        while (!outlet_handled(w->outlet)) {
            turn_once(w);
            assert_false(w->failed);
        }
        uint64_t i = intake_sequence(&w->intake);
        w->intake.taken++;
        apply(w, i);
    }
}

static void finish(struct worker *w) {
    while (!outlet_handled(w->outlet)) {
        turn_once(w);
    }
    outlet_flush(w->outlet);
    assert_true(loop_run_until(w->loop, is_settled, w));
    assert_false(w->failed);
}

static void assert_base(size_t number, uint64_t messages) {
    int values[KEYS] = {0};
    for (uint64_t i = 0; i < messages; i++) {
        apply_to(values, i);
    }
    for (size_t k = 0; k < KEYS; k++) {
        if (bases[number].values[k] != values[k]) {
            fail_msg("sink %zu at message %llu: %c is %d, not %d", number, (unsigned long long)messages,
                     (int)('a' + k), bases[number].values[k], values[k]);
        }
    }
    assert_int_equal(bases[number].place.sequence, messages);
}

/* ---- tests ---- */

static void test_group(void **state) {
    (void)state;
    struct worker w;
    begin(&w, 1, (struct outlet_limits){.rows = 10}, "-1");
    start(&w);
    feed(&w, 200);
    finish(&w);
    assert_base(0, 200);
    assert_true(bases[0].most <= 10 && bases[0].commits >= 14 && bases[0].commits < 25);
    drop(&w);
    forget_bases();
}

static void test_bytes(void **state) {
    (void)state;
    struct worker w;
    begin(&w, 1, (struct outlet_limits){.bytes = 20}, "-1");
    start(&w);
    feed(&w, 200);
    finish(&w);
    assert_base(0, 200);
    assert_true(bases[0].most <= 11 && bases[0].commits > 20);
    drop(&w);
    forget_bases();
}

static bool has_committed(void *arg) {
    (void)arg;
    return bases[0].commits > 0;
}

static void test_time(void **state) {
    (void)state;
    struct worker w;
    begin(&w, 1, (struct outlet_limits){.every_ms = 5}, "-1");
    start(&w);
    feed(&w, 20);
    assert_true(outlet_handled(w.outlet));
    w.intake.taken++; /* one is under way: it is not committed */
    apply(&w, 20);
    assert_true(loop_run_until(w.loop, has_committed, &w));
    assert_base(0, 20);
    assert_true(outlet_handled(w.outlet));
    finish(&w);
    assert_base(0, 21);
    drop(&w);
    forget_bases();
}

static void test_tail(void **state) {
    (void)state;
    struct worker w;
    begin(&w, 1, (struct outlet_limits){0}, "-1");
    start(&w);
    feed(&w, 5);
    end_chunk(&w, true);
    assert_true(outlet_handled(w.outlet));
    assert_true(loop_run_until(w.loop, is_settled, &w));
    assert_base(0, 5);
    assert_string_equal(bases[0].place.offset, "after 5");
    assert_memory_equal(bases[0].place.notes, "{\"start\":\"-1\",\"digest\":\"", 24);
    bases[0].held = true;
    feed(&w, 7);
    end_chunk(&w, true);
    assert_true(outlet_handled(w.outlet));
    feed(&w, 9);
    end_chunk(&w, true);
    assert_true(outlet_handled(w.outlet)); /* while the commit before is under way, they gather */
    assert_base(0, 5);
    drop(&w);
    forget_bases();
}

static void test_backpressure(void **state) {
    (void)state;
    struct worker w;
    begin(&w, 1, (struct outlet_limits){.rows = 1}, "-1");
    start(&w);
    bases[0].held = true;
    uint64_t fed = 0;
    while (outlet_handled(w.outlet) && fed < 100) {
        apply(&w, fed++);
        w.intake.taken++;
    }
    assert_true(fed > 1 && fed < 100);
    assert_false(outlet_settled(w.outlet));
    bases[0].held = false;
    drop(&w);
    forget_bases();
}

static void test_failures(void **state) {
    (void)state;
    struct worker w;
    struct error e;
    bases[0].refuses_to_open = true;
    begin(&w, 2, (struct outlet_limits){0}, "-1");
    wait_open(&w);
    assert_true(w.failed && !w.opened);
    assert_string_equal(w.failure.message, "one: cannot be opened");
    assert_true(outlet_settled(w.outlet));
    drop(&w);
    forget_bases();

    bases[0].fails_in = 2;
    begin(&w, 1, (struct outlet_limits){.rows = 1}, "-1");
    start(&w);
    while (!w.failed) {
        if (outlet_handled(w.outlet)) {
            w.intake.taken++;
            apply(&w, w.intake.taken - 1);
        }
        turn_once(&w);
    }
    assert_string_equal(w.failure.message, "one: the disk is full");
    assert_true(outlet_settled(w.outlet) && outlet_has_failed(w.outlet));
    assert_false(outlet_handled(w.outlet));
    drop(&w);
    forget_bases();

    begin(&w, 1, (struct outlet_limits){.batch = 20}, "-1");
    start(&w);
    assert_false(outlet_put(w.outlet, SINK_PUT, SLICE("t"), SLICE("a"), SLICE("\"longer than twenty\""), &e));
    assert_int_equal(e.code, ERROR_LIMIT);
    drop(&w);
    forget_bases();
}

static void test_wrong_setting(void **state) {
    (void)state;
    struct worker w = {.loop = NULL};
    struct error e;
    struct outlet_sink list[2] = {sink_list[0], {.kind = &recorder_kind, .name = "two"}};
    w.loop = loop_new(&e);
    struct outlet_options options = {.loop = w.loop,
                                     .intake = &w.intake,
                                     .name = "numbers",
                                     .stream = "s",
                                     .start = "-1",
                                     .sinks = list,
                                     .sink_count = 2};
    assert_null(outlet_new(&options, &e));
    assert_string_equal(e.message, "numbers: two: number is missing");
    assert_true(loop_free(w.loop, &e));
    forget_bases();
}

static void test_refused(void **state) {
    (void)state;
    struct worker w;
    bases[0].refused = 5;
    begin(&w, 1, (struct outlet_limits){0}, "-1");
    w.pass_refused = true;
    start(&w);
    feed(&w, 8);
    finish(&w);
    assert_int_equal(w.refusals, 1);
    assert_int_equal(bases[0].place.sequence, 8);
    drop(&w);
    forget_bases();

    bases[0].refused = 5;
    begin(&w, 1, (struct outlet_limits){0}, "-1");
    start(&w);
    feed(&w, 8);
    outlet_handled(w.outlet);
    outlet_flush(w.outlet);
    assert_true(loop_run_until(w.loop, has_failed, &w));
    assert_string_equal(w.failure.message, "one: a row was refused");
    drop(&w);
    forget_bases();
}

/* A stream that was made anew, and has more messages by now than there were before the sink's place. */
static void test_other_stream(void **state) {
    (void)state;
    for (int other = 0; other < 2; other++) {
        struct worker w;
        begin(&w, 1, (struct outlet_limits){0}, "-1");
        start(&w);
        feed(&w, 8);
        finish(&w);
        drop(&w);

        begin(&w, 1, (struct outlet_limits){0}, "-1");
        w.is_other = other;
        uint64_t bound;
        const char *sink;
        struct error e;
        wait_open(&w);
        assert_true(outlet_bound(w.outlet, &bound, &sink, &e));
        start(&w);
        feed(&w, 8);
        assert_int_equal(outlet_handled(w.outlet), !other);
        assert_true(loop_run_until(w.loop, is_settled, &w));
        if (other) {
            assert_true(loop_run_until(w.loop, has_failed, &w));
            assert_non_null(
                strstr(w.failure.message, "the first 8 messages of the stream are not those that one was"));
        }
        assert_base(0, 8);
        drop(&w);
        forget_bases();
    }
}

static bool has_refused(void *arg) {
    return ((struct worker *)arg)->refusals > 0;
}

/* The letter of a refused row is stored later than the sink has found it: the place waits for that. */
static void test_letters(void **state) {
    (void)state;
    for (int lost = 0; lost < 2; lost++) {
        struct worker w;
        bases[0].refused = 5;
        begin(&w, 2, (struct outlet_limits){0}, "-1");
        w.pass_refused = w.letters_wait = true;
        start(&w);
        feed(&w, 8);
        outlet_handled(w.outlet);
        outlet_flush(w.outlet);
        assert_true(loop_run_until(w.loop, has_refused, &w));
        assert_false(bases[0].placed);
        assert_false(outlet_settled(w.outlet));
        struct error e;
        error_set(&e, ERROR_SYSTEM, "the letters are lost");
        w.letters_wait = lost;
        outlet_letters_settled(w.outlet, lost ? &e : NULL);
        assert_true(loop_run_until(w.loop, is_settled, &w));
        assert_int_equal(bases[0].placed, !lost);
        assert_int_equal(w.failed, lost);
        assert_int_equal(w.refusals, 1);
        drop(&w);
        forget_bases();
    }
}

/* What is under way when it ends is dropped, what was handled is committed. */
static void test_stop(void **state) {
    (void)state;
    struct worker w;
    struct error e;
    begin(&w, 1, (struct outlet_limits){0}, "-1");
    start(&w);
    feed(&w, 9);
    assert_true(outlet_handled(w.outlet));
    w.intake.taken++;
    assert_true(outlet_put(w.outlet, SINK_PUT, SLICE("t"), SLICE("a"), SLICE("999"), &e));
    assert_int_equal(outlet_pending(w.outlet), 1);
    outlet_stop(w.outlet);
    assert_false(outlet_settled(w.outlet));
    assert_true(loop_run_until(w.loop, is_settled, &w));
    assert_base(0, 9);
    assert_int_equal(outlet_reached(w.outlet), 9);
    drop(&w);
    forget_bases();
}

static void test_drop(void **state) {
    (void)state;
    struct worker w;
    struct error e;
    struct slice none = {0};
    begin(&w, 1, (struct outlet_limits){0}, "-1");
    start(&w);
    w.intake.taken++;
    assert_true(outlet_put(w.outlet, SINK_EMIT, none, SLICE("one"), SLICE("first"), &e));
    size_t kept = outlet_pending(w.outlet);
    assert_true(outlet_put(w.outlet, SINK_EMIT, none, SLICE("one"), SLICE("second"), &e));
    assert_true(outlet_put(w.outlet, SINK_EMIT, none, SLICE("other"), SLICE("third"), &e));
    outlet_drop(w.outlet, kept);
    finish(&w);
    assert_int_equal(bases[0].emitted, 1);
    assert_string_equal(bases[0].last_emitted, "first");
    drop(&w);
    forget_bases();
}

/* A sink that is new while the state comes from a snapshot gets all of it, in pieces. */
static void test_load(void **state) {
    (void)state;
    struct worker w;
    begin(&w, 1, (struct outlet_limits){.rows = 2}, "-1");
    int values[KEYS] = {0};
    for (uint64_t i = 0; i < 40; i++) {
        apply_to(values, i);
    }
    for (size_t k = 0; k < KEYS; k++) {
        store_put(w.store, (char)('a' + k), values[k]);
    }
    w.intake.base = 40;
    start(&w);
    assert_int_equal(w.quiet, 40);
    feed(&w, 50);
    finish(&w);
    assert_base(0, 50);
    assert_true(bases[0].most <= 2);
    drop(&w);
    forget_bases();
}

static void start_again(struct worker *w) {
    struct error e;
    uint64_t bound;
    const char *sink;
    begin(w, 1, (struct outlet_limits){.rows = 2}, "-1");
    wait_open(w);
    assert_true(outlet_bound(w->outlet, &bound, &sink, &e));
    start(w);
}

/* A sink that was left while it was filled anew has no place, but notes how far the handlers were called. */
static void test_handled_while_filled(void **state) {
    (void)state;
    struct worker w;
    struct error e;
    start_again(&w);
    feed(&w, 40);
    finish(&w);
    drop(&w);
    start_again(&w);
    feed(&w, 40);
    outlet_replaced(w.outlet, w.store, 10); /* by a state that was begun there */
    bases[0].fails_in = 2;
    assert_false(outlet_handled(w.outlet));
    assert_true(loop_run_until(w.loop, has_failed, &w));
    drop(&w);
    assert_non_null(strstr(bases[0].place.notes, "partial"));
    assert_int_equal(bases[0].place.sequence, 0);
    start_again(&w);
    assert_int_equal(w.quiet, 40);
    feed(&w, 5);
    finish(&w);
    assert_base(0, 5);
    drop(&w);
    start_again(&w); /* it was left before it had come as far again */
    assert_int_equal(w.quiet, 40);
    feed(&w, 11);
    assert_false(outlet_check_end(w.outlet, true, &e));
    assert_non_null(strstr(e.message, "ends after 11 messages, and one has come to message 40"));
    feed(&w, 50);
    finish(&w);
    assert_base(0, 50);
    assert_null(strstr(bases[0].place.notes, "handled"));
    drop(&w);
    forget_bases();
}

/* A sink that keeps no place has a batch before the others have, and no part in where to go on. */
static void test_placeless(void **state) {
    (void)state;
    struct worker w;
    bases[1].fails_in = 1;
    begin_with(&w, mixed_list, 2, (struct outlet_limits){0}, "-1");
    start(&w);
    feed(&w, 5);
    outlet_handled(w.outlet);
    outlet_flush(w.outlet);
    assert_true(loop_run_until(w.loop, has_failed, &w));
    assert_true(outlet_settled(w.outlet));
    assert_int_equal(bases[0].commits, 0);
    drop(&w);

    begin_with(&w, mixed_list, 2, (struct outlet_limits){0}, "-1");
    start(&w);
    assert_int_equal(w.quiet, 0);
    feed(&w, 5);
    finish(&w);
    assert_base(0, 5);
    assert_base(1, 5);
    drop(&w);

    memset(bases[1].values, 0, sizeof bases[1].values);
    bases[1].rows = 0;
    begin_with(&w, mixed_list, 2, (struct outlet_limits){0}, "-1");
    start(&w);
    assert_int_equal(w.quiet, 5);
    feed(&w, 5);
    finish(&w);
    assert_int_equal(bases[1].rows, 0);
    feed(&w, 50);
    finish(&w);
    assert_base(0, 50);
    assert_true(bases[1].rows > 30 && bases[1].rows <= 45);
    drop(&w);
    forget_bases();
}

static void test_bound(void **state) {
    (void)state;
    struct worker w;
    struct error e;
    uint64_t bound;
    const char *sink;
    begin(&w, 2, (struct outlet_limits){0}, "-1");
    wait_open(&w);
    assert_true(outlet_bound(w.outlet, &bound, &sink, &e));
    assert_true(bound == UINT64_MAX);
    drop(&w);
    struct sink_place place = {
        .offset = (char *)"x", .skip = 3, .sequence = 13, .notes = (char *)"{\"start\":\"-1\"}"};
    assert_true(sink_place_set(&bases[1].place, &place));
    bases[1].placed = true;
    begin(&w, 2, (struct outlet_limits){0}, "-1");
    wait_open(&w);
    assert_true(outlet_bound(w.outlet, &bound, &sink, &e));
    assert_int_equal(bound, 13);
    assert_string_equal(sink, "two");
    start(&w);
    assert_int_equal(w.quiet, 0); /* the other one has nothing yet */
    drop(&w);
    begin(&w, 2, (struct outlet_limits){0}, "5");
    wait_open(&w);
    assert_false(outlet_bound(w.outlet, &bound, &sink, &e));
    assert_non_null(strstr(e.message, "numbers: two was filled from the stream read from offset -1"));
    drop(&w);
    forget_bases();
}

static void test_end_before_place(void **state) {
    (void)state;
    struct worker w;
    struct error e;
    struct sink_place place = {.offset = (char *)"x", .sequence = 13, .notes = (char *)"{\"start\":\"-1\"}"};
    assert_true(sink_place_set(&bases[0].place, &place));
    bases[0].placed = true;
    begin(&w, 1, (struct outlet_limits){0}, "-1");
    start(&w);
    feed(&w, 10);
    assert_true(outlet_check_end(w.outlet, false, &e));
    assert_false(outlet_check_end(w.outlet, true, &e));
    assert_int_equal(e.code, ERROR_CONFLICT);
    feed(&w, 13); /* there was more of it */
    assert_true(outlet_check_end(w.outlet, true, &e));
    drop(&w);
    begin(&w, 1, (struct outlet_limits){0}, "-1");
    start(&w);
    feed(&w, 11);
    assert_true(outlet_check_end(w.outlet, false, &e));
    assert_true(loop_run_until(w.loop, has_failed, &w));
    assert_non_null(strstr(w.failure.message,
                           "numbers: the stream ends after 11 messages, and one has come to message 13"));
    drop(&w);
    forget_bases();
}

/* ---- restarts ---- */

static uint64_t random_state;

static unsigned random_below(unsigned limit) {
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(random_state >> 33) % limit;
}

struct kept {
    int values[KEYS];
    uint64_t sequence; /* 0: there is no snapshot */
};

static void keep(const struct worker *w, struct kept *kept) {
    memset(kept->values, 0, sizeof kept->values);
    kept->sequence = intake_sequence(&w->intake);
    for (int k = 0; k < KEYS; k++) {
        char key = (char)('a' + k);
        struct slice value = store_get(w->store, SLICE("t"), slice_of(&key, 1));
        char text[20];
        snprintf(text, sizeof text, "%.*s", (int)value.len, value.ptr ? value.ptr : "");
        kept->values[k] = atoi(text);
    }
}

/* One life of a worker: from what was kept to a random instant. */
static void live(size_t sinks, struct kept *kept, bool snapshots, uint64_t most) {
    struct worker w;
    struct error e;
    struct outlet_limits limits = {.rows = 1 + random_below(12), .every_ms = 100000};
    uint64_t bound;
    const char *sink;
    begin(&w, sinks, limits, "-1");
    wait_open(&w);
    assert_true(outlet_bound(w.outlet, &bound, &sink, &e));
    if (kept->sequence > 0 && kept->sequence <= bound) {
        w.intake.base = kept->sequence - kept->sequence % 7;
        w.intake.skip = kept->sequence % 7;
        for (int k = 0; k < KEYS; k++) {
            store_put(w.store, (char)('a' + k), kept->values[k]);
        }
    }
    start(&w);
    unsigned steps = random_below(400);
    for (unsigned i = 0; i < steps; i++) {
        for (size_t s = 0; s < sinks; s++) {
            if (random_below(10) == 0) {
                bases[s].held = !bases[s].held;
            }
        }
        if (random_below(3) == 0) {
            turn_once(&w);
        }
        bool on = outlet_handled(w.outlet);
        if (on && snapshots && random_below(30) == 0) {
            outlet_flush(w.outlet);
            if (outlet_settled(w.outlet) && outlet_reached(w.outlet) == intake_sequence(&w.intake)) {
                keep(&w, kept);
            }
        } else if (on && intake_sequence(&w.intake) < most) {
            uint64_t number = intake_sequence(&w.intake);
            w.intake.taken = intake_index(&w.intake) + 1;
            apply(&w, number);
            if (random_below(20) == 0 && outlet_handled(w.outlet)) {
                end_chunk(&w, random_below(2) == 0);
            }
        }
        assert_false(w.failed);
    }
    for (size_t s = 0; s < sinks; s++) {
        bases[s].held = false;
        if (bases[s].placed && !strstr(bases[s].place.notes, "partial")) {
            assert_base(s, bases[s].place.sequence); /* exactly what lies before its place, at any time */
        }
    }
    drop(&w);
}

static void test_restarts(void **state) {
    (void)state;
    for (unsigned seed = 0; seed < 60; seed++) {
        struct kept kept = {0};
        struct worker w;
        random_state = seed;
        unsigned lives = 3 + random_below(10);
        bool snapshots = seed % 2 == 0;
        for (unsigned i = 0; i < lives; i++) {
            live(i < 3 ? 1 : 2, &kept, snapshots, 2000); /* the second sink is added later */
        }
        begin(&w, 2, (struct outlet_limits){0}, "-1");
        start(&w);
        feed(&w, 2000);
        finish(&w);
        assert_base(0, 2000);
        assert_base(1, 2000);
        drop(&w);
        forget_bases();
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_group),
        cmocka_unit_test(test_bytes),
        cmocka_unit_test(test_time),
        cmocka_unit_test(test_tail),
        cmocka_unit_test(test_stop),
        cmocka_unit_test(test_backpressure),
        cmocka_unit_test(test_failures),
        cmocka_unit_test(test_wrong_setting),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_letters),
        cmocka_unit_test(test_other_stream),
        cmocka_unit_test(test_drop),
        cmocka_unit_test(test_load),
        cmocka_unit_test(test_handled_while_filled),
        cmocka_unit_test(test_bound),
        cmocka_unit_test(test_placeless),
        cmocka_unit_test(test_restarts),
        cmocka_unit_test(test_end_before_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
