/* json/compact. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "exact.h"
#include "json/compact.h"
#include "json/scan.h"

static void check(const char *text, const char *expected) {
    struct buf out;
    struct slice copy = exact(slice_from(text));
    assert_true(json_check(copy, NULL));
    buf_init(&out, 4096);
    assert_true(buf_append_text(&out, "before"));
    assert_true(json_compact(&out, copy));
    assert_int_equal(out.len, strlen(expected) + 6);
    assert_memory_equal(out.ptr, "before", 6);
    assert_memory_equal(out.ptr + 6, expected, strlen(expected));
    buf_free(&out);
    free((void *)copy.ptr);
}

static void test_white_space_goes(void **state) {
    (void)state;
    check("1", "1");
    check(" \r\n\t1 \r\n\t", "1");
    check("{ }", "{}");
    check("[\n]", "[]");
    check("[ 1 ,\r\n 2\t,[ ] , { \"a\" : null } ]", "[1,2,[],{\"a\":null}]");
    check("{\n  \"a\": 1,\n  \"b\": [true, false]\n}\n", "{\"a\":1,\"b\":[true,false]}");
}

static void test_strings_and_numbers_stay(void **state) {
    (void)state;
    check("[1.50, -0.0, 1E+05, 123456789012345678901234567890]",
          "[1.50,-0.0,1E+05,123456789012345678901234567890]");
    check("{\" a \\\" b \" : \" \\\\\" , \"\\\\\\\" \":\"  \"}",
          "{\" a \\\" b \":\" \\\\\",\"\\\\\\\" \":\"  \"}");
    check("\"\\n \\u0020 \\ud800\"", "\"\\n \\u0020 \\ud800\"");
    check("[ \"ä €  𝄞\" ]", "[\"ä €  𝄞\"]");
}

static void test_cap(void **state) {
    (void)state;
    struct buf out;
    buf_init(&out, 5);
    assert_true(json_compact(&out, SLICE("[1 ]")));
    assert_int_equal(out.len, 3);
    assert_false(json_compact(&out, SLICE("[ 1 ]")));
    assert_int_equal(out.len, 3);
    buf_free(&out);
}

/* Whatever comes out is the same when it goes in again, and no longer. */
static void test_every_cut_of_space(void **state) {
    (void)state;
    static const char *const tokens[] = {"{", "\"a b\"", ":", "[", "1.0", ",", "\"\\\"\"", "]", "}"};
    static const char *const spaces[] = {"", " ", "\n", "\r\n\t "};
    enum { TOKENS = sizeof tokens / sizeof *tokens };
    for (unsigned mask = 0; mask < 1u << (2 * TOKENS); mask += 7) {
        struct buf text;
        struct buf out;
        buf_init(&text, 4096);
        buf_init(&out, 4096);
        for (unsigned i = 0; i < TOKENS; i++) {
            assert_true(buf_append_text(&text, tokens[i]));
            assert_true(buf_append_text(&text, spaces[(mask >> (2 * i)) & 3]));
        }
        assert_true(json_compact(&out, buf_slice(&text)));
        assert_true(slice_is(buf_slice(&out), "{\"a b\":[1.0,\"\\\"\"]}"));
        buf_free(&out);
        buf_free(&text);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_white_space_goes),
        cmocka_unit_test(test_strings_and_numbers_stay),
        cmocka_unit_test(test_cap),
        cmocka_unit_test(test_every_cut_of_space),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
