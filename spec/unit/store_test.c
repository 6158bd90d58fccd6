/* state/store and state/table: changes applied, in the order of bytes, against a plain list, and with memory
 * that fails. Linked with its allocations wrapped. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "memory.h"
#include "state/store.h"
#include "state/table.h"

enum { PATCH_MAX = 1 << 20 };

/* A table with its heap, and a hash that has a few bits only where many keys should meet. */
struct entities {
    struct heap heap;
    struct table table;
    unsigned bits;
};

static void entities_init(struct entities *entities, unsigned bits) {
    heap_init(&entities->heap);
    table_init(&entities->table, &entities->heap, 7);
    entities->bits = bits;
}

static void entities_free(struct entities *entities) {
    table_free(&entities->table);
    heap_free(&entities->heap);
}

static uint64_t hash_of(const struct entities *entities, struct slice key) {
    uint64_t hash = 0;
    for (size_t i = 0; i < key.len; i++) {
        hash = (hash ^ (unsigned char)key.ptr[i]) * UINT64_C(0x9E3779B97F4A7C15);
    }
    return (hash ^ hash >> 29) * UINT64_C(0xBF58476D1CE4E5B9) >> (64 - entities->bits)
                                                                     << (64 - entities->bits) &
           0xFFFFFFFF00000000u;
}

static struct slice find(const struct entities *entities, struct slice key) {
    uint32_t ref = table_find(&entities->table, hash_of(entities, key), key);
    return ref ? heap_value(&entities->heap, ref) : (struct slice){0};
}

static bool put(struct entities *entities, struct slice key, struct slice value) {
    return table_put(&entities->table, hash_of(entities, key), key, value);
}

static bool take_out(struct entities *entities, struct slice key) {
    return table_remove(&entities->table, hash_of(entities, key), key);
}

static struct event change(enum event_operation operation, const char *type, const char *key,
                           const char *value) {
    return (struct event){.kind = EVENT_CHANGE,
                          .operation = operation,
                          .type = slice_from(type),
                          .key = slice_from(key),
                          .value = slice_from(value)};
}

static void apply(struct store *store, enum event_operation operation, const char *type, const char *key,
                  const char *value) {
    struct event event = change(operation, type, key, value);
    struct error e;
    assert_true(store_apply(store, &event, &e));
}

/* The whole store as text: type{key=value;...}... in the order of bytes. */
static struct buf dump(const struct store *store) {
    struct buf out;
    size_t types;
    size_t entities = 0;
    struct slice *names = store_types(store, &types);
    assert_non_null(names);
    buf_init(&out, 1 << 24);
    for (size_t t = 0; t < types; t++) {
        size_t rows;
        struct store_row *row = store_rows(store, names[t], &rows);
        assert_non_null(row);
        assert_int_equal(rows, store_count(store, names[t]));
        entities += rows;
        buf_append_slice(&out, names[t]);
        buf_append_byte(&out, '{');
        for (size_t i = 0; i < rows; i++) {
            assert_true(i == 0 || slice_compare(row[i - 1].key, row[i].key) < 0);
            struct slice value = store_get(store, names[t], row[i].key);
            assert_ptr_equal(value.ptr, row[i].value.ptr);
            buf_append_slice(&out, row[i].key);
            buf_append_byte(&out, '=');
            buf_append_slice(&out, row[i].value);
            buf_append_byte(&out, ';');
        }
        buf_append_byte(&out, '}');
        free(row);
    }
    assert_int_equal(entities, store_count(store, (struct slice){0}));
    free(names);
    buf_append_byte(&out, '\0');
    return out;
}

static void expect(const struct store *store, const char *text) {
    struct buf got = dump(store);
    assert_string_equal(got.ptr, text);
    buf_free(&got);
}

static void applies_changes(void **state) {
    (void)state;
    struct store *store = store_new(PATCH_MAX);
    expect(store, "");
    apply(store, EVENT_INSERT, "t", "k", "1.10");
    apply(store, EVENT_INSERT, "t", "k", "12345678901234567890");
    expect(store, "t{k=12345678901234567890;}");
    apply(store, EVENT_UPDATE, "t", "new", "null");
    apply(store, EVENT_UPSERT, "s", "k", "{ \"a\" : 1 }");
    expect(store, "s{k={ \"a\" : 1 };}t{k=12345678901234567890;new=null;}");
    assert_int_equal(store_bytes(store), 1 + 11 + 1 + 20 + 3 + 4);
    apply(store, EVENT_DELETE, "t", "k", NULL);
    apply(store, EVENT_DELETE, "t", "k", NULL);
    apply(store, EVENT_DELETE, "none", "k", NULL);
    expect(store, "s{k={ \"a\" : 1 };}t{new=null;}");
    apply(store, EVENT_DELETE, "t", "new", NULL);
    expect(store, "s{k={ \"a\" : 1 };}");
    store_clear(store);
    expect(store, "");
    assert_null(store_get(store, SLICE("s"), SLICE("k")).ptr);
    apply(store, EVENT_INSERT, "s", "k", "2");
    expect(store, "s{k=2;}");
    store_free(store);
    store_free(NULL);
}

static void merges_patches(void **state) {
    (void)state;
    struct store *store = store_new(40);
    struct error e;
    apply(store, EVENT_PATCH, "t", "k", "{\"a\":1.0,\"b\":null}");
    expect(store, "t{k={\"a\":1.0};}");
    apply(store, EVENT_PATCH, "t", "k", "{\"b\":{\"c\":[null]}}");
    expect(store, "t{k={\"a\":1.0,\"b\":{\"c\":[null]}};}");
    struct event large = change(EVENT_PATCH, "t", "k", "{\"d\":\"0123456789\"}");
    assert_false(store_apply(store, &large, &e));
    assert_int_equal(e.code, ERROR_LIMIT);
    expect(store, "t{k={\"a\":1.0,\"b\":{\"c\":[null]}};}");
    struct buf merged;
    buf_init(&merged, 1000);
    assert_true(store_merged(store, &large, &merged, &e));
    assert_true(slice_is(buf_slice(&merged), "{\"a\":1.0,\"b\":{\"c\":[null]},\"d\":\"0123456789\"}"));
    buf_free(&merged);
    apply(store, EVENT_PATCH, "t", "k", "7");
    expect(store, "t{k=7;}");
    store_free(store);
}

static void orders_by_bytes(void **state) {
    (void)state;
    static const struct {
        const char *ptr;
        size_t len;
    } keys[] = {{"", 0},
                {"\0", 1},
                {"\0a", 2},
                {"A", 1},
                {"a", 1},
                {"a\0", 2},
                {"aa", 2},
                {"b", 1},
                {"z", 1},
                {"\xC3\xA9", 2},
                {"\xED\xA0\x80", 3},
                {"\xEF\xBF\xBD", 3},
                {"\xF0\x9F\x98\x80", 4}};
    enum { COUNT = sizeof keys / sizeof *keys };
    struct store *store = store_new(PATCH_MAX);
    struct error e;
    for (size_t i = 0; i < COUNT; i++) {
        struct event event = change(EVENT_INSERT, "", "", "1");
        size_t from = (i * 5 + 3) % COUNT;
        event.type = event.key = slice_of(keys[from].ptr, keys[from].len);
        assert_true(store_apply(store, &event, &e));
        event.type = SLICE("all");
        assert_true(store_apply(store, &event, &e));
    }
    size_t count;
    struct store_row *rows = store_rows(store, SLICE("all"), &count);
    assert_int_equal(count, COUNT);
    for (size_t i = 0; i < COUNT; i++) {
        assert_true(slice_equal(rows[i].key, slice_of(keys[i].ptr, keys[i].len)));
    }
    free(rows);
    struct slice *types = store_types(store, &count);
    assert_int_equal(count, COUNT + 1);
    for (size_t i = 1; i < count; i++) {
        assert_true(slice_compare(types[i - 1], types[i]) < 0);
    }
    free(types);
    store_free(store);
}

/* Keys of each kind in one type: short ones of few different bytes, with NULs at their end, with long
 * beginnings in common, and numbers. */
static void sorts_many_keys(void **state) {
    (void)state;
    static const char *const beginnings[] = {"", "a", "room/", "a beginning that is longer than 16 bytes/"};
    struct store *store = store_new(PATCH_MAX);
    struct error e;
    unsigned seed = 1;
    for (int i = 0; i < 20000; i++) {
        char key[80];
        size_t len = (size_t)snprintf(key, sizeof key, "%s", beginnings[rand_r(&seed) % 4]);
        if (i % 2) {
            len += (size_t)snprintf(key + len, 30, "%d", rand_r(&seed) % 30000);
        } else {
            for (int more = rand_r(&seed) % 30; more > 0; more--) {
                key[len++] = "\0\0ab\xFF"[rand_r(&seed) % 5];
            }
        }
        struct event event = change(EVENT_UPSERT, "t", "", "1");
        event.key = slice_of(key, len);
        assert_true(store_apply(store, &event, &e));
    }
    for (int i = 0; i < 400; i++) { /* each the beginning of the next one */
        char key[400];
        memset(key, 'x', sizeof key);
        struct event event = change(EVENT_UPSERT, "t", "", "1");
        event.key = slice_of(key, (size_t)i);
        assert_true(store_apply(store, &event, &e));
    }
    struct buf all = dump(store); /* which looks at the order */
    assert_true(all.len > 100000);
    buf_free(&all);
    store_free(store);
}

/* What the store should hold: a list that is searched from one end to the other. */
struct model {
    struct {
        char key[24];
        char value[64];
        bool there;
    } rows[64];
    size_t count, bytes;
};

static void check_model(const struct model *model, const struct entities *entities) {
    size_t count = 0;
    size_t bytes = 0;
    for (size_t i = 0; i < model->count; i++) {
        struct slice value = find(entities, slice_from(model->rows[i].key));
        assert_int_equal(value.ptr != NULL, model->rows[i].there);
        if (value.ptr) {
            assert_true(slice_is(value, model->rows[i].value));
            count++;
            bytes += strlen(model->rows[i].key) + strlen(model->rows[i].value);
        }
    }
    assert_int_equal(entities->table.count, count);
    assert_int_equal(entities->table.bytes, bytes);
}

static void random_step(struct model *model, struct entities *entities, unsigned *seed) {
    size_t i = (size_t)rand_r(seed) % 64;
    if (i >= model->count) {
        i = model->count++;
        snprintf(model->rows[i].key, sizeof model->rows[i].key, "%zu-%d", i, rand_r(seed) % 1000);
    }
    struct slice key = slice_from(model->rows[i].key);
    if (rand_r(seed) % 3 == 0) {
        assert_int_equal(take_out(entities, key), model->rows[i].there);
        model->rows[i].there = false;
        return;
    }
    char value[64];
    memset(value, 'a' + rand_r(seed) % 26, sizeof value);
    value[rand_r(seed) % (int)sizeof value] = '\0';
    value[sizeof value - 1] = '\0';
    if (put(entities, key, slice_from(value))) {
        memcpy(model->rows[i].value, value, sizeof value);
        model->rows[i].there = true;
    } else {
        assert_true(memory_left == -1);
    }
}

/* Many small tables, so that chains run over the end of the places and gaps are closed in all ways. */
static void table_is_as_a_list(void **state) {
    (void)state;
    for (unsigned seed = 1; seed <= 200; seed++) {
        unsigned at = seed;
        struct model model = {0};
        struct entities entities;
        entities_init(&entities, 1 + seed % 40);
        for (int step = 0; step < 300; step++) {
            memory_left = step % 7 == 0 ? rand_r(&at) % 3 : -1;
            random_step(&model, &entities, &at);
            memory_left = -1;
            if (step % 10 == 0) {
                check_model(&model, &entities);
            }
        }
        check_model(&model, &entities);
        entities_free(&entities);
        assert_int_equal(entities.table.count, 0);
        assert_null(find(&entities, SLICE("0")).ptr);
    }
}

/* Grows to 10,000 entities and gives the places back. */
static void table_grows_and_shrinks(void **state) {
    (void)state;
    enum { COUNT = 10000 };
    char key[24];
    struct entities entities;
    entities_init(&entities, 64);
    for (int i = 0; i < COUNT; i++) {
        snprintf(key, sizeof key, "key %d", i);
        assert_true(put(&entities, slice_from(key), slice_from(key)));
    }
    assert_int_equal(entities.table.count, COUNT);
    assert_true(entities.table.place_count >= COUNT);
    for (int i = 0; i < COUNT; i += 2) {
        snprintf(key, sizeof key, "key %d", i);
        assert_true(take_out(&entities, slice_from(key)));
        assert_false(take_out(&entities, slice_from(key)));
    }
    for (int i = 0; i < COUNT; i++) {
        snprintf(key, sizeof key, "key %d", i);
        assert_int_equal(find(&entities, slice_from(key)).ptr != NULL, i % 2);
    }
    for (int i = 1; i < COUNT; i += 2) {
        snprintf(key, sizeof key, "key %d", i);
        assert_true(take_out(&entities, slice_from(key)));
    }
    assert_int_equal(entities.table.count, 0);
    assert_int_equal(entities.table.bytes, 0);
    assert_true(entities.table.place_count <= 16);
    entities_free(&entities);
}

/* A value that grows and shrinks in its place, from nothing to 4 MB and back. */
static void values_change_their_size(void **state) {
    (void)state;
    enum { LARGEST = 4 << 20 };
    char *bytes = malloc(LARGEST);
    struct entities entities;
    assert_non_null(bytes);
    memset(bytes, '7', LARGEST);
    entities_init(&entities, 64);
    for (size_t size = 1; size <= LARGEST; size *= 4) {
        assert_true(put(&entities, SLICE("k"), slice_of(bytes, size)));
        assert_true(slice_equal(find(&entities, SLICE("k")), slice_of(bytes, size)));
    }
    for (size_t size = LARGEST; size > 0; size /= 4) {
        assert_true(put(&entities, SLICE("k"), slice_of(bytes, size)));
        assert_true(slice_equal(find(&entities, SLICE("k")), slice_of(bytes, size)));
        assert_true(entities.heap.large_bytes <= 2 * (size + 1) + 4096);
    }
    assert_true(put(&entities, SLICE("k"), SLICE("")));
    assert_int_equal(find(&entities, SLICE("k")).len, 0);
    assert_int_equal(entities.table.bytes, 1);
    entities_free(&entities);
    free(bytes);
}

/* Each allocation of a list of changes fails once: the change that met it says so and has done nothing, the
 * others are applied. */
static bool apply_with_failing_memory(long failing, size_t *failures) {
    static const struct {
        enum event_operation operation;
        const char *type, *key, *value;
    } changes[] = {
        {EVENT_INSERT, "t", "a", "{\"n\":1}"},
        {EVENT_INSERT, "t", "b", "\"a longer value than the first one\""},
        {EVENT_PATCH, "t", "a", "{\"m\":[2]}"},
        {EVENT_INSERT, "s", "a", "3"},
        {EVENT_UPSERT, "t", "a", "\"so long that a larger block is needed for it, and then some\""},
        {EVENT_DELETE, "t", "b", NULL},
        {EVENT_PATCH, "u", "x", "{\"\\n\":{\"y\":null}}"},
        {EVENT_UPDATE, "s", "a", "4"},
        {EVENT_INSERT, "r", "c", "5"},
    };
    memory_left = failing;
    struct store *store = store_new(PATCH_MAX);
    if (!store) {
        memory_left = -1;
        (*failures)++;
        return false;
    }
    bool ok = true;
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        struct event event = change(changes[i].operation, changes[i].type, changes[i].key, changes[i].value);
        struct error e;
        long left = memory_left;
        memory_left = -1;
        struct buf before = dump(store);
        memory_left = left;
        bool applied = store_apply(store, &event, &e);
        left = memory_left;
        memory_left = -1;
        if (!applied) {
            struct buf after = dump(store);
            assert_int_equal(e.code, ERROR_MEMORY);
            assert_string_equal(after.ptr, before.ptr);
            buf_free(&after);
            assert_true(store_apply(store, &event, &e)); /* and later it can be */
            ok = false;
            (*failures)++;
        }
        buf_free(&before);
        memory_left = left;
    }
    memory_left = -1;
    expect(store, "r{c=5;}s{a=4;}t{a=\"so long that a larger block is needed for it, and then "
                  "some\";}u{x={\"\\n\":{}};}");
    store_free(store);
    return ok;
}

static void store_survives_failing_memory(void **state) {
    (void)state;
    size_t failures = 0;
    long failing = 0;
    while (!apply_with_failing_memory(failing, &failures)) {
        failing++;
    }
    assert_true(failing > 10);
    assert_int_equal(failures, failing);
}

static void lists_survive_failing_memory(void **state) {
    (void)state;
    size_t count;
    struct store *store = store_new(PATCH_MAX);
    apply(store, EVENT_INSERT, "t", "a", "1");
    memory_left = 0;
    assert_null(store_types(store, &count));
    for (int left = 0; left < 4; left++) {
        memory_left = left;
        assert_null(store_rows(store, SLICE("t"), &count));
        memory_left = -1;
        assert_int_equal(count, 0);
    }
    expect(store, "t{a=1;}");
    store_free(store);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(applies_changes),
        cmocka_unit_test(merges_patches),
        cmocka_unit_test(orders_by_bytes),
        cmocka_unit_test(sorts_many_keys),
        cmocka_unit_test(table_is_as_a_list),
        cmocka_unit_test(table_grows_and_shrinks),
        cmocka_unit_test(values_change_their_size),
        cmocka_unit_test(store_survives_failing_memory),
        cmocka_unit_test(lists_survive_failing_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
