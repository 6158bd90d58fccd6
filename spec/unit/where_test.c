/* state/index, state/field and store_where: against plain lists, with values that many entities share, and with
 * memory that fails. Linked with its allocations wrapped. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "memory.h"
#include "state/store_index.h"

/* --- the index as a list --- */

enum { ENTRIES_MAX = 5000 };

struct list {
    uint64_t entries[ENTRIES_MAX];
    size_t count;
};

static int compare_entries(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static void check_index(const struct index *index, struct list *list, unsigned *seed) {
    static uint64_t got[ENTRIES_MAX];
    qsort(list->entries, list->count, sizeof *list->entries, compare_entries);
    assert_int_equal(index_count(index, 0, UINT64_MAX), list->count);
    index_copy(index, 0, UINT64_MAX, got);
    for (size_t i = 0; i < list->count; i++) {
        assert_true(got[i] == list->entries[i]);
    }
    if (list->count > 0) {
        uint64_t least = list->entries[(size_t)rand_r(seed) % list->count];
        uint64_t most = least + (uint64_t)(rand_r(seed) % 50);
        size_t count = 0;
        for (size_t i = 0; i < list->count; i++) {
            count += list->entries[i] >= least && list->entries[i] <= most;
        }
        assert_int_equal(index_count(index, least, most), count);
    }
}

static void index_is_as_a_list(void **state) {
    (void)state;
    static struct list list;
    for (unsigned run = 1; run <= 30; run++) {
        unsigned seed = run;
        struct index index;
        size_t bytes = 0;
        list.count = 0;
        index_init(&index, &bytes);
        int spread = run % 3 == 0 ? 3 : run % 3 == 1 ? 300 : 1 << 30;
        for (int step = 0; step < 12000; step++) {
            bool grows = rand_r(&seed) % 8 < (step / 3000 % 2 ? 3 : 5);
            if (grows && list.count < ENTRIES_MAX) {
                uint64_t entry = (uint64_t)(rand_r(&seed) % spread);
                memory_left = rand_r(&seed) % 5 == 0 ? rand_r(&seed) % 2 : -1;
                bool ok = index_reserve(&index, entry);
                memory_left = ok ? 0 : -1;
                if (ok) {
                    index_add(&index, entry);
                    list.entries[list.count++] = entry;
                }
            } else if (list.count > 0) {
                size_t i = (size_t)rand_r(&seed) % list.count;
                memory_left = rand_r(&seed) % 2 ? 0 : -1;
                index_remove(&index, list.entries[i]);
                list.entries[i] = list.entries[--list.count];
            }
            memory_left = -1;
            if (step % 500 == 0) {
                check_index(&index, &list, &seed);
            }
        }
        check_index(&index, &list, &seed);
        assert_true(bytes <= 4096 + list.count * 32);
        while (list.count > 0) {
            index_remove(&index, list.entries[--list.count]);
        }
        assert_int_equal(bytes, 0);
        index_free(&index);
    }
}

/* --- fields --- */

static struct field_value string(const char *text) {
    return (struct field_value){.kind = FIELD_STRING, .string = slice_from(text)};
}

static struct field_value whole(int64_t integer) {
    return (struct field_value){.kind = FIELD_NUMBER, .number = schema_number_whole(integer)};
}

static struct field_value real(double number) {
    return (struct field_value){.kind = FIELD_NUMBER, .number = schema_number_real(number)};
}

static void compares_as_lua_does(void **state) {
    (void)state;
    const struct {
        const char *text;
        struct field_value value;
        bool same;
    } cases[] = {
        {"1", whole(1), true},
        {"1", real(1), true},
        {"1.0", whole(1), true},
        {"1e0", whole(1), true},
        {"100e-2", real(1), true},
        {"-0", whole(0), true},
        {"-0.0", whole(0), true},
        {"0", real(-0.0), true},
        {"0.5", real(0.5), true},
        {"5e-1", real(0.5), true},
        {"9007199254740993", real(9007199254740992.0), false},
        {"9007199254740993", whole(9007199254740993), true},
        {"9223372036854775807", whole(INT64_MAX), true},
        {"9223372036854775808", real(0x1p63), true},
        {"-9223372036854775808", whole(INT64_MIN), true},
        {"-9223372036854775808", real(-0x1p63), true},
        {"1e400", real(HUGE_VAL), true},
        {"1", real((double)NAN), false},
        {"1", string("1"), false},
        {"\"1\"", whole(1), false},
        {"\"a\"", string("a"), true},
        {"\"\\u0061\"", string("a"), true},
        {"\"\\ud83d\\ude00 \\n\"", string("\xF0\x9F\x98\x80 \n"), true},
        {"\"\"", string(""), true},
        {"\"a\"", string("b"), false},
        {"null", {.kind = FIELD_NULL}, true},
        {"null", {.kind = FIELD_FALSE}, false},
        {"true", {.kind = FIELD_TRUE}, true},
        {"true", {.kind = FIELD_FALSE}, false},
        {"false", {.kind = FIELD_FALSE}, true},
        {"[]", {.kind = FIELD_NULL}, false},
        {"{}", string(""), false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct slice text = slice_from(cases[i].text);
        uint32_t hash = 0;
        assert_int_equal(field_is(text, &cases[i].value), cases[i].same);
        bool hashed = field_hash(text, 42, &hash);
        assert_int_equal(hashed, text.ptr[0] != '[' && text.ptr[0] != '{');
        assert_int_equal(hashed && hash == field_value_hash(&cases[i].value, 42), cases[i].same);
    }
    char escaped[2000] = "\"";
    char plain[2000] = "";
    for (int i = 0; i < 300; i++) { /* longer than what is hashed at once */
        strcat(escaped, i % 3 ? "\\u0062" : "a");
        strcat(plain, i % 3 ? "b" : "a");
        struct field_value value = string(plain);
        char text[2002];
        uint32_t hash;
        snprintf(text, sizeof text, "%s\"", escaped);
        assert_true(field_hash(slice_from(text), 42, &hash));
        assert_int_equal(hash, field_value_hash(&value, 42));
    }
    assert_null(field_of(SLICE("[1]"), SLICE("a")).ptr);
    assert_null(field_of(SLICE("{\"b\":1}"), SLICE("a")).ptr);
    assert_true(slice_is(field_of(SLICE("{\"a\":1,\"a\":2}"), SLICE("a")), "2"));
}

/* --- the store --- */

enum { KEYS = 600 };

struct model {
    struct store *store;
    char *values[KEYS]; /* NULL: no entity */
    unsigned seed;
};

static const char *const owners[] = {"null", "\"u1\"", "\"\\u0075\\u0031\"", "\"u2\"", "1", "1.0",
                                     "true", "[1]"};
static const char *const rooms[] = {"\"all\"", "\"all\"", "\"all\"", "\"few\""};

static unsigned number(struct model *model, unsigned below) {
    return (unsigned)rand_r(&model->seed) % below;
}

static void make_value(struct model *model, char *text, size_t size) {
    switch (number(model, 12)) {
    case 0:
        snprintf(text, size, "\"no object\"");
        break;
    case 1:
        snprintf(text, size, "{\"room\":%s}", rooms[number(model, 4)]);
        break;
    default:
        snprintf(text, size, "{\"n\":%u,\"owner\":%s,\"room\":%s,\"fill\":\"%*s\"}", number(model, 40),
                 owners[number(model, 8)], rooms[number(model, 4)], (int)number(model, 200), "");
    }
}

static void change_one(struct model *model) {
    size_t i = number(model, KEYS);
    char key[16];
    char value[400];
    struct error e;
    make_value(model, value, sizeof value);
    bool delete = number(model, 4) == 0;
    struct event event = {.kind = EVENT_CHANGE,
                          .operation = delete ? EVENT_DELETE : EVENT_UPSERT,
                          .type = SLICE("t"),
                          .key = slice_of(key, (size_t)snprintf(key, sizeof key, "%zu", i)),
                          .value = delete ? (struct slice){0} : slice_from(value)};
    memory_left = number(model, 3) == 0 ? (long)number(model, 3) : -1;
    bool ok = store_apply(model->store, &event, &e);
    memory_left = -1;
    if (ok) {
        free(model->values[i]);
        model->values[i] = delete ? NULL : strdup(value);
    } else {
        assert_int_equal(e.code, ERROR_MEMORY);
    }
}

static bool holds(const char *value, const struct store_condition *conditions, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (!field_is(field_of(slice_from(value), conditions[i].field), &conditions[i].is)) {
            return false;
        }
    }
    return true;
}

static void check_where(struct model *model, const struct store_condition *conditions,
                        size_t condition_count) {
    size_t count;
    size_t expected = 0;
    uint32_t *refs = store_where(model->store, SLICE("t"), conditions, condition_count, &count);
    assert_non_null(refs);
    for (size_t i = 0; i < KEYS; i++) {
        expected += model->values[i] && holds(model->values[i], conditions, condition_count);
    }
    assert_int_equal(count, expected);
    struct slice last = {0};
    for (size_t i = 0; i < count; i++) {
        struct store_row row;
        store_row(model->store, refs, count, i, &row);
        assert_true(!last.ptr || slice_compare(last, row.key) < 0);
        last = row.key;
        size_t k = strtoul(row.key.ptr, NULL, 10);
        assert_non_null(model->values[k]);
        assert_true(slice_is(row.value, model->values[k]));
        assert_true(holds(model->values[k], conditions, condition_count));
    }
    free(refs);
}

static void check_all(struct model *model) {
    const struct field_value all[] = {string("u1"),
                                      string("u2"),
                                      whole(1),
                                      real(1.5),
                                      whole(17),
                                      {.kind = FIELD_NULL},
                                      string("few"),
                                      string("all"),
                                      {.kind = FIELD_TRUE},
                                      {.kind = FIELD_FALSE}};
    const struct slice fields[] = {SLICE("owner"), SLICE("room"), SLICE("n"), SLICE("none")};
    for (int i = 0; i < 30; i++) {
        struct store_condition conditions[3];
        size_t count = number(model, 4);
        for (size_t c = 0; c < count; c++) {
            conditions[c] = (struct store_condition){fields[number(model, 4)], all[number(model, 10)]};
        }
        check_where(model, conditions, count);
    }
}

static void finds_as_a_list_does(void **state) {
    (void)state;
    for (unsigned seed = 1; seed <= 12; seed++) {
        struct model model = {.store = store_new(1 << 20), .seed = seed};
        struct error e;
        const struct slice fields[] = {SLICE("owner"), SLICE("room"), SLICE("n")};
        /* Indexes before there are entities, in the middle and at the end: none to three. */
        for (int step = 0; step < 6000; step++) {
            if (step % 700 == 0 && number(&model, 8) < seed) {
                assert_true(store_index(model.store, SLICE("t"), fields[number(&model, 3)], &e));
            }
            change_one(&model);
            if (step % 400 == 399) {
                check_all(&model);
            }
            if (number(&model, 4000) == 0) {
                if (step % 2) {
                    store_clear(model.store);
                } else {
                    struct store *like = store_like(model.store);
                    store_free(model.store);
                    model.store = like;
                }
                for (size_t i = 0; i < KEYS; i++) {
                    free(model.values[i]);
                    model.values[i] = NULL;
                }
            }
        }
        for (long left = 0; left < 12; left++) { /* it finds all, or says that it cannot */
            size_t count;
            const struct store_condition condition = {SLICE("owner"), string("u1")};
            memory_left = left;
            uint32_t *refs = store_where(model.store, SLICE("t"), &condition, 1, &count);
            memory_left = -1;
            free(refs);
            check_where(&model, &condition, 1);
        }
        store_free(model.store);
        for (size_t i = 0; i < KEYS; i++) {
            free(model.values[i]);
        }
    }
}

static void indexes_are_limited(void **state) {
    (void)state;
    struct store *store = store_new(1 << 20);
    struct error e;
    char field[16];
    size_t before = store_resident(store);
    for (int i = 0; i < STORE_INDEXES_MAX; i++) {
        struct slice name = slice_of(field, (size_t)snprintf(field, sizeof field, "f%d", i));
        memory_left = i % 2;
        assert_false(store_index(store, SLICE("t"), name, &e));
        assert_int_equal(e.code, ERROR_MEMORY);
        memory_left = -1;
        assert_true(store_index(store, SLICE("t"), name, &e));
        assert_true(store_index(store, SLICE("t"), name, &e));
    }
    assert_false(store_index(store, SLICE("t"), SLICE("more"), &e));
    assert_int_equal(e.code, ERROR_LIMIT);
    assert_true(store_index(store, SLICE("u"), SLICE("more"), &e));
    assert_true(store_resident(store) < before + 4096);
    store_free(store);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(index_is_as_a_list),
        cmocka_unit_test(compares_as_lua_does),
        cmocka_unit_test(finds_as_a_list_does),
        cmocka_unit_test(indexes_are_limited),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
