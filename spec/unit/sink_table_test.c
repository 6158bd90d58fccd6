/* sink/table and sink/columns: the names that types and properties get in SQL, and the cells of values. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "sink/columns.h"
#include "sink/table.h"
#include "state/schema_build.h"

static const char *name_of(enum table_dialect dialect, const char *prefix, struct slice type,
                           unsigned attempt) {
    static char text[TABLE_NAME_MAX + 1];
    struct buf out;
    buf_init(&out, TABLE_NAME_MAX);
    bool found = table_name(dialect, prefix, type, attempt, &out);
    (void)snprintf(text, sizeof text, "%.*s", (int)out.len, out.ptr ? out.ptr : "");
    buf_free(&out);
    return found ? text : NULL;
}

static void plain_names_stay(void **state) {
    (void)state;
    static const struct slice names[] = {
        SLICE_INIT("users"),
        SLICE_INIT("ToolCall"),
        SLICE_INIT("select"),
        SLICE_INIT("a b"),
        SLICE_INIT("x\"; DROP TABLE y; --"),
        SLICE_INIT("gr\xC3\xB6\xC3\x9F"
                   "e"),
        SLICE_INIT("a.b"),
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        for (int dialect = TABLE_SQLITE; dialect <= TABLE_MYSQL; dialect++) {
            assert_string_equal(name_of((enum table_dialect)dialect, NULL, names[i], 0), names[i].ptr);
        }
    }
    assert_string_equal(name_of(TABLE_SQLITE, "room1_", SLICE("users"), 0), "room1_users");
}

static void odd_names_get_one_of_their_own(void **state) {
    (void)state;
    static char longest[400];
    memset(longest, 'x', sizeof longest);
    const struct slice names[] = {
        SLICE(""),
        SLICE("_sync_state"),
        SLICE("_SYNC_tables"),
        SLICE("sqlite_master"),
        SLICE("SQLite_x"),
        SLICE("pg_class"),
        SLICE("a\0b"),
        SLICE("\xED\xA0\x80"),
        SLICE("line\nbreak"),
        slice_of(longest, sizeof longest),
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        for (int d = TABLE_SQLITE; d <= TABLE_MYSQL; d++) {
            enum table_dialect dialect = (enum table_dialect)d;
            char own[TABLE_NAME_MAX + 1];
            assert_null(name_of(dialect, NULL, names[i], 0));
            (void)snprintf(own, sizeof own, "%s", name_of(dialect, NULL, names[i], 1));
            assert_in_range(strlen(own), 17, 63);
            assert_string_equal(name_of(dialect, NULL, names[i], 1), own);
            assert_string_not_equal(name_of(dialect, NULL, names[i], 2), own);
            assert_string_equal(name_of(dialect, NULL, slice_from(own), 0),
                                own); /* it is plain, and not reserved */
            assert_int_equal(strspn(own, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_"),
                             strlen(own));
        }
    }
    assert_null(name_of(TABLE_MYSQL, NULL, SLICE("\xF0\x9F\x98\x80"), 0));
    assert_non_null(name_of(TABLE_SQLITE, NULL, SLICE("\xF0\x9F\x98\x80"), 0));
    assert_null(name_of(TABLE_MYSQL, NULL, SLICE("x "), 0));
    assert_string_equal(name_of(TABLE_SQLITE, "sqlite", SLICE("_x"), 1) + 0,
                        name_of(TABLE_SQLITE, "sqlite", SLICE("_x"), 1));
    assert_memory_equal(name_of(TABLE_SQLITE, "sqlite", SLICE("_x"), 1), "t_sqlite", 8);
}

static void names_are_quoted(void **state) {
    (void)state;
    struct buf out;
    buf_init(&out, 100);
    assert_true(table_quote(TABLE_SQLITE, SLICE("a\"b`c"), &out));
    assert_true(table_quote(TABLE_MYSQL, SLICE("a\"b`c"), &out));
    assert_memory_equal(out.ptr, "\"a\"\"b`c\"`a\"b``c`", out.len);
    buf_free(&out);
}

static void names_are_compared_as_the_database_does(void **state) {
    (void)state;
    assert_true(table_same(TABLE_SQLITE, SLICE("Users"), SLICE("uSERS")));
    assert_false(table_same(TABLE_SQLITE, SLICE("\xC3\x89"), SLICE("\xC3\xA9")));
    assert_false(table_same(TABLE_POSTGRES, SLICE("Users"), SLICE("users")));
    assert_true(table_same(TABLE_MYSQL, SLICE("caf\xC3\xA9"), SLICE("Cafe")));
    assert_false(table_same(TABLE_MYSQL, SLICE("caf\xC3\xA9s"), SLICE("Cafe")));
    assert_true(table_same(TABLE_MYSQL, SLICE("\xC3\xA9\xC3\xA9"), SLICE("o\xC3\xA9")));
    assert_false(table_same(TABLE_MYSQL, SLICE("\xC3\xA9\xC3\xA9"), SLICE("o_")));
    assert_false(table_same(TABLE_MYSQL, SLICE("e7"), SLICE("\xC3\xA9\xC2\xB2")));
}

static void text_is_checked(void **state) {
    (void)state;
    struct error e;
    assert_true(
        table_text_fits(SLICE("plain text of more than eight bytes, gr\xC3\xBC\xC3\x9F \xF0\x9F\x98\x80")));
    assert_true(table_text_fits(SLICE("")));
    assert_false(table_text_fits(SLICE("12345678\0 12345678")));
    assert_false(table_text_fits(SLICE("1234\0 678")));
    assert_false(table_text_fits(SLICE("\xED\xA0\x80")));
    assert_false(table_text_fits(SLICE("cut \xC3")));
    assert_false(table_check_text(SLICE("a\0b"), "the key", &e));
    assert_non_null(strstr(e.message, "the key holds the character NUL"));
    assert_true(table_check_prefix("room_1", &e));
    assert_false(table_check_prefix("room\"", &e));
}

/* Columns */

static void add_field(struct schema *schema, struct schema_node *object, struct slice name,
                      enum schema_kind kind, void (*change)(struct schema_node *node)) {
    struct error e;
    struct schema_node *node = schema_add(schema, kind, &e);
    if (change) {
        change(node);
    }
    assert_true(schema_node_field(object, name, node, &e));
}

static void make_datetime(struct schema_node *node) {
    schema_node_format(node, SCHEMA_DATETIME);
}

static struct schema *make_schema(void) {
    struct error e;
    struct schema *schema = schema_new();
    struct schema_node *object = schema_add(schema, SCHEMA_OBJECT, &e);
    add_field(schema, object, SLICE("id"), SCHEMA_STRING, NULL);
    add_field(schema, object, SLICE("ID"), SCHEMA_STRING, schema_node_optional);
    add_field(schema, object, SLICE("age"), SCHEMA_INTEGER, schema_node_nullable);
    add_field(schema, object, SLICE("at"), SCHEMA_STRING, make_datetime);
    add_field(schema, object, SLICE("done"), SCHEMA_BOOLEAN, schema_node_optional);
    add_field(schema, object, SLICE("name"), SCHEMA_STRING, NULL);
    add_field(schema, object, SLICE("rate"), SCHEMA_NUMBER, schema_node_optional);
    add_field(schema, object, SLICE("tags"), SCHEMA_ANY, NULL);
    struct schema_node *string = schema_add(schema, SCHEMA_STRING, &e);
    struct schema_node *null = schema_add(schema, SCHEMA_ENUM, &e);
    struct schema_node *either = schema_add(schema, SCHEMA_UNION, &e);
    assert_true(schema_node_null(null, &e));
    assert_true(schema_node_option(either, string, &e) && schema_node_option(either, null, &e));
    assert_true(schema_node_field(object, SLICE("nick"), either, &e));
    assert_true(schema_finish(schema, object, &e));
    return schema;
}

static struct columns *make_columns(const char *key) {
    struct error e;
    struct slice indexes[] = {SLICE("name"), SLICE("nowhere")};
    struct columns_options options = {
        .dialect = TABLE_SQLITE, .key = key, .indexes = indexes, .index_count = 2};
    struct schema *schema = make_schema();
    struct columns *columns = columns_new(schema, &options, &e);
    assert_non_null(columns);
    schema_free(schema);
    return columns;
}

static void columns_follow_the_schema(void **state) {
    (void)state;
    static const struct {
        const char *property;
        enum schema_shape kind;
        bool nullable, index;
    } wanted[] = {
        {"ID", SCHEMA_SHAPE_TEXT, true, false},      {"age", SCHEMA_SHAPE_INTEGER, true, false},
        {"at", SCHEMA_SHAPE_DATETIME, false, false}, {"done", SCHEMA_SHAPE_BOOLEAN, true, false},
        {"name", SCHEMA_SHAPE_TEXT, false, true},    {"nick", SCHEMA_SHAPE_TEXT, true, false},
        {"rate", SCHEMA_SHAPE_REAL, true, false},    {"tags", SCHEMA_SHAPE_JSON, true, false},
    };
    struct columns *columns = make_columns(NULL);
    assert_int_equal(columns->count, 8);
    assert_string_equal(columns->key.ptr, "id");
    for (size_t i = 0; i < columns->count; i++) {
        const struct column *column = &columns->list[i];
        assert_string_equal(column->property.ptr, wanted[i].property);
        assert_int_equal(column->kind, wanted[i].kind);
        assert_int_equal(column->nullable, wanted[i].nullable);
        assert_int_equal(column->index, wanted[i].index);
    }
    /* "ID" would be the key's column. */
    assert_string_not_equal(columns->list[0].name.ptr, "ID");
    assert_memory_equal(columns->list[0].name.ptr, "ID_", 3);
    assert_string_equal(columns->list[1].name.ptr, "age");
    struct columns *same = make_columns(NULL);
    struct columns *other = make_columns("_key");
    assert_true(columns_equal(columns, same));
    assert_false(columns_equal(columns, other));
    assert_int_equal(other->count, 9);
    columns_free(other);
    columns_free(same);
    columns_free(columns);
}

static bool take(struct columns *columns, const char *value, struct column_cell *cells, struct buf *scratch,
                 struct error *e) {
    return columns_cells(columns, SLICE("k"), slice_from(value), cells, scratch, e);
}

static void cells_are_slices(void **state) {
    (void)state;
    struct column_cell cells[8];
    struct buf scratch;
    struct error e;
    struct columns *columns = make_columns(NULL);
    buf_init(&scratch, 1 << 16);
    for (int round = 0; round < 3; round++) {
        assert_true(take(
            columns,
            " {\"extra\":{\"a\":1}, \"id\":\"k\",\"n\\u0061me\":\"x\\ny\",\"at\":\"2025-01-15T10:30:00Z\","
            "\"age\":1,\"age\":30.0e1,\"done\":true,\"rate\":-1.5e2,\"tags\": [1, {}] } ",
            cells, &scratch, &e));
        assert_true(cells[0].null);
        assert_int_equal(cells[1].is.integer, 300);
        assert_true(slice_is(cells[2].text, "2025-01-15T10:30:00Z"));
        assert_true(cells[3].is.boolean);
        assert_true(slice_is(cells[4].text, "x\ny"));
        assert_true(cells[5].null);
        assert_true(cells[6].is.real == -150.0);
        assert_true(slice_is(cells[7].text, "[1, {}]"));
    }
    assert_true(take(columns, "{\"name\":\"\",\"at\":\"x\",\"nick\":null}", cells, &scratch, &e));
    assert_true(slice_is(cells[4].text, "") && !cells[4].null && cells[1].null && cells[5].null);
    buf_free(&scratch);
    columns_free(columns);
}

static void values_that_do_not_fit_are_named(void **state) {
    (void)state;
    static const struct {
        const char *value, *message;
    } wrong[] = {
        {"[]", "expected an object"},
        {"{\"name\":1}", "property name: expected text, got number"},
        {"{\"name\":\"a\"}", "property at: is missing or null: expected datetime"},
        {"{\"age\":1.5}", "property age: expected an integer of 64 bits, got 1.5"},
        {"{\"age\":9223372036854775808}", "expected an integer of 64 bits"},
        {"{\"rate\":1e999}", "property rate: 1e999 is past"},
        {"{\"done\":1}", "property done: expected boolean"},
        {"{\"name\":\"a\\u0000b\"}", "property name holds the character NUL"},
        {"{\"name\":\"a\\ud800b\"}", "property name holds half of a surrogate pair"},
        {"{\"id\":\"other\"}", "property id is not the key (other)"},
    };
    struct column_cell cells[8];
    struct buf scratch;
    struct error e;
    struct columns *columns = make_columns(NULL);
    buf_init(&scratch, 1 << 16);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_false(take(columns, wrong[i].value, cells, &scratch, &e));
        if (!strstr(e.message, wrong[i].message)) {
            fail_msg("expected \"%s\", got \"%s\"", wrong[i].message, e.message);
        }
    }
    buf_free(&scratch);
    columns_free(columns);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_names_stay), cmocka_unit_test(odd_names_get_one_of_their_own),
        cmocka_unit_test(names_are_quoted), cmocka_unit_test(names_are_compared_as_the_database_does),
        cmocka_unit_test(text_is_checked),  cmocka_unit_test(columns_follow_the_schema),
        cmocka_unit_test(cells_are_slices), cmocka_unit_test(values_that_do_not_fit_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
