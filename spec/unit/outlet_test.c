/* worker/outlet: group commits, and when they are. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "outlet_world.h"

static void test_group(void **state) {
    (void)state;
    struct world w;
    world_begin(&w, 1, (struct outlet_limits){.rows = 10}, "-1");
    world_start(&w);
    world_feed(&w, 200);
    world_finish(&w);
    base_assert(0, 200);
    assert_true(bases[0].most <= 10 && bases[0].commits >= 14 && bases[0].commits < 25);
    world_drop(&w);
    bases_forget();
}

static void test_bytes(void **state) {
    (void)state;
    struct world w;
    world_begin(&w, 1, (struct outlet_limits){.bytes = 20}, "-1");
    world_start(&w);
    world_feed(&w, 200);
    world_finish(&w);
    base_assert(0, 200);
    assert_true(bases[0].most <= 11 && bases[0].commits > 20);
    world_drop(&w);
    bases_forget();
}

static bool has_committed(void *arg) {
    (void)arg;
    return bases[0].commits > 0;
}

static void test_time(void **state) {
    (void)state;
    struct world w;
    world_begin(&w, 1, (struct outlet_limits){.every_ms = 5}, "-1");
    world_start(&w);
    world_feed(&w, 20);
    assert_true(outlet_handled(w.outlet));
    w.intake.taken++; /* one is under way: it is not committed */
    world_apply(&w, 20);
    assert_true(loop_run_until(w.loop, has_committed, &w));
    base_assert(0, 20);
    assert_true(outlet_handled(w.outlet));
    world_finish(&w);
    base_assert(0, 21);
    world_drop(&w);
    bases_forget();
}

static void test_tail(void **state) {
    (void)state;
    struct world w;
    world_begin(&w, 1, (struct outlet_limits){0}, "-1");
    world_start(&w);
    world_feed(&w, 5);
    world_end_chunk(&w, true);
    assert_true(outlet_handled(w.outlet));
    assert_true(loop_run_until(w.loop, world_is_settled, &w));
    base_assert(0, 5);
    assert_string_equal(bases[0].place.offset, "after 5");
    assert_memory_equal(bases[0].place.notes, "{\"start\":\"-1\",\"digest\":\"", 24);
    bases[0].held = true;
    world_feed(&w, 7);
    world_end_chunk(&w, true);
    assert_true(outlet_handled(w.outlet));
    world_feed(&w, 9);
    world_end_chunk(&w, true);
    assert_true(outlet_handled(w.outlet)); /* while the commit before is under way, they gather */
    base_assert(0, 5);
    world_drop(&w);
    bases_forget();
}

static void test_backpressure(void **state) {
    (void)state;
    struct world w;
    world_begin(&w, 1, (struct outlet_limits){.rows = 1}, "-1");
    world_start(&w);
    bases[0].held = true;
    uint64_t fed = 0;
    while (outlet_handled(w.outlet) && fed < 100) {
        world_apply(&w, fed++);
        w.intake.taken++;
    }
    assert_true(fed > 1 && fed < 100);
    assert_false(outlet_settled(w.outlet));
    bases[0].held = false;
    world_drop(&w);
    bases_forget();
}

/* What is under way when it ends is dropped, what was handled is committed. */
static void test_stop(void **state) {
    (void)state;
    struct world w;
    struct error e;
    world_begin(&w, 1, (struct outlet_limits){0}, "-1");
    world_start(&w);
    world_feed(&w, 9);
    assert_true(outlet_handled(w.outlet));
    w.intake.taken++;
    assert_true(outlet_put(w.outlet, SINK_PUT, SLICE("t"), SLICE("a"), SLICE("999"), &e));
    assert_int_equal(outlet_pending(w.outlet), 1);
    outlet_stop(w.outlet);
    assert_false(outlet_settled(w.outlet));
    assert_true(loop_run_until(w.loop, world_is_settled, &w));
    base_assert(0, 9);
    assert_int_equal(outlet_reached(w.outlet), 9);
    world_drop(&w);
    bases_forget();
}

static void test_drop(void **state) {
    (void)state;
    struct world w;
    struct error e;
    struct slice none = {0};
    world_begin(&w, 1, (struct outlet_limits){0}, "-1");
    world_start(&w);
    w.intake.taken++;
    assert_true(outlet_put(w.outlet, SINK_EMIT, none, SLICE("one"), SLICE("first"), &e));
    size_t kept = outlet_pending(w.outlet);
    assert_true(outlet_put(w.outlet, SINK_EMIT, none, SLICE("one"), SLICE("second"), &e));
    assert_true(outlet_put(w.outlet, SINK_EMIT, none, SLICE("other"), SLICE("third"), &e));
    outlet_drop(w.outlet, kept);
    world_finish(&w);
    assert_int_equal(bases[0].emitted, 1);
    assert_string_equal(bases[0].last_emitted, "first");
    world_drop(&w);
    bases_forget();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_group), cmocka_unit_test(test_bytes),        cmocka_unit_test(test_time),
        cmocka_unit_test(test_tail),  cmocka_unit_test(test_backpressure), cmocka_unit_test(test_stop),
        cmocka_unit_test(test_drop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
