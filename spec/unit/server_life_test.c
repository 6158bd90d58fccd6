/* How streams end, who hears of that and of changes, and what waits for the disk. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "server_everywhere.h"

/* Deleting and expiry */

static void test_delete(void **state) {
    struct world world;
    begin(state, &world);
    assert_int_equal(world_delete(&world, "/d"), STREAM_NOT_FOUND);
    put(&world, "/d", TEXT, "old");
    struct stream_info before, after;
    streams_head(world.set, slice_from("/d"), &before);
    struct stream_body body;
    assert_int_equal(stream_read(stream_at(&world, "/d"), 0, &body), STREAM_OK);
    assert_int_equal(world_delete(&world, "/d"), STREAM_OK);
    assert_string_equal(body_text(&world, &body), "old");
    stream_body_free(&body);
    assert_int_equal(head(&world, "/d"), STREAM_NOT_FOUND);
    assert_int_equal(post(&world, "/d", TEXT, "x"), STREAM_NOT_FOUND);
    assert_int_equal(streams_count(world.set), 0);
    assert_int_equal(streams_bytes(world.set), 0);
    assert_int_equal(put(&world, "/d", TEXT, NULL), STREAM_CREATED);
    streams_head(world.set, slice_from("/d"), &after);
    assert_true(after.id != before.id);
    assert_string_equal(read_all(&world, "/d"), "");
    if (world.options.folder) {
        world_reopen(&world);
        assert_string_equal(read_all(&world, "/d"), "");
    }
    world_end(&world);
}

static void make_ttl(struct world *world, const char *path, uint64_t seconds) {
    struct stream_create create = {
        .path = slice_from(path), .type = SLICE(TEXT), .has_ttl = true, .ttl_s = seconds};
    assert_int_equal(world_create(world, &create), STREAM_CREATED);
}

static void test_ttl_slides(void **state) {
    struct world world;
    begin(state, &world);
    make_ttl(&world, "/t", 2);
    for (int i = 0; i < 3; i++) {
        world.now += 1500;
        (void)stream_at(&world, "/t");
        world.now += 1500;
        assert_int_equal(post(&world, "/t", TEXT, "x"), STREAM_OK);
    }
    world.now += 1500;
    assert_int_equal(head(&world, "/t"), STREAM_OK);
    world.now += 600;
    assert_int_equal(head(&world, "/t"), STREAM_NOT_FOUND);
    assert_int_equal(put(&world, "/t", TEXT, NULL), STREAM_CREATED);
    world_end(&world);
}

static void test_expires_at(void **state) {
    struct world world;
    begin(state, &world);
    struct stream_create create = {
        .path = SLICE("/e"), .type = SLICE(TEXT), .has_expires = true, .expires_ms = world.now + 1000};
    assert_int_equal(world_create(&world, &create), STREAM_CREATED);
    world.now += 999;
    assert_int_equal(post(&world, "/e", TEXT, "x"), STREAM_OK);
    (void)stream_at(&world, "/e");
    world.now += 1;
    assert_int_equal(head(&world, "/e"), STREAM_NOT_FOUND);
    assert_int_equal(post(&world, "/e", TEXT, "x"), STREAM_NOT_FOUND);
    world_end(&world);
}

static bool is_empty(void *arg) {
    return streams_count(((struct world *)arg)->set) == 0;
}

/* Nobody asks for them. */
static void test_sweep(void **state) {
    struct world world;
    begin(state, &world);
    char path[32];
    for (int i = 0; i < 200; i++) {
        snprintf(path, sizeof path, "/t%d", i);
        make_ttl(&world, path, 1);
    }
    world.now += 1000;
    uv_timer_t keep;
    uv_timer_init(loop_uv(world.loop), &keep); /* the sweep itself keeps no loop alive */
    uv_timer_start(&keep, (uv_timer_cb)(void (*)(void))world_never, 100000, 0);
    assert_true(loop_run_until(world.loop, is_empty, &world));
    uv_close((uv_handle_t *)&keep, NULL);
    world_settle(&world);
    world_end(&world);
}

/* Watches */

struct watcher {
    struct stream_watch watch;
    int changed, deleted;
    struct watcher *stops;
};

static void on_wake(struct stream_watch *watch, enum stream_event event) {
    struct watcher *watcher = watch->user;
    watcher->changed += event == STREAM_EVENT_CHANGED;
    watcher->deleted += event == STREAM_EVENT_DELETED;
    if (watcher->stops) {
        stream_watch_stop(&watcher->stops->watch);
    }
}

static void watch(struct world *world, struct watcher *watcher, const char *path) {
    *watcher = (struct watcher){.watch = {.wake = on_wake, .user = watcher}};
    stream_watch_start(stream_at(world, path), &watcher->watch);
}

static void test_watches(void **state) {
    struct world world;
    struct watcher one, two, three;
    begin(state, &world);
    put(&world, "/w", TEXT, NULL);
    put(&world, "/other", TEXT, NULL);
    world_settle(&world);
    watch(&world, &one, "/w");
    watch(&world, &two, "/w");
    watch(&world, &three, "/w");
    post(&world, "/other", TEXT, "x");
    world_settle(&world);
    assert_int_equal(one.changed + two.changed + three.changed, 0);
    post(&world, "/w", TEXT, "x");
    world_settle(&world);
    assert_int_equal(one.changed, 1);
    assert_int_equal(two.changed, 1);
    assert_int_equal(three.changed, 1);
    /* The one started last is woken first, and stops the next. */
    three.stops = &two;
    close_stream(&world, "/w");
    world_settle(&world);
    assert_int_equal(two.changed, 1);
    assert_null(two.watch.stream);
    assert_int_equal(one.changed, 2);
    assert_int_equal(world_delete(&world, "/w"), STREAM_OK);
    struct stream_body body;
    if (one.watch.stream) {
        assert_int_equal(stream_read(one.watch.stream, 0, &body), STREAM_NOT_FOUND);
    }
    world_settle(&world);
    assert_int_equal(one.deleted, 1);
    assert_int_equal(three.deleted, 1);
    assert_null(one.watch.stream);
    world_end(&world);
}

static void test_a_watched_stream_lives(void **state) {
    struct world world;
    struct watcher one;
    begin(state, &world);
    make_ttl(&world, "/w", 1);
    watch(&world, &one, "/w");
    world.now += 5000;
    assert_int_equal(head(&world, "/w"), STREAM_OK);
    stream_watch_stop(&one.watch);
    assert_int_equal(head(&world, "/w"), STREAM_OK);
    world.now += 1000;
    assert_int_equal(head(&world, "/w"), STREAM_NOT_FOUND);
    world_end(&world);
}

/* Asynchrony */

static void test_a_duplicate_waits_for_the_first(void **state) {
    struct world world;
    begin(state, &world);
    put(&world, "/p", TEXT, NULL);
    struct stream_append append = {
        .path = SLICE("/p"), .type = SLICE(TEXT), .body = SLICE("a"), .producer = SLICE("p")};
    struct world_answer first = WORLD_ANSWER(&world), second = WORLD_ANSWER(&world),
                        third = WORLD_ANSWER(&world);
    first.wait.user = &first;
    second.wait.user = &second;
    third.wait.user = &third;
    struct stream_result result;
    enum stream_status status = streams_append(world.set, &append, &first.wait, &result);
    if (!world.options.folder) {
        assert_int_equal(status, STREAM_OK);
        assert_int_equal(streams_append(world.set, &append, &second.wait, &result), STREAM_DUPLICATE);
        world_end(&world);
        return;
    }
    assert_int_equal(status, STREAM_WAITING);
    assert_true(streams_busy(world.set));
    assert_string_equal(read_all(&world, "/p"), "");
    assert_int_equal(streams_append(world.set, &append, &second.wait, &result), STREAM_WAITING);
    assert_int_equal(streams_append(world.set, &append, &third.wait, &result), STREAM_WAITING);
    stream_wait_cancel(&third.wait);
    stream_wait_cancel(&third.wait);
    world_settle(&world);
    assert_true(first.there && second.there);
    assert_false(third.there);
    assert_int_equal(first.wait.result.status, STREAM_OK);
    assert_int_equal(second.wait.result.status, STREAM_DUPLICATE);
    assert_string_equal(read_all(&world, "/p"), "a");
    world_end(&world);
}

/* Who is told that a stream is closed may count on it, whatever happens to the server. */
static void test_a_refusal_waits_for_the_closing(void **state) {
    struct world world;
    begin(state, &world);
    put(&world, "/c", TEXT, NULL);
    struct stream_append closing = {.path = SLICE("/c"), .close = true};
    struct stream_append late = {.path = SLICE("/c"), .type = SLICE(TEXT), .body = SLICE("x")};
    struct world_answer first = WORLD_ANSWER(&world), second = WORLD_ANSWER(&world);
    first.wait.user = &first;
    second.wait.user = &second;
    struct stream_result result;
    streams_append(world.set, &closing, &first.wait, &result);
    enum stream_status status = streams_append(world.set, &late, &second.wait, &result);
    if (world.options.folder) {
        assert_int_equal(status, STREAM_WAITING);
        world_settle(&world);
        assert_true(first.there && second.there);
        result = second.wait.result;
        status = result.status;
    }
    assert_int_equal(status, STREAM_CLOSED);
    assert_true(result.closed);
    assert_int_equal(post(&world, "/c", TEXT, "x"), STREAM_CLOSED);
    world_end(&world);
}

static void test_what_waits_is_written_on_close(void **state) {
    struct world world;
    begin(state, &world);
    put(&world, "/a", TEXT, NULL);
    struct stream_append append = {.path = SLICE("/a"), .type = SLICE(TEXT), .body = SLICE("x")};
    struct world_answer answers[3];
    struct stream_result result;
    for (int i = 0; i < 3; i++) {
        answers[i] = (struct world_answer)WORLD_ANSWER(&world);
        answers[i].wait.user = &answers[i];
        streams_append(world.set, &append, &answers[i].wait, &result);
        if (i == 0) {
            uv_run(loop_uv(world.loop), UV_RUN_NOWAIT);
        }
    }
    if (world.options.folder) {
        world_reopen(&world);
    }
    assert_string_equal(read_all(&world, "/a"), "xxx");
    world_end(&world);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        ON_ALL(test_delete),
        ON_ALL(test_ttl_slides),
        ON_ALL(test_expires_at),
        ON_ALL(test_sweep),
        ON_ALL(test_watches),
        ON_ALL(test_a_watched_stream_lives),
        ON_ALL(test_a_duplicate_waits_for_the_first),
        ON_ALL(test_a_refusal_waits_for_the_closing),
        ON_ALL(test_what_waits_is_written_on_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
