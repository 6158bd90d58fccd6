/* json/merge. Linked with its allocations wrapped, so that they can be made to fail. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "exact.h"
#include "memory.h"
#include "json/merge.h"
#include "json/scan.h"

struct merge_row {
    struct slice target, patch, result;
};

#define ROW(target, patch, result)                                                                           \
    { TEXT(target), TEXT(patch), TEXT(result) }

static void merge_gives(const struct merge_row *row) {
    struct buf out;
    struct error e;
    buf_init(&out, 1 << 20);
    assert_true(buf_append_text(&out, "before "));
    struct slice target = row->target.ptr ? exact(row->target) : row->target;
    struct slice patch = exact(row->patch);
    assert_true(json_merge_patch(&out, target, patch, &e));
    struct slice got = slice_of(out.ptr + 7, out.len - 7);
    if (!slice_equal(got, row->result)) {
        fail_msg("%.*s + %.*s gave %.*s", (int)row->target.len, row->target.ptr, (int)row->patch.len,
                 row->patch.ptr, (int)got.len, got.ptr);
    }
    assert_true(json_check(got, &e));
    free((void *)target.ptr);
    free((void *)patch.ptr);
    buf_free(&out);
}

static void merges_as_rfc_7396_appendix_a(void **state) {
    (void)state;
    static const struct merge_row rows[] = {
        ROW("{\"a\":\"b\"}", "{\"a\":\"c\"}", "{\"a\":\"c\"}"),
        ROW("{\"a\":\"b\"}", "{\"b\":\"c\"}", "{\"a\":\"b\",\"b\":\"c\"}"),
        ROW("{\"a\":\"b\"}", "{\"a\":null}", "{}"),
        ROW("{\"a\":\"b\",\"b\":\"c\"}", "{\"a\":null}", "{\"b\":\"c\"}"),
        ROW("{\"a\":[\"b\"]}", "{\"a\":\"c\"}", "{\"a\":\"c\"}"),
        ROW("{\"a\":\"c\"}", "{\"a\":[\"b\"]}", "{\"a\":[\"b\"]}"),
        ROW("{\"a\":{\"b\":\"c\"}}", "{\"a\":{\"b\":\"d\",\"c\":null}}", "{\"a\":{\"b\":\"d\"}}"),
        ROW("{\"a\":[{\"b\":\"c\"}]}", "{\"a\":[1]}", "{\"a\":[1]}"),
        ROW("[\"a\",\"b\"]", "[\"c\",\"d\"]", "[\"c\",\"d\"]"),
        ROW("{\"a\":\"b\"}", "[\"c\"]", "[\"c\"]"),
        ROW("{\"a\":\"foo\"}", "null", "null"),
        ROW("{\"a\":\"foo\"}", "\"bar\"", "\"bar\""),
        ROW("{\"e\":null}", "{\"a\":1}", "{\"e\":null,\"a\":1}"),
        ROW("[1,2]", "{\"a\":\"b\",\"c\":null}", "{\"a\":\"b\"}"),
        ROW("{}", "{\"a\":{\"bb\":{\"ccc\":null}}}", "{\"a\":{\"bb\":{}}}"),
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        merge_gives(&rows[i]);
    }
}

static void merges_text_as_it_is(void **state) {
    (void)state;
    static const struct merge_row rows[] = {
        ROW("{\"a\":1.10,\"b\":12345678901234567890,\"c\":1E+2}", "{\"d\":2.50}",
            "{\"a\":1.10,\"b\":12345678901234567890,\"c\":1E+2,\"d\":2.50}"),
        ROW("{\"a\":{\"x\":1.0,\"y\":\"\\u0041\"},\"b\":[1 , 2]}", "{\"a\":{\"x\":-0}}",
            "{\"a\":{\"x\":-0,\"y\":\"\\u0041\"},\"b\":[1 , 2]}"),
        ROW(" { \"a\" : 1 , \"b\" : 2 } ", "\n{ \"c\" : { \"d\" : null , \"e\" : 3 } }\n",
            "{\"a\":1,\"b\":2,\"c\":{\"e\":3}}"),
        ROW("{}", " [ null ] ", "[ null ]"),
        ROW("{\"a\":1}", "{}", "{\"a\":1}"),
        ROW("{\"a\":1}", "{\"b\":[null,{\"c\":null}]}", "{\"a\":1,\"b\":[null,{\"c\":null}]}"),
        ROW("{\"z\":1,\"y\":2,\"x\":3}", "{\"w\":4,\"y\":5,\"a\":6}",
            "{\"z\":1,\"y\":5,\"x\":3,\"w\":4,\"a\":6}"),
        ROW("{\"a\":1}", "{\"\\u0061\":2}", "{\"a\":2}"),
        ROW("{\"\\u0061\":1}", "{\"a\":null}", "{}"),
        ROW("{\"a\\n\":{\"b\":1}}", "{\"a\\u000a\":{\"c\":2}}", "{\"a\\n\":{\"b\":1,\"c\":2}}"),
        ROW("{\"a\":1,\"b\":2,\"a\":3}", "{\"c\":4}", "{\"b\":2,\"a\":3,\"c\":4}"),
        ROW("{\"a\":1,\"a\":{\"x\":1}}", "{\"a\":{\"y\":2}}", "{\"a\":{\"x\":1,\"y\":2}}"),
        ROW("{\"a\":{\"x\":1},\"a\":1}", "{\"a\":{\"y\":2}}", "{\"a\":{\"y\":2}}"),
        ROW("{\"a\":1}", "{\"a\":2,\"a\":null}", "{}"),
        ROW("{\"a\":1}", "{\"a\":null,\"\\u0061\":2}", "{\"a\":2}"),
        ROW("{}", "{\"a\":{\"b\":1},\"a\":2}", "{\"a\":2}"),
        ROW("{\"\":1}", "{\"\":null,\"b\":1}", "{\"b\":1}"),
        ROW("null", "{\"a\":{\"b\":null}}", "{\"a\":{}}"),
        {{NULL, 0}, TEXT("{\"a\":{\"b\":null,\"c\":1},\"d\":null}"), TEXT("{\"a\":{\"c\":1}}")},
        {{NULL, 0}, TEXT("{}"), TEXT("{}")},
        {{NULL, 0}, TEXT("7"), TEXT("7")},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        merge_gives(&rows[i]);
    }
}

static void merge_stops_at_the_cap(void **state) {
    (void)state;
    struct slice target = SLICE("{\"a\":1,\"b\":{\"c\":[1,2,3]}}");
    struct slice patch = SLICE("{\"b\":{\"d\":\"\\n\"},\"\\u0065\":2}");
    struct slice result = SLICE("{\"a\":1,\"b\":{\"c\":[1,2,3],\"d\":\"\\n\"},\"\\u0065\":2}");
    struct error e;
    for (size_t cap = 0; cap <= result.len + 2; cap++) {
        struct buf out;
        buf_init(&out, cap + 3);
        assert_true(buf_append_text(&out, "abc"));
        bool ok = json_merge_patch(&out, target, patch, &e);
        assert_int_equal(ok, cap >= result.len);
        assert_true(ok || (e.code == ERROR_LIMIT && slice_is(buf_slice(&out), "abc")));
        buf_free(&out);
    }
}

/* {"name":{"name":...{"leaf":1}...}} */
static struct buf tower(size_t depth, struct slice leaf) {
    struct buf text;
    buf_init(&text, 64 << 20);
    for (size_t i = 1; i < depth; i++) {
        assert_true(buf_append_text(&text, "{\"a\":"));
    }
    assert_true(buf_append_slice(&text, leaf));
    for (size_t i = 1; i < depth; i++) {
        assert_true(buf_append_byte(&text, '}'));
    }
    return text;
}

/* Every allocation fails once: an error, nothing lost, nothing appended. */
static void merge_survives_failing_memory(void **state) {
    (void)state;
    struct slice target = SLICE("{\"\\u0061\":{\"b\":1},\"c\":{\"d\":{}},\"e\":2}");
    struct slice patch = SLICE("{\"a\":{\"b\":null,\"\\n\":3},\"c\":{\"d\":{\"x\":1}}}");
    struct error e = {0};
    bool ok = false;
    long failing = 0;
    while (!ok) {
        struct buf out;
        buf_init(&out, 1000);
        memory_left = failing++;
        ok = json_merge_patch(&out, target, patch, &e);
        memory_left = -1;
        assert_true(ok || (e.code == ERROR_MEMORY && out.len == 0));
        buf_free(&out);
    }
    assert_true(failing > 10);
}

static double seconds_of_merge(struct slice target, struct slice patch, size_t *len) {
    struct buf out;
    struct error e;
    buf_init(&out, 128 << 20);
    clock_t start = clock();
    assert_true(json_merge_patch(&out, target, patch, &e));
    double seconds = (double)(clock() - start) / CLOCKS_PER_SEC;
    assert_true(json_check(buf_slice(&out), &e));
    *len = out.len;
    buf_free(&out);
    return seconds;
}

static struct buf members(size_t count, const char *form) {
    struct buf text;
    buf_init(&text, 64 << 20);
    for (size_t i = 0; i < count; i++) {
        assert_true(buf_append_byte(&text, i ? ',' : '{'));
        assert_true(buf_printf(&text, "\"%06zu\":", i * 7919 % count));
        assert_true(buf_append_text(&text, form));
    }
    assert_true(buf_append_byte(&text, '}'));
    return text;
}

/* The limits are far above what is needed and far below what a quadratic merge would take. */
static void merge_is_quick_for_hostile_texts(void **state) {
    (void)state;
    enum { MANY = 100000 };
    size_t len;
    struct buf target = members(MANY, "1");
    struct buf patch = members(MANY, "2");
    struct buf nothing = members(MANY, "null");
    double seconds = seconds_of_merge(buf_slice(&target), buf_slice(&patch), &len);
    assert_int_equal(len, target.len);
    seconds += seconds_of_merge(buf_slice(&target), buf_slice(&nothing), &len);
    assert_int_equal(len, 2);
    seconds += seconds_of_merge(SLICE("{}"), buf_slice(&patch), &len);
    assert_int_equal(len, patch.len);
    print_message("three merges of %d members: %.3f s\n", MANY, seconds);
    assert_true(seconds < 5);
    buf_free(&nothing);

    /* A wide object below many levels. */
    struct buf deep = tower(JSON_DEPTH_MAX, buf_slice(&target));
    struct buf deep_patch = tower(JSON_DEPTH_MAX, buf_slice(&patch));
    seconds = seconds_of_merge(buf_slice(&deep), buf_slice(&deep_patch), &len);
    assert_int_equal(len, deep.len);
    print_message("%zu bytes below 1000 levels: %.3f s\n", deep.len, seconds);
    assert_true(seconds < 5);
    buf_free(&deep);
    buf_free(&deep_patch);
    buf_free(&target);
    buf_free(&patch);

    /* One name, many times. */
    struct buf same;
    buf_init(&same, 64 << 20);
    for (size_t i = 0; i < MANY; i++) {
        assert_true(buf_append_text(&same, i ? ",\"\\u0061\":{\"b\":1}" : "{\"a\":1"));
    }
    assert_true(buf_append_byte(&same, '}'));
    seconds = seconds_of_merge(buf_slice(&same), buf_slice(&same), &len);
    assert_int_equal(len, sizeof "{\"\\u0061\":{\"b\":1}}" - 1);
    print_message("one name %d times: %.3f s\n", MANY, seconds);
    assert_true(seconds < 5);
    buf_free(&same);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(merges_as_rfc_7396_appendix_a),    cmocka_unit_test(merges_text_as_it_is),
        cmocka_unit_test(merge_stops_at_the_cap),           cmocka_unit_test(merge_survives_failing_memory),
        cmocka_unit_test(merge_is_quick_for_hostile_texts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
