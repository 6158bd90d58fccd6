/* A folder on a disk without room (here: a limit on the size of files): writes are refused as a whole, reads go on,
 * and writes are taken again as soon as there is room. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "server_world.h"

#define TEXT "text/plain"

enum { LITTLE = 300000, BLOCK = 50000 };

static void limit_files(rlim_t bytes) {
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = bytes;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static const char *block(void) {
    static char text[BLOCK + 1];
    memset(text, 'x', BLOCK);
    return text;
}

/* Appends blocks until one is refused. Gives how many were taken. */
static size_t fill(struct world *world, const char *path) {
    enum stream_status status;
    size_t count = 0;
    while ((status = post(world, path, TEXT, block())) == STREAM_OK) {
        count++;
    }
    assert_int_equal(status, STREAM_FULL);
    assert_non_null(strstr(world->result.reason, "no room"));
    return count;
}

static void test_full(void **state) {
    static const enum streams_fsync modes[] = {STREAMS_FSYNC_BATCH, STREAMS_FSYNC_ALWAYS, STREAMS_FSYNC_NONE};
    (void)state;
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
        struct world world;
        world_begin(&world, true);
        world.options.fsync = modes[i];
        world_reopen(&world);
        limit_files(LITTLE);
        assert_int_equal(put(&world, "/a", TEXT, "first"), STREAM_CREATED);
        size_t count = fill(&world, "/a");
        assert_true(count > 2);
        assert_int_equal(tail_of(&world, "/a"), 5 + count * BLOCK);
        assert_int_equal(put(&world, "/b", TEXT, block()), STREAM_FULL);
        assert_int_equal(head(&world, "/b"), STREAM_NOT_FOUND);
        assert_int_equal(post_as(&world, "/a", block(), "p", 0, 0), STREAM_FULL);
        world_reopen(&world); /* which needs no room, and finds all that was taken, and nothing else */
        assert_int_equal(tail_of(&world, "/a"), 5 + count * BLOCK);
        assert_int_equal(head(&world, "/b"), STREAM_NOT_FOUND);
        assert_int_equal(post(&world, "/a", TEXT, block()), STREAM_FULL);
        limit_files(RLIM_INFINITY);
        assert_int_equal(post_as(&world, "/a", "one", "p", 0, 0), STREAM_OK);
        assert_int_equal(put(&world, "/b", TEXT, block()), STREAM_CREATED);
        world_reopen(&world);
        assert_int_equal(tail_of(&world, "/a"), 5 + count * BLOCK + 3);
        assert_int_equal(tail_of(&world, "/b"), BLOCK);
        world_end(&world);
    }
}

/* What waits for the disk was promised its room. */
static void test_full_while_writing(void **state) {
    struct world world;
    struct world_answer answers[16];
    struct stream_append append = {.path = SLICE("/a"), .type = SLICE(TEXT), .body = slice_from(block())};
    struct stream_result result;
    size_t taken = 0;
    (void)state;
    world_begin(&world, true);
    put(&world, "/a", TEXT, NULL);
    limit_files(LITTLE);
    for (int i = 0; i < 16; i++) {
        answers[i] = (struct world_answer)WORLD_ANSWER(&world);
        answers[i].wait.user = &answers[i];
        enum stream_status status = streams_append(world.set, &append, &answers[i].wait, &result);
        assert_true(status == STREAM_WAITING || status == STREAM_FULL);
        taken += status == STREAM_WAITING;
        if (i % 3 == 0) {
            uv_run(loop_uv(world.loop), UV_RUN_NOWAIT);
        }
    }
    world_settle(&world);
    limit_files(RLIM_INFINITY);
    assert_true(taken > 2 && taken < 16);
    assert_int_equal(tail_of(&world, "/a"), taken * BLOCK);
    world_reopen(&world);
    assert_int_equal(tail_of(&world, "/a"), taken * BLOCK);
    world_end(&world);
}

static void test_deletions_find_room(void **state) {
    struct world world;
    char path[32];
    (void)state;
    world_begin(&world, true);
    for (int i = 0; i < 100; i++) {
        snprintf(path, sizeof path, "/%d", i);
        put(&world, path, TEXT, "x");
    }
    limit_files(LITTLE);
    fill(&world, "/0");
    while (post(&world, "/0", TEXT, "x") == STREAM_OK) {
    }
    for (int i = 0; i < 100; i++) {
        snprintf(path, sizeof path, "/%d", i);
        assert_int_equal(world_delete(&world, path), STREAM_OK);
    }
    limit_files(RLIM_INFINITY);
    world_reopen(&world);
    assert_int_equal(streams_count(world.set), 0);
    world_end(&world);
}

/* The length of a stream's file. */
static off_t file_size(const struct world *world, unsigned id) {
    char path[128];
    struct stat about;
    snprintf(path, sizeof path, "%s/streams/%02x/%016x.log", world->folder, id, id);
    assert_int_equal(stat(path, &about), 0);
    return about.st_size;
}

/* A checkpoint that finds no room leaves everything as it was, and takes none. */
static void test_checkpoint_without_room(void **state) {
    struct world world;
    struct log log;
    char *lines = NULL;
    size_t len;
    static char thousand[1001];
    (void)state;
    memset(thousand, 'y', sizeof thousand - 1);
    world_begin(&world, true);
    put(&world, "/a", TEXT, block());
    world.options.checkpoint_bytes = 1;
    world_reopen(&world);
    post(&world, "/a", TEXT, block()); /* both go to the stream's file */
    world_close(&world);
    off_t before = file_size(&world, 1);
    FILE *file = open_memstream(&lines, &len);
    log_init(&log, file, LOG_WARN);
    world.options.log = &log;
    world.options.checkpoint_bytes = 35000;
    world_open(&world);
    limit_files(130000); /* the journal stays below, the stream's file does not */
    for (int i = 0; i < 40; i++) {
        assert_int_equal(post(&world, "/a", TEXT, thousand), STREAM_OK);
    }
    world_reopen(&world);
    limit_files(RLIM_INFINITY);
    fflush(file);
    const char *warning = strstr(lines, "cannot write a stream's file");
    assert_non_null(warning);
    assert_null(strstr(warning + 1, "cannot"));
    assert_int_equal(file_size(&world, 1), before);
    assert_int_equal(tail_of(&world, "/a"), 2 * BLOCK + 40000);
    world.options.checkpoint_bytes = 1;
    world_reopen(&world);
    assert_int_equal(post(&world, "/a", TEXT, "end"), STREAM_OK);
    assert_string_equal(read_from(&world, "/a", 2 * BLOCK + 40000), "end");
    world_reopen(&world);
    assert_true(file_size(&world, 1) > before + 40000);
    assert_string_equal(read_from(&world, "/a", 2 * BLOCK + 40000), "end");
    world_end(&world);
    fclose(file);
    free(lines);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_full),
        cmocka_unit_test(test_full_while_writing),
        cmocka_unit_test(test_deletions_find_room),
        cmocka_unit_test(test_checkpoint_without_room),
    };
    signal(SIGXFSZ, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
