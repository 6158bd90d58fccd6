/* Compiled schemas, built directly: what fits, what does not and the words for it, duplicates, limits,
 * and each allocation failing once. Linked with malloc, calloc and realloc wrapped. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "memory.h"
#include "state/schema.h"
#include "state/schema_build.h"
#include "state/schema_format.h"
#include "state/schema_number.h"
#include "state/schema_walk.h"
#include "json/scan.h"

/* A schema with one node at its root, to which rules are added before `done`. */
struct one {
    struct schema *schema;
    struct schema_node *root;
};

static struct one one(enum schema_kind kind) {
    struct one made = {.schema = schema_new()};
    assert_non_null(made.schema);
    made.root = schema_add(made.schema, kind, NULL);
    assert_non_null(made.root);
    return made;
}

static struct one done(struct one made) {
    assert_true(schema_finish(made.schema, made.root, NULL));
    return made;
}

/* The issues in one line, "" where the text fits. Text is copied to a block of exactly its size, so that
 * the sanitizer sees a step too far. */
static const char *issues_of(const struct schema *schema, const char *text) {
    static char line[64 * 1024];
    struct schema_issues issues;
    struct buf out;
    size_t len = strlen(text);
    char *exact = malloc(len ? len : 1);
    assert_non_null(exact);
    memcpy(exact, text, len);
    assert_true(json_check(slice_of(exact, len), NULL));
    buf_init(&out, sizeof line - 1);
    schema_issues_init(&issues);
    bool fits = schema_check(schema, slice_of(exact, len), &issues);
    assert_int_equal(fits, issues.count == 0);
    assert_int_equal(fits, schema_check(schema, slice_of(exact, len), NULL));
    assert_int_equal(fits, schema_walk_check(schema, json_trim(slice_of(exact, len)), NULL));
    assert_true(schema_issues_describe(&issues, &out));
    memcpy(line, buf_slice(&out).ptr, out.len);
    line[out.len] = '\0';
    buf_free(&out);
    schema_issues_free(&issues);
    free(exact);
    return line;
}

#define FITS(made, text) assert_string_equal(issues_of((made).schema, text), "")
#define REFUSES(made, text, words) assert_string_equal(issues_of((made).schema, text), words)

static void test_kinds(void **state) {
    (void)state;
    static const char *const texts[] = {"null", "true", "3", "3.5", "\"a\"", "[]", "{}"};
    static const struct {
        enum schema_kind kind;
        const char *fits; /* a letter for each of the texts: y or n */
    } rows[] = {
        {SCHEMA_ANY, "yyyyyyy"},     {SCHEMA_STRING, "nnnnynn"},  {SCHEMA_NUMBER, "nnyynnn"},
        {SCHEMA_INTEGER, "nnynnnn"}, {SCHEMA_BOOLEAN, "nynnnnn"}, {SCHEMA_ARRAY, "nnnnnyn"},
        {SCHEMA_OBJECT, "nnnnnny"},  {SCHEMA_RECORD, "nnnnnny"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        for (int nullable = 0; nullable < 2; nullable++) {
            struct one made = one(rows[i].kind);
            if (rows[i].kind == SCHEMA_ARRAY || rows[i].kind == SCHEMA_RECORD) {
                assert_true(schema_node_item(made.root, schema_add(made.schema, SCHEMA_ANY, NULL), NULL));
            }
            if (nullable) {
                schema_node_nullable(made.root);
            }
            done(made);
            for (size_t t = 0; t < sizeof texts / sizeof *texts; t++) {
                bool fits = rows[i].fits[t] == 'y' || (nullable && t == 0);
                assert_int_equal(issues_of(made.schema, texts[t])[0] == '\0', fits);
            }
            schema_free(made.schema);
        }
    }
}

static void test_words(void **state) {
    (void)state;
    struct one made = done(one(SCHEMA_STRING));
    REFUSES(made, "3", "expected a string, got a number (3)");
    REFUSES(made, " [1] ", "expected a string, got an array");
    REFUSES(made, "[ ]", "expected a string, got an empty array");
    REFUSES(made, "{}", "expected a string, got an empty object");
    REFUSES(made, "true", "expected a string, got a boolean (true)");
    REFUSES(made, "null", "expected a string, got null");
    schema_free(made.schema);
    made = one(SCHEMA_INTEGER);
    schema_node_nullable(made.root);
    done(made);
    REFUSES(made, "\"x\"", "expected an integer or null, got a string (\"x\")");
    /* 39 ASCII bytes and the quote, then a character that would be cut in two. */
    REFUSES(made, "\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\xC3\xA4zzz\"",
            "expected an integer or null, got a string (\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa...\")");
    schema_free(made.schema);
}

static void test_lengths(void **state) {
    (void)state;
    struct one made = one(SCHEMA_STRING);
    schema_node_min(made.root, schema_number_whole(1));
    schema_node_max(made.root, schema_number_whole(3));
    done(made);
    REFUSES(made, "\"\"", "must have at least 1 character, has 0");
    FITS(made, "\"a\"");
    FITS(made, "\"\xC3\xA4\xE2\x82\xAC\xF0\x9F\x98\x80\"");
    FITS(made, "\"\\u00e4\\ud83d\\ude00\\n\"");
    FITS(made, "\"\\ud800ab\"");
    REFUSES(made, "\"abcd\"", "must have at most 3 characters, has 4");
    REFUSES(made, "\"\\ud83d\\ude00\\\\\\\"\\u0000\"", "must have at most 3 characters, has 4");
    schema_free(made.schema);

    made = one(SCHEMA_ARRAY);
    assert_true(schema_node_item(made.root, schema_add(made.schema, SCHEMA_INTEGER, NULL), NULL));
    schema_node_min(made.root, schema_number_whole(2));
    schema_node_max(made.root, schema_number_whole(2));
    done(made);
    FITS(made, " [ 1 , 2 ] ");
    REFUSES(made, "[1]", "must have exactly 2 items, has 1");
    REFUSES(made, "[1,2,\"c\"]",
            "[2]: expected an integer, got a string (\"c\"); must have exactly 2 items, has 3");
    schema_free(made.schema);
}

static void test_bounds(void **state) {
    (void)state;
    struct one made = one(SCHEMA_NUMBER);
    schema_node_min(made.root, schema_number_whole(0));
    schema_node_max(made.root, schema_number_real(0.5));
    done(made);
    FITS(made, "0");
    FITS(made, "-0.0");
    FITS(made, "0.5");
    FITS(made, "5e-1");
    FITS(made, "1e-400");
    REFUSES(made, "-1e-3", "must be at least 0, is -1e-3");
    REFUSES(made, "0.50000000000000011102230246251565404236316680908203125",
            "must be at most 0.5, is 0.50000000000000011102230246251565404236...");
    REFUSES(made, "1e400", "must be at most 0.5, is 1e400");
    schema_free(made.schema);

    /* 2^53 and its neighbour are one float, and two integers. */
    made = one(SCHEMA_NUMBER);
    schema_node_max(made.root, schema_number_whole(INT64_C(9007199254740992)));
    done(made);
    FITS(made, "9007199254740992");
    REFUSES(made, "9007199254740993", "must be at most 9007199254740992, is 9007199254740993");
    schema_free(made.schema);
}

static void test_integers(void **state) {
    (void)state;
    struct one made = done(one(SCHEMA_INTEGER));
    static const char *const whole[] = {"0",
                                        "-0",
                                        "1.0",
                                        "1e3",
                                        "-1.50e1",
                                        "1200e-2",
                                        "0e999999999999",
                                        "0.0e5",
                                        "1E+2",
                                        "-0.0",
                                        "10.000",
                                        "9223372036854775807",
                                        "-9223372036854775808",
                                        "9223372036854775807.0",
                                        "0.9223372036854775807e19",
                                        "-9.223372036854775808e18"};
    static const char *const not_whole[] = {"0.5", "1e-1", "15e-1", "1.0000000000000000000000000000001",
                                            "1e-999999999999"};
    static const char *const large[] = {
        "9223372036854775808", "-9223372036854775809", "1e19",
        "1e999999999999",      "99999999999999999999", "18446744073709551616"};
    for (size_t i = 0; i < sizeof whole / sizeof *whole; i++) {
        FITS(made, whole[i]);
    }
    for (size_t i = 0; i < sizeof not_whole / sizeof *not_whole; i++) {
        assert_non_null(strstr(issues_of(made.schema, not_whole[i]), "expected an integer, got a number ("));
    }
    for (size_t i = 0; i < sizeof large / sizeof *large; i++) {
        assert_non_null(strstr(issues_of(made.schema, large[i]), "must fit a 64-bit integer, got "));
    }
    schema_free(made.schema);
}

static struct schema_number read_number(const char *text) {
    return schema_number_read(slice_from(text));
}

static void test_numbers(void **state) {
    (void)state;
    /* In ascending order. */
    static const char *const texts[] = {"-1e400",
                                        "-1e19",
                                        "-9223372036854775809",
                                        "-9223372036854775807",
                                        "-2.5",
                                        "-2",
                                        "-1.5",
                                        "-1e-300",
                                        "0",
                                        "1e-300",
                                        "0.1",
                                        "1",
                                        "1.5",
                                        "2",
                                        "9007199254740992.0",
                                        "9007199254740993",
                                        "9223372036854775806",
                                        "9223372036854775807",
                                        "9223372036854775808",
                                        "1e19",
                                        "1e400"};
    size_t count = sizeof texts / sizeof *texts;
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < count; j++) {
            int order = schema_number_compare(read_number(texts[i]), read_number(texts[j]));
            assert_int_equal((order > 0) - (order < 0), (i > j) - (i < j));
        }
    }
    assert_true(read_number("-9223372036854775808").whole);
    assert_int_equal(schema_number_compare(read_number("1"), read_number("1.0")), 0);
    assert_true(read_number("0.1").real == 0.1);
    assert_true(read_number("123456789012345678901234567890").real == 123456789012345678901234567890.0);
    assert_true(read_number("2.2250738585072011e-308").real == 2.2250738585072011e-308);

    char digits[5000];
    memset(digits, '3', sizeof digits);
    digits[0] = '0';
    digits[1] = '.';
    struct schema_number third = schema_number_read(slice_of(digits, sizeof digits));
    assert_true(third.real == 1.0 / 3);
    memset(digits, '9', sizeof digits);
    assert_true(schema_number_read(slice_of(digits, sizeof digits)).real > 1e308);
}

static void test_enums(void **state) {
    (void)state;
    struct one made = one(SCHEMA_ENUM);
    assert_true(schema_node_string(made.root, SLICE("a\"b"), NULL));
    assert_true(schema_node_string(made.root, SLICE(""), NULL));
    assert_true(schema_node_number(made.root, schema_number_whole(1), NULL));
    assert_true(schema_node_boolean(made.root, false, NULL));
    assert_true(schema_node_null(made.root, NULL));
    done(made);
    FITS(made, "\"a\\\"b\"");
    FITS(made, "\"\\u0061\\u0022b\"");
    FITS(made, "\"\"");
    FITS(made, "1");
    FITS(made, "1.0");
    FITS(made, "false");
    FITS(made, "null");
    REFUSES(made, "true", "must be one of \"a\\\"b\", \"\", 1, false, null, got true");
    REFUSES(made, "2", "must be one of \"a\\\"b\", \"\", 1, false, null, got 2");
    REFUSES(made, "\"a\"", "must be one of \"a\\\"b\", \"\", 1, false, null, got \"a\"");
    REFUSES(made, "[1]", "must be one of \"a\\\"b\", \"\", 1, false, null, got an array");
    schema_free(made.schema);

    made = one(SCHEMA_ENUM);
    assert_true(schema_node_string(made.root, SLICE("user"), NULL));
    done(made);
    REFUSES(made, "\"users\"", "must be \"user\", got \"users\"");
    schema_free(made.schema);
}

/* {id: string, age: integer optional, tags: array of strings, "a b": any optional} */
static struct one user_schema(bool strict) {
    struct one made = one(SCHEMA_OBJECT);
    struct schema_node *age = schema_add(made.schema, SCHEMA_INTEGER, NULL);
    struct schema_node *tags = schema_add(made.schema, SCHEMA_ARRAY, NULL);
    struct schema_node *odd = schema_add(made.schema, SCHEMA_NUMBER, NULL);
    schema_node_optional(age);
    schema_node_optional(odd);
    assert_true(schema_node_item(tags, schema_add(made.schema, SCHEMA_STRING, NULL), NULL));
    assert_true(schema_node_field(made.root, SLICE("tags"), tags, NULL));
    assert_true(
        schema_node_field(made.root, SLICE("id"), schema_add(made.schema, SCHEMA_STRING, NULL), NULL));
    assert_true(schema_node_field(made.root, SLICE("age"), age, NULL));
    assert_true(schema_node_field(made.root, SLICE("a b"), odd, NULL));
    if (strict) {
        schema_node_strict(made.root);
    }
    return done(made);
}

static void test_objects(void **state) {
    (void)state;
    struct one made = user_schema(false);
    FITS(made, "{\"id\":\"1\",\"tags\":[]}");
    FITS(made, " { \"tags\" : [ \"x\" ] , \"other\" : {\"id\":[1]} , \"\\u0069d\" : \"1\" , \"age\" : 3 } ");
    REFUSES(made, "{}", "id: is missing: expected a string; tags: is missing: expected an array");
    REFUSES(made, "{\"id\":\"1\",\"tags\":[\"a\",2,\"c\",null]}",
            "tags[1]: expected a string, got a number (2); tags[3]: expected a string, got null");
    REFUSES(made, "{\"age\":null,\"id\":\"1\",\"tags\":[]}", "age: expected an integer, got null");
    REFUSES(made, "{\"a b\":null,\"id\":\"1\",\"tags\":[]}", "[\"a b\"]: expected a number, got null");
    REFUSES(made, "[]", "expected an object, got an empty array");
    schema_free(made.schema);

    made = user_schema(true);
    FITS(made, "{\"id\":\"1\",\"tags\":[]}");
    REFUSES(made, "{\"id\":\"1\",\"tags\":[],\"ids\":[1,2]}",
            "ids: is not allowed here, only a b, age, id, tags");
    REFUSES(made, "{\"id\":\"1\",\"tags\":[],\"\\u00e4\":1}",
            "[\"\\u00e4\"]: is not allowed here, only a b, age, id, tags");
    schema_free(made.schema);

    made = one(SCHEMA_OBJECT);
    schema_node_strict(made.root);
    done(made);
    FITS(made, "{}");
    REFUSES(made, "{\"\":1}", "[\"\"]: is not allowed here");
    schema_free(made.schema);
}

static void test_last_member_counts(void **state) {
    (void)state;
    struct one made = user_schema(false);
    FITS(made, "{\"id\":1,\"tags\":[],\"id\":\"1\"}");
    FITS(made, "{\"id\":1,\"tags\":[1,2],\"\\u0069d\":2,\"tags\":[\"x\"],\"id\":\"1\"}");
    REFUSES(made, "{\"id\":\"1\",\"tags\":[],\"id\":2}", "id: expected a string, got a number (2)");
    REFUSES(made, "{\"age\":\"x\",\"id\":1,\"tags\":[1],\"id\":2,\"tags\":[3]}",
            "age: expected an integer, got a string (\"x\"); id: expected a string, got a number (2); "
            "tags[0]: expected a string, got a number (3)");
    schema_free(made.schema);
}

static void test_many_issues_that_do_not_count(void **state) {
    (void)state;
    struct one made = user_schema(false);
    char text[1024] = "{\"tags\":[0";
    for (int i = 0; i < 50; i++) {
        strcat(text, ",0");
    }
    char *end = text + strlen(text);
    strcpy(end, "],\"id\":\"1\",\"tags\":[]}");
    FITS(made, text);
    strcpy(end, "],\"id\":1,\"tags\":[]}"); /* the list was full when this came */
    REFUSES(made, text, "has more issues than can be listed");
    schema_free(made.schema);
}

static void test_issue_limit(void **state) {
    (void)state;
    struct one made = one(SCHEMA_ARRAY);
    struct schema_issues issues;
    assert_true(schema_node_item(made.root, schema_add(made.schema, SCHEMA_STRING, NULL), NULL));
    done(made);
    char text[512] = "[0";
    for (int i = 0; i < 100; i++) {
        strcat(text, ",0");
    }
    strcat(text, "]");
    schema_issues_init(&issues);
    assert_false(schema_check(made.schema, slice_from(text), &issues));
    assert_int_equal(issues.count, SCHEMA_ISSUES_MAX);
    assert_true(slice_is(buf_slice(&issues.issues[SCHEMA_ISSUES_MAX - 1].path), "[31]"));
    assert_ptr_equal(issues.issues[1].value.ptr, text + 3);
    assert_true(schema_check(made.schema, SLICE("[]"), &issues));
    assert_int_equal(issues.count, 0);
    schema_issues_free(&issues);
    schema_free(made.schema);
}

static void test_records(void **state) {
    (void)state;
    struct one made = one(SCHEMA_RECORD);
    assert_true(schema_node_item(made.root, schema_add(made.schema, SCHEMA_NUMBER, NULL), NULL));
    done(made);
    FITS(made, "{}");
    FITS(made, "{\"a\":1,\"\":2}");
    REFUSES(made, "{\"a\":1,\"b\":\"x\",\"c.d\":null}",
            "b: expected a number, got a string (\"x\"); [\"c.d\"]: expected a number, got null");
    schema_free(made.schema);
}

static void test_long_names_are_cut(void **state) {
    (void)state;
    struct one made = one(SCHEMA_RECORD);
    assert_true(schema_node_item(made.root, schema_add(made.schema, SCHEMA_NUMBER, NULL), NULL));
    done(made);
    char text[400];
    snprintf(text, sizeof text, "{\"%0300d\":null}", 0);
    const char *line = issues_of(made.schema, text);
    assert_true(strlen(line) < 200);
    assert_non_null(strstr(line, "0...: expected a number, got null"));
    schema_free(made.schema);
}

static void test_many_fields(void **state) {
    (void)state;
    struct one made = one(SCHEMA_OBJECT);
    struct error e;
    char name[40];
    for (int i = 0; i < SCHEMA_FIELDS_MAX; i++) {
        snprintf(name, sizeof name, i % 2 ? "f%d" : "a_much_longer_name_for_a_field_%d", i);
        struct schema_node *field = schema_add(made.schema, SCHEMA_INTEGER, NULL);
        assert_true(schema_node_field(made.root, slice_from(name), field, NULL));
    }
    struct schema_node *more = schema_add(made.schema, SCHEMA_INTEGER, NULL);
    assert_false(schema_node_field(made.root, SLICE("more"), more, &e));
    assert_int_equal(e.code, ERROR_LIMIT);
    done(made);
    struct buf text;
    buf_init(&text, 1 << 20);
    buf_append_byte(&text, '{');
    for (int i = 0; i < SCHEMA_FIELDS_MAX; i++) {
        snprintf(name, sizeof name, i % 2 ? "f%d" : "a_much_longer_name_for_a_field_%d", i);
        buf_printf(&text, "%s\"%s\":%d", i ? "," : "", name, i);
    }
    buf_append(&text, "}", 2);
    FITS(made, text.ptr);
    char *last = strstr(text.ptr, ",\"f1023\"");
    strcpy(last, "}");
    REFUSES(made, text.ptr, "f1023: is missing: expected an integer");
    buf_free(&text);
    schema_free(made.schema);
}

static void test_depth(void **state) {
    (void)state;
    struct schema *schema = schema_new();
    struct schema_node *inner = schema_add(schema, SCHEMA_STRING, NULL);
    struct error e;
    for (int i = 1; i < SCHEMA_DEPTH_MAX; i++) {
        struct schema_node *outer = schema_add(schema, SCHEMA_ARRAY, NULL);
        assert_true(schema_node_item(outer, inner, &e));
        inner = outer;
    }
    assert_false(schema_node_item(schema_add(schema, SCHEMA_ARRAY, NULL), inner, &e));
    assert_int_equal(e.code, ERROR_LIMIT);
    assert_string_equal(e.message, "a schema is at most 100 levels deep");
    assert_false(schema_finish(schema, inner, &e)); /* the outermost has no item */
    assert_int_equal(e.code, ERROR_ARGUMENT);
    schema_free(schema);
    schema_free(NULL);
}

static void test_deep_text(void **state) {
    (void)state;
    struct one made = one(SCHEMA_ARRAY);
    assert_true(schema_node_item(made.root, schema_add(made.schema, SCHEMA_ANY, NULL), NULL));
    done(made);
    char text[2 * JSON_DEPTH_MAX + 1];
    memset(text, '[', JSON_DEPTH_MAX);
    memset(text + JSON_DEPTH_MAX, ']', JSON_DEPTH_MAX);
    text[2 * JSON_DEPTH_MAX] = '\0';
    FITS(made, text);
    schema_free(made.schema);
}

static void test_missing_value(void **state) {
    (void)state;
    struct one made = done(one(SCHEMA_STRING));
    struct schema_issues issues;
    schema_issues_init(&issues);
    assert_false(schema_check_missing(made.schema, &issues));
    assert_int_equal(issues.count, 1);
    assert_true(slice_is(buf_slice(&issues.issues[0].message), "is missing: expected a string"));
    assert_null(issues.issues[0].value.ptr);
    schema_node_optional(made.root);
    assert_true(schema_check_missing(made.schema, &issues));
    assert_int_equal(issues.count, 0);
    schema_issues_free(&issues);
    schema_free(made.schema);
}

static void test_patterns(void **state) {
    (void)state;
    struct one made = one(SCHEMA_STRING);
    assert_true(schema_node_part(made.root, SCHEMA_PATTERN, SLICE("a\n"), NULL));
    assert_true(schema_node_part(made.root, SCHEMA_PATTERN, SLICE("b"), NULL));
    done(made);
    assert_string_equal(issues_of(made.schema, "\"ba\\nb\""), "");
    assert_string_equal(issues_of(made.schema, "\"ab\""), "must match the pattern \"a\\n\", got \"ab\"");
    REFUSES(made, "\"c\"",
            "must match the pattern \"a\\n\", got \"c\"; must match the pattern \"b\", got \"c\"");
    struct error e;
    assert_false(schema_node_part(made.root, SCHEMA_PATTERN, SLICE("[a"), &e));
    assert_int_equal(e.code, ERROR_ARGUMENT);
    schema_free(made.schema);
}

/* What would take forever is given up, and does not match. */
static void test_patterns_are_bounded(void **state) {
    (void)state;
    static const char *const patterns[] = {".-.-.-.-.-.-b", "(.*)(.*)(.*)(.*)(.*)b",
                                           "^a?a?a?a?a?a?a?a?a?a?a?a?a?b", "%b()%b()%b()", "(.-)%1%1%1b"};
    char text[4000];
    memset(text, 'a', sizeof text);
    memset(text + 100, '(', 1000);
    for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++) {
        struct schema_pattern *pattern = schema_pattern_new(slice_from(patterns[i]), NULL);
        assert_non_null(pattern);
        assert_false(schema_pattern_finds(pattern, slice_of(text, sizeof text)));
        schema_pattern_free(pattern);
    }
}

static void test_datetime(void **state) {
    (void)state;
    static const char *const good[] = {"2024-02-29T00:00:00Z",
                                       "2000-02-29T23:59:59Z",
                                       "2024-05-01T10:00:00.1Z",
                                       "2024-12-31T10:00:00+02:00",
                                       "2024-05-01T10:00:00.123456789-23:59",
                                       "0000-01-01T00:00:00Z",
                                       "9999-12-31T23:59:59Z",
                                       "2024-04-30T00:00:00-00:00"};
    static const char *const bad[] = {
        "",
        "2023-02-29T00:00:00Z",
        "1900-02-29T00:00:00Z",
        "2024-02-30T00:00:00Z",
        "2024-04-31T00:00:00Z",
        "2024-00-01T00:00:00Z",
        "2024-13-01T00:00:00Z",
        "2024-01-00T00:00:00Z",
        "2024-01-32T00:00:00Z",
        "2024-01-01T24:00:00Z",
        "2024-01-01T00:60:00Z",
        "2024-01-01T00:00:60Z",
        "2024-01-01T00:00:00",
        "2024-01-01T00:00:00.Z",
        "2024-01-01T00:00Z",
        "2024-01-01 00:00:00Z",
        "2024-01-01t00:00:00z",
        "2024-01-01T00:00:00+24:00",
        "2024-01-01T00:00:00+00:60",
        "2024-01-01T00:00:00+0000",
        "2024-01-01T00:00:00ZZ",
        "24-01-01T00:00:00Z",
        "+2024-01-01T00:00:00Z",
        "2024-1-01T00:00:00Z",
        "2024-01-01",
    };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_true(schema_format_datetime(slice_from(good[i])));
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_false(schema_format_datetime(slice_from(bad[i])));
    }
    /* Each start of a good one is bad. */
    for (size_t len = 0; len < strlen(good[3]); len++) {
        assert_false(schema_format_datetime(slice_of(good[3], len)));
    }
}

static void test_email(void **state) {
    (void)state;
    static const char *const good[] = {"a@b.co", "first.last+tag@mail.example.org", "o'hara@x-y.example",
                                       "_@1.de", "a-@b.co"};
    static const char *const bad[] = {
        "",          "@",       "a",       "a@b",           "@b.co",    "a@",         ".a@b.co", "a.@b.co",
        "a..b@c.de", "a@b..de", "a@.de",   "a@-b.de",       "a@b.c",    "a@b.c1",     "a@@b.de", "a b@c.de",
        "a@b.de ",   "a'@b.de", "a@b.de.", "\xC3\xA4@b.de", "a@b_c.de", "a@[1.2.3.4]"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_true(schema_format_email(slice_from(good[i])));
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_false(schema_format_email(slice_from(bad[i])));
    }
}

/* Builds a schema with every kind of part, NULL where memory ran out. */
static struct schema *build_all(struct error *e) {
    struct schema *schema = schema_new();
    struct schema_node *root = schema ? schema_add(schema, SCHEMA_OBJECT, e) : NULL;
    struct schema_node *text = root ? schema_add(schema, SCHEMA_STRING, e) : NULL;
    struct schema_node *color = text ? schema_add(schema, SCHEMA_ENUM, e) : NULL;
    struct schema_node *list = color ? schema_add(schema, SCHEMA_ARRAY, e) : NULL;
    bool ok = list && schema_node_part(text, SCHEMA_PATTERN, SLICE("x"), e) &&
              schema_node_part(text, SCHEMA_PATTERN, SLICE("y"), e) &&
              schema_node_string(color, SLICE("red"), e) && schema_node_string(color, SLICE("green"), e) &&
              schema_node_null(color, e) && schema_node_item(list, color, e) &&
              schema_node_field(root, SLICE("text"), text, e) &&
              schema_node_field(root, SLICE("list"), list, e) && schema_finish(schema, root, e);
    if (!ok) {
        schema_free(schema);
        return NULL;
    }
    return schema;
}

static void test_out_of_memory(void **state) {
    (void)state;
    struct error e;
    struct schema *schema = NULL;
    for (long n = 0; !schema; n++) {
        memory_left = n;
        error_clear(&e);
        schema = build_all(&e);
        memory_left = -1;
        assert_true(schema || n == 0 || e.code == ERROR_MEMORY);
        assert_true(n < 100);
    }
    /* Escapes, duplicates and issues all take memory; the answer is never "it fits". */
    struct slice text = SLICE("{\"te\\u0078t\":\"\\u0078\",\"list\":[],\"list\":[\"blue\"],\"text\":\"z\"}");
    for (long n = 0; n < 40; n++) {
        struct schema_issues issues;
        schema_issues_init(&issues);
        memory_left = n;
        bool fits = schema_check(schema, text, &issues);
        memory_left = -1;
        assert_false(fits);
        assert_true(issues.count > 0);
        schema_issues_free(&issues);
    }
    schema_free(schema);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kinds),
        cmocka_unit_test(test_words),
        cmocka_unit_test(test_lengths),
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_integers),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_enums),
        cmocka_unit_test(test_objects),
        cmocka_unit_test(test_last_member_counts),
        cmocka_unit_test(test_many_issues_that_do_not_count),
        cmocka_unit_test(test_issue_limit),
        cmocka_unit_test(test_records),
        cmocka_unit_test(test_long_names_are_cut),
        cmocka_unit_test(test_many_fields),
        cmocka_unit_test(test_depth),
        cmocka_unit_test(test_deep_text),
        cmocka_unit_test(test_missing_value),
        cmocka_unit_test(test_patterns),
        cmocka_unit_test(test_patterns_are_bounded),
        cmocka_unit_test(test_datetime),
        cmocka_unit_test(test_email),
        cmocka_unit_test(test_out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
