/* json/scan. The mutations that are compared with cJSON come from a seed, which is printed and can be set by
 * JSON_TEST_SEED. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include <cjson/cJSON.h>

#include "base/buf.h"
#include "exact.h"
#include "json/read.h"
#include "json/scan.h"

static bool check(struct slice text, struct error *e) {
    struct slice copy = exact(text);
    bool ok = json_check(copy, e);
    free((void *)copy.ptr);
    return ok;
}

/* Valid texts */

static const struct slice valid[] = {
    TEXT("null"),
    TEXT("true"),
    TEXT("false"),
    TEXT(" \t\r\n null \t\r\n "),
    TEXT("0"),
    TEXT("-0"),
    TEXT("7"),
    TEXT("-1"),
    TEXT("1234567890"),
    TEXT("123456789012345678901234567890"),
    TEXT("0.0"),
    TEXT("-0.0"),
    TEXT("1.50"),
    TEXT("0e0"),
    TEXT("1e5"),
    TEXT("1E5"),
    TEXT("1e+5"),
    TEXT("1E-05"),
    TEXT("-1.25e+10"),
    TEXT("1e999"),
    TEXT("\"\""),
    TEXT("\"a\""),
    TEXT("\"sixteen bytes and some more of them\""),
    TEXT("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\""),
    TEXT("\"\\u0000\""),
    TEXT("\"\\u00e9\\u00E9\\uABCD\\uabcd\""),
    TEXT("\"\\ud83d\\ude00\""),
    TEXT("\"\\ud800\""),
    TEXT("\"\\udc00\\ud800\""),
    TEXT("\"\\ud800\\ud800\\udc00\""),
    TEXT("\"\\ud800x\""),
    TEXT("\"\x7f\""),
    TEXT("\"\xc2\x80 \xdf\xbf\""),
    TEXT("\"\xe0\xa0\x80 \xed\x9f\xbf \xee\x80\x80 \xef\xbf\xbf\""),
    TEXT("\"\xf0\x90\x80\x80 \xf4\x8f\xbf\xbf\""),
    TEXT("[]"),
    TEXT("[ ]"),
    TEXT("[1]"),
    TEXT("[1,2]"),
    TEXT("[ 1 , \"a\" , null , true , false , [ ] , { } ]"),
    TEXT("[[[[]]]]"),
    TEXT("{}"),
    TEXT("{ }"),
    TEXT("{\"a\":1}"),
    TEXT("{ \"a\" : 1 , \"b\" : [ { \"c\" : { } } ] }"),
    TEXT("{\"\":\"\"}"),
    TEXT("{\"a\":1,\"a\":2}"),
    TEXT("{\"a\\u0062\":-0.5e-3}"),
    TEXT("{\"type\":\"users\",\"key\":\"1\",\"value\":{\"n\":\"\xc3\xa9\"},"
         "\"headers\":{\"operation\":\"insert\"}}"),
};

enum { VALID_COUNT = sizeof valid / sizeof *valid };

static void accepts_valid_texts(void **state) {
    (void)state;
    struct error e;
    for (size_t i = 0; i < VALID_COUNT; i++) {
        if (!check(valid[i], &e)) {
            fail_msg("%.*s: %s at %zu", (int)valid[i].len, valid[i].ptr, e.message, e.position);
        }
    }
}

/* Invalid texts, each with the byte that is wrong (from 0) */

struct wrong {
    struct slice text;
    size_t position;
};

static const struct wrong wrongs[] = {
    {TEXT("\xef\xbb\xbf{}"), 0}, /* a byte order mark */
    {TEXT("nulL"), 3},
    {TEXT("True"), 0},
    {TEXT("nullx"), 4},
    {TEXT("truefalse"), 4},
    {TEXT("NaN"), 0},
    {TEXT("Infinity"), 0},
    {TEXT("-Infinity"), 1},
    {TEXT("undefined"), 0},
    {TEXT("1 2"), 2},
    {TEXT("\f1"), 0},
    {TEXT("\v1"), 0},
    {TEXT("\xc2\xa0"
          "1"),
     0}, /* a space, but none of JSON's */
    {{"1\0", 2}, 1},
    {TEXT("+1"), 0},
    {TEXT("01"), 1},
    {TEXT("-01"), 2},
    {TEXT("00"), 1},
    {TEXT("0x10"), 1},
    {TEXT("-a"), 1},
    {TEXT("--1"), 1},
    {TEXT(".5"), 0},
    {TEXT("1.x"), 2},
    {TEXT("[1.]"), 3},
    {TEXT("-.5"), 1},
    {TEXT("1.5.5"), 3},
    {TEXT("[1e]"), 3},
    {TEXT("1e+x"), 3},
    {TEXT("1e5.5"), 3},
    {TEXT("1e1e1"), 3},
    {TEXT("1_000"), 1},
    {TEXT("'a'"), 0},
    {TEXT("\"\n\""), 1},
    {TEXT("\"\t\""), 1},
    {TEXT("\"\x1f\""), 1},
    {{"\"a\0b\"", 5}, 2},
    {TEXT("\"0123456789abcdef\x01\""), 17},
    {TEXT("\"\\x41\""), 2},
    {TEXT("\"\\a\""), 2},
    {TEXT("\"\\'\""), 2},
    {TEXT("\"\\U0041\""), 2},
    {{"\"\\\0\"", 4}, 2},
    {TEXT("\"\\u\""), 3},
    {TEXT("\"\\u12\""), 5},
    {TEXT("\"\\u12g4\""), 5},
    {TEXT("\"\\u+123\""), 3},
    {TEXT("\"\\u 123\""), 3},
    {TEXT("\"\x80\""), 1}, /* a lone continuation */
    {TEXT("\"\xbf\""), 1},
    {TEXT("\"\xc0\x80\""), 1}, /* overlong NUL */
    {TEXT("\"\xc1\xbf\""), 1},
    {TEXT("\"\xc3\""), 2}, /* the continuation is missing */
    {TEXT("\"\xc3(\""), 2},
    {TEXT("\"\xe0\x9f\xbf\""), 2}, /* overlong */
    {TEXT("\"\xe2\x82\""), 3},
    {TEXT("\"\xe2(\xa1\""), 2},
    {TEXT("\"\xed\xa0\x80\""), 2}, /* surrogates */
    {TEXT("\"\xed\xbf\xbf\""), 2},
    {TEXT("\"\xf0\x8f\xbf\xbf\""), 2}, /* overlong */
    {TEXT("\"\xf0\x9f\x98\""), 4},
    {TEXT("\"\xf4\x90\x80\x80\""), 2}, /* past U+10FFFF */
    {TEXT("\"\xf5\x80\x80\x80\""), 1},
    {TEXT("\"\xff\""), 1},
    {TEXT("\"\xfe\""), 1},
    {TEXT("\"\" \"\""), 3},
    {TEXT("]"), 0},
    {TEXT("[,1]"), 1},
    {TEXT("[1,]"), 3},
    {TEXT("[1,,2]"), 3},
    {TEXT("[1 2]"), 3},
    {TEXT("[1:2]"), 2},
    {TEXT("[1}"), 2},
    {TEXT("[]]"), 2},
    {TEXT("[1],"), 3},
    {TEXT("[a]"), 1},
    {TEXT("[truefalse]"), 5},
    {TEXT("[1// a comment\n]"), 2},
    {TEXT("[1/* a comment */]"), 2},
    {TEXT("}"), 0},
    {TEXT("{,}"), 1},
    {TEXT("{1:2}"), 1},
    {TEXT("{a:2}"), 1},
    {TEXT("{'a':2}"), 1},
    {TEXT("{null:2}"), 1},
    {TEXT("{\"a\"}"), 4},
    {TEXT("{\"a\" 1}"), 5},
    {TEXT("{\"a\",1}"), 4},
    {TEXT("{\"a\"::1}"), 5},
    {TEXT("{\"a\":}"), 5},
    {TEXT("{\"a\":,}"), 5},
    {TEXT("{\"a\":1,}"), 7},
    {TEXT("{\"a\":1 \"b\":2}"), 7},
    {TEXT("{\"a\":1;\"b\":2}"), 6},
    {TEXT("{\"a\":1]"), 6},
    {TEXT("{\"a\":1}}"), 7},
    {TEXT("{[]:1}"), 1},
    {TEXT("{\"\\x\":1}"), 3},
    {TEXT("{\"\xff\":1}"), 2},
    {TEXT("[{\"a\":[1,{\"b\":tru}]}]"), 17},
};

static void refuses_wrong_bytes_at_their_place(void **state) {
    (void)state;
    struct error e;
    for (size_t i = 0; i < sizeof wrongs / sizeof *wrongs; i++) {
        const struct wrong *wrong = &wrongs[i];
        if (check(wrong->text, &e)) {
            fail_msg("accepted %.*s", (int)wrong->text.len, wrong->text.ptr);
        }
        if (e.code != ERROR_SYNTAX || e.position != wrong->position) {
            fail_msg("%.*s: %s, %s at %zu, expected at %zu", (int)wrong->text.len, wrong->text.ptr,
                     error_name(e.code), e.message, e.position, wrong->position);
        }
    }
}

static void tells_empty_texts(void **state) {
    (void)state;
    struct error e;
    assert_false(check(SLICE(""), &e));
    assert_int_equal(e.code, ERROR_CUT);
    assert_false(check(SLICE(" \n"), &e));
    assert_int_equal(e.code, ERROR_CUT);
    assert_int_equal(e.position, 2);
    assert_false(json_check(SLICE("[1,]"), NULL));
}

static void names_what_it_found(void **state) {
    (void)state;
    struct error e;
    assert_false(check(SLICE("[1 x]"), &e));
    assert_string_equal(e.message, "expected ',' or ']', found 'x'");
    assert_false(check(SLICE("\"\x01\""), &e));
    assert_string_equal(e.message, "a control character in a string must be escaped, found byte 0x01");
}

/* A prefix is cut short, or (a number, a value with white space behind it) a whole text of its own. */
static bool is_whole(struct slice text, size_t len) {
    struct slice head = json_trim(slice_of(text.ptr, len));
    struct slice all = json_trim(text);
    if (head.len == 0) {
        return false;
    }
    bool number = json_kind_of(all) == JSON_NUMBER;
    return head.len == all.len || (number && head.ptr[head.len - 1] >= '0' && head.ptr[head.len - 1] <= '9');
}

static void tells_where_texts_are_cut(void **state) {
    (void)state;
    struct error e;
    for (size_t i = 0; i < VALID_COUNT; i++) {
        for (size_t len = 0; len < valid[i].len; len++) {
            bool ok = check(slice_of(valid[i].ptr, len), &e);
            if (ok != is_whole(valid[i], len)) {
                fail_msg("%zu bytes of %.*s", len, (int)valid[i].len, valid[i].ptr);
            }
            if (!ok && (e.code != ERROR_CUT || e.position != len)) {
                fail_msg("%zu bytes of %.*s: %s at %zu", len, (int)valid[i].len, valid[i].ptr, e.message,
                         e.position);
            }
        }
    }
}

static void scans_a_value_and_stops_behind_it(void **state) {
    (void)state;
    struct json_fault fault;
    static const char text[] = "{\"a\":[1,2]}  ,12 ";
    const char *end = text + sizeof text - 1;
    const char *at = text;
    assert_int_equal(json_scan_value(&at, end, 0, &fault), JSON_OK);
    assert_ptr_equal(at, text + 11);
    at = text + 14;
    assert_int_equal(json_scan_value(&at, end, 0, &fault), JSON_OK);
    assert_ptr_equal(at, text + 16);
    bool escaped;
    at = text + 1;
    assert_int_equal(json_scan_string(&at, end, &escaped, &fault), JSON_OK);
    assert_false(escaped);
    assert_ptr_equal(at, text + 4);
    static const char quoted[] = "\"\\n\"";
    at = quoted;
    assert_int_equal(json_scan_string(&at, quoted + 4, &escaped, &fault), JSON_OK);
    assert_true(escaped);
}

/* Depth */

/* depth containers inside each other, every other one an object. */
static struct buf nested(size_t depth, bool objects) {
    struct buf text;
    buf_init(&text, 1 << 20);
    for (size_t i = 0; i < depth; i++) {
        assert_true(buf_append_text(&text, objects && i % 2 ? "{\"a\":" : "["));
    }
    assert_true(!objects || depth % 2 == 1 || buf_append_text(&text, "0"));
    for (size_t i = depth; i-- > 0;) {
        assert_true(buf_append_byte(&text, objects && i % 2 ? '}' : ']'));
    }
    return text;
}

static void caps_depth(void **state) {
    (void)state;
    static const size_t depths[] = {1, 2, 63, 64, 65, 127, 128, 129, 999, 1000, 1001, 1002, 2000};
    struct error e;
    for (size_t i = 0; i < sizeof depths / sizeof *depths; i++) {
        for (int objects = 0; objects < 2; objects++) {
            struct buf text = nested(depths[i], objects);
            bool ok = check(buf_slice(&text), &e);
            assert_int_equal(ok, depths[i] <= JSON_DEPTH_MAX);
            assert_true(ok || e.code == ERROR_SYNTAX);
            assert_true(ok || objects || e.position == JSON_DEPTH_MAX);
            buf_free(&text);
        }
    }
}

static void counts_what_is_around_a_value(void **state) {
    (void)state;
    struct json_fault fault;
    static const char text[] = "[[]]";
    const char *at = text;
    assert_int_equal(json_scan_value(&at, text + 4, JSON_DEPTH_MAX - 2, &fault), JSON_OK);
    at = text;
    assert_int_equal(json_scan_value(&at, text + 4, JSON_DEPTH_MAX - 1, &fault), JSON_BAD);
    assert_ptr_equal(fault.at, text + 1);
}

/* Against cJSON */

/* What cJSON may take although RFC 8259 does not: raw control characters, any of them as white space,
 * numbers such as 01, 1. or -, bytes that are not UTF-8, a byte order mark, \u without four digits.
 * Where one of these is in a text that we refuse, the two are not compared. */
static bool cjson_is_lenient(struct slice text) {
    bool string = false;
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        unsigned char before = i ? (unsigned char)text.ptr[i - 1] : ' ';
        if (c >= 0x7f || (c < 0x20 && (string || (c != '\n' && c != '\r' && c != '\t')))) {
            return true;
        }
        if (string && c == '\\') {
            i++;
            if (i < text.len && text.ptr[i] == 'u') {
                return true;
            }
        } else if (c == '"') {
            string = !string;
        } else if (!string && (c == '.' || c == 'e' || c == 'E' || c == '+' || c == '-')) {
            return true;
        } else if (!string && c >= '0' && c <= '9' && before == '0') {
            return true;
        }
    }
    return false;
}

/* It refuses lone surrogates, and \u0000. Texts with escapes of that kind that we take are not compared. */
static bool cjson_is_strict(struct slice text) {
    for (size_t i = 0; i + 1 < text.len; i++) {
        if (text.ptr[i] == '\\' && text.ptr[i + 1] == 'u') {
            return true;
        }
    }
    return false;
}

static bool cjson_takes(struct slice text) {
    const char *end = NULL;
    cJSON *tree = cJSON_ParseWithLengthOpts(text.ptr, text.len, &end, 0);
    if (!tree) {
        return false;
    }
    cJSON_Delete(tree);
    const char *limit = text.ptr + text.len;
    while (end < limit && (*end == ' ' || *end == '\n' || *end == '\t' || *end == '\r')) {
        end++;
    }
    return end == limit;
}

static void mutate(struct buf *text, uint64_t *seed) {
    static const char alphabet[] = "{}[]\",:\\ \n01-+.eE29aunltrfs/bx\x01\x80\xc3\xa9";
    unsigned changes = 1 + (unsigned)(random_next(seed) % 3);
    for (unsigned i = 0; i < changes && text->len > 0; i++) {
        size_t at = random_next(seed) % text->len;
        char byte = alphabet[random_next(seed) % (sizeof alphabet - 1)];
        switch (random_next(seed) % 4) {
        case 0:
            text->ptr[at] = byte;
            break;
        case 1: /* one less */
            memmove(text->ptr + at, text->ptr + at + 1, text->len - at - 1);
            text->len--;
            break;
        case 2: /* one more */
            assert_true(buf_append_byte(text, byte));
            memmove(text->ptr + at + 1, text->ptr + at, text->len - at - 1);
            text->ptr[at] = byte;
            break;
        default: /* a stretch comes twice */
            assert_true(buf_reserve(text, 8));
            assert_true(buf_append(text, text->ptr + at, text->len - at > 8 ? 8 : text->len - at));
            break;
        }
    }
}

static void agrees_with_cjson(void **state) {
    (void)state;
    const char *given = getenv("JSON_TEST_SEED");
    uint64_t seed = given ? strtoull(given, NULL, 0) : (uint64_t)time(NULL) * 2654435761u + 1;
    seed = seed ? seed : 1;
    print_message("JSON_TEST_SEED=%llu\n", (unsigned long long)seed);
    unsigned compared = 0;
    unsigned good = 0;
    struct error e;
    for (unsigned round = 0; round < 200000; round++) {
        struct buf text;
        buf_init(&text, 4096);
        assert_true(buf_append_slice(&text, valid[random_next(&seed) % VALID_COUNT]));
        mutate(&text, &seed);
        struct slice copy = exact(buf_slice(&text));
        bool ours = json_check(copy, &e);
        bool skip = ours ? cjson_is_strict(copy) : cjson_is_lenient(copy);
        if (!skip) {
            compared++;
            good += ours;
            if (cjson_takes(copy) != ours) {
                fail_msg("ours says %d: %.*s", ours, (int)copy.len, copy.ptr);
            }
        }
        free((void *)copy.ptr);
        buf_free(&text);
    }
    print_message("%u texts compared, %u of them valid\n", compared, good);
    assert_true(compared > 50000 && good > 5000);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accepts_valid_texts),
        cmocka_unit_test(refuses_wrong_bytes_at_their_place),
        cmocka_unit_test(tells_empty_texts),
        cmocka_unit_test(names_what_it_found),
        cmocka_unit_test(tells_where_texts_are_cut),
        cmocka_unit_test(scans_a_value_and_stops_behind_it),
        cmocka_unit_test(caps_depth),
        cmocka_unit_test(counts_what_is_around_a_value),
        cmocka_unit_test(agrees_with_cjson),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
