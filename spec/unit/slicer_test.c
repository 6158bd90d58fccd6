/* message/slicer: the same messages wherever the bytes are cut. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "message/event.h"
#include "message/slicer.h"

enum { MESSAGE_MAX = 4096 };

/* How one text is fed: pieces of `step` bytes, or, with a seed, of 1 to `step` bytes. */
struct cut {
    size_t step;
    unsigned seed;
};

static size_t next_piece(struct cut *cut, size_t left) {
    size_t take = cut->seed ? 1 + (size_t)rand_r(&cut->seed) % cut->step : cut->step;
    return take < left ? take : left;
}

/* What the slicer answers, as text; `live` is false where nothing more is to be asked. */
struct log {
    struct buf text;
    bool live;
};

static void record(struct log *log, const struct slicer *slicer, enum slicer_status status, struct error *e) {
    static const char *const names[] = {"message", "refused", "more", "end", "broken", "failed"};
    buf_printf(&log->text, "%s", names[status]);
    if (status == SLICER_MESSAGE || status == SLICER_REFUSED) {
        buf_printf(&log->text, " %d @%d line %d [", (int)slicer->index, (int)slicer->position,
                   (int)slicer->line);
        buf_append_slice(&log->text, slicer->message);
        buf_append_byte(&log->text, ']');
    }
    if (status != SLICER_MESSAGE && status != SLICER_END) {
        buf_printf(&log->text, " %s @%d+%d: %s", error_name(e->code), (int)slicer->position, (int)e->position,
                   e->message);
        error_clear(e);
    }
    buf_append_byte(&log->text, '\n');
}

/* The window lies in memory of its own each time, so that the sanitizer sees a read past it. Returns the
 * bytes taken. */
static size_t ask(struct slicer *slicer, const char *ptr, size_t len, bool last, struct log *log) {
    char *window = malloc(len ? len : 1);
    const char *at = window;
    struct error e = {0};
    enum slicer_status status;
    assert_non_null(window);
    memcpy(window, ptr, len);
    while ((status = slicer_next(slicer, &at, window + len, last, &e)) != SLICER_MORE && log->live) {
        assert_true(at >= window && at <= window + len);
        record(log, slicer, status, &e);
        log->live = status == SLICER_MESSAGE || status == SLICER_REFUSED;
        if (!log->live) {
            break;
        }
    }
    assert_true(status != SLICER_MORE || !last);
    size_t taken = (size_t)(at - window);
    free(window);
    return taken;
}

static struct buf slice_text(struct slice text, enum slicer_format format, struct cut cut) {
    struct event_decoder decoder;
    struct slicer slicer;
    struct log log = {.live = true};
    size_t start = 0;
    size_t end = 0;
    buf_init(&log.text, 1 << 24);
    event_decoder_init(&decoder);
    slicer_init(&slicer, MESSAGE_MAX, event_decode, &decoder);
    slicer_begin(&slicer, format);
    while (log.live && end < text.len) {
        end += next_piece(&cut, text.len - end);
        /* The end is told with the last bytes, or after them. */
        bool last = end == text.len && (cut.step + cut.seed) % 2 == 0;
        start += ask(&slicer, text.ptr + start, end - start, last, &log);
    }
    if (log.live) {
        ask(&slicer, text.ptr + start, end - start, true, &log);
    }
    assert_false(log.live);
    buf_append_byte(&log.text, '\0');
    event_decoder_free(&decoder);
    return log.text;
}

static void check_cut(struct slice text, enum slicer_format format, struct cut cut, const char *expected) {
    struct buf got = slice_text(text, format, cut);
    if (strcmp(got.ptr, expected) != 0) {
        fail_msg("in pieces of %zu (seed %u), format %d, of:\n%.*s\nexpected:\n%s\ngot:\n%s", cut.step,
                 cut.seed, (int)format, (int)text.len, text.ptr, expected, got.ptr);
    }
    buf_free(&got);
}

/* However it is cut, the answers are those for the whole text. */
static void check_every_cut(struct slice text, enum slicer_format format, const char *expected) {
    struct buf whole = slice_text(text, format, (struct cut){.step = text.len + 2 - text.len % 2});
    if (expected) {
        assert_string_equal(whole.ptr, expected);
    }
    for (size_t step = 1; step <= text.len && step < 60; step++) {
        check_cut(text, format, (struct cut){.step = step}, whole.ptr);
    }
    for (unsigned seed = 1; seed < 20; seed++) {
        check_cut(text, format, (struct cut){.step = 1 + seed % 11, .seed = seed}, whole.ptr);
    }
    buf_free(&whole);
}

#define CHANGE(key) "{\"type\":\"t\",\"key\":\"" key "\",\"headers\":{\"operation\":\"delete\"}}"

struct row {
    const char *text;
    const char *expected;
};

static void check_rows(const struct row *rows, size_t count, enum slicer_format format) {
    for (size_t i = 0; i < count; i++) {
        check_every_cut(slice_from(rows[i].text), format, rows[i].expected);
    }
}

static void slices_arrays(void **state) {
    (void)state;
    static const struct row rows[] = {
        {"[]", "end\n"},
        {" \n[ \t]\r\n", "end\n"},
        {"\xEF\xBB\xBF[]", "end\n"},
        {"[" CHANGE("a") "]", "message 0 @1 line 0 [" CHANGE("a") "]\nend\n"},
        {" [ " CHANGE("a") " ,\n" CHANGE("b") " ] ",
         "message 0 @3 line 0 [" CHANGE("a") "]\nmessage 1 @61 line 0 [" CHANGE("b") "]\nend\n"},
        {"[1,-0.5e3 ,\"a]\"]",
         "refused 0 @1 line 0 [1] event @1+0: expected an event (an object), got number 1\n"
         "refused 1 @3 line 0 [-0.5e3] event @3+0: expected an event (an object), got number -0.5e3\n"
         "refused 2 @11 line 0 [\"a]\"] event @11+0: expected an event (an object), got string \"a]\"\n"
         "end\n"},
    };
    check_rows(rows, sizeof rows / sizeof *rows, SLICER_ARRAY);
    check_rows(rows, sizeof rows / sizeof *rows, SLICER_AUTO);
}

/* What is not valid is passed over, and what follows is found. */
static void goes_on_behind_what_is_not_valid(void **state) {
    (void)state;
    static const struct row rows[] = {
        {"[{\"a\":1,x},tru,[1,{]},2 , " CHANGE("b") "]",
         "refused 0 @1 line 0 [{\"a\":1,x}] syntax @1+7: expected a member name in double quotes, found 'x'\n"
         "refused 1 @11 line 0 [tru] cut @11+3: the message ends in the middle of a value\n"
         "refused 2 @15 line 0 [[1,{]}] syntax @15+4: expected a member name in double quotes, found ']'\n"
         "refused 3 @22 line 0 [2] event @22+0: expected an event (an object), got number 2\n"
         "message 4 @26 line 0 [" CHANGE("b") "]\nend\n"},
        {"[\"\xff, ]\", " CHANGE("b") "]",
         "refused 0 @1 line 0 [\"\xff, ]\"] syntax @1+1: invalid UTF-8, found byte 0xff\n"
         "message 1 @9 line 0 [" CHANGE("b") "]\nend\n"},
    };
    check_rows(rows, sizeof rows / sizeof *rows, SLICER_ARRAY);
}

static void names_what_breaks_an_array(void **state) {
    (void)state;
    static const struct row rows[] = {
        {"[" CHANGE("a"), "message 0 @1 line 0 [" CHANGE(
                              "a") "]\n"
                                   "broken cut @56+0: the array is not closed: expected ',' or ']'\n"},
        {"[" CHANGE("a") ",", "message 0 @1 line 0 [" CHANGE(
                                  "a") "]\n"
                                       "broken cut @57+0: the array is not closed: expected ',' or ']'\n"},
        {"[" CHANGE("a") ",]",
         "message 0 @1 line 0 [" CHANGE("a") "]\n"
                                             "broken syntax @57+0: expected a message, found ']'\n"},
        {"[" CHANGE("a") " x," CHANGE("b") "]",
         "message 0 @1 line 0 [" CHANGE("a") "]\n"
                                             "broken syntax @57+0: expected ',' or ']', found 'x'\n"},
        {"[" CHANGE("a") "}]",
         "message 0 @1 line 0 [" CHANGE("a") "]\n"
                                             "broken syntax @56+0: expected ',' or ']', found '}'\n"},
        {"[,1]", "broken syntax @1+0: expected a message, found ','\n"},
        {"[{\"a\":\"b", "broken cut @1+7: the text ends in the middle of a value\n"},
        {"[{\"a\":x", "broken syntax @1+5: expected a value, found 'x'\n"},
        {"[1", "refused 0 @1 line 0 [1] event @1+0: expected an event (an object), got number 1\n"
               "broken cut @2+0: the array is not closed: expected ',' or ']'\n"},
        {"[] 1", "broken syntax @3+0: expected nothing behind the array's ']', found '1'\n"},
        {"[][]", "broken syntax @2+0: expected nothing behind the array's ']', found '['\n"},
        {"[", "broken cut @1+0: the array is not closed: expected ',' or ']'\n"},
        {"<html>", "broken syntax @0+0: expected '[', the start of a JSON array, found '<'\n"},
    };
    check_rows(rows, sizeof rows / sizeof *rows, SLICER_ARRAY);
}

static void slices_lines(void **state) {
    (void)state;
    static const struct row rows[] = {
        {"", "end\n"},
        {"\n\r\n \t\n", "end\n"},
        {CHANGE("a"), "message 0 @0 line 1 [" CHANGE("a") "]\nend\n"},
        {"\xEF\xBB\xBF" CHANGE("a") "\n", "message 0 @3 line 1 [" CHANGE("a") "]\nend\n"},
        {"\n\n" CHANGE("a") "\r\n  " CHANGE("b") " \n\n\n" CHANGE("c") "\n",
         "message 0 @2 line 3 [" CHANGE("a") "]\nmessage 1 @61 line 4 [" CHANGE(
             "b") "]\n"
                  "message 2 @120 line 7 [" CHANGE("c") "]\nend\n"},
        {"{\"a\":\n" CHANGE("b") "\n{\"c",
         "refused 0 @0 line 1 [{\"a\":] cut @0+5: the line ends in the middle of a value\n"
         "message 1 @6 line 2 [" CHANGE(
             "b") "]\n"
                  "refused 2 @62 line 3 [{\"c] cut @62+3: the line ends in the middle of a value\nend\n"},
        {CHANGE("a") "," CHANGE("b") "\n1 2\n",
         "refused 0 @0 line 1 [" CHANGE("a") "," CHANGE(
             "b") "] syntax @0+55: expected the end of the line, found ','\n"
                  "refused 1 @112 line 2 [1 2] syntax @112+2: expected the end of the line, found "
                  "'2'\nend\n"},
    };
    check_rows(rows, sizeof rows / sizeof *rows, SLICER_LINES);
    check_rows(rows, sizeof rows / sizeof *rows, SLICER_AUTO);
}

static void stops_at_a_message_that_is_too_long(void **state) {
    (void)state;
    char text[MESSAGE_MAX + 100];
    const char *const reason = "a message is longer than 4096 bytes: raise limits.message\n";
    char expected[200];
    memset(text, 'x', sizeof text);
    memcpy(text, "\n\"", 2);
    snprintf(expected, sizeof expected, "failed limit @1+0: %s", reason);
    text[MESSAGE_MAX + 2] = '"';
    check_every_cut(slice_of(text, MESSAGE_MAX + 3), SLICER_AUTO, NULL);
    for (size_t step = 1; step < 5; step++) {
        struct buf got = slice_text(slice_of(text, sizeof text), SLICER_AUTO, (struct cut){.step = step});
        assert_non_null(strstr(got.ptr, reason));
        buf_free(&got);
    }
    text[0] = '[';
    check_cut(slice_of(text, sizeof text), SLICER_ARRAY, (struct cut){.step = 7}, expected);
    check_cut(slice_of(text, sizeof text), SLICER_ARRAY, (struct cut){.step = sizeof text}, expected);
    /* The longest that is allowed. */
    text[MESSAGE_MAX] = '"';
    text[MESSAGE_MAX + 1] = ']';
    struct buf got = slice_text(slice_of(text, MESSAGE_MAX + 2), SLICER_ARRAY, (struct cut){.step = 1});
    assert_memory_equal(got.ptr, "refused 0", 9);
    assert_non_null(strstr(got.ptr, "\nend\n"));
    buf_free(&got);
}

/* What is behind a message is no part of it: neither white space nor what does not belong there. */
static void white_space_does_not_make_a_message_too_long(void **state) {
    (void)state;
    char text[2 * MESSAGE_MAX];
    memset(text, ' ', sizeof text);
    memcpy(text, "[{}", 3);
    memcpy(text + sizeof text - 3, ",1]", 3);
    struct buf got = slice_text(slice_of(text, sizeof text), SLICER_ARRAY, (struct cut){.step = 64});
    assert_non_null(strstr(got.ptr, "\nrefused 1 @8190 line 0 [1] event"));
    buf_free(&got);
    check_every_cut(slice_of(text, sizeof text), SLICER_ARRAY, NULL);
    memset(text + 3, 'x', sizeof text - 3);
    got = slice_text(slice_of(text, sizeof text), SLICER_ARRAY, (struct cut){.step = 64});
    assert_non_null(strstr(got.ptr, "\nbroken syntax @3+0: expected ',' or ']', found 'x'"));
    buf_free(&got);
}

static unsigned pick(unsigned *seed, unsigned below) {
    return (unsigned)rand_r(seed) % below;
}

/* Mostly messages with commas between them; now and then anything. */
static void random_text(struct buf *text, unsigned *seed, bool array) {
    static const char *const good[] = {
        CHANGE("a"),
        CHANGE("\\u0061\xF0\x9F\x98\x80"),
        "{\"headers\":{\"control\":\"reset\"}}",
        "{\"key\":\"[k,]\",\"value\":[1,{\"\\\"\":[]}],\"headers\":{\"operation\":\"insert\"}}",
        "12",
        "null",
        "\"s\"",
    };
    static const char *const odd[] = {"{",        "}",   "[",  "]",   ",",
                                      "\"",       "\\",  ":",  "tru", "\xff",
                                      "{\"a\":}", "[1,", "\n", "1 2", "{\"a\":\"\x01\"}"};
    static const char *const space[] = {"", "", "", " ", "\n", "\r\n", "\t "};
    const unsigned odds = pick(seed, 4) ? 0 : 12; /* most texts are all good */
    unsigned count = pick(seed, 8);
    buf_append_text(text, array ? "[" : "");
    for (unsigned i = 0; i < count; i++) {
        buf_append_text(text, space[pick(seed, 7)]);
        buf_append_text(text, odds && pick(seed, odds) < 4 ? odd[pick(seed, 15)] : good[pick(seed, 7)]);
        buf_append_text(text, space[pick(seed, 7)]);
        buf_append_text(text, !array ? "\n" : i + 1 < count ? "," : "");
    }
    buf_append_text(text, array && pick(seed, 10) ? "]" : "");
    buf_append_text(text, space[pick(seed, 7)]);
}

static void random_texts_are_cut_anywhere(void **state) {
    (void)state;
    const char *wanted = getenv("WEIR_TEST_SEED");
    unsigned first = wanted ? (unsigned)strtoul(wanted, NULL, 10) : 20240601;
    print_message("seeds from %u (WEIR_TEST_SEED)\n", first);
    for (unsigned i = 0; i < 600; i++) {
        unsigned seed = first + i;
        struct buf text;
        buf_init(&text, 1 << 16);
        bool array = pick(&seed, 2);
        random_text(&text, &seed, array);
        check_every_cut(buf_slice(&text), array ? SLICER_ARRAY : SLICER_LINES, NULL);
        check_every_cut(buf_slice(&text), SLICER_AUTO, NULL);
        buf_free(&text);
    }
}

static void begins_anew(void **state) {
    (void)state;
    struct event_decoder decoder;
    struct slicer slicer;
    struct error e;
    event_decoder_init(&decoder);
    slicer_init(&slicer, MESSAGE_MAX, event_decode, &decoder);
    slicer_begin(&slicer, SLICER_ARRAY);
    struct slice half = SLICE("[{\"a\":\"");
    const char *at = half.ptr;
    assert_int_equal(slicer_next(&slicer, &at, half.ptr + half.len, false, &e), SLICER_MORE);
    assert_ptr_equal(at, half.ptr + 1);
    slicer_begin(&slicer, SLICER_LINES);
    struct slice line = SLICE(CHANGE("a"));
    at = line.ptr;
    assert_int_equal(slicer_next(&slicer, &at, line.ptr + line.len, true, &e), SLICER_MESSAGE);
    assert_int_equal(slicer.index, 0);
    assert_int_equal(slicer.position, 0);
    event_decoder_free(&decoder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slices_arrays),
        cmocka_unit_test(goes_on_behind_what_is_not_valid),
        cmocka_unit_test(names_what_breaks_an_array),
        cmocka_unit_test(slices_lines),
        cmocka_unit_test(stops_at_a_message_that_is_too_long),
        cmocka_unit_test(white_space_does_not_make_a_message_too_long),
        cmocka_unit_test(random_texts_are_cut_anywhere),
        cmocka_unit_test(begins_anew),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
