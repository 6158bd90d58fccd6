/* base/buf: its cap, and memory that fails. Linked with its allocations wrapped. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "memory.h"

static void appends(void **state) {
    (void)state;
    struct buf b;
    buf_init(&b, 1000);
    assert_null(b.ptr);
    assert_non_null(buf_slice(&b).ptr);
    assert_int_equal(buf_slice(&b).len, 0);
    assert_true(buf_append(&b, NULL, 0));
    assert_null(b.ptr);
    assert_true(buf_append(&b, "a\0b", 3));
    assert_true(buf_append_text(&b, "cd"));
    assert_true(buf_append_byte(&b, 'e'));
    assert_true(buf_append_slice(&b, SLICE("fg")));
    assert_true(buf_printf(&b, "%s-%d", "h", 42));
    assert_true(slice_equal(buf_slice(&b), SLICE("a\0bcdefgh-42")));
    buf_consume(&b, 0);
    buf_consume(&b, 3);
    assert_true(slice_is(buf_slice(&b), "cdefgh-42"));
    buf_consume(&b, 9);
    assert_int_equal(b.len, 0);
    assert_true(buf_append_text(&b, "xyz"));
    buf_consume(&b, 1000);
    assert_int_equal(b.len, 0);
    buf_free(&b);
    assert_int_equal(b.max, 1000);
    assert_true(buf_append_byte(&b, 'a'));
    buf_clear(&b);
    assert_int_equal(b.len, 0);
    buf_free(&b);
}

static void never_passes_its_cap(void **state) {
    (void)state;
    struct error e;
    struct buf b;
    buf_init(&b, 10);
    assert_false(buf_reserve(&b, 11));
    assert_false(buf_reserve(&b, SIZE_MAX));
    assert_true(buf_append(&b, "0123456789", 10));
    assert_int_equal(b.cap, 10);
    assert_false(buf_append_byte(&b, 'x'));
    assert_false(buf_reserve(&b, 1));
    assert_false(buf_reserve(&b, SIZE_MAX));
    assert_true(buf_reserve(&b, 0));
    assert_false(buf_error(&b, &e, "the thing", "raise limits.thing"));
    assert_int_equal(e.code, ERROR_LIMIT);
    assert_string_equal(e.message, "the thing would pass its cap of 10 bytes: raise limits.thing");
    assert_true(slice_is(buf_slice(&b), "0123456789"));
    buf_consume(&b, 5);
    assert_true(buf_append_text(&b, "abcde"));
    assert_true(slice_is(buf_slice(&b), "56789abcde"));
    buf_free(&b);
    /* A print needs room for its NUL, and is not cut. */
    buf_init(&b, 5);
    assert_false(buf_printf(&b, "%d", 12345));
    assert_int_equal(b.len, 0);
    assert_true(buf_printf(&b, "%d", 1234));
    buf_free(&b);
    buf_init(&b, 0);
    assert_false(buf_append_byte(&b, 'x'));
    assert_true(buf_reserve(&b, 0));
    buf_free(&b);
}

/* However little is in it, and however large what does not fit. */
static void tells_its_cap_from_memory(void **state) {
    (void)state;
    static const char bytes[1000];
    struct error e;
    struct buf b;
    buf_init(&b, 600);
    assert_false(buf_append(&b, bytes, 601));
    assert_false(buf_error(&b, &e, "it", NULL));
    assert_int_equal(e.code, ERROR_LIMIT);
    assert_true(buf_append(&b, bytes, 10));
    assert_false(buf_append(&b, bytes, 591));
    assert_false(buf_error(&b, &e, "it", NULL));
    assert_int_equal(e.code, ERROR_LIMIT);
    memory_left = 0;
    assert_false(buf_append(&b, bytes, 590));
    memory_left = -1;
    assert_false(buf_error(&b, &e, "it", NULL));
    assert_int_equal(e.code, ERROR_MEMORY);
    assert_true(buf_append(&b, bytes, 500));
    memory_left = 0;
    assert_false(buf_append(&b, bytes, 90));
    memory_left = -1;
    assert_false(buf_error(&b, &e, "it", NULL));
    assert_int_equal(e.code, ERROR_MEMORY);
    buf_free(&b);
}

static void gives_memory_back(void **state) {
    (void)state;
    struct buf b;
    buf_init(&b, 1 << 20);
    assert_true(buf_reserve(&b, 100000));
    assert_true(buf_append_byte(&b, 'x'));
    buf_shrink(&b, 1000);
    assert_true(b.cap >= 100000);
    buf_clear(&b);
    buf_shrink(&b, 1 << 20);
    assert_true(b.cap >= 100000);
    buf_shrink(&b, 1000);
    assert_int_equal(b.cap, 0);
    assert_null(b.ptr);
    buf_free(&b);
}

/* Every allocation fails once: nothing has changed, and later it can be done. */
static void survives_failing_memory(void **state) {
    (void)state;
    bool ok = false;
    long failing = 0;
    for (; !ok; failing++) {
        struct buf b;
        struct error e;
        buf_init(&b, 1 << 20);
        ok = true;
        memory_left = failing;
        for (int i = 0; i < 1000; i++) {
            size_t before = b.len;
            if (!(i % 2 ? buf_printf(&b, "%d", i) : buf_append_text(&b, "0123456789"))) {
                memory_left = -1;
                ok = false;
                assert_int_equal(b.len, before);
                assert_false(buf_error(&b, &e, "it", NULL));
                assert_int_equal(e.code, ERROR_MEMORY);
                assert_true(i % 2 ? buf_printf(&b, "%d", i) : buf_append_text(&b, "0123456789"));
            }
        }
        memory_left = -1;
        assert_int_equal(b.len, 500 * 10 + 5 + 45 * 2 + 450 * 3);
        assert_memory_equal(b.ptr, "01234567891012345678930123456789", 32);
        buf_free(&b);
    }
    assert_true(failing > 4);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(appends),
        cmocka_unit_test(never_passes_its_cap),
        cmocka_unit_test(tells_its_cap_from_memory),
        cmocka_unit_test(gives_memory_back),
        cmocka_unit_test(survives_failing_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
