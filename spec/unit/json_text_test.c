/* json/text and json/read: strings in and out, walks over values, members by name. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "exact.h"
#include "json/read.h"
#include "json/scan.h"
#include "json/text.h"

/* Strings */

static void unquotes(void **state) {
    (void)state;
    static const struct {
        struct slice quoted, plain;
    } rows[] = {
        {TEXT("\"\""), TEXT("")},
        {TEXT("\"abc\""), TEXT("abc")},
        {TEXT("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\""), TEXT("\"\\/\b\f\n\r\t")},
        {TEXT("\"\\u0000a\""), {"\0a", 2}},
        {TEXT("\"x\\u0041\\u00e9\\u20AC\\uffff\""), TEXT("xA\xc3\xa9\xe2\x82\xac\xef\xbf\xbf")},
        {TEXT("\"\\ud83d\\ude00\""), TEXT("\xf0\x9f\x98\x80")},
        {TEXT("\"\\uDBFF\\uDFFF\""), TEXT("\xf4\x8f\xbf\xbf")},
        {TEXT("\"\\ud800\""), TEXT("\xed\xa0\x80")},
        {TEXT("\"\\ude00\\ud83d\""), TEXT("\xed\xb8\x80\xed\xa0\xbd")},
        {TEXT("\"\\ud83d\\ud83d\\ude00\""), TEXT("\xed\xa0\xbd\xf0\x9f\x98\x80")},
        {TEXT("\"\\ud83dx\\ude00\""), TEXT("\xed\xa0\xbdx\xed\xb8\x80")},
        {TEXT("\"\\ud83d\\n\""), TEXT("\xed\xa0\xbd\n")},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct buf out;
        buf_init(&out, 100);
        struct slice quoted = exact(rows[i].quoted);
        assert_true(json_unquote(&out, quoted));
        assert_true(slice_equal(buf_slice(&out), rows[i].plain));
        assert_true(json_string_is(quoted, rows[i].plain));
        assert_false(json_string_is(quoted, SLICE("something else")));
        free((void *)quoted.ptr);
        buf_free(&out);
    }
    struct buf tight;
    buf_init(&tight, 3);
    assert_false(json_unquote(&tight, SLICE("\"abc\"")));
    buf_free(&tight);
}

static void compares_strings(void **state) {
    (void)state;
    assert_true(json_string_is(SLICE("\"type\""), SLICE("type")));
    assert_true(json_string_is(SLICE("\"t\\u0079pe\""), SLICE("type")));
    assert_false(json_string_is(SLICE("\"t\\u0079p\""), SLICE("type")));
    assert_false(json_string_is(SLICE("\"t\\u0079pe2\""), SLICE("type")));
    assert_false(json_string_is(SLICE("\"t\\u0079px\""), SLICE("type")));
    assert_false(json_string_is(SLICE("\"typ\\ud83d\\ude00\""), SLICE("type")));
    assert_false(json_string_is(SLICE("\"\\n\""), SLICE("")));
}

static void quote_gives(struct slice bytes, const char *expected) {
    struct buf out;
    struct error e;
    buf_init(&out, 1000);
    struct slice copy = exact(bytes);
    assert_true(json_quote(&out, copy, &e));
    assert_true(slice_is(buf_slice(&out), expected));
    free((void *)copy.ptr);
    buf_free(&out);
}

static void quotes(void **state) {
    (void)state;
    quote_gives(SLICE(""), "\"\"");
    quote_gives(SLICE("plain"), "\"plain\"");
    quote_gives(SLICE("\"\\/\b\f\n\r\t\x1f"), "\"\\\"\\\\/\\b\\f\\n\\r\\t\\u001f\"");
    quote_gives(SLICE("\0"), "\"\\u0000\"");
    quote_gives(SLICE("\x7f\xc3\xa9\xf0\x9f\x98\x80"), "\"\x7f\xc3\xa9\xf0\x9f\x98\x80\"");
    quote_gives(SLICE("\xed\xa0\x80"), "\"\\ud800\"");
}

static void quote_refuses(struct slice bytes, size_t position) {
    struct buf out;
    struct error e;
    buf_init(&out, 1000);
    struct slice copy = exact(bytes);
    assert_false(json_quote(&out, copy, &e));
    assert_int_equal(e.code, ERROR_SYNTAX);
    assert_int_equal(e.position, position);
    free((void *)copy.ptr);
    buf_free(&out);
}

static void quote_refuses_other_bytes(void **state) {
    (void)state;
    quote_refuses(SLICE("\x80"), 0);
    quote_refuses(SLICE("ab\xff"), 2);
    quote_refuses(SLICE("a\xc0\x80"), 1);
    quote_refuses(SLICE("\xc3"), 0);
    quote_refuses(SLICE("\xe0\x9f\xbf"), 0);
    quote_refuses(SLICE("\xe2\x82"), 0);
    quote_refuses(SLICE("\xf0\x8f\xbf\xbf"), 0);
    quote_refuses(SLICE("\xf4\x90\x80\x80"), 0);
    quote_refuses(SLICE("\xf0\x9f\x98"), 0);
    struct buf out;
    struct error e;
    buf_init(&out, 4);
    assert_false(json_quote(&out, SLICE("abcdef"), &e));
    assert_int_equal(e.code, ERROR_LIMIT);
    buf_free(&out);
}

/* Every code point there is, and the surrogates, survive both ways. */
static void strings_round_trip(void **state) {
    (void)state;
    struct error e;
    struct buf text;
    struct buf plain;
    struct buf again;
    buf_init(&text, 100);
    buf_init(&plain, 100);
    buf_init(&again, 100);
    for (unsigned code = 0; code <= 0x10FFFF; code += code < 0x3000 || code >= 0xFF000 ? 1 : 13) {
        unsigned low = code - 0x10000;
        buf_clear(&text);
        buf_clear(&plain);
        buf_clear(&again);
        if (code < 0x10000) {
            buf_printf(&text, "\"<\\u%04x>\"", code);
        } else {
            buf_printf(&text, "\"<\\u%04x\\u%04X>\"", 0xD800 + (low >> 10), 0xDC00 + (low & 0x3FF));
        }
        assert_true(json_check(buf_slice(&text), &e));
        assert_true(json_unquote(&plain, buf_slice(&text)));
        assert_true(json_quote(&again, buf_slice(&plain), &e));
        assert_true(json_check(buf_slice(&again), &e));
        assert_true(json_string_is(buf_slice(&again), buf_slice(&plain)));
    }
    buf_free(&text);
    buf_free(&plain);
    buf_free(&again);
}

/* Walking */

static void walks(void **state) {
    (void)state;
    struct slice object = SLICE("{ \"a\" : [1, {\"x\":\"]}\"} ] , \"b\\\"\":2 ,\"\\u0061\":null}");
    struct json_walk walk;
    struct slice name;
    struct slice value;
    json_walk_open(&walk, object);
    assert_true(json_walk_member(&walk, &name, &value));
    assert_true(slice_is(name, "\"a\""));
    assert_true(slice_is(value, "[1, {\"x\":\"]}\"} ]"));
    assert_int_equal(json_kind_of(value), JSON_ARRAY);
    struct json_walk items;
    struct slice item;
    json_walk_open(&items, value);
    assert_true(json_walk_item(&items, &item) && slice_is(item, "1"));
    assert_true(json_walk_item(&items, &item) && slice_is(item, "{\"x\":\"]}\"}"));
    assert_false(json_walk_item(&items, &item));
    assert_true(json_walk_member(&walk, &name, &value));
    assert_true(slice_is(name, "\"b\\\"\"") && slice_is(value, "2"));
    assert_true(json_walk_member(&walk, &name, &value));
    assert_true(slice_is(value, "null"));
    assert_false(json_walk_member(&walk, &name, &value));
    assert_true(slice_is(json_member(object, SLICE("a")), "null"));
    assert_true(slice_is(json_member(object, SLICE("b\"")), "2"));
    assert_null(json_member(object, SLICE("c")).ptr);
    assert_true(slice_is(json_trim(SLICE(" \n[ ]\t")), "[ ]"));
    assert_string_equal(json_kind_name(json_kind_of(SLICE("-1"))), "number");
}

/* Members by name, against a walk over all of them */

static struct slice walk_to_member(struct slice object, struct slice name) {
    struct json_walk walk;
    struct slice found = {0};
    struct slice each_name;
    struct slice value;
    json_walk_open(&walk, object);
    while (json_walk_member(&walk, &each_name, &value)) {
        if (json_string_is(each_name, name)) {
            found = value;
        }
    }
    return found;
}

static const char *one_of(const char *const *texts, size_t count, uint64_t *seed) {
    return texts[random_next(seed) % count];
}

/* Names and values that look like each other. */
static void append_object(struct buf *to, uint64_t *seed, unsigned depth) {
    static const char *const names[] = {
        "text", "text",     "tex",        "texts",    "xtext",
        "t",    "",         ",",          ":",        "}",
        "a/b",  "a\\/b",    "\\u0074ext", "\\\"text", "text\\\"",
        "\\\\", "te\\\\xt", "\xc3\xa9",   "\\u00e9",  "a longer name than sixteen bytes"};
    static const char *const values[] = {"1",
                                         "\"text\"",
                                         "\"\\\"text\\\":2\"",
                                         "\"\\\\\"",
                                         "[\"text\", 3]",
                                         "\"{\"",
                                         "\"}\"",
                                         "null",
                                         "[]",
                                         "-1.5e3",
                                         "true",
                                         "\"text\\\\\"",
                                         "\", \"",
                                         "\":\"",
                                         "\"\\u0041\"",
                                         "\"some words that make the object longer, so that it has blocks\""};
    static const char *const spaces[] = {"", "", "", " ", "\n\t", "                 "};
    buf_append_byte(to, '{');
    for (unsigned left = (unsigned)(random_next(seed) % 7); left > 0; left--) {
        const char *space = one_of(spaces, sizeof spaces / sizeof *spaces, seed);
        buf_printf(to, "%s\"%s\"%s:%s", space, one_of(names, sizeof names / sizeof *names, seed), space,
                   space);
        if (depth > 0 && random_next(seed) % 8 == 0) {
            append_object(to, seed, depth - 1);
        } else {
            buf_append_text(to, one_of(values, sizeof values / sizeof *values, seed));
        }
        buf_printf(to, "%s%s", space, left > 1 ? "," : "");
    }
    assert_true(buf_append_byte(to, '}'));
}

static void finds_members(void **state) {
    (void)state;
    static const struct slice wanted[] = {
        TEXT("text"),   TEXT("t"),      TEXT(""),         TEXT(","),
        TEXT(":"),      TEXT("}"),      TEXT("a/b"),      TEXT("\\"),
        TEXT("\"text"), TEXT("text\""), TEXT("\xc3\xa9"), TEXT("a longer name than sixteen bytes")};
    uint64_t seed = 88172645463325252u;
    unsigned found = 0;
    for (unsigned round = 0; round < 100000; round++) {
        struct buf text;
        struct error e;
        buf_init(&text, 1 << 20);
        append_object(&text, &seed, 3);
        struct slice object = exact(buf_slice(&text));
        if (!json_check(object, &e)) {
            fail_msg("%s: %.*s", e.message, (int)object.len, object.ptr);
        }
        for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
            struct slice expected = walk_to_member(object, wanted[i]);
            struct slice got = json_member(object, wanted[i]);
            found += got.ptr != NULL;
            if (got.ptr != expected.ptr || got.len != expected.len) {
                fail_msg("%s in %.*s", wanted[i].ptr, (int)object.len, object.ptr);
            }
        }
        free((void *)object.ptr);
        buf_free(&text);
    }
    assert_true(found > 50000);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unquotes),
        cmocka_unit_test(compares_strings),
        cmocka_unit_test(quotes),
        cmocka_unit_test(quote_refuses_other_bytes),
        cmocka_unit_test(strings_round_trip),
        cmocka_unit_test(walks),
        cmocka_unit_test(finds_members),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
