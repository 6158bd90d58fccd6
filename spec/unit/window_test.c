/* The window: what goes in comes out in order, whatever pieces it came in and however it is taken. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "worker/window.h"

static unsigned next_random(unsigned *state) {
    *state = *state * 1103515245u + 12345u;
    return *state >> 8;
}

/* The n-th byte that goes in. */
static char byte_at(uint64_t n) {
    return (char)(n * 131 % 251);
}

static size_t put_some(struct window *window, uint64_t *in, unsigned *seed) {
    static const size_t lens[] = {1, 7, 100, 5000, 70000, 300000};
    size_t len = lens[next_random(seed) % 6];
    struct piece *piece = piece_new(len + 2000, next_random(seed) % 2000);
    assert_non_null(piece);
    for (size_t i = 0; i < len; i++) {
        piece->bytes[piece->end++] = byte_at((*in)++);
    }
    if (next_random(seed) % 2) {
        assert_true(window_give(window, piece));
    } else {
        assert_true(window_append(window, piece->bytes + piece->start, len));
        piece_free(piece);
    }
    return len;
}

static void check_view(const struct window *window, uint64_t out) {
    struct slice view = window_view(window);
    assert_int_equal(window->base, out);
    for (size_t i = 0; i < view.len; i++) {
        if (view.ptr[i] != byte_at(out + i)) {
            fail_msg("byte %llu is wrong", (unsigned long long)(out + i));
        }
    }
}

static void keeps_the_order(void **state) {
    (void)state;
    struct window window;
    uint64_t in = 0;
    uint64_t out = 0;
    unsigned seed = 42;
    window_init(&window, 64 << 20);
    for (int round = 0; round < 400; round++) {
        bool failed = false;
        if (in - out < 2 << 20) {
            put_some(&window, &in, &seed);
        }
        check_view(&window, out);
        size_t len = window_view(&window).len;
        size_t take = next_random(&seed) % 3 == 0 ? len : len ? next_random(&seed) % len : 0;
        window_take(&window, take);
        out += take;
        if (next_random(&seed) % 3) {
            window_join(&window, &failed);
            assert_false(failed);
        }
        piece_free(next_random(&seed) % 8 == 0 ? window_spare(&window) : NULL);
        if (next_random(&seed) % 50 == 0) {
            window_clear(&window);
            out = in;
        }
        assert_int_equal(window.waiting, in - out);
    }
    window_free(&window);
}

static void bytes_stay_while_more_come(void **state) {
    (void)state;
    struct window window;
    bool failed;
    window_init(&window, 1 << 20);
    assert_true(window_append(&window, "hello", 5));
    struct slice view = window_view(&window);
    for (int i = 0; i < 1000; i++) {
        assert_true(window_append(&window, "0123456789abcdef", 16));
    }
    window_take(&window, 5);
    assert_memory_equal(view.ptr, "hello", 5);
    window_clear(&window);
    assert_memory_equal(view.ptr, "hello", 5);
    assert_int_equal(window_view(&window).len, 0);
    assert_false(window_join(&window, &failed));
    window_settle(&window);
    assert_null(window.first);
    assert_int_equal(window.base, 5 + 16000);
}

static void holds_to_its_cap(void **state) {
    (void)state;
    struct window window;
    window_init(&window, 10);
    assert_true(window_append(&window, "12345678", 8));
    assert_false(window_append(&window, "123", 3));
    struct piece *piece = piece_new(3, 0);
    assert_non_null(piece);
    piece->end = 3;
    assert_false(window_give(&window, piece));
    window_take(&window, 1);
    assert_true(window_append(&window, "123", 3));
    assert_int_equal(window.waiting, 10);
    window_free(&window);
}

static void lends_bytes_and_takes_pieces_back(void **state) {
    (void)state;
    struct window from;
    struct window to;
    bool failed;
    window_init(&from, 1 << 20);
    window_init(&to, 1 << 20);
    assert_true(window_append(&to, "ab", 2));
    assert_true(window_append(&from, "cd", 2));
    window_move(&to, &from);
    assert_int_equal(from.waiting, 0);
    assert_int_equal(from.base, 2);
    assert_int_equal(to.waiting, 4);
    assert_true(window_join(&to, &failed));
    assert_memory_equal(window_view(&to).ptr, "abcd", 4);
    struct piece *left = window_leave(&to);
    assert_non_null(left);
    assert_null(left->next);
    assert_null(window_leave(&to));
    window_keep(&to, left);
    window_recycle(&from, window_leave(&to));
    struct piece *spare = window_spare(&from);
    assert_ptr_equal(spare, left);
    assert_null(window_spare(&from));
    piece_free(spare);
    window_free(&from);
    window_free(&to);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_the_order),
        cmocka_unit_test(bytes_stay_while_more_come),
        cmocka_unit_test(holds_to_its_cap),
        cmocka_unit_test(lends_bytes_and_takes_pieces_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
