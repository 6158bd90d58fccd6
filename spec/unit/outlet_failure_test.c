/* worker/outlet: sinks that fail, rows and streams that are refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "outlet_world.h"

static void test_failures(void **state) {
    (void)state;
    struct world w;
    struct error e;
    bases[0].refuses_to_open = true;
    world_begin(&w, 2, (struct outlet_limits){0}, "-1");
    world_wait_open(&w);
    assert_true(w.failed && !w.opened);
    assert_string_equal(w.failure.message, "one: cannot be opened");
    assert_true(outlet_settled(w.outlet));
    world_drop(&w);
    bases_forget();

    bases[0].fails_in = 2;
    world_begin(&w, 1, (struct outlet_limits){.rows = 1}, "-1");
    world_start(&w);
    while (!w.failed) {
        if (outlet_handled(w.outlet)) {
            w.intake.taken++;
            world_apply(&w, w.intake.taken - 1);
        }
        world_turn(&w);
    }
    assert_string_equal(w.failure.message, "one: the disk is full");
    assert_true(outlet_settled(w.outlet) && outlet_has_failed(w.outlet));
    assert_false(outlet_handled(w.outlet));
    world_drop(&w);
    bases_forget();

    world_begin(&w, 1, (struct outlet_limits){.batch = 20}, "-1");
    world_start(&w);
    assert_false(outlet_put(w.outlet, SINK_PUT, SLICE("t"), SLICE("a"), SLICE("\"longer than twenty\""), &e));
    assert_int_equal(e.code, ERROR_LIMIT);
    world_drop(&w);
    bases_forget();
}

static void test_wrong_setting(void **state) {
    (void)state;
    struct world w = {.loop = NULL};
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
    bases_forget();
}

static void test_refused(void **state) {
    (void)state;
    struct world w;
    bases[0].refused = 5;
    world_begin(&w, 1, (struct outlet_limits){0}, "-1");
    w.pass_refused = true;
    world_start(&w);
    world_feed(&w, 8);
    world_finish(&w);
    assert_int_equal(w.refusals, 1);
    assert_int_equal(bases[0].place.sequence, 8);
    world_drop(&w);
    bases_forget();

    bases[0].refused = 5;
    world_begin(&w, 1, (struct outlet_limits){0}, "-1");
    world_start(&w);
    world_feed(&w, 8);
    outlet_handled(w.outlet);
    outlet_flush(w.outlet);
    assert_true(loop_run_until(w.loop, world_has_failed, &w));
    assert_string_equal(w.failure.message, "one: a row was refused");
    world_drop(&w);
    bases_forget();
}

/* A stream that was made anew, and has more messages by now than there were before the sink's place. */
static void test_other_stream(void **state) {
    (void)state;
    for (int other = 0; other < 2; other++) {
        struct world w;
        world_begin(&w, 1, (struct outlet_limits){0}, "-1");
        world_start(&w);
        world_feed(&w, 8);
        world_finish(&w);
        world_drop(&w);

        world_begin(&w, 1, (struct outlet_limits){0}, "-1");
        w.is_other = other;
        uint64_t bound;
        const char *sink;
        struct error e;
        world_wait_open(&w);
        assert_true(outlet_bound(w.outlet, &bound, &sink, &e));
        world_start(&w);
        world_feed(&w, 8);
        assert_int_equal(outlet_handled(w.outlet), !other);
        assert_true(loop_run_until(w.loop, world_is_settled, &w));
        if (other) {
            assert_true(loop_run_until(w.loop, world_has_failed, &w));
            assert_non_null(
                strstr(w.failure.message, "the first 8 messages of the stream are not those that one was"));
        }
        base_assert(0, 8);
        world_drop(&w);
        bases_forget();
    }
}

static bool has_refused(void *arg) {
    return ((struct world *)arg)->refusals > 0;
}

/* The letter of a refused row is stored later than the sink has found it: the place waits for that. */
static void test_letters(void **state) {
    (void)state;
    for (int lost = 0; lost < 2; lost++) {
        struct world w;
        bases[0].refused = 5;
        world_begin(&w, 2, (struct outlet_limits){0}, "-1");
        w.pass_refused = w.letters_wait = true;
        world_start(&w);
        world_feed(&w, 8);
        outlet_handled(w.outlet);
        outlet_flush(w.outlet);
        assert_true(loop_run_until(w.loop, has_refused, &w));
        assert_false(bases[0].placed);
        assert_false(outlet_settled(w.outlet));
        struct error e;
        error_set(&e, ERROR_SYSTEM, "the letters are lost");
        w.letters_wait = lost;
        outlet_letters_settled(w.outlet, lost ? &e : NULL);
        assert_true(loop_run_until(w.loop, world_is_settled, &w));
        assert_int_equal(bases[0].placed, !lost);
        assert_int_equal(w.failed, lost);
        assert_int_equal(w.refusals, 1);
        world_drop(&w);
        bases_forget();
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_failures), cmocka_unit_test(test_wrong_setting),
        cmocka_unit_test(test_refused),  cmocka_unit_test(test_other_stream),
        cmocka_unit_test(test_letters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
