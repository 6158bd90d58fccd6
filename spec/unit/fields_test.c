/* Request fields, retry options and base64: the small pure parts of the stream room. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "stream/base64.h"
#include "stream/fields.h"
#include "stream/retry.h"

static void test_fields(void **state) {
    (void)state;
    struct fields a;
    struct fields b;
    struct error e;
    fields_init(&a);
    fields_init(&b);
    const struct http_field list[] = {
        {SLICE("A"), SLICE("1")}, {SLICE("B"), SLICE("2")}, {SLICE("a"), SLICE("3")}};
    assert_true(fields_headers(&a, list, 3, &e));
    assert_int_equal(a.header_count, 2);
    assert_true(slice_is(a.headers[0].name, "a") && slice_is(a.headers[0].value, "3"));
    assert_true(fields_default(&a, "b", SLICE("no"), &e) && fields_default(&a, "C", SLICE(""), &e));
    assert_int_equal(a.header_count, 3);
    assert_true(slice_is(a.headers[1].value, "2"));
    assert_true(fields_param(&a, SLICE("p"), SLICE("1"), &e) && fields_param(&a, SLICE("P"), SLICE("2"), &e));
    assert_true(fields_param(&a, SLICE("p"), (struct slice){0}, &e));
    assert_int_equal(a.param_count, 2);
    assert_null(a.params[0].value.ptr);
    assert_true(fields_add(&b, &a, &e));
    fields_free(&a);
    assert_int_equal(b.header_count, 3);
    assert_true(slice_is(b.headers[2].name, "C") && b.headers[2].value.len == 0);
    assert_string_equal(b.params[1].name, "P");
    assert_true(slice_is(b.params[1].value, "2"));
    fields_free(&b);
}

static void test_many_fields(void **state) {
    (void)state;
    struct fields a;
    struct error e;
    char name[16];
    fields_init(&a);
    for (int i = 0; i < 100; i++) {
        snprintf(name, sizeof name, "n%d", i);
        assert_true(fields_header(&a, slice_from(name), slice_from(name), &e));
        assert_true(fields_param(&a, slice_from(name), slice_from(name), &e));
    }
    assert_int_equal(a.header_count, 100);
    assert_true(slice_is(a.headers[99].value, "n99") && slice_is(a.params[99].value, "n99"));
    fields_free(&a);
}

static void decode(const char *text, const char *expected) {
    struct buf out;
    struct error e;
    buf_init(&out, 1024);
    buf_append_text(&out, "-");
    bool ok = base64_decode(&out, slice_from(text), &e);
    if (ok != (expected != NULL)) {
        fail_msg("\"%s\": %s", text, ok ? "decoded" : e.message);
    }
    if (!ok) {
        assert_int_equal(e.code, ERROR_SYNTAX);
    }
    assert_true(slice_equal(slice_of(out.ptr + 1, out.len - 1), slice_from(expected ? expected : "")));
    buf_free(&out);
}

static void test_base64(void **state) {
    (void)state;
    decode("", "");
    decode("YQ==", "a");
    decode("YWI=", "ab");
    decode("YWJj", "abc");
    decode("Y\nW\r\nJj\n", "abc");
    decode("Pz8/Pj4+", "\?\?\?>>>");
    static const char *const wrong[] = {
        "Y", "YQ", "YQ=", "Y===", "====", "YQ==YQ==", "YQ=a", "Y WJ", "Yw-_", "YQ\0="};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        decode(wrong[i], NULL);
    }
    struct buf out;
    struct error e;
    buf_init(&out, 2);
    assert_false(base64_decode(&out, SLICE("YWJj"), &e));
    buf_free(&out);
}

static void refused(struct retry retry, const char *name) {
    struct error e;
    assert_false(retry_check(&retry, &e));
    assert_int_equal(e.code, ERROR_ARGUMENT);
    assert_non_null(strstr(e.message, name));
}

static void test_retry_options(void **state) {
    (void)state;
    struct error e;
    struct retry good = retry_default();
    assert_true(retry_check(&good, &e));
    good.max_retries = 0;
    good.max_ms = good.first_ms;
    good.multiplier = 1;
    assert_true(retry_check(&good, &e));
    struct retry bad = good;
    bad.max_retries = -1;
    refused(bad, "maxRetries");
    bad = good;
    bad.first_ms = 0;
    refused(bad, "initialDelayMs");
    bad = good;
    bad.max_ms = bad.first_ms - 1;
    refused(bad, "maxDelayMs");
    bad = good;
    bad.multiplier = 0.99;
    refused(bad, "multiplier");
    bad.multiplier = 0.0 / 0.0;
    refused(bad, "multiplier");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fields),
        cmocka_unit_test(test_many_fields),
        cmocka_unit_test(test_base64),
        cmocka_unit_test(test_retry_options),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
