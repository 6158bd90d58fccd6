/* base/strmap, against a plain array, and with memory that fails. Linked with its allocations wrapped. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/strmap.h"
#include "memory.h"

enum { KEYS = 100 };

static struct slice key_of(size_t i, char *text, size_t size) {
    return slice_of(text, (size_t)snprintf(text, size, "key %zu", i * i));
}

static void keeps_copies_of_keys(void **state) {
    (void)state;
    char text[] = "name";
    int value;
    int other;
    struct strmap map;
    strmap_init(&map);
    assert_null(strmap_get(&map, SLICE("name")));
    assert_null(strmap_remove(&map, SLICE("name")));
    assert_true(strmap_put(&map, slice_of(text, 4), &value));
    text[0] = 'x';
    assert_ptr_equal(strmap_get(&map, SLICE("name")), &value);
    assert_null(strmap_get(&map, SLICE("xame")));
    assert_null(strmap_get(&map, SLICE("nam")));
    assert_true(strmap_put(&map, SLICE("name"), &other));
    assert_ptr_equal(strmap_get(&map, SLICE("name")), &other);
    assert_int_equal(map.count, 1);
    /* Any bytes are a key: none at all, and a NUL. */
    assert_true(strmap_put(&map, SLICE(""), &value));
    assert_true(strmap_put(&map, SLICE("\0"), &other));
    assert_ptr_equal(strmap_get(&map, SLICE("")), &value);
    assert_ptr_equal(strmap_get(&map, SLICE("\0")), &other);
    assert_ptr_equal(strmap_remove(&map, SLICE("")), &value);
    assert_null(strmap_get(&map, SLICE("")));
    strmap_free(&map, NULL);
    assert_int_equal(map.count, 0);
}

static void check(const struct strmap *map, int *const *values) {
    char text[32];
    size_t count = 0;
    for (size_t i = 0; i < KEYS; i++) {
        assert_ptr_equal(strmap_get(map, key_of(i, text, sizeof text)), values[i]);
        count += values[i] != NULL;
    }
    assert_int_equal(map->count, count);
    size_t at = 0;
    for (const struct strmap_entry *entry; (entry = strmap_next(map, &at));) {
        assert_non_null(entry->value);
        assert_int_equal(entry->key.ptr[entry->key.len], '\0');
        count--;
    }
    assert_int_equal(count, 0);
}

static void is_as_an_array(void **state) {
    (void)state;
    int things[KEYS];
    char text[32];
    for (unsigned seed = 1; seed <= 100; seed++) {
        unsigned at = seed;
        int *values[KEYS] = {0};
        struct strmap map;
        strmap_init(&map);
        for (int step = 0; step < 300; step++) {
            size_t i = (size_t)rand_r(&at) % KEYS;
            struct slice key = key_of(i, text, sizeof text);
            memory_left = step % 5 == 0 ? rand_r(&at) % 2 : -1;
            if (rand_r(&at) % 3 == 0) {
                assert_ptr_equal(strmap_remove(&map, key), values[i]);
                values[i] = NULL;
            } else if (strmap_put(&map, key, &things[step % KEYS])) {
                values[i] = &things[step % KEYS];
            }
            memory_left = -1;
            if (step % 20 == 0) {
                check(&map, values);
            }
        }
        check(&map, values);
        strmap_free(&map, NULL);
    }
}

static void drop(void *value) {
    ++*(int *)value;
}

static void drops_each_value_once(void **state) {
    (void)state;
    int dropped[KEYS] = {0};
    char text[32];
    struct strmap map;
    strmap_init(&map);
    for (size_t i = 0; i < KEYS; i++) {
        assert_true(strmap_put(&map, key_of(i, text, sizeof text), &dropped[i]));
    }
    strmap_free(&map, drop);
    for (size_t i = 0; i < KEYS; i++) {
        assert_int_equal(dropped[i], 1);
    }
    strmap_free(&map, drop);
}

static void survives_failing_memory(void **state) {
    (void)state;
    int value;
    char text[32];
    bool ok = false;
    long failing = 0;
    for (; !ok; failing++) {
        struct strmap map;
        strmap_init(&map);
        ok = true;
        for (size_t i = 0; i < KEYS; i++) {
            struct slice key = key_of(i, text, sizeof text);
            memory_left = i == 0 ? failing : memory_left;
            bool put = strmap_put(&map, key, &value);
            long left = memory_left;
            memory_left = -1;
            assert_int_equal(strmap_get(&map, key) != NULL, put);
            if (!put) {
                ok = false;
                assert_int_equal(map.count, i);
                assert_true(strmap_put(&map, key, &value));
            }
            memory_left = left;
        }
        memory_left = -1;
        assert_int_equal(map.count, KEYS);
        strmap_free(&map, NULL);
    }
    assert_true(failing > KEYS);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_copies_of_keys),
        cmocka_unit_test(is_as_an_array),
        cmocka_unit_test(drops_each_value_once),
        cmocka_unit_test(survives_failing_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
