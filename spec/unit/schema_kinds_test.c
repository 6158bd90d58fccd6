/* Compiled schemas: tuples, unions, formats, and the quick check against the exact one, on random texts and with each
 * allocation failing once. Linked with malloc, calloc and realloc wrapped. */
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
#include "state/schema_fast.h"
#include "state/schema_format.h"
#include "state/schema_walk.h"
#include "json/scan.h"

static struct schema_node *add(struct schema *schema, enum schema_kind kind) {
    struct schema_node *node = schema_add(schema, kind, NULL);
    assert_non_null(node);
    return node;
}

static void field(struct schema_node *object, const char *name, struct schema_node *node) {
    assert_true(schema_node_field(object, slice_from(name), node, NULL));
}

static struct schema_node *string_from(struct schema *schema, int64_t least) {
    struct schema_node *node = add(schema, SCHEMA_STRING);
    schema_node_min(node, schema_number_whole(least));
    return node;
}

/* {kind: "a", ...} or {kind: "b" or 2, ...}, strict. */
static struct schema_node *tagged(struct schema *schema) {
    struct schema_node *node = add(schema, SCHEMA_TAGGED);
    struct schema_node *first = add(schema, SCHEMA_OBJECT);
    struct schema_node *second = add(schema, SCHEMA_OBJECT);
    struct schema_node *a = add(schema, SCHEMA_ENUM);
    struct schema_node *b = add(schema, SCHEMA_ENUM);
    assert_true(schema_node_string(a, SLICE("a"), NULL));
    assert_true(schema_node_string(b, SLICE("b"), NULL) &&
                schema_node_number(b, schema_number_whole(2), NULL));
    field(first, "kind", a);
    field(first, "n", add(schema, SCHEMA_INTEGER));
    field(second, "kind", b);
    schema_node_strict(second);
    assert_true(schema_node_tag(node, SLICE("kind"), NULL));
    assert_true(schema_node_option(node, first, NULL) && schema_node_string(node, SLICE("a"), NULL));
    assert_true(schema_node_option(node, second, NULL) && schema_node_string(node, SLICE("b"), NULL) &&
                schema_node_number(node, schema_number_whole(2), NULL));
    return node;
}

/* An object that has a field of every kind. */
static struct schema *everything(void) {
    struct schema *schema = schema_new();
    struct schema_node *root = add(schema, SCHEMA_OBJECT);
    struct schema_node *id = string_from(schema, 1);
    struct schema_node *name = string_from(schema, 2);
    struct schema_node *mail = add(schema, SCHEMA_STRING);
    struct schema_node *n = add(schema, SCHEMA_INTEGER);
    struct schema_node *ratio = add(schema, SCHEMA_NUMBER);
    struct schema_node *list = add(schema, SCHEMA_ARRAY);
    struct schema_node *pair = add(schema, SCHEMA_TUPLE);
    struct schema_node *either = add(schema, SCHEMA_UNION);
    struct schema_node *record = add(schema, SCHEMA_RECORD);
    struct schema_node *missing = add(schema, SCHEMA_ANY);
    schema_node_max(name, schema_number_whole(3));
    schema_node_format(mail, SCHEMA_EMAIL);
    schema_node_optional(mail);
    schema_node_min(n, schema_number_whole(0));
    schema_node_max(n, schema_number_real(99.5));
    schema_node_nullable(n);
    schema_node_min(ratio, schema_number_whole(0));
    schema_node_over(ratio);
    schema_node_max(ratio, schema_number_whole(1));
    schema_node_under(ratio);
    schema_node_optional(ratio);
    assert_true(schema_node_item(list, tagged(schema), NULL));
    schema_node_max(list, schema_number_whole(2));
    assert_true(schema_node_option(pair, add(schema, SCHEMA_BOOLEAN), NULL));
    assert_true(schema_node_option(pair, missing, NULL));
    schema_node_optional(missing);
    schema_node_optional(pair);
    assert_true(schema_node_option(either, string_from(schema, 3), NULL));
    assert_true(schema_node_option(either, n, NULL));
    assert_true(schema_node_option(either, list, NULL));
    assert_true(schema_node_part(id, SCHEMA_STARTS, SLICE("a"), NULL));
    assert_true(schema_node_item(record, either, NULL));
    assert_true(schema_node_names_fit(record, name, NULL));
    schema_node_optional(record);
    field(root, "id", id);
    field(root, "name", name);
    field(root, "mail", mail);
    field(root, "n", n);
    field(root, "ratio", ratio);
    field(root, "list", list);
    field(root, "pair", pair);
    field(root, "record", record);
    field(root, "a name that is longer than the glue may be", missing);
    field(root, "quo\"te", missing);
    assert_true(schema_finish(schema, root, NULL));
    return schema;
}

/* Random texts */

static uint64_t random_state = 88172645463325252U;

static unsigned below(unsigned count) {
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (unsigned)(random_state >> 33) % count;
}

static void append_space(struct buf *out) {
    if (below(8) == 0) {
        buf_append_text(out, below(2) ? " " : "\n\t");
    }
}

static void append_one(struct buf *out, const char *const *texts, unsigned count) {
    append_space(out);
    buf_append_text(out, texts[below(count)]);
    append_space(out);
}

#define APPEND_ONE(out, texts) append_one(out, texts, sizeof(texts) / sizeof *(texts))

static void append_scalar(struct buf *out) {
    static const char *const texts[] = {"\"\"",
                                        "\"a\"",
                                        "\"ab\"",
                                        "\"abc\"",
                                        "\"\xC3\xA4\xC3\xB6\"",
                                        "\"a\\u0062\"",
                                        "\"a@b.co\"",
                                        "\"a@b\"",
                                        "0",
                                        "7",
                                        "-1",
                                        "99",
                                        "100",
                                        "0.5",
                                        "1.0",
                                        "1e0",
                                        "1e400",
                                        "123e-2",
                                        "true",
                                        "false",
                                        "null",
                                        "12345678901234567890",
                                        "\"b\"",
                                        "2",
                                        "\"\\\\\"",
                                        "0.25",
                                        "0.1234567890123456789"};
    APPEND_ONE(out, texts);
}

static void append_value(struct buf *out, unsigned depth);

static void append_tagged(struct buf *out) {
    static const char *const texts[] = {"{\"kind\":\"a\",\"n\":1}",
                                        "{\"n\":1,\"kind\":\"a\"}",
                                        "{\"kind\":\"b\"}",
                                        "{\"kind\":2}",
                                        "{\"kind\":2.0,\"n\":1}",
                                        "{\"kind\":\"a\"}",
                                        "{\"kind\":\"b\",\"kind\":2}",
                                        "{\"kind\":\"a\",\"n\":1,\"kind\":\"b\"}",
                                        "{ \"kind\" : \"a\" , \"n\" : 1 }",
                                        "{\"x\":{\"kind\":\"a\"},\"n\":1}",
                                        "{\"k\\u0069nd\":\"a\",\"n\":1}",
                                        "{\"kind\":\"c\"}"};
    APPEND_ONE(out, texts);
}

static void append_array(struct buf *out, unsigned depth) {
    unsigned count = below(4);
    buf_append_byte(out, '[');
    append_space(out);
    for (unsigned i = 0; i < count; i++) {
        buf_append_text(out, i > 0 ? "," : "");
        if (below(2)) {
            append_tagged(out);
        } else {
            append_value(out, depth - 1);
        }
    }
    buf_append_byte(out, ']');
}

static void append_member(struct buf *out, const char *name, unsigned depth) {
    static const char *const ids[] = {"\"a\"", "\"a1\"", "\"ab\"", "\"abc\"", "\"a\\n\""};
    append_space(out);
    buf_append_text(out, name);
    append_space(out);
    buf_append_byte(out, ':');
    if (below(10) == 0) {
        append_value(out, depth - 1);
    } else if (strstr(name, "d\"") || strstr(name, "name\"")) {
        APPEND_ONE(out, ids);
    } else if (strcmp(name, "\"n\"") == 0) {
        buf_printf(out, "%u", below(100));
    } else if (strcmp(name, "\"list\"") == 0) {
        append_array(out, depth);
    } else {
        append_value(out, depth - 1);
    }
}

static void append_object(struct buf *out, unsigned depth) {
    static const char *const names[] = {"\"mail\"",      "\"ratio\"",
                                        "\"pair\"",      "\"record\"",
                                        "\"other\"",     "\"id\"",
                                        "\"n\"",         "\"\\u006e\"",
                                        "\"quo\\\"te\"", "\"a name that is longer than the glue may be\""};
    static const char *const needed[] = {"\"id\"", "\"name\"", "\"n\"", "\"list\""};
    bool first = true;
    buf_append_byte(out, '{');
    append_space(out);
    for (unsigned i = 0; i < 4; i++) {
        if (below(20) > 0) {
            buf_append_text(out, first ? "" : ",");
            append_member(out, needed[i], depth);
            first = false;
        }
        if (below(3) == 0) {
            buf_append_text(out, first ? "" : ",");
            append_member(out, names[below(sizeof names / sizeof *names)], depth);
            first = false;
        }
    }
    buf_append_byte(out, '}');
}

static void append_value(struct buf *out, unsigned depth) {
    unsigned roll = depth > 0 ? below(6) : 0;
    if (roll <= 2) {
        append_scalar(out);
    } else if (roll == 3) {
        append_array(out, depth);
    } else if (roll == 4) {
        append_tagged(out);
    } else {
        append_object(out, depth);
    }
}

/* In a block of exactly its size, so that the sanitizer sees a step too far. */
static void compare(const struct schema *schema, struct slice text, unsigned *fitting, unsigned *missed) {
    struct schema_issues issues;
    char *exact = malloc(text.len);
    assert_non_null(exact);
    memcpy(exact, text.ptr, text.len);
    assert_true(json_check(slice_of(exact, text.len), NULL));
    struct slice value = json_trim(slice_of(exact, text.len));
    schema_issues_init(&issues);
    bool found = schema_fast_check(schema->root, value);
    bool fits = schema_walk_check(schema, value, &issues);
    assert_int_equal(fits, issues.count == 0);
    if (found && !fits) {
        fail_msg("found to fit: %.*s", (int)text.len, text.ptr);
    }
    /* What may be a member twice, or has an escape, may be left to the walk. */
    bool plain = !memchr(text.ptr, '\\', text.len);
    if (fits && !found && plain && !memmem(text.ptr, text.len, "kind", 4)) {
        *missed += 1;
    }
    *fitting += fits;
    schema_issues_free(&issues);
    free(exact);
}

static void test_quick_is_exact(void **state) {
    (void)state;
    struct schema *schema = everything();
    struct buf text;
    unsigned fitting = 0;
    unsigned missed = 0;
    buf_init(&text, 1 << 20);
    for (int i = 0; i < 60000; i++) {
        buf_clear(&text);
        append_object(&text, 3);
        compare(schema, buf_slice(&text), &fitting, &missed);
    }
    assert_in_range(fitting, 3000, 54000);
    assert_true(missed < fitting / 4); /* those have a member twice */
    buf_free(&text);
    schema_free(schema);
}

/* Members in any order, then in another one, with some missing: the guesses follow. */
static void test_order(void **state) {
    (void)state;
    static const char *const texts[] = {
        "{\"id\":\"a\",\"name\":\"ab\",\"n\":1,\"list\":[]}",
        "{\"list\":[],\"n\":1,\"name\":\"ab\",\"id\":\"a\"}",
        "{\"id\":\"a\",\"mail\":\"a@b.co\",\"name\":\"ab\",\"ratio\":0.5,\"n\":1,\"list\":[]}",
        "{\"quo\\\"te\":1,\"id\":\"a\",\"name\":\"ab\",\"n\":null,\"list\":[],\"x\":1}",
    };
    struct schema *schema = everything();
    for (int round = 0; round < 20; round++) {
        const char *text = texts[(unsigned)(round * 7) % 4];
        assert_true(schema_check(schema, slice_from(text), NULL));
        assert_false(schema_check(schema, SLICE("{\"id\":\"a\",\"name\":\"ab\",\"n\":1}"), NULL));
        assert_false(
            schema_check(schema, SLICE("{\"id\":\"a\",\"names\":\"ab\",\"n\":1,\"list\":[]}"), NULL));
    }
    schema_free(schema);
}

static void test_keys(void **state) {
    (void)state;
    struct schema *schema = everything();
    struct schema_issues issues;
    schema_issues_init(&issues);
    assert_false(
        schema_check(schema,
                     SLICE("{\"id\":\"a\",\"name\":\"ab\",\"n\":1,\"list\":[{\"kind\":\"a\",\"n\":0.5}],"
                           "\"record\":{\"x\\\"y\":[]}}"),
                     &issues));
    assert_int_equal(issues.count, 1);
    assert_true(slice_is(buf_slice(&issues.issues[0].keys), "[\"list\",0,\"n\"]"));
    assert_true(slice_is(buf_slice(&issues.issues[0].path), "list[0].n"));
    assert_false(schema_check(
        schema, SLICE("{\"id\":\"a\",\"name\":\"ab\",\"n\":1,\"list\":[],\"record\":{\"\\u0061\":1}}"),
        &issues));
    assert_true(slice_is(buf_slice(&issues.issues[0].keys), "[\"record\",\"\\u0061\"]"));
    assert_false(schema_check(schema, SLICE("3"), &issues));
    assert_true(slice_is(buf_slice(&issues.issues[0].keys), "[]"));
    schema_issues_free(&issues);
    schema_free(schema);
}

/* Every length that the vectors of the quick ways have an edge at. */
static void test_formats_at_all_lengths(void **state) {
    (void)state;
    char text[100];
    for (size_t len = 6; len <= 90; len++) {
        for (size_t place = 1; place + 5 <= len; place++) {
            memset(text, 'a', len);
            text[place] = '@';
            text[len - 3] = '.';
            char *exact = malloc(len);
            assert_non_null(exact);
            memcpy(exact, text, len);
            assert_true(schema_format_email(slice_of(exact, len)));
            for (size_t i = 0; i < len; i++) {
                static const char wrong[] = {' ', '@', '.', '-', '\'', '1'};
                for (size_t w = 0; w < sizeof wrong; w++) {
                    char before = exact[i];
                    exact[i] = wrong[w];
                    bool local = i < place;
                    bool last = i > len - 3;
                    bool fits = before == wrong[w] ||
                                (i != place && i != len - 3 && wrong[w] != ' ' && wrong[w] != '@' &&
                                 (wrong[w] == '1'   ? !last
                                  : wrong[w] == '.' ? (local ? i > 0 && i < place - 1
                                                             : !last && i > place + 1 && i < len - 4)
                                  : wrong[w] == '-' ? local || (!last && i > place + 1)
                                                    : local && i < place - 1));
                    assert_int_equal(schema_format_email(slice_of(exact, len)), fits);
                    exact[i] = before;
                }
            }
            free(exact);
        }
    }
}

static void test_bounds_of_whole_numbers(void **state) {
    (void)state;
    static const char *const texts[] = {"0",
                                        "-0",
                                        "1",
                                        "-1",
                                        "9",
                                        "10",
                                        "99",
                                        "100",
                                        "999999999999999999",
                                        "1000000000000000000",
                                        "-999999999999999999",
                                        "9223372036854775807",
                                        "-9223372036854775808",
                                        "9223372036854775808",
                                        "1.0",
                                        "0.5",
                                        "1e2"};
    static const double reals[] = {0, 0.5, -0.5, 1, 9.5, 99, 100, 1e17, 1e18, 0x1p63, -0x1p63, 1e300, -1e300};
    for (int form = 0; form < 8; form++) {
        for (size_t r = 0; r < sizeof reals / sizeof *reals; r++) {
            struct schema *schema = schema_new();
            struct schema_node *root = add(schema, form & 1 ? SCHEMA_INTEGER : SCHEMA_NUMBER);
            if (form & 2) {
                schema_node_min(root, schema_number_real(reals[r]));
            } else {
                schema_node_max(root, schema_number_real(reals[r]));
            }
            if (form & 4) {
                schema_node_over(root);
                schema_node_under(root);
            }
            assert_true(schema_finish(schema, root, NULL));
            for (size_t t = 0; t < sizeof texts / sizeof *texts; t++) {
                struct slice value = slice_from(texts[t]);
                bool fits = schema_walk_check(schema, value, NULL);
                assert_int_equal(schema_fast_check(schema->root, value), fits);
            }
            schema_free(schema);
        }
    }
}

static struct schema *build(struct error *e) {
    struct schema *schema = schema_new();
    struct schema_node *node = schema ? schema_add(schema, SCHEMA_TAGGED, e) : NULL;
    struct schema_node *option = node ? schema_add(schema, SCHEMA_OBJECT, e) : NULL;
    struct schema_node *kind = option ? schema_add(schema, SCHEMA_ENUM, e) : NULL;
    struct schema_node *either = kind ? schema_add(schema, SCHEMA_UNION, e) : NULL;
    struct schema_node *text = either ? schema_add(schema, SCHEMA_STRING, e) : NULL;
    bool ok = text && schema_node_string(kind, SLICE("a"), e) &&
              schema_node_field(option, SLICE("kind"), kind, e) &&
              schema_node_part(text, SCHEMA_ENDS, SLICE("x"), e) && schema_node_option(either, text, e) &&
              schema_node_option(either, kind, e) && schema_node_field(option, SLICE("either"), either, e) &&
              schema_node_tag(node, SLICE("kind"), e) && schema_node_option(node, option, e) &&
              schema_node_string(node, SLICE("a"), e) && schema_finish(schema, node, e);
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
        schema = build(&e);
        memory_left = -1;
        assert_true(schema || n == 0 || e.code == ERROR_MEMORY);
        assert_true(n < 100);
    }
    /* Escapes and the reasons of a union take memory; the answer is never "it fits". */
    struct slice text = SLICE("{\"kind\":\"a\",\"either\":\"\\u0079y\",\"eit\\u0068er\":\"y\\u0079\"}");
    for (long n = 0; n < 60; n++) {
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

static void test_parts_are_needed(void **state) {
    (void)state;
    struct error e;
    struct schema *schema = schema_new();
    assert_false(schema_finish(schema, add(schema, SCHEMA_UNION), &e));
    assert_int_equal(e.code, ERROR_ARGUMENT);
    schema_free(schema);
}

/* More digits than a float or an integer has. */
static void test_multiples(void **state) {
    (void)state;
    static const struct {
        double real; /* 0: whole */
        int64_t whole;
        const char *text;
        bool fits;
    } cases[] = {
        {0, 7, "70000000000000000000000000000000000000", true},
        {0, 7, "70000000000000000000000000000000000001", false},
        {0, 7, "-14.000000000000000000000000000000000000000", true},
        {0, 7, "7.000000000000000000000000000000000000001", false},
        {0, INT64_MAX, "9223372036854775807", true},
        {0, INT64_MAX, "92233720368547758070e1", true},
        {0, INT64_MAX, "92233720368547758071", false},
        {0, INT64_C(1) << 62, "1e62", true},
        {0, INT64_C(1) << 62, "1e61", false},
        {0, 3, "3e999999999999", true},
        {0, 3, "1e999999999999", false},
        {0, 3, "3e-999999999999", false},
        {0, 3, "0e999999999999", true},
        {0.1, 0, "0.3", true},
        {0.1, 0, "0.30000000000000000001", false},
        {0.25, 0, "1e-2", false},
        {0.25, 0, "100e-2", true},
        {1e300, 0, "5e300", true},
        {1e300, 0, "5e299", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct schema_number of = cases[i].whole ? schema_number_whole(cases[i].whole)
                                                 : schema_number_real(cases[i].real);
        bool fits = schema_multiple_fits(schema_multiple_of(of), slice_from(cases[i].text));
        if (fits != cases[i].fits) {
            fail_msg("%s: %d", cases[i].text, fits);
        }
    }
}

/* [[[...]]], as deep as it is long. */
static struct schema *nested(struct schema_node **lazy) {
    struct schema *schema = schema_new();
    struct schema_node *array = add(schema, SCHEMA_ARRAY);
    *lazy = add(schema, SCHEMA_LAZY);
    schema_node_target(*lazy, array);
    assert_true(schema_node_item(array, *lazy, NULL));
    return schema;
}

static void test_lazy_is_bounded(void **state) {
    (void)state;
    enum { LEVELS = 100000 };
    struct schema_node *lazy;
    struct schema *schema = nested(&lazy);
    char *text = malloc((size_t)2 * LEVELS);
    struct schema_issues issues;
    struct error e;
    assert_non_null(text);
    assert_true(schema_finish(schema, lazy, &e));
    memset(text, '[', LEVELS);
    memset(text + LEVELS, ']', LEVELS);
    schema_issues_init(&issues);
    assert_true(schema_check(schema, slice_of(text + LEVELS - 1000, 2000), &issues));
    assert_false(schema_check(schema, slice_of(text, (size_t)2 * LEVELS), &issues));
    assert_true(
        slice_is(buf_slice(&issues.issues[0].message), "could not be checked: it is nested too deep"));
    schema_issues_free(&issues);
    free(text);
    schema_free(schema);
}

static void test_lazy_has_an_end(void **state) {
    (void)state;
    struct error e;
    struct schema *schema = schema_new();
    struct schema_node *lazy = add(schema, SCHEMA_LAZY);
    assert_false(schema_finish(schema, lazy, &e));
    assert_non_null(strstr(e.message, "needs a target"));
    struct schema_node *either = add(schema, SCHEMA_UNION);
    assert_true(schema_node_option(either, lazy, NULL));
    schema_node_target(lazy, either);
    assert_false(schema_finish(schema, lazy, &e));
    assert_non_null(strstr(e.message, "stands for itself"));
    schema_free(schema);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_quick_is_exact),
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_keys),
        cmocka_unit_test(test_formats_at_all_lengths),
        cmocka_unit_test(test_bounds_of_whole_numbers),
        cmocka_unit_test(test_out_of_memory),
        cmocka_unit_test(test_parts_are_needed),
        cmocka_unit_test(test_multiples),
        cmocka_unit_test(test_lazy_is_bounded),
        cmocka_unit_test(test_lazy_has_an_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
