/* A set of streams when memory runs out: what is refused leaves nothing behind, what was acknowledged stays. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "memory.h"
#include "server_world.h"

#define TEXT "text/plain"
#define JSON "application/json"

enum { ALLOCATIONS_MAX = 400 };

struct play {
    struct world *world;
    bool created, appended, forked, deleted;
    uint64_t tail;
};

/* Succeeds or fails for memory; nothing else. */
static bool went(const struct play *play, enum stream_status status, enum stream_status good) {
    assert_true(status == good || (memory_failed && status == STREAM_FAILED));
    assert_int_equal(play->world->result.status, status);
    return status == good;
}

static void perform(struct play *play) {
    struct world *world = play->world;
    play->created = went(play, put(world, "/a", JSON, "[1,{\"a\":\n2}]"), STREAM_CREATED);
    if (!play->created) {
        return;
    }
    play->tail = world->result.tail;
    struct stream_append append = {.path = SLICE("/a"),
                                   .type = SLICE(JSON),
                                   .body = SLICE("[3,4]"),
                                   .seq = SLICE("s"),
                                   .producer = SLICE("p")};
    play->appended = went(play, world_append(world, &append), STREAM_OK);
    play->tail = play->appended ? world->result.tail : play->tail;
    play->forked = went(play, fork_at(world, "/f", "/a", NULL, -1), STREAM_CREATED);
    if (play->forked) {
        play->deleted = went(play, world_delete(world, "/a"), STREAM_OK);
    }
}

static void check(struct play *play) {
    struct world *world = play->world;
    const char *whole = play->appended ? "[1,\n{\"a\":2},\n3,\n4]" : "[1,\n{\"a\":2}]";
    if (!play->created) {
        assert_int_equal(head(world, "/a"), STREAM_NOT_FOUND);
    } else if (play->deleted) {
        assert_int_equal(head(world, "/a"), STREAM_GONE);
    } else {
        assert_string_equal(read_all(world, "/a"), whole);
        assert_int_equal(tail_of(world, "/a"), play->tail);
        struct stream_append append = {.path = SLICE("/a"),
                                       .type = SLICE(JSON),
                                       .body = SLICE("[3,4]"),
                                       .seq = SLICE("s"),
                                       .producer = SLICE("p")};
        assert_int_equal(world_append(world, &append), play->appended ? STREAM_DUPLICATE : STREAM_OK);
    }
    if (play->forked) {
        assert_string_equal(read_all(world, "/f"), whole);
    } else {
        assert_int_equal(head(world, "/f"), STREAM_NOT_FOUND);
    }
}

static void test_every_allocation(void **state) {
    bool failed = true;
    for (long n = 0; failed; n++) {
        struct world world;
        struct play play = {.world = &world};
        assert_true(n < ALLOCATIONS_MAX);
        world_begin(&world, *state != NULL);
        if (*state && strcmp(*state, "checkpoints") == 0) {
            world.options.checkpoint_bytes = 1;
            world_reopen(&world);
        }
        memory_failed = false;
        memory_left = n;
        perform(&play);
        memory_left = -1;
        failed = memory_failed;
        world_settle(&world);
        if (world.options.folder) {
            world_reopen(&world);
        }
        check(&play);
        world_end(&world);
    }
}

/* Reading a folder: it opens, or says that memory is out, and nothing is lost by that. */
static void test_opening(void **state) {
    struct world world;
    struct play play = {.world = &world};
    bool failed = true;
    world_begin(&world, true);
    if (*state) {
        world.options.checkpoint_bytes = 1;
        world_reopen(&world);
    }
    perform(&play);
    world_close(&world);
    world.options.checkpoint_bytes = 0;
    for (long n = 0; failed; n++) {
        struct error e = {0};
        assert_true(n < ALLOCATIONS_MAX);
        world.loop = loop_new(&e);
        memory_failed = false;
        memory_left = n;
        world.set = streams_open(world.loop, &world.options, &e);
        memory_left = -1;
        failed = memory_failed;
        if (!world.set) {
            assert_true(failed);
            loop_run_until(world.loop, world_never, NULL);
            assert_true(loop_free(world.loop, &e));
            world.loop = NULL;
        } else {
            world_close(&world);
        }
    }
    world_open(&world);
    check(&play);
    world_end(&world);
}

static char in_folder[] = "folder", with_checkpoints[] = "checkpoints";

int main(void) {
    const struct CMUnitTest tests[] = {
        {"every allocation in memory", test_every_allocation, NULL, NULL, NULL},
        {"every allocation in a folder", test_every_allocation, NULL, NULL, in_folder},
        {"every allocation with checkpoints", test_every_allocation, NULL, NULL, with_checkpoints},
        {"opening journals", test_opening, NULL, NULL, NULL},
        {"opening an index", test_opening, NULL, NULL, with_checkpoints},
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
