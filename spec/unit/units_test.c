/* base/units: durations and sizes as people write them. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/units.h"

static void takes_durations(void **state) {
    (void)state;
    static const struct {
        const char *text;
        uint64_t ms;
    } rows[] = {{"500ms", 500},
                {"30s", 30000},
                {"5m", 300000},
                {"2h", 7200000},
                {"1.5s", 1500},
                {"0s", 0},
                {"0.25ms", 0},
                {"0.5ms", 1},
                {"007s", 7000},
                {"2H", 7200000},
                {"8784h", UINT64_C(31622400000)},
                {"0.1s", 100},
                {"1.s", 1000}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        uint64_t ms = 99;
        if (!units_duration(rows[i].text, &ms) || ms != rows[i].ms) {
            fail_msg("%s gives %llu", rows[i].text, (unsigned long long)ms);
        }
    }
}

static void refuses_what_is_no_duration(void **state) {
    (void)state;
    static const char *const rows[] = {"",       "s",     "30",  "-1s",   "+1s",
                                       "1 s",    " 1s",   "1s ", "1e3s",  "0x1s",
                                       "1.2.3s", ".5s",   "1d",  "8785h", "99999999999999999999999h",
                                       "1ss",    "inf s", "nan", "1,5s"};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        uint64_t ms = 99;
        if (units_duration(rows[i], &ms) || ms != 99) {
            fail_msg("\"%s\" gives %llu", rows[i], (unsigned long long)ms);
        }
    }
}

/* So many digits that their value is no number any more. */
static void refuses_endless_digits(void **state) {
    (void)state;
    char text[1000];
    uint64_t ms = 99;
    size_t bytes = 99;
    memset(text, '9', sizeof text);
    memcpy(text + sizeof text - 3, "ms", 3);
    assert_false(units_duration(text, &ms));
    text[500] = '.';
    assert_false(units_duration(text, &ms));
    memcpy(text + sizeof text - 3, "KB", 3);
    assert_false(units_size(text, &bytes));
    assert_int_equal(ms, 99);
    assert_int_equal(bytes, 99);
}

static void takes_sizes(void **state) {
    (void)state;
    static const struct {
        const char *text;
        size_t bytes;
    } rows[] = {{"0", 0},        {"512", 512},       {"512B", 512},
                {"64KB", 65536}, {"10MB", 10 << 20}, {"1GB", 1 << 30},
                {"1.5KB", 1536}, {"1kb", 1024},      {"8000000GB", (size_t)8000000 << 30},
                {"0.5", 0}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        size_t bytes = 99;
        bool ok = units_size(rows[i].text, &bytes);
        if (!ok || bytes != rows[i].bytes) {
            fail_msg("%s gives %zu", rows[i].text, bytes);
        }
    }
    static const char *const bad[] = {"", "KB", "-1", "1TB", "1 KB", "1e3", "10K", "99999999GB"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        size_t bytes = 99;
        if (units_size(bad[i], &bytes) || bytes != 99) {
            fail_msg("\"%s\" gives %zu", bad[i], bytes);
        }
    }
}

static void takes_seconds(void **state) {
    (void)state;
    uint64_t ms;
    assert_true(units_seconds(0, &ms) && ms == 0);
    assert_true(units_seconds(1.5, &ms) && ms == 1500);
    assert_true(units_seconds(0.0004, &ms) && ms == 0);
    assert_true(units_seconds(366.0 * 24 * 3600, &ms));
    assert_false(units_seconds(-0.001, &ms));
    assert_false(units_seconds(366.0 * 24 * 3600 + 1, &ms));
    assert_false(units_seconds((double)NAN, &ms));
    assert_false(units_seconds((double)INFINITY, &ms));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_durations),        cmocka_unit_test(refuses_what_is_no_duration),
        cmocka_unit_test(refuses_endless_digits), cmocka_unit_test(takes_sizes),
        cmocka_unit_test(takes_seconds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
