/* worker/outlet: the places of sinks, and restarts at any instant. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "outlet_world.h"

/* A sink that is new while the state comes from a snapshot gets all of it, in pieces. */
static void test_load(void **state) {
    (void)state;
    struct world w;
    world_begin(&w, 1, (struct outlet_limits){.rows = 2}, "-1");
    int values[KEYS] = {0};
    for (uint64_t i = 0; i < 40; i++) {
        numbers_apply(values, i);
    }
    for (size_t k = 0; k < KEYS; k++) {
        world_store(w.store, (char)('a' + k), values[k]);
    }
    w.intake.base = 40;
    world_start(&w);
    assert_int_equal(w.quiet, 40);
    world_feed(&w, 50);
    world_finish(&w);
    base_assert(0, 50);
    assert_true(bases[0].most <= 2);
    world_drop(&w);
    bases_forget();
}

static void start_again(struct world *w) {
    struct error e;
    uint64_t bound;
    const char *sink;
    world_begin(w, 1, (struct outlet_limits){.rows = 2}, "-1");
    world_wait_open(w);
    assert_true(outlet_bound(w->outlet, &bound, &sink, &e));
    world_start(w);
}

/* A sink that was left while it was filled anew has no place, but notes how far the handlers were called. */
static void test_handled_while_filled(void **state) {
    (void)state;
    struct world w;
    struct error e;
    start_again(&w);
    world_feed(&w, 40);
    world_finish(&w);
    world_drop(&w);
    start_again(&w);
    world_feed(&w, 40);
    outlet_replaced(w.outlet, w.store, 10); /* by a state that was begun there */
    bases[0].fails_in = 2;
    assert_false(outlet_handled(w.outlet));
    assert_true(loop_run_until(w.loop, world_has_failed, &w));
    world_drop(&w);
    assert_non_null(strstr(bases[0].place.notes, "partial"));
    assert_int_equal(bases[0].place.sequence, 0);
    start_again(&w);
    assert_int_equal(w.quiet, 40);
    world_feed(&w, 5);
    world_finish(&w);
    base_assert(0, 5);
    world_drop(&w);
    start_again(&w); /* it was left before it had come as far again */
    assert_int_equal(w.quiet, 40);
    world_feed(&w, 11);
    assert_false(outlet_check_end(w.outlet, true, &e));
    assert_non_null(strstr(e.message, "ends after 11 messages, and one has come to message 40"));
    world_feed(&w, 50);
    world_finish(&w);
    base_assert(0, 50);
    assert_null(strstr(bases[0].place.notes, "handled"));
    world_drop(&w);
    bases_forget();
}

/* A sink that keeps no place has a batch before the others have, and no part in where to go on. */
static void test_placeless(void **state) {
    (void)state;
    struct world w;
    bases[1].fails_in = 1;
    world_begin_with(&w, mixed_list, 2, (struct outlet_limits){0}, "-1");
    world_start(&w);
    world_feed(&w, 5);
    outlet_handled(w.outlet);
    outlet_flush(w.outlet);
    assert_true(loop_run_until(w.loop, world_has_failed, &w));
    assert_true(outlet_settled(w.outlet));
    assert_int_equal(bases[0].commits, 0);
    world_drop(&w);

    world_begin_with(&w, mixed_list, 2, (struct outlet_limits){0}, "-1");
    world_start(&w);
    assert_int_equal(w.quiet, 0);
    world_feed(&w, 5);
    world_finish(&w);
    base_assert(0, 5);
    base_assert(1, 5);
    world_drop(&w);

    memset(bases[1].values, 0, sizeof bases[1].values);
    bases[1].rows = 0;
    world_begin_with(&w, mixed_list, 2, (struct outlet_limits){0}, "-1");
    world_start(&w);
    assert_int_equal(w.quiet, 5);
    world_feed(&w, 5);
    world_finish(&w);
    assert_int_equal(bases[1].rows, 0);
    world_feed(&w, 50);
    world_finish(&w);
    base_assert(0, 50);
    assert_true(bases[1].rows > 30 && bases[1].rows <= 45);
    world_drop(&w);
    bases_forget();
}

static void test_bound(void **state) {
    (void)state;
    struct world w;
    struct error e;
    uint64_t bound;
    const char *sink;
    world_begin(&w, 2, (struct outlet_limits){0}, "-1");
    world_wait_open(&w);
    assert_true(outlet_bound(w.outlet, &bound, &sink, &e));
    assert_true(bound == UINT64_MAX);
    world_drop(&w);
    struct sink_place place = {
        .offset = (char *)"x", .skip = 3, .sequence = 13, .notes = (char *)"{\"start\":\"-1\"}"};
    assert_true(sink_place_set(&bases[1].place, &place));
    bases[1].placed = true;
    world_begin(&w, 2, (struct outlet_limits){0}, "-1");
    world_wait_open(&w);
    assert_true(outlet_bound(w.outlet, &bound, &sink, &e));
    assert_int_equal(bound, 13);
    assert_string_equal(sink, "two");
    world_start(&w);
    assert_int_equal(w.quiet, 0); /* the other one has nothing yet */
    world_drop(&w);
    world_begin(&w, 2, (struct outlet_limits){0}, "5");
    world_wait_open(&w);
    assert_false(outlet_bound(w.outlet, &bound, &sink, &e));
    assert_non_null(strstr(e.message, "numbers: two was filled from the stream read from offset -1"));
    world_drop(&w);
    bases_forget();
}

static void test_end_before_place(void **state) {
    (void)state;
    struct world w;
    struct error e;
    struct sink_place place = {.offset = (char *)"x", .sequence = 13, .notes = (char *)"{\"start\":\"-1\"}"};
    assert_true(sink_place_set(&bases[0].place, &place));
    bases[0].placed = true;
    world_begin(&w, 1, (struct outlet_limits){0}, "-1");
    world_start(&w);
    world_feed(&w, 10);
    assert_true(outlet_check_end(w.outlet, false, &e));
    assert_false(outlet_check_end(w.outlet, true, &e));
    assert_int_equal(e.code, ERROR_CONFLICT);
    world_feed(&w, 13); /* there was more of it */
    assert_true(outlet_check_end(w.outlet, true, &e));
    world_drop(&w);
    world_begin(&w, 1, (struct outlet_limits){0}, "-1");
    world_start(&w);
    world_feed(&w, 11);
    assert_true(outlet_check_end(w.outlet, false, &e));
    assert_true(loop_run_until(w.loop, world_has_failed, &w));
    assert_non_null(strstr(w.failure.message,
                           "numbers: the stream ends after 11 messages, and one has come to message 13"));
    world_drop(&w);
    bases_forget();
}

static uint64_t random_state;

static unsigned random_below(unsigned limit) {
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(random_state >> 33) % limit;
}

struct kept {
    int values[KEYS];
    uint64_t sequence; /* 0: there is no snapshot */
};

static void keep(const struct world *w, struct kept *kept) {
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
    struct world w;
    struct error e;
    struct outlet_limits limits = {.rows = 1 + random_below(12), .every_ms = 100000};
    uint64_t bound;
    const char *sink;
    world_begin(&w, sinks, limits, "-1");
    world_wait_open(&w);
    assert_true(outlet_bound(w.outlet, &bound, &sink, &e));
    if (kept->sequence > 0 && kept->sequence <= bound) {
        w.intake.base = kept->sequence - kept->sequence % 7;
        w.intake.skip = kept->sequence % 7;
        for (int k = 0; k < KEYS; k++) {
            world_store(w.store, (char)('a' + k), kept->values[k]);
        }
    }
    world_start(&w);
    unsigned steps = random_below(400);
    for (unsigned i = 0; i < steps; i++) {
        for (size_t s = 0; s < sinks; s++) {
            if (random_below(10) == 0) {
                bases[s].held = !bases[s].held;
            }
        }
        if (random_below(3) == 0) {
            world_turn(&w);
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
            world_apply(&w, number);
            if (random_below(20) == 0 && outlet_handled(w.outlet)) {
                world_end_chunk(&w, random_below(2) == 0);
            }
        }
        assert_false(w.failed);
    }
    for (size_t s = 0; s < sinks; s++) {
        bases[s].held = false;
        if (bases[s].placed && !strstr(bases[s].place.notes, "partial")) {
            base_assert(s, bases[s].place.sequence); /* exactly what lies before its place, at any time */
        }
    }
    world_drop(&w);
}

static void test_restarts(void **state) {
    (void)state;
    for (unsigned seed = 0; seed < 60; seed++) {
        struct kept kept = {0};
        struct world w;
        random_state = seed;
        unsigned lives = 3 + random_below(10);
        bool snapshots = seed % 2 == 0;
        for (unsigned i = 0; i < lives; i++) {
            live(i < 3 ? 1 : 2, &kept, snapshots, 2000); /* the second sink is added later */
        }
        world_begin(&w, 2, (struct outlet_limits){0}, "-1");
        world_start(&w);
        world_feed(&w, 2000);
        world_finish(&w);
        base_assert(0, 2000);
        base_assert(1, 2000);
        world_drop(&w);
        bases_forget();
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_load),     cmocka_unit_test(test_placeless),
        cmocka_unit_test(test_bound),    cmocka_unit_test(test_end_before_place),
        cmocka_unit_test(test_restarts), cmocka_unit_test(test_handled_while_filled),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
