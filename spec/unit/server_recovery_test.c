/* What a folder holds after its journal was cut or damaged, or its index. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "server_folder.h"

static void test_cut_at_every_byte(void **state) {
    struct world world;
    static struct history history;
    char now[DESCRIPTION];
    (void)state;
    world_begin(&world, true);
    make_history(&world, &history);
    world_close(&world);
    struct bytes journal = load(&world, JOURNAL);
    assert_int_equal(journal.len, history.ends[STEPS]);
    for (size_t len = 0; len <= journal.len; len++) {
        store(&world, JOURNAL, journal.ptr, len);
        world_open(&world);
        describe(&world, now, sizeof now);
        assert_string_equal(now, history.states[step_at(&history, len)]);
        assert_int_equal(put(&world, "/new", TEXT, "written after the cut"), STREAM_CREATED);
        world_reopen(&world);
        assert_string_equal(read_all(&world, "/new"), "written after the cut");
        describe(&world, now, sizeof now);
        assert_string_equal(now, history.states[step_at(&history, len)]);
        world_close(&world);
    }
    free(journal.ptr);
    world_end(&world);
}

/* A byte that changes is noticed: what is before it is kept if nothing that was safe is behind it. */
static void test_any_byte_damaged(void **state) {
    struct world world;
    static struct history history;
    char now[DESCRIPTION];
    int refused = 0;
    (void)state;
    world_begin(&world, true);
    make_history(&world, &history);
    world_close(&world);
    struct bytes journal = load(&world, JOURNAL);
    for (size_t at = 0; at < journal.len; at++) {
        journal.ptr[at] = (char)(journal.ptr[at] ^ (int)(1 + random_below(255)));
        store(&world, JOURNAL, journal.ptr, journal.len);
        int step = step_at(&history, at);
        if (try_open(&world)) {
            /* Only the last two batches may be missing: the last one may have been torn. */
            assert_true(step >= STEPS - 2);
            describe(&world, now, sizeof now);
            assert_string_equal(now, history.states[step]);
            world_close(&world);
        } else {
            refused++;
        }
        free(journal.ptr);
        /* A fresh copy of what it was: opening may have cut it. */
        world_end(&world);
        world_begin(&world, true);
        make_history(&world, &history);
        world_close(&world);
        journal = load(&world, JOURNAL);
        at += random_below(7);
    }
    assert_true(refused > 0);
    free(journal.ptr);
    world_end(&world);
}

/* Of the batch written last, any of its blocks may be missing. */
static void test_last_batch_with_holes(void **state) {
    struct world world;
    char before[DESCRIPTION], now[DESCRIPTION];
    static char large[6000];
    (void)state;
    world_begin(&world, true);
    put(&world, "/a", TEXT, "safe");
    put(&world, "/b", TEXT, "as well");
    describe(&world, before, sizeof before);
    size_t safe = journal_end(&world);
    memset(large, 'x', sizeof large - 1);
    struct world_answer answers[4];
    struct stream_result result;
    struct stream_append append = {.path = SLICE("/b"), .type = SLICE(TEXT), .body = slice_from(large)};
    for (int i = 0; i < 4; i++) { /* one batch */
        answers[i] = (struct world_answer)WORLD_ANSWER(&world);
        answers[i].wait.user = &answers[i];
        assert_int_equal(streams_append(world.set, &append, &answers[i].wait, &result), STREAM_WAITING);
    }
    world_settle(&world);
    world_close(&world);
    struct bytes journal = load(&world, JOURNAL);
    char *torn = malloc(journal.len);
    for (int round = 0; round < 100; round++) {
        memcpy(torn, journal.ptr, journal.len);
        size_t first = (safe + 511) / 512 * 512;
        for (size_t block = first; block < journal.len; block += 512) {
            if (random_below(3) == 0) {
                memset(torn + block, 0, journal.len - block < 512 ? journal.len - block : 512);
            }
        }
        store(&world, JOURNAL, torn, journal.len);
        world_open(&world);
        uint64_t tail = tail_of(&world, "/b");
        assert_int_equal((tail - 7) % (sizeof large - 1), 0);
        assert_string_equal(read_all(&world, "/a"), "safe");
        world_close(&world);
    }
    store(&world, JOURNAL, journal.ptr, safe);
    world_open(&world);
    describe(&world, now, sizeof now);
    assert_string_equal(now, before);
    free(torn);
    free(journal.ptr);
    world_end(&world);
}

static void test_damaged_index_is_refused(void **state) {
    struct world world;
    char name[64];
    (void)state;
    world_begin(&world, true);
    world.options.checkpoint_bytes = 1;
    world_reopen(&world);
    for (int step = 0; step < STEPS; step++) {
        take_step(&world, step);
    }
    world_close(&world);
    uint64_t number = index_of(&world, 100);
    assert_true(number > 0);
    snprintf(name, sizeof name, "index-%016llx", (unsigned long long)number);
    struct bytes index = load(&world, name);
    for (size_t at = 0; at < index.len; at++) {
        index.ptr[at] ^= 4;
        store(&world, name, index.ptr, index.len);
        assert_false(try_open(&world));
        index.ptr[at] ^= 4;
        store(&world, name, index.ptr, at);
        assert_false(try_open(&world));
    }
    store(&world, name, index.ptr, index.len);
    assert_true(try_open(&world));
    free(index.ptr);
    world_end(&world);
}

static void test_one_server_a_folder(void **state) {
    struct world world;
    struct error e = {0};
    (void)state;
    world_begin(&world, true);
    struct loop *loop = loop_new(&e);
    assert_null(streams_open(loop, &world.options, &e));
    assert_non_null(strstr(e.message, "another server"));
    loop_run_until(loop, world_never, NULL);
    assert_true(loop_free(loop, &e));
    world_end(&world);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cut_at_every_byte),     cmocka_unit_test(test_any_byte_damaged),
        cmocka_unit_test(test_last_batch_with_holes), cmocka_unit_test(test_damaged_index_is_refused),
        cmocka_unit_test(test_one_server_a_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
