/* Waits between attempts, and Retry-After. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "stream/backoff.h"

static void test_grows_to_its_cap(void **state) {
    (void)state;
    for (uint64_t seed = 0; seed < 200; seed++) {
        struct backoff b;
        backoff_init(&b, 100, 10000, seed);
        uint64_t ceiling = 100;
        for (int i = 0; i < 20; i++) {
            assert_true(backoff_next(&b, 0) <= ceiling);
            ceiling = ceiling * 2 < 10000 ? ceiling * 2 : 10000;
        }
        backoff_reset(&b);
        assert_true(backoff_next(&b, 0) <= 100);
    }
}

static void test_jitter_is_full_and_repeatable(void **state) {
    (void)state;
    struct backoff a;
    struct backoff b;
    backoff_init(&a, 1000, 1000, 7);
    backoff_init(&b, 1000, 1000, 7);
    unsigned low = 0;
    unsigned high = 0;
    for (int i = 0; i < 1000; i++) {
        uint64_t wait = backoff_next(&a, 0);
        assert_int_equal(wait, backoff_next(&b, 0));
        low += wait < 250;
        high += wait > 750;
    }
    assert_in_range(low, 150, 350);
    assert_in_range(high, 150, 350);
}

static void test_multiplier(void **state) {
    (void)state;
    struct backoff b;
    backoff_init(&b, 100, 250, 1);
    b.multiplier = 1.5;
    const uint64_t ceilings[] = {100, 150, 225, 250, 250};
    for (size_t i = 0; i < sizeof ceilings / sizeof *ceilings; i++) {
        assert_int_equal(b.ceiling_ms, ceilings[i]);
        assert_true(backoff_next(&b, 0) <= ceilings[i]);
    }
}

static void test_floor(void **state) {
    (void)state;
    struct backoff b;
    backoff_init(&b, 100, 1000, 1);
    for (int i = 0; i < 50; i++) {
        assert_in_range(backoff_next(&b, 5000), 5000, 6000);
    }
}

static bool parse(const char *text, uint64_t *ms) {
    return backoff_retry_after(slice_from(text), 784111777, ms); /* 1994-11-06T08:49:37Z */
}

static void test_retry_after(void **state) {
    (void)state;
    uint64_t ms = 1;
    assert_true(parse("0", &ms));
    assert_int_equal(ms, 0);
    assert_true(parse("120", &ms));
    assert_int_equal(ms, 120000);
    assert_true(parse("99999999999999999999999", &ms));
    assert_int_equal(ms, 24 * 60 * 60 * 1000);
    assert_true(parse("Sun, 06 Nov 1994 08:50:07 GMT", &ms));
    assert_int_equal(ms, 30000);
    assert_true(parse("Sun, 06 Nov 1994 08:49:00 GMT", &ms));
    assert_int_equal(ms, 0);
    assert_true(parse("Sunday, 06-Nov-94 08:50:07 GMT", &ms));
    assert_int_equal(ms, 30000);
    assert_true(parse("Sun Nov  6 08:50:07 1994", &ms));
    assert_int_equal(ms, 30000);
    assert_true(parse("Sunday, 06-Nov-45 08:50:07 GMT", &ms)); /* more than fifty years ahead: 1945 */
    assert_int_equal(ms, 0);
    ms = 42;
    static const char *const wrong[] = {"",
                                        "-1",
                                        "1.5",
                                        "soon",
                                        "Sun, 06 Nov 1994 08:50:07 CET",
                                        "Sun, 06 Abc 1994 08:50:07 GMT",
                                        "Sun, 06 Nov 1994 08:50:07 GMT x",
                                        "Sun, 06 Nov 1994 25:50:07 GMT",
                                        "Sunday, 06-Nov-94 08:50:07 CET",
                                        "Sun Nov 36 08:50:07 1994",
                                        "06 Nov 1994"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_false(parse(wrong[i], &ms));
    }
    assert_false(backoff_retry_after((struct slice){0}, 0, &ms));
    assert_int_equal(ms, 42);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_grows_to_its_cap), cmocka_unit_test(test_jitter_is_full_and_repeatable),
        cmocka_unit_test(test_multiplier),       cmocka_unit_test(test_floor),
        cmocka_unit_test(test_retry_after),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
