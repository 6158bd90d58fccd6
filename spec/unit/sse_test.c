/* The SSE parser: the same events wherever the input is cut. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "stream/sse.h"

/* Feeds piece by piece; a piece is copied so that the sanitizer sees a read past its end. */
static void feed(struct sse *sse, const char *ptr, size_t len, struct buf *out) {
    char *copy = malloc(len ? len : 1);
    memcpy(copy, ptr, len);
    struct slice input = slice_of(copy, len);
    struct sse_event event;
    struct error e;
    enum sse_result got;
    while ((got = sse_next(sse, &input, &event, &e)) == SSE_EVENT) {
        buf_append_slice(out, event.type);
        buf_append_byte(out, '=');
        buf_append_slice(out, event.data);
        buf_append_byte(out, '|');
    }
    if (got == SSE_ERROR) {
        buf_printf(out, "error %s", error_name(e.code));
    }
    assert_true(got == SSE_ERROR || input.len == 0);
    free(copy);
}

static char *parse(const char *text, size_t len, size_t step, unsigned seed) {
    struct sse sse;
    struct buf out;
    sse_init(&sse, 0);
    buf_init(&out, 1 << 20);
    for (size_t at = 0; at < len;) {
        size_t take = seed ? 1 + (size_t)rand_r(&seed) % step : step;
        take = take < len - at ? take : len - at;
        feed(&sse, text + at, take, &out);
        at += take;
    }
    buf_append_byte(&out, '\0');
    sse_free(&sse);
    return out.ptr;
}

static void check(const char *text, const char *expected) {
    size_t len = strlen(text);
    for (size_t step = 1; step <= len; step++) {
        char *got = parse(text, len, step, 0);
        assert_string_equal(got, expected);
        free(got);
    }
    for (unsigned seed = 1; seed < 40; seed++) {
        char *got = parse(text, len, 7, seed);
        assert_string_equal(got, expected);
        free(got);
    }
}

static void test_line_ends(void **state) {
    (void)state;
    check("event: data\ndata: [1]\n\nevent: control\ndata: {}\n\n", "data=[1]|control={}|");
    check("event: data\r\ndata: [1]\r\n\r\nevent: control\r\ndata: {}\r\n\r\n", "data=[1]|control={}|");
    check("event: data\rdata: [1]\r\revent: control\rdata: {}\r\r", "data=[1]|control={}|");
    check("data: a\r\n\rdata: b\n\r\n", "message=a|message=b|");
}

static void test_fields(void **state) {
    (void)state;
    check("data:a\ndata: b\ndata:  c\n\n", "message=a\nb\n c|");
    check(": comment\nid: 7\nretry: 10\nunknown: x\ndatax: no\ndat: no\ndata: yes\n\n", "message=yes|");
    check("data\n\n", "message=|");
    check("data\ndata\n\n", "message=\n|");
    check("event: lost\n\ndata: x\n\n", "message=x|");
    check("event: one\nevent: two\ndata: x\n\n", "two=x|");
    check("data: x\nevent: late\n\n", "late=x|");
    check("data: a:b: c\n\n", "message=a:b: c|");
    check("\n\n\n", "");
}

static void test_end_of_input(void **state) {
    (void)state;
    check("data: whole\n\ndata: cut\n", "message=whole|");
    check("data: whole\n\ndata: cu", "message=whole|");
    check("data: whole\n\nevent: data\r", "message=whole|");
}

static void test_byte_order_mark(void **state) {
    (void)state;
    check("\xef\xbb\xbf"
          "data: x\n\n",
          "message=x|");
    check("\xef\xbb"
          "data: x\ndata: y\n\n",
          "message=y|");
    check("\xef\xbb\xbf\xef\xbb\xbf"
          "data: x\ndata: y\n\n",
          "message=y|");
}

static void test_random_feeds_are_cut_anywhere(void **state) {
    (void)state;
    static const char *const parts[] = {"data", "data:", "data: ", "event: ", "event:", ":",
                                        "\n",   "\r",    "\r\n",   "x",       "[1,2]",  "control",
                                        " ",    "id: 1", "\n\n",   "\r\n\r\n"};
    unsigned seed = 1;
    for (int round = 0; round < 300; round++) {
        char text[256] = "";
        for (int i = 0; i < 20; i++) {
            strcat(text, parts[(size_t)rand_r(&seed) % (sizeof parts / sizeof *parts)]);
        }
        char *whole = parse(text, strlen(text), strlen(text), 0);
        for (size_t step = 1; step < 6; step++) {
            char *cut = parse(text, strlen(text), step, step == 5 ? seed : 0);
            assert_string_equal(cut, whole);
            free(cut);
        }
        free(whole);
    }
}

static void test_cap(void **state) {
    (void)state;
    struct sse sse;
    struct buf out;
    sse_init(&sse, 8);
    buf_init(&out, 1 << 20);
    feed(&sse, "data: 12345678\n\n", 16, &out);
    feed(&sse, "data: 123456789\n\n", 17, &out);
    sse_reset(&sse);
    feed(&sse, "data: 1234\ndata: 5678\n\n", 23, &out);
    sse_reset(&sse);
    feed(&sse, "data: 1\n\n", 9, &out);
    buf_append_byte(&out, '\0');
    assert_string_equal(out.ptr, "message=12345678|error limiterror limitmessage=1|");
    buf_free(&out);
    sse_free(&sse);
}

/* 8 MB of one event in pieces of 16 KB, and as many short lines: slow only where bytes are looked at
 * again and again. */
static void test_large_events(void **state) {
    (void)state;
    enum { PIECE = 16 * 1024, PIECES = 512 };
    static char piece[PIECE];
    for (int lines = 0; lines < 2; lines++) {
        struct sse sse;
        struct sse_event event;
        struct error e;
        sse_init(&sse, 0);
        memset(piece, 'x', sizeof piece);
        if (lines) {
            for (size_t i = 0; i + 8 <= sizeof piece; i += 8) {
                memcpy(piece + i, "data: x\r", 8);
            }
        } else {
            struct slice start = SLICE("data: ");
            assert_int_equal(sse_next(&sse, &start, &event, &e), SSE_MORE);
        }
        for (int i = 0; i < PIECES; i++) {
            struct slice input = slice_of(piece, sizeof piece);
            assert_int_equal(sse_next(&sse, &input, &event, &e), SSE_MORE);
        }
        struct slice end = SLICE("\n\n\n");
        assert_int_equal(sse_next(&sse, &end, &event, &e), SSE_EVENT);
        size_t expected = lines ? (size_t)PIECE / 8 * 2 * PIECES - 1 : (size_t)PIECE * PIECES;
        assert_int_equal(event.data.len, expected);
        sse_free(&sse);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_line_ends),
        cmocka_unit_test(test_fields),
        cmocka_unit_test(test_end_of_input),
        cmocka_unit_test(test_byte_order_mark),
        cmocka_unit_test(test_random_feeds_are_cut_anywhere),
        cmocka_unit_test(test_cap),
        cmocka_unit_test(test_large_events),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
