/* sink/batch: rows in, rows out, with memory that fails. Linked with its allocations wrapped. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "memory.h"
#include "sink/batch.h"

static struct sink_row row_of(const char *key, const char *value, uint64_t sequence, const char *offset) {
    return (struct sink_row){
        .op = *value ? SINK_PUT : SINK_DELETE,
        .type = SLICE("users"),
        .key = slice_from(key),
        .value = slice_from(value),
        .sequence = sequence,
        .offset = slice_from(offset),
        .index = sequence % 10,
    };
}

static void assert_row(const struct sink_batch *batch, size_t i, const char *expected) {
    struct sink_row row = sink_batch_row(batch, i);
    char text[200];
    snprintf(text, sizeof text, "%d %.*s/%.*s=%.*s at %llu, %.*s+%llu", row.op, (int)row.type.len,
             row.type.ptr, (int)row.key.len, row.key.ptr, (int)row.value.len, row.value.ptr,
             (unsigned long long)row.sequence, (int)row.offset.len, row.offset.ptr,
             (unsigned long long)row.index);
    assert_string_equal(text, expected);
}

static bool add(struct sink_batch *batch, const char *key, const char *value, uint64_t sequence,
                const char *offset) {
    struct error e;
    struct sink_row row = row_of(key, value, sequence, offset);
    return sink_batch_add(batch, &row, &e);
}

static void test_rows(void **state) {
    (void)state;
    struct sink_batch *batch = sink_batch_new(1000);
    assert_true(add(batch, "a", "1", 10, "-1"));
    assert_true(add(batch, "b", "", 11, "-1"));
    assert_true(add(batch, "", "[2]", 12, "next"));
    struct sink_row clear = {.op = SINK_CLEAR, .sequence = 13, .offset = SLICE("next"), .index = 3};
    struct error e;
    assert_true(sink_batch_add(batch, &clear, &e));
    assert_int_equal(sink_batch_count(batch), 4);
    assert_int_equal(sink_batch_bytes(batch), 3 * 5 + 2 + 4);
    assert_row(batch, 0, "0 users/a=1 at 10, -1+0");
    assert_row(batch, 1, "1 users/b= at 11, -1+1");
    assert_row(batch, 2, "0 users/=[2] at 12, next+2");
    assert_row(batch, 3, "2 /= at 13, next+3");
    sink_batch_clear(batch);
    assert_int_equal(sink_batch_count(batch), 0);
    assert_true(add(batch, "c", "3", 14, "later"));
    assert_row(batch, 0, "0 users/c=3 at 14, later+4");
    sink_batch_free(batch);
}

static void test_cut(void **state) {
    (void)state;
    struct sink_batch *batch = sink_batch_new(1000);
    assert_true(add(batch, "a", "1", 1, "-1") && add(batch, "b", "2", 2, "x") &&
                add(batch, "c", "3", 3, "y"));
    sink_batch_cut(batch, 3);
    assert_int_equal(sink_batch_count(batch), 3);
    sink_batch_cut(batch, 1);
    assert_int_equal(sink_batch_count(batch), 1);
    assert_int_equal(sink_batch_bytes(batch), 7);
    assert_true(add(batch, "d", "4", 4, "x"));
    assert_row(batch, 0, "0 users/a=1 at 1, -1+1");
    assert_row(batch, 1, "0 users/d=4 at 4, x+4");
    sink_batch_cut(batch, 0);
    assert_int_equal(sink_batch_bytes(batch), 0);
    sink_batch_free(batch);
}

static void test_cap(void **state) {
    (void)state;
    struct sink_batch *batch = sink_batch_new(20);
    struct error e;
    struct sink_row row = row_of("key", "12345", 1, "-1"); /* 13 bytes */
    assert_true(sink_batch_add(batch, &row, &e));
    assert_false(sink_batch_add(batch, &row, &e));
    assert_int_equal(e.code, ERROR_LIMIT);
    assert_non_null(strstr(e.message, "limits.sinkBatch"));
    assert_int_equal(sink_batch_count(batch), 1);
    assert_row(batch, 0, "0 users/key=12345 at 1, -1+1");
    sink_batch_free(batch);
}

static void test_place(void **state) {
    (void)state;
    struct sink_batch *batch = sink_batch_new(100);
    struct sink_place place = {.offset = (char *)"x", .skip = 2, .sequence = 7, .notes = (char *)"{}"};
    assert_true(sink_batch_reach(batch, &place));
    place = (struct sink_place){0};
    const struct sink_place *kept = sink_batch_place(batch);
    assert_string_equal(kept->offset, "x");
    assert_string_equal(kept->notes, "{}");
    assert_int_equal(kept->skip, 2);
    assert_int_equal(kept->sequence, 7);
    assert_true(sink_batch_reach(batch, &place));
    assert_null(sink_batch_place(batch)->offset);
    sink_batch_free(batch);
}

/* What could not be added for want of memory has changed nothing, and can be added later. */
static void test_memory(void **state) {
    (void)state;
    for (long left = 0; left < 40; left++) {
        memory_left = left;
        struct sink_batch *batch = sink_batch_new(1 << 20);
        size_t count = 0;
        char key[40];
        char offset[40];
        for (unsigned i = 0; batch && i < 300; i++) {
            snprintf(key, sizeof key, "key %u", i);
            snprintf(offset, sizeof offset, "offset %u", i / 3);
            bool added = add(batch, key, "{\"some\":\"value\"}", i, offset);
            if (!added) {
                assert_int_equal(sink_batch_count(batch), count);
                memory_left = -1;
                added = add(batch, key, "{\"some\":\"value\"}", i, offset);
            }
            assert_true(added);
            count++;
        }
        memory_left = -1;
        for (unsigned i = 0; i < count; i++) {
            char expected[100];
            snprintf(expected, sizeof expected, "0 users/key %u={\"some\":\"value\"} at %u, offset %u+%u", i,
                     i, i / 3, i % 10);
            assert_row(batch, i, expected);
        }
        struct sink_place place = {.offset = (char *)"x", .sequence = 7, .notes = (char *)"{}"};
        memory_left = left % 3;
        if (batch && !sink_batch_reach(batch, &place)) {
            assert_null(sink_batch_place(batch)->offset);
        }
        memory_left = -1;
        sink_batch_free(batch);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),  cmocka_unit_test(test_cut),    cmocka_unit_test(test_cap),
        cmocka_unit_test(test_place), cmocka_unit_test(test_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
