/* Content in the files of streams: what checkpoints keep, what they leave when they are cut short, and reading it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "server_folder.h"

static void test_checkpoints_keep_everything(void **state) {
    struct world world;
    static struct history history;
    char now[DESCRIPTION];
    (void)state;
    world_begin(&world, true);
    make_history(&world, &history);
    world.options.checkpoint_bytes = 1;
    world_reopen(&world);
    for (int i = 0; i < 5; i++) {
        put(&world, "/more", TEXT, NULL);
        post(&world, "/more", TEXT, "more");
        world_reopen(&world);
        describe(&world, now, sizeof now);
        assert_string_equal(now, history.states[STEPS]);
    }
    assert_string_equal(read_all(&world, "/more"), "moremoremoremoremore");
    assert_false(is_there(&world, JOURNAL));
    assert_true(index_of(&world, 100) > 1);
    /* The producer of /b and the closer of /json are remembered as well. */
    assert_int_equal(post_as(&world, "/b", "y", "p", 0, 1), STREAM_DUPLICATE);
    assert_int_equal(post_as(&world, "/b", "z", "p", 0, 2), STREAM_OK);
    world_end(&world);
}

/* A crash leaves a half written index, or more in a stream's file than its state says. */
static void test_unfinished_checkpoint(void **state) {
    struct world world;
    static struct history history;
    char now[DESCRIPTION];
    (void)state;
    world_begin(&world, true);
    make_history(&world, &history);
    world_close(&world);
    char path[256];
    name_of(&world, "streams", path);
    mkdir(path, 0700);
    name_of(&world, "streams/01", path);
    mkdir(path, 0700);
    name_of(&world, "streams/77", path);
    mkdir(path, 0700);
    store(&world, "streams/01/0000000000000001.log", "half a file that is longer than the one to come", 47);
    store(&world, "streams/77/0000000000000077.log", "nobody's", 8);
    store(&world, "index.new", "half", 4);
    world.options.checkpoint_bytes = 1;
    world_open(&world);
    assert_false(is_there(&world, "streams/77/0000000000000077.log"));
    assert_false(is_there(&world, "index.new"));
    for (int i = 0; i < 2; i++) {
        post_as(&world, "/b", "z", "p", 0, (uint64_t)i);
        world_reopen(&world);
        describe(&world, now, sizeof now);
        assert_string_equal(now, history.states[STEPS]);
    }
    world_end(&world);
}

/* A deletion that waits while an append to the same stream becomes safe. */
static void test_a_file_goes_no_sooner_than_its_stream(void **state) {
    static const char name[] = "streams/01/0000000000000001.log";
    struct world world;
    struct stream_append append = {.path = SLICE("/a"), .type = SLICE(TEXT), .body = SLICE("!")};
    struct stream_result result;
    (void)state;
    world_begin(&world, true);
    world.options.checkpoint_bytes = 1;
    world_reopen(&world);
    put(&world, "/a", TEXT, "some content");
    world.options.checkpoint_bytes = 0;
    world_reopen(&world);
    assert_true(is_there(&world, name));
    struct world_answer first = WORLD_ANSWER(&world), second = WORLD_ANSWER(&world);
    first.wait.user = &first;
    second.wait.user = &second;
    assert_int_equal(streams_append(world.set, &append, &first.wait, &result), STREAM_WAITING);
    uv_run(loop_uv(world.loop), UV_RUN_NOWAIT); /* the append is being written */
    assert_int_equal(streams_delete(world.set, append.path, &second.wait, &result), STREAM_WAITING);
    loop_run_until(world.loop, world_answered, &first);
    assert_true(second.there || is_there(&world, name));
    world_settle(&world);
    assert_true(second.there);
    assert_false(is_there(&world, name));
    world_end(&world);
}

/* Frames are checked when they are read. */
static void test_damaged_content_is_not_given_out(void **state) {
    struct world world;
    struct stream_body body;
    (void)state;
    world_begin(&world, true);
    world.options.checkpoint_bytes = 1;
    world_reopen(&world);
    put(&world, "/a", TEXT, "some content");
    put(&world, "/b", TEXT, "other content");
    world_close(&world);
    const char *name = "streams/01/0000000000000001.log";
    struct bytes file = load(&world, name);
    file.ptr[file.len - 2] ^= 1;
    store(&world, name, file.ptr, file.len);
    world_open(&world);
    assert_int_equal(stream_read(stream_at(&world, "/a"), 0, &body), STREAM_FAILED);
    assert_string_equal(read_all(&world, "/b"), "other content");
    store(&world, name, file.ptr, file.len - 3);
    assert_int_equal(stream_read(stream_at(&world, "/a"), 0, &body), STREAM_FAILED);
    file.ptr[file.len - 2] ^= 1;
    store(&world, name, file.ptr, file.len);
    assert_string_equal(read_all(&world, "/a"), "some content");
    free(file.ptr);
    world_end(&world);
}

/* Large content through files: every part of it can be read, whatever the frames are. */
static void test_large_content(void **state) {
    struct world world;
    (void)state;
    world_begin(&world, true);
    world.options.checkpoint_bytes = 300000;
    world_reopen(&world);
    size_t most = 700000;
    char *block = malloc(most), *all = malloc(20 * most);
    size_t len = 0;
    assert_int_equal(put(&world, "/l", NULL, NULL), STREAM_CREATED);
    for (int i = 0; i < 20; i++) {
        size_t part = 1 + random_below(most);
        for (size_t at = 0; at < part; at++) {
            block[at] = (char)random_below(256);
        }
        struct stream_append append = {
            .path = SLICE("/l"), .type = SLICE("application/octet-stream"), .body = {block, part}};
        assert_int_equal(world_append(&world, &append), STREAM_OK);
        memcpy(all + len, block, part);
        len += part;
    }
    for (int round = 0; round < 2; round++) {
        for (uint64_t at = 0; at < len;) {
            struct stream_body body;
            assert_int_equal(stream_read(stream_at(&world, "/l"), at, &body), STREAM_OK);
            assert_memory_equal(body_text(&world, &body), all + at, body.len);
            at = body.next;
            stream_body_free(&body);
        }
        world_reopen(&world);
    }
    for (int i = 0; i < 200; i++) {
        struct stream_body body;
        uint64_t at = random_below(len);
        assert_int_equal(stream_read(stream_at(&world, "/l"), at, &body), STREAM_OK);
        assert_memory_equal(body_text(&world, &body), all + at, body.len);
        stream_body_free(&body);
    }
    free(block);
    free(all);
    world_end(&world);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_checkpoints_keep_everything),
        cmocka_unit_test(test_unfinished_checkpoint),
        cmocka_unit_test(test_a_file_goes_no_sooner_than_its_stream),
        cmocka_unit_test(test_damaged_content_is_not_given_out),
        cmocka_unit_test(test_large_content),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
