/* state/overlay: pending writes on top of a store, against a store to which they were applied, and with memory that
 * fails. Linked with its allocations wrapped. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "memory.h"
#include "state/overlay.h"

enum { VALUE_MAX = 1 << 20 };

struct both {
    struct store *store;
    struct overlay *overlay;
};

static struct both both_new(void) {
    struct both both = {store_new(VALUE_MAX), overlay_new(VALUE_MAX)};
    assert_non_null(both.store);
    assert_non_null(both.overlay);
    return both;
}

static void both_free(struct both *both) {
    overlay_free(both->overlay);
    store_free(both->store);
}

static void apply(struct store *store, enum event_operation operation, const char *type, const char *key,
                  const char *value) {
    struct event event = {.kind = EVENT_CHANGE,
                          .operation = operation,
                          .type = slice_from(type),
                          .key = slice_from(key),
                          .value = slice_from(value)};
    struct error e;
    assert_true(store_apply(store, &event, &e));
}

static uint64_t add(struct overlay *overlay, enum event_operation operation, const char *type,
                    const char *key, const char *value, uint64_t txid) {
    struct overlay_write write = {operation, slice_from(type), slice_from(key), slice_from(value), txid};
    struct error e;
    uint64_t number = overlay_add(overlay, &write, &e);
    assert_int_not_equal(number, 0);
    return number;
}

static void expect(struct both *both, const char *type, const char *key, const char *value) {
    struct slice got = store_get(both->store, slice_from(type), slice_from(key));
    struct error e;
    assert_int_not_equal(overlay_get(both->overlay, both->store, slice_from(type), slice_from(key), &got, &e),
                         OVERLAY_FAILED);
    if (!value) {
        assert_null(got.ptr);
        return;
    }
    assert_non_null(got.ptr);
    assert_int_equal(got.len, strlen(value));
    assert_memory_equal(got.ptr, value, got.len);
}

static void puts_writes_on_top(void **state) {
    (void)state;
    struct both both = both_new();
    struct overlay_write write;
    apply(both.store, EVENT_INSERT, "t", "a", "{\"x\":1}");
    uint64_t first = add(both.overlay, EVENT_PATCH, "t", "a", "{\"y\":2}", 7);
    uint64_t second = add(both.overlay, EVENT_PATCH, "t", "a", "{\"x\":null,\"z\":3}", 8);
    expect(&both, "t", "a", "{\"y\":2,\"z\":3}");
    apply(both.store, EVENT_UPDATE, "t", "a", "{\"w\":1.0}");
    expect(&both, "t", "a", "{\"w\":1.0,\"y\":2,\"z\":3}");
    uint64_t third = add(both.overlay, EVENT_DELETE, "t", "a", NULL, 0);
    expect(&both, "t", "a", NULL);
    add(both.overlay, EVENT_INSERT, "t", "a", "5", 0);
    expect(&both, "t", "a", "5");
    assert_true(overlay_find(both.overlay, third, &write));
    assert_int_equal(write.operation, EVENT_DELETE);
    assert_true(slice_equal(write.key, SLICE("a")));
    assert_int_equal(overlay_confirm(both.overlay, 8, SLICE("t"), SLICE("b")), 0);
    assert_int_equal(overlay_confirm(both.overlay, 8, SLICE("u"), SLICE("a")), 0);
    assert_int_equal(overlay_confirm(both.overlay, 0, SLICE("t"), SLICE("a")), 0);
    assert_int_equal(overlay_confirm(both.overlay, 8, SLICE("t"), SLICE("a")), second);
    assert_int_equal(overlay_confirm(both.overlay, 8, SLICE("t"), SLICE("a")), 0);
    assert_int_equal(overlay_pending(both.overlay), 3);
    assert_true(overlay_remove(both.overlay, first));
    assert_false(overlay_remove(both.overlay, first));
    assert_false(overlay_find(both.overlay, first, &write));
    assert_true(overlay_remove(both.overlay, third + 1));
    expect(&both, "t", "a", NULL);
    assert_true(overlay_remove(both.overlay, third));
    expect(&both, "t", "a", "{\"w\":1.0}");
    assert_int_equal(overlay_pending(both.overlay), 0);
    both_free(&both);
}

static void refuses_too_many(void **state) {
    (void)state;
    struct overlay *overlay = overlay_new(VALUE_MAX);
    struct overlay_write write = {EVENT_UPSERT, SLICE("t"), SLICE("k"), SLICE("1"), 0};
    struct error e;
    for (int i = 0; i < OVERLAY_WRITES_MAX; i++) {
        char key[16];
        snprintf(key, sizeof key, "%d", i);
        write.key = slice_from(key);
        assert_int_not_equal(overlay_add(overlay, &write, &e), 0);
    }
    assert_int_equal(overlay_add(overlay, &write, &e), 0);
    assert_int_equal(e.code, ERROR_LIMIT);
    overlay_free(overlay);
}

static void names_a_merge_that_is_too_long(void **state) {
    (void)state;
    struct store *store = store_new(VALUE_MAX);
    struct overlay *overlay = overlay_new(8);
    struct slice value;
    struct error e;
    size_t count;
    add(overlay, EVENT_PATCH, "t", "k", "{\"long\":12345678}", 0);
    assert_int_equal(overlay_get(overlay, store, SLICE("t"), SLICE("k"), &value, &e), OVERLAY_FAILED);
    assert_int_equal(e.code, ERROR_LIMIT);
    assert_null(overlay_where(overlay, store, SLICE("t"), NULL, 0, &count, &e));
    overlay_free(overlay);
    store_free(store);
}

/* ---- against a store that has everything ---- */

static const char *const TYPES[] = {"a", "bb", "c"};
static const char *const VALUES[] = {"1",    "{\"n\":1}", "{\"n\":2,\"m\":{\"x\":[1]}}",
                                     "null", "\"s\"",     "{\"n\":1.0}"};
static const char *const PATCHES[] = {"{\"n\":1}", "{\"n\":null}", "{\"m\":{\"x\":2}}", "{}"};

enum { MODEL_MAX = 64 };

struct model {
    struct overlay_write writes[MODEL_MAX];
    uint64_t numbers[MODEL_MAX];
    char keys[MODEL_MAX][4];
    size_t count;
};

static uint64_t random_next(uint64_t *seed) {
    *seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return *seed >> 33;
}

static void model_drop(struct model *model, size_t at) {
    for (size_t i = at; i + 1 < model->count; i++) {
        model->writes[i] = model->writes[i + 1];
        model->numbers[i] = model->numbers[i + 1];
        memcpy(model->keys[i], model->keys[i + 1], sizeof model->keys[i]);
        model->writes[i].key = slice_from(model->keys[i]);
    }
    model->count--;
}

static struct store *applied(const struct store *store, const struct model *model) {
    struct store *copy = store_new(VALUE_MAX);
    for (size_t t = 0; t < 3; t++) {
        size_t count;
        struct store_row *rows = store_rows(store, slice_from(TYPES[t]), &count);
        for (size_t i = 0; i < count; i++) {
            struct event event = {.operation = EVENT_INSERT,
                                  .type = slice_from(TYPES[t]),
                                  .key = rows[i].key,
                                  .value = rows[i].value};
            struct error e;
            assert_true(store_apply(copy, &event, &e));
        }
        free(rows);
    }
    for (size_t i = 0; i < model->count; i++) {
        const struct overlay_write *write = &model->writes[i];
        struct event event = {
            .operation = write->operation, .type = write->type, .key = write->key, .value = write->value};
        struct error e;
        assert_true(store_apply(copy, &event, &e));
    }
    return copy;
}

static void compare_rows(struct both *both, struct store *model, struct slice type,
                         const struct store_condition *conditions, size_t condition_count) {
    size_t count;
    size_t expected;
    struct error e;
    struct store_row *rows = overlay_where(both->overlay, both->store, type, conditions, condition_count,
                                           &count, &e);
    uint32_t *refs = store_where(model, type, conditions, condition_count, &expected);
    assert_non_null(rows);
    assert_non_null(refs);
    assert_int_equal(count, expected);
    for (size_t i = 0; i < count; i++) {
        struct store_row row;
        struct slice value = store_get(both->store, type, rows[i].key);
        store_row(model, refs, expected, i, &row);
        assert_true(slice_equal(rows[i].key, row.key));
        assert_true(slice_equal(rows[i].value, row.value));
        assert_int_not_equal(overlay_get(both->overlay, both->store, type, row.key, &value, &e),
                             OVERLAY_FAILED);
        assert_true(slice_equal(value, row.value));
    }
    free(rows);
    free(refs);
}

static void compare(struct both *both, const struct model *model) {
    struct store *expected = applied(both->store, model);
    struct store_condition one = {SLICE("n"), {.kind = FIELD_NUMBER, .number = schema_number_whole(1)}};
    struct error e;
    size_t count;
    size_t expected_count;
    struct slice *types = overlay_types(both->overlay, both->store, &count, &e);
    struct slice *expected_types = store_types(expected, &expected_count);
    assert_int_equal(count, expected_count);
    for (size_t i = 0; i < count; i++) {
        assert_true(slice_equal(types[i], expected_types[i]));
    }
    free(types);
    free(expected_types);
    assert_int_equal(overlay_count(both->overlay, both->store, (struct slice){0}),
                     store_count(expected, (struct slice){0}));
    for (size_t t = 0; t < 3; t++) {
        struct slice type = slice_from(TYPES[t]);
        assert_int_equal(overlay_count(both->overlay, both->store, type), store_count(expected, type));
        compare_rows(both, expected, type, NULL, 0);
        compare_rows(both, expected, type, &one, 1);
    }
    assert_int_equal(overlay_pending(both->overlay), model->count);
    store_free(expected);
}

static void take_step(struct both *both, struct model *model, uint64_t *seed) {
    enum event_operation operation = (enum event_operation)(random_next(seed) % 5);
    const char *type = TYPES[random_next(seed) % 3];
    const char *value = operation == EVENT_PATCH    ? PATCHES[random_next(seed) % 4]
                        : operation == EVENT_DELETE ? NULL
                                                    : VALUES[random_next(seed) % 6];
    char key[4];
    snprintf(key, sizeof key, "%u", (unsigned)(random_next(seed) % 12));
    uint64_t choice = random_next(seed) % 10;
    if (choice < 3) {
        apply(both->store, operation, type, key, value);
    } else if (choice < 7 && model->count < MODEL_MAX) {
        uint64_t txid = random_next(seed) % 4;
        size_t at = model->count++;
        memcpy(model->keys[at], key, sizeof key);
        model->numbers[at] = add(both->overlay, operation, type, key, value, txid);
        model->writes[at] = (struct overlay_write){operation, slice_from(type), slice_from(model->keys[at]),
                                                   slice_from(value), txid};
    } else if (choice < 9) {
        uint64_t txid = random_next(seed) % 4;
        size_t at = 0;
        while (at < model->count && !(txid && model->writes[at].txid == txid &&
                                      slice_equal(model->writes[at].type, slice_from(type)) &&
                                      slice_equal(model->writes[at].key, slice_from(key)))) {
            at++;
        }
        uint64_t number = overlay_confirm(both->overlay, txid, slice_from(type), slice_from(key));
        assert_int_equal(number, at < model->count ? model->numbers[at] : 0);
        if (number) {
            model_drop(model, at);
        }
    } else if (model->count > 0) {
        size_t at = random_next(seed) % model->count;
        assert_true(overlay_remove(both->overlay, model->numbers[at]));
        model_drop(model, at);
    }
}

static void is_as_if_it_were_applied(void **state) {
    (void)state;
    for (uint64_t round = 1; round <= 20; round++) {
        struct both both = both_new();
        struct model model = {.count = 0};
        uint64_t seed = round;
        for (int i = 0; i < 400; i++) {
            take_step(&both, &model, &seed);
            if (i % 5 == 0) {
                compare(&both, &model);
            }
        }
        both_free(&both);
    }
}

/* ---- memory that fails ---- */

/* False: it ran out, and nothing changed. */
static bool use(struct both *both) {
    struct overlay_write write = {EVENT_PATCH, SLICE("t"), SLICE("k"), SLICE("{\"a\":1}"), 1};
    struct slice value;
    struct error e;
    size_t count;
    size_t before = overlay_pending(both->overlay);
    uint64_t number = overlay_add(both->overlay, &write, &e);
    if (!number) {
        assert_int_equal(e.code, ERROR_MEMORY);
        assert_int_equal(overlay_pending(both->overlay), before);
        return false;
    }
    bool ok = overlay_get(both->overlay, both->store, SLICE("t"), SLICE("k"), &value, &e) == OVERLAY_VALUE;
    struct slice *types = ok ? overlay_types(both->overlay, both->store, &count, &e) : NULL;
    struct store_row *rows = types
                                 ? overlay_where(both->overlay, both->store, SLICE("t"), NULL, 0, &count, &e)
                                 : NULL;
    ok = rows != NULL;
    assert_true(ok || e.code == ERROR_MEMORY);
    free(types);
    free(rows);
    assert_true(overlay_remove(both->overlay, number));
    return ok;
}

static void survives_a_lack_of_memory(void **state) {
    (void)state;
    bool done = false;
    for (long n = 0; !done; n++) {
        assert_true(n < 1000);
        memory_left = n;
        struct overlay *overlay = overlay_new(VALUE_MAX);
        memory_left = -1;
        if (!overlay) {
            continue;
        }
        struct both both = {store_new(VALUE_MAX), overlay};
        apply(both.store, EVENT_INSERT, "t", "k", "{\"b\":2}");
        apply(both.store, EVENT_INSERT, "u", "k", "2");
        memory_left = n;
        done = use(&both);
        memory_left = -1;
        expect(&both, "t", "k", "{\"b\":2}");
        assert_int_equal(overlay_count(both.overlay, both.store, (struct slice){0}), 2);
        assert_true(use(&both));
        both_free(&both);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(puts_writes_on_top),
        cmocka_unit_test(refuses_too_many),
        cmocka_unit_test(names_a_merge_that_is_too_long),
        cmocka_unit_test(is_as_if_it_were_applied),
        cmocka_unit_test(survives_a_lack_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
