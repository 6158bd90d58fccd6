/* Forks: what they inherit, where they may begin, and what is kept for them (PROTOCOL.md 4.2). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "server_everywhere.h"

/* A folder is read again where there is one. */
static void again(struct world *world) {
    if (world->options.folder) {
        world_reopen(world);
    }
}

static void test_fork(void **state) {
    struct world world;
    begin(state, &world);
    put(&world, "/src", TEXT, "first");
    uint64_t middle = world.result.tail;
    post(&world, "/src", TEXT, "second");
    assert_int_equal(fork_at(&world, "/head", "/src", NULL, -1), STREAM_CREATED);
    assert_int_equal(world.result.tail, 11);
    assert_int_equal(fork_at(&world, "/mid", "/src", token(middle), -1), STREAM_CREATED);
    assert_int_equal(world.result.tail, 5);
    assert_int_equal(fork_at(&world, "/zero", "/src", token(0), -1), STREAM_CREATED);
    assert_int_equal(fork_at(&world, "/start", "/src", "-1", -1), STREAM_CREATED);
    post(&world, "/src", TEXT, "third");
    post(&world, "/mid", TEXT, "MID");
    for (int i = 0; i < 2; i++) {
        assert_string_equal(read_all(&world, "/head"), "firstsecond");
        assert_string_equal(read_all(&world, "/mid"), "firstMID");
        assert_string_equal(read_from(&world, "/mid", 5), "MID");
        assert_string_equal(read_from(&world, "/mid", 2), "rstMID");
        assert_string_equal(read_all(&world, "/zero"), "");
        assert_string_equal(read_all(&world, "/start"), "");
        assert_string_equal(read_all(&world, "/src"), "firstsecondthird");
        again(&world);
    }
    struct stream_info info;
    assert_int_equal(streams_head(world.set, slice_from("/mid"), &info), STREAM_OK);
    assert_true(slice_is(info.type, TEXT));
    world_end(&world);
}

static void test_refusals(void **state) {
    struct world world;
    begin(state, &world);
    put(&world, "/src", TEXT, "hi");
    assert_int_equal(fork_at(&world, "/f", "/none", NULL, -1), STREAM_SOURCE_NOT_FOUND);
    assert_int_equal(fork_at(&world, "/f", "/src", token(3), -1), STREAM_BAD_OFFSET);
    assert_int_equal(fork_at(&world, "/f", "/src", "9999999999999999_9999999999999999", -1),
                     STREAM_BAD_OFFSET);
    assert_int_equal(fork_at(&world, "/f", "/src", "2", -1), STREAM_BAD_OFFSET);
    assert_int_equal(fork_at(&world, "/f", "/src", token(0), 3), STREAM_BAD_SUB_OFFSET);
    assert_int_equal(fork_at(&world, "/f", "/src", NULL, 1), STREAM_BAD_SUB_OFFSET);
    assert_int_equal(fork_at(&world, "/f", NULL, NULL, 0), STREAM_BAD_SUB_OFFSET);
    assert_int_equal(fork_at(&world, "/f", NULL, token(0), -1), STREAM_BAD_OFFSET);
    assert_int_equal(fork_at(&world, "/f", "/src", token(0), INT64_MAX), STREAM_BAD_SUB_OFFSET);
    struct stream_create create = {.path = SLICE("/f"), .type = SLICE(JSON), .source = SLICE("/src")};
    assert_int_equal(world_create(&world, &create), STREAM_TYPE_MISMATCH);
    /* None of them left a reference behind. */
    assert_int_equal(world_delete(&world, "/src"), STREAM_OK);
    assert_int_equal(head(&world, "/src"), STREAM_NOT_FOUND);
    world_end(&world);
}

static void test_same_again(void **state) {
    struct world world;
    begin(state, &world);
    put(&world, "/src", TEXT, "hello");
    for (int i = 0; i < 2; i++) {
        assert_int_equal(fork_at(&world, "/f", "/src", NULL, -1), i ? STREAM_EXISTS : STREAM_CREATED);
        assert_int_equal(fork_at(&world, "/f", "/src", NULL, 0), STREAM_EXISTS);
        assert_int_equal(fork_at(&world, "/s", "/src", token(0), 2), i ? STREAM_EXISTS : STREAM_CREATED);
        assert_int_equal(fork_at(&world, "/s", "/src", token(0), 3), STREAM_EXISTS_OTHERWISE);
        assert_int_equal(fork_at(&world, "/s", "/src", token(1), 2), STREAM_EXISTS_OTHERWISE);
        assert_int_equal(put(&world, "/f", TEXT, NULL), STREAM_EXISTS_OTHERWISE);
        assert_int_equal(fork_at(&world, "/src", "/f", NULL, -1), STREAM_EXISTS_OTHERWISE);
        again(&world);
    }
    post(&world, "/src", TEXT, "more");
    assert_int_equal(fork_at(&world, "/f", "/src", NULL, -1), STREAM_EXISTS);
    assert_string_equal(read_all(&world, "/s"), "he");
    world_end(&world);
}

static void test_sub_offsets(void **state) {
    struct world world;
    begin(state, &world);
    put(&world, "/b", TEXT, "first");
    post(&world, "/b", TEXT, "second");
    assert_int_equal(fork_at(&world, "/b1", "/b", token(5), 3), STREAM_CREATED);
    assert_string_equal(read_all(&world, "/b1"), "firstsec");
    assert_int_equal(fork_at(&world, "/b2", "/b", token(5), 6), STREAM_CREATED);
    assert_string_equal(read_all(&world, "/b2"), "firstsecond");
    assert_int_equal(fork_at(&world, "/b3", "/b1", token(0), 2), STREAM_CREATED);
    post(&world, "/b3", TEXT, "Z");
    assert_string_equal(read_all(&world, "/b3"), "fiZ");

    put(&world, "/j", JSON, "[{\"a\":1},{\"b\":2},{\"c\":3}]");
    assert_int_equal(fork_at(&world, "/j1", "/j", token(0), 2), STREAM_CREATED);
    assert_string_equal(read_all(&world, "/j1"), "[{\"a\":1},\n{\"b\":2}]");
    assert_int_equal(fork_at(&world, "/j3", "/j", token(0), 3), STREAM_CREATED);
    assert_int_equal(fork_at(&world, "/j4", "/j", token(0), 4), STREAM_BAD_SUB_OFFSET);
    assert_int_equal(fork_at(&world, "/j4", "/j", token(3), 0), STREAM_BAD_OFFSET);
    post(&world, "/j1", JSON, "[9]");
    again(&world);
    assert_string_equal(read_all(&world, "/j1"), "[{\"a\":1},\n{\"b\":2},\n9]");
    struct stream_create create = {.path = SLICE("/jb"),
                                   .source = SLICE("/j"),
                                   .fork_offset = slice_from(token(0)),
                                   .has_fork_sub = true,
                                   .fork_sub = 1,
                                   .body = SLICE("[7,8]")};
    assert_int_equal(world_create(&world, &create), STREAM_CREATED);
    assert_string_equal(read_all(&world, "/jb"), "[{\"a\":1},\n7,\n8]");
    world_end(&world);
}

static void test_writers_are_not_inherited(void **state) {
    struct world world;
    begin(state, &world);
    put(&world, "/src", TEXT, NULL);
    assert_int_equal(post_as(&world, "/src", "a", "p", 3, 0), STREAM_OK);
    assert_int_equal(close_stream(&world, "/src"), STREAM_OK);
    assert_int_equal(fork_at(&world, "/f", "/src", NULL, -1), STREAM_CREATED);
    assert_false(world.result.closed);
    assert_int_equal(post_as(&world, "/f", "b", "p", 0, 0), STREAM_OK);
    assert_int_equal(post_as(&world, "/f", "b", "p", 0, 0), STREAM_DUPLICATE);
    assert_int_equal(close_stream(&world, "/f"), STREAM_OK);
    again(&world);
    assert_string_equal(read_all(&world, "/f"), "ab");
    assert_int_equal(post_as(&world, "/f", "c", "p", 0, 1), STREAM_CLOSED);
    world_end(&world);
}

static void test_soft_deletion(void **state) {
    struct world world;
    begin(state, &world);
    put(&world, "/src", TEXT, "data");
    fork_at(&world, "/f", "/src", NULL, -1);
    post(&world, "/f", TEXT, "+");
    assert_int_equal(world_delete(&world, "/src"), STREAM_OK);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(head(&world, "/src"), STREAM_GONE);
        assert_int_equal(post(&world, "/src", TEXT, "x"), STREAM_GONE);
        assert_int_equal(world_delete(&world, "/src"), STREAM_GONE);
        assert_int_equal(put(&world, "/src", TEXT, NULL), STREAM_EXISTS_OTHERWISE);
        assert_int_equal(fork_at(&world, "/g", "/src", NULL, -1), STREAM_SOURCE_GONE);
        assert_string_equal(read_all(&world, "/f"), "data+");
        again(&world);
    }
    assert_int_equal(world_delete(&world, "/f"), STREAM_OK);
    assert_int_equal(head(&world, "/src"), STREAM_NOT_FOUND);
    assert_int_equal(streams_count(world.set), 0);
    assert_int_equal(streams_bytes(world.set), 0);
    again(&world);
    assert_int_equal(streams_count(world.set), 0);
    assert_int_equal(put(&world, "/src", TEXT, NULL), STREAM_CREATED);
    world_end(&world);
}

static void test_cascade(void **state) {
    struct world world;
    begin(state, &world);
    put(&world, "/0", TEXT, "a");
    fork_at(&world, "/1", "/0", NULL, -1);
    post(&world, "/1", TEXT, "b");
    fork_at(&world, "/2", "/1", NULL, -1);
    post(&world, "/2", TEXT, "c");
    fork_at(&world, "/3", "/2", NULL, -1);
    post(&world, "/3", TEXT, "d");
    assert_int_equal(world_delete(&world, "/1"), STREAM_OK);
    assert_int_equal(world_delete(&world, "/0"), STREAM_OK);
    again(&world);
    assert_string_equal(read_all(&world, "/3"), "abcd");
    assert_string_equal(read_all(&world, "/2"), "abc");
    assert_int_equal(world_delete(&world, "/3"), STREAM_OK);
    assert_int_equal(head(&world, "/3"), STREAM_NOT_FOUND);
    assert_int_equal(head(&world, "/1"), STREAM_GONE);
    assert_int_equal(world_delete(&world, "/2"), STREAM_OK);
    again(&world);
    assert_int_equal(streams_count(world.set), 0);
    world_end(&world);
}

static void test_lifetimes(void **state) {
    struct world world;
    begin(state, &world);
    struct stream_create create = {
        .path = SLICE("/src"), .type = SLICE(TEXT), .body = SLICE("x"), .has_ttl = true, .ttl_s = 2};
    assert_int_equal(world_create(&world, &create), STREAM_CREATED);
    assert_int_equal(fork_at(&world, "/same", "/src", NULL, -1), STREAM_CREATED);
    assert_int_equal(fork_at(&world, "/same", "/src", NULL, -1), STREAM_EXISTS);
    create = (struct stream_create){
        .path = SLICE("/own"), .source = SLICE("/src"), .has_expires = true, .expires_ms = world.now + 10000};
    assert_int_equal(world_create(&world, &create), STREAM_CREATED);
    struct stream_info info;
    streams_head(world.set, slice_from("/same"), &info);
    assert_true(info.has_ttl && info.ttl_s == 2);
    streams_head(world.set, slice_from("/own"), &info);
    assert_true(!info.has_ttl && info.has_expires && info.expires_ms == world.now + 10000);
    /* Reading the fork keeps the fork, not its source. */
    world.now += 1500;
    assert_string_equal(read_all(&world, "/same"), "x");
    world.now += 1000;
    assert_int_equal(head(&world, "/src"), STREAM_GONE);
    assert_string_equal(read_all(&world, "/same"), "x");
    again(&world);
    assert_int_equal(head(&world, "/src"), STREAM_GONE);
    assert_string_equal(read_all(&world, "/own"), "x");
    world.now += 10000;
    assert_int_equal(head(&world, "/own"), STREAM_NOT_FOUND);
    assert_int_equal(head(&world, "/same"), STREAM_NOT_FOUND);
    assert_int_equal(head(&world, "/src"), STREAM_NOT_FOUND);
    world_end(&world);
}

/* A reader far back reads through every level; one level for each message. */
static void test_a_long_chain(void **state) {
    struct world world;
    begin(state, &world);
    char path[32], source[32], wanted[256] = "[0";
    put(&world, "/0", JSON, "0");
    for (int i = 1; i <= 40; i++) {
        snprintf(path, sizeof path, "/%d", i);
        snprintf(source, sizeof source, "/%d", i - 1);
        assert_int_equal(fork_at(&world, path, source, NULL, -1), STREAM_CREATED);
        snprintf(source, sizeof source, "%d", i);
        assert_int_equal(post(&world, path, JSON, source), STREAM_OK);
        snprintf(wanted + strlen(wanted), sizeof wanted - strlen(wanted), ",\n%d", i);
    }
    strcat(wanted, "]");
    assert_string_equal(read_all(&world, "/40"), wanted);
    for (int i = 0; i < 40; i++) {
        snprintf(path, sizeof path, "/%d", i);
        assert_int_equal(world_delete(&world, path), STREAM_OK);
    }
    again(&world);
    assert_string_equal(read_all(&world, "/40"), wanted);
    assert_int_equal(world_delete(&world, "/40"), STREAM_OK);
    assert_int_equal(streams_count(world.set), 0);
    world_end(&world);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        ON_ALL(test_fork),
        ON_ALL(test_refusals),
        ON_ALL(test_same_again),
        ON_ALL(test_sub_offsets),
        ON_ALL(test_writers_are_not_inherited),
        ON_ALL(test_soft_deletion),
        ON_ALL(test_cascade),
        ON_ALL(test_lifetimes),
        ON_ALL(test_a_long_chain),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
