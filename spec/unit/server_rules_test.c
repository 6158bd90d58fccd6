/* What the protocol says of creating, appending and content. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "server_everywhere.h"

/* Offsets */

static void test_offsets(void **state) {
    struct stream_offset offset;
    char text[STREAM_OFFSET_SIZE];
    (void)state;
    assert_true(stream_offset_parse(slice_of(NULL, 0), &offset));
    assert_int_equal(offset.kind, STREAM_OFFSET_START);
    assert_true(stream_offset_parse(slice_from("-1"), &offset));
    assert_int_equal(offset.kind, STREAM_OFFSET_START);
    assert_true(stream_offset_parse(slice_from("now"), &offset));
    assert_int_equal(offset.kind, STREAM_OFFSET_NOW);
    static const uint64_t positions[] = {0, 1, 9, 10, 123456789, STREAM_POSITION_MAX};
    char before[STREAM_OFFSET_SIZE] = "";
    for (size_t i = 0; i < sizeof positions / sizeof *positions; i++) {
        stream_offset_format(positions[i], text);
        assert_int_equal(strlen(text), STREAM_OFFSET_LEN);
        assert_true(stream_offset_parse(slice_from(text), &offset));
        assert_int_equal(offset.kind, STREAM_OFFSET_AT);
        assert_int_equal(offset.position, positions[i]);
        assert_true(strcmp(before, text) < 0);
        strcpy(before, text);
    }
    static const char *const wrong[] = {"",
                                        "0",
                                        "0,1",
                                        "0 1",
                                        "-2",
                                        "NOW",
                                        "now ",
                                        "0000000000000000_000000000000000x",
                                        "0000000000000000-0000000000000000",
                                        "00000000000000000_0000000000000000",
                                        "0000000000000000_",
                                        "+000000000000000_0000000000000000"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_false(stream_offset_parse(slice_from(wrong[i]), &offset));
    }
    assert_true(stream_offset_parse(slice_from("9999999999999999_9999999999999999"), &offset));
    assert_true(offset.position > STREAM_POSITION_MAX);
}

/* Creating */

static void test_create(void **state) {
    struct world world;
    begin(state, &world);
    assert_int_equal(head(&world, "/a"), STREAM_NOT_FOUND);
    assert_int_equal(put(&world, "/a", TEXT, NULL), STREAM_CREATED);
    assert_int_equal(world.result.tail, 0);
    assert_false(world.result.closed);
    assert_int_equal(put(&world, "/a", TEXT, NULL), STREAM_EXISTS);
    assert_int_equal(put(&world, "/a", "TEXT/Plain; charset=utf-8", NULL), STREAM_EXISTS);
    assert_int_equal(put(&world, "/a", JSON, NULL), STREAM_EXISTS_OTHERWISE);
    assert_int_equal(put(&world, "/a", NULL, NULL), STREAM_EXISTS_OTHERWISE);
    assert_int_equal(put(&world, "/b", NULL, "hello"), STREAM_CREATED);
    assert_int_equal(world.result.tail, 5);
    assert_int_equal(put(&world, "/b", NULL, NULL), STREAM_EXISTS);
    assert_int_equal(put(&world, "/b", "application/octet-stream", NULL), STREAM_EXISTS);
    assert_string_equal(read_all(&world, "/b"), "hello");
    assert_int_equal(put(&world, "", TEXT, NULL), STREAM_BAD_REQUEST);
    assert_int_equal(streams_count(world.set), 2);
    assert_int_equal(streams_bytes(world.set), 5);
    struct stream_info info;
    assert_int_equal(streams_head(world.set, slice_from("/b"), &info), STREAM_OK);
    assert_true(slice_is(info.type, "application/octet-stream"));
    assert_false(info.text);
    assert_int_equal(info.tail, 5);
    world_end(&world);
}

static void test_create_closed(void **state) {
    struct world world;
    begin(state, &world);
    struct stream_create create = {
        .path = SLICE("/c"), .type = SLICE(TEXT), .body = SLICE("all"), .closed = true};
    assert_int_equal(world_create(&world, &create), STREAM_CREATED);
    assert_true(world.result.closed);
    assert_int_equal(world_create(&world, &create), STREAM_EXISTS);
    assert_true(world.result.closed);
    create.closed = false;
    assert_int_equal(world_create(&world, &create), STREAM_EXISTS_OTHERWISE);
    struct stream_body body;
    assert_int_equal(stream_read(stream_at(&world, "/c"), 0, &body), STREAM_OK);
    assert_true(body.closed);
    assert_string_equal(body_text(&world, &body), "all");
    stream_body_free(&body);
    assert_int_equal(put(&world, "/open", TEXT, NULL), STREAM_CREATED);
    create = (struct stream_create){.path = SLICE("/open"), .type = SLICE(TEXT), .closed = true};
    assert_int_equal(world_create(&world, &create), STREAM_EXISTS_OTHERWISE);
    world_end(&world);
}

static void test_lifetimes_are_compared(void **state) {
    struct world world;
    begin(state, &world);
    struct stream_create create = {.path = SLICE("/t"), .type = SLICE(TEXT), .has_ttl = true, .ttl_s = 60};
    assert_int_equal(world_create(&world, &create), STREAM_CREATED);
    assert_int_equal(world_create(&world, &create), STREAM_EXISTS);
    create.ttl_s = 61;
    assert_int_equal(world_create(&world, &create), STREAM_EXISTS_OTHERWISE);
    create.has_ttl = false;
    assert_int_equal(world_create(&world, &create), STREAM_EXISTS_OTHERWISE);
    create.has_ttl = create.has_expires = true;
    assert_int_equal(world_create(&world, &create), STREAM_BAD_REQUEST);
    struct stream_create expires = {
        .path = SLICE("/e"), .type = SLICE(TEXT), .has_expires = true, .expires_ms = world.now + 5000};
    assert_int_equal(world_create(&world, &expires), STREAM_CREATED);
    assert_int_equal(world_create(&world, &expires), STREAM_EXISTS);
    expires.expires_ms++;
    assert_int_equal(world_create(&world, &expires), STREAM_EXISTS_OTHERWISE);
    world_end(&world);
}

/* Appending */

static void test_append(void **state) {
    struct world world;
    begin(state, &world);
    assert_int_equal(post(&world, "/a", TEXT, "x"), STREAM_NOT_FOUND);
    put(&world, "/a", TEXT, NULL);
    assert_int_equal(post(&world, "/a", TEXT, "one"), STREAM_OK);
    assert_int_equal(world.result.tail, 3);
    assert_int_equal(post(&world, "/a", "text/PLAIN;charset=utf-8", "two"), STREAM_OK);
    assert_int_equal(world.result.tail, 6);
    assert_int_equal(post(&world, "/a", JSON, "{}"), STREAM_TYPE_MISMATCH);
    assert_int_equal(post(&world, "/a", NULL, "x"), STREAM_BAD_REQUEST);
    assert_int_equal(post(&world, "/a", TEXT, ""), STREAM_EMPTY_BODY);
    assert_int_equal(post(&world, "/a", TEXT, NULL), STREAM_EMPTY_BODY);
    assert_string_equal(read_all(&world, "/a"), "onetwo");
    assert_string_equal(read_from(&world, "/a", 3), "two");
    assert_string_equal(read_from(&world, "/a", 6), "");
    struct stream_body body;
    assert_int_equal(stream_read(stream_at(&world, "/a"), 7, &body), STREAM_BAD_OFFSET);
    assert_int_equal(stream_read(stream_at(&world, "/a"), UINT64_MAX, &body), STREAM_BAD_OFFSET);
    world_end(&world);
}

static enum stream_status post_seq(struct world *world, const char *seq) {
    struct stream_append append = {
        .path = SLICE("/s"), .type = SLICE(TEXT), .body = SLICE("x"), .seq = slice_from(seq)};
    return world_append(world, &append);
}

static void test_stream_seq(void **state) {
    struct world world;
    begin(state, &world);
    put(&world, "/s", TEXT, NULL);
    assert_int_equal(post_seq(&world, "09"), STREAM_OK);
    assert_int_equal(post_seq(&world, "09"), STREAM_SEQ_REGRESSION);
    assert_int_equal(post_seq(&world, "10"), STREAM_OK);
    assert_int_equal(post_seq(&world, "1"), STREAM_SEQ_REGRESSION);
    assert_int_equal(post_seq(&world, "2"), STREAM_OK);
    assert_int_equal(post_seq(&world, "10"), STREAM_SEQ_REGRESSION);
    assert_int_equal(post_seq(&world, "B"), STREAM_OK);
    assert_int_equal(post_seq(&world, "a"), STREAM_OK);
    assert_int_equal(post_seq(&world, "C"), STREAM_SEQ_REGRESSION);
    assert_int_equal(post_seq(&world, ""), STREAM_BAD_REQUEST);
    assert_int_equal(post(&world, "/s", TEXT, "y"), STREAM_OK);
    if (world.options.folder) {
        world_reopen(&world);
        assert_int_equal(post_seq(&world, "a"), STREAM_SEQ_REGRESSION);
        assert_int_equal(post_seq(&world, "ab"), STREAM_OK);
    }
    world_end(&world);
}

static void test_close(void **state) {
    struct world world;
    begin(state, &world);
    assert_int_equal(close_stream(&world, "/a"), STREAM_NOT_FOUND);
    put(&world, "/a", TEXT, "x");
    struct stream_append append = {
        .path = SLICE("/a"), .type = SLICE(TEXT), .body = SLICE("end"), .close = true};
    assert_int_equal(world_append(&world, &append), STREAM_OK);
    assert_true(world.result.closed);
    assert_int_equal(world.result.tail, 4);
    assert_int_equal(world_append(&world, &append), STREAM_CLOSED);
    assert_true(world.result.closed);
    assert_int_equal(world.result.tail, 4);
    assert_int_equal(post(&world, "/a", JSON, "{}"), STREAM_CLOSED);
    assert_int_equal(close_stream(&world, "/a"), STREAM_OK);
    assert_true(world.result.closed);
    struct stream_body body;
    assert_int_equal(stream_read(stream_at(&world, "/a"), 4, &body), STREAM_OK);
    assert_true(body.closed && body.up_to_date && body.len == 0);
    stream_body_free(&body);
    put(&world, "/b", TEXT, NULL);
    struct stream_append only = {.path = SLICE("/b"), .type = SLICE(JSON), .close = true};
    assert_int_equal(world_append(&world, &only), STREAM_OK);
    world_end(&world);
}

/* Producers */

static void test_producers(void **state) {
    struct world world;
    begin(state, &world);
    put(&world, "/p", TEXT, NULL);
    assert_int_equal(post_as(&world, "/p", "x", "p", 0, 3), STREAM_PRODUCER_GAP);
    assert_int_equal(world.result.expected, 0);
    assert_int_equal(world.result.seq, 3);
    assert_int_equal(post_as(&world, "/p", "a", "p", 0, 0), STREAM_OK);
    assert_int_equal(post_as(&world, "/p", "a", "p", 0, 0), STREAM_DUPLICATE);
    assert_int_equal(post_as(&world, "/p", "b", "p", 0, 1), STREAM_OK);
    assert_int_equal(world.result.epoch, 0);
    assert_int_equal(world.result.seq, 1);
    assert_int_equal(post_as(&world, "/p", "a", "p", 0, 0), STREAM_DUPLICATE);
    assert_int_equal(world.result.seq, 1);
    assert_int_equal(post_as(&world, "/p", "c", "p", 0, 3), STREAM_PRODUCER_GAP);
    assert_int_equal(world.result.expected, 2);
    assert_int_equal(post_as(&world, "/p", "c", "p", 1, 1), STREAM_PRODUCER_START);
    assert_int_equal(post_as(&world, "/p", "c", "p", 1, 0), STREAM_OK);
    assert_int_equal(post_as(&world, "/p", "d", "p", 0, 2), STREAM_PRODUCER_STALE);
    assert_int_equal(world.result.epoch, 1);
    assert_int_equal(post_as(&world, "/p", "q", "q", 0, 0), STREAM_OK);
    assert_int_equal(post_as(&world, "/p", "x", "", 0, 0), STREAM_BAD_REQUEST);
    assert_int_equal(post_as(&world, "/p", "x", "r", UINT64_C(1) << 53, 0), STREAM_BAD_REQUEST);
    assert_string_equal(read_all(&world, "/p"), "abcq");
    if (world.options.folder) {
        world_reopen(&world);
        assert_int_equal(post_as(&world, "/p", "c", "p", 1, 0), STREAM_DUPLICATE);
        assert_int_equal(post_as(&world, "/p", "d", "p", 1, 1), STREAM_OK);
        assert_int_equal(post_as(&world, "/p", "q", "q", 0, 0), STREAM_DUPLICATE);
        assert_string_equal(read_all(&world, "/p"), "abcqd");
    }
    world_end(&world);
}

static void test_producer_closes(void **state) {
    struct world world;
    begin(state, &world);
    put(&world, "/p", TEXT, NULL);
    assert_int_equal(post_as(&world, "/p", "a", "p", 0, 0), STREAM_OK);
    struct stream_append close = {.path = SLICE("/p"),
                                  .type = SLICE(TEXT),
                                  .body = SLICE("z"),
                                  .close = true,
                                  .producer = SLICE("p"),
                                  .epoch = 0,
                                  .producer_seq = 1};
    assert_int_equal(world_append(&world, &close), STREAM_OK);
    assert_true(world.result.closed);
    for (int i = 0; i < 2; i++) {
        close.body = SLICE("other");
        assert_int_equal(world_append(&world, &close), STREAM_DUPLICATE);
        assert_true(world.result.closed);
        close.producer_seq = 2;
        assert_int_equal(world_append(&world, &close), STREAM_CLOSED);
        close.producer_seq = 0;
        assert_int_equal(world_append(&world, &close), STREAM_CLOSED);
        close.producer_seq = 1;
        close.producer = SLICE("q");
        assert_int_equal(world_append(&world, &close), STREAM_CLOSED);
        close.producer = SLICE("p");
        if (world.options.folder) {
            world_reopen(&world);
        }
    }
    assert_string_equal(read_all(&world, "/p"), "az");
    world_end(&world);
}

/* JSON */

static void test_json(void **state) {
    struct world world;
    begin(state, &world);
    assert_int_equal(put(&world, "/j", JSON, "[]"), STREAM_CREATED);
    assert_string_equal(read_all(&world, "/j"), "[]");
    assert_int_equal(post(&world, "/j", JSON, "[]"), STREAM_EMPTY_ARRAY);
    assert_int_equal(post(&world, "/j", JSON, " [ ] "), STREAM_EMPTY_ARRAY);
    assert_int_equal(post(&world, "/j", JSON, " {\"a\": 1} "), STREAM_OK);
    uint64_t first = world.result.tail;
    assert_int_equal(post(&world, "/j; x", JSON, "1"), STREAM_NOT_FOUND);
    assert_int_equal(post(&world, "/j", "application/json; charset=utf-8", "[1, [2,3] , \"x\"]"), STREAM_OK);
    assert_int_equal(post(&world, "/j", JSON, "[[[1,2,3]]]"), STREAM_OK);
    assert_string_equal(read_all(&world, "/j"), "[{\"a\": 1},\n1,\n[2,3],\n\"x\",\n[[1,2,3]]]");
    assert_string_equal(read_from(&world, "/j", first), "[1,\n[2,3],\n\"x\",\n[[1,2,3]]]");
    struct stream_body body;
    assert_int_equal(stream_read(stream_at(&world, "/j"), first + 1, &body), STREAM_BAD_OFFSET);
    assert_int_equal(post(&world, "/j", JSON, "{\"a\":\n  [1,\r\n 2]}"), STREAM_OK);
    assert_string_equal(read_from(&world, "/j", tail_of(&world, "/j") - 13), "[{\"a\":[1,2]}]");
    static const char *const wrong[] = {"{",   "[1,]",     "[1 2]", "1 2", "[1",
                                        "nul", "\"\xff\"", "[1]]",  " ",   "[,1]"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_int_equal(post(&world, "/j", JSON, wrong[i]), STREAM_BAD_JSON);
        assert_non_null(world.result.reason);
        assert_true(world.result.position <= strlen(wrong[i]));
    }
    assert_int_equal(put(&world, "/k", JSON, "{"), STREAM_BAD_JSON);
    assert_int_equal(head(&world, "/k"), STREAM_NOT_FOUND);
    world_end(&world);
}

/* Reading in parts of a few bytes gives whole messages, and all of them. */
static void test_json_in_parts(void **state) {
    struct world world;
    begin(state, &world);
    world_end(&world);
    world_begin(&world, *state != NULL);
    world.options.max_read = 10;
    world_reopen(&world);
    put(&world, "/j", JSON, "[1,22,333,\"a message longer than one read\",4]");
    post(&world, "/j", JSON, "[\"another one that is longer\",5]");
    static const char *const parts[] = {"[1,\n22]",
                                        "[333]",
                                        "[\"a message longer than one read\"]",
                                        "[4]",
                                        "[\"another one that is longer\"]",
                                        "[5]"};
    uint64_t at = 0;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        struct stream_body body;
        assert_int_equal(stream_read(stream_at(&world, "/j"), at, &body), STREAM_OK);
        assert_string_equal(body_text(&world, &body), parts[i]);
        assert_int_equal(body.up_to_date, i + 1 == sizeof parts / sizeof *parts);
        at = body.next;
        stream_body_free(&body);
    }
    assert_int_equal(at, tail_of(&world, "/j"));
    world_end(&world);
}

static void test_text_in_parts(void **state) {
    struct world world;
    world_begin(&world, *state != NULL);
    world.options.max_read = 4;
    world_reopen(&world);
    put(&world, "/t", TEXT,
        "abc\xc3\xa9"
        "d\xe2\x82\xac\xf0\x9f\x98\x80\xf0\x9f\x98\x80");
    static const char *const parts[] = {"abc", "\xc3\xa9\x64", "\xe2\x82\xac", "\xf0\x9f\x98\x80",
                                        "\xf0\x9f\x98\x80"};
    uint64_t at = 0;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        struct stream_body body;
        assert_int_equal(stream_read(stream_at(&world, "/t"), at, &body), STREAM_OK);
        assert_string_equal(body_text(&world, &body), parts[i]);
        at = body.next;
        stream_body_free(&body);
    }
    /* What is no UTF-8 comes through as well. */
    put(&world, "/b", TEXT, "\xff\xff\xff\xff\xff\xff\x80\x80\x80\x80\x80\x80\x80");
    at = 0;
    while (at < tail_of(&world, "/b")) {
        struct stream_body body;
        assert_int_equal(stream_read(stream_at(&world, "/b"), at, &body), STREAM_OK);
        assert_true(body.next > at);
        at = body.next;
        stream_body_free(&body);
    }
    world_end(&world);
}

/* Limits */

static void test_limits(void **state) {
    struct world world;
    world_begin(&world, *state != NULL);
    world.options.max_streams = 2;
    world.options.max_bytes = 10;
    world.options.max_append = 6;
    world_reopen(&world);
    assert_int_equal(put(&world, "/1", TEXT, "1234567"), STREAM_TOO_LARGE);
    assert_int_equal(put(&world, "/1", TEXT, "123456"), STREAM_CREATED);
    assert_int_equal(put(&world, "/2", TEXT, "12345"), STREAM_FULL);
    assert_int_equal(put(&world, "/2", TEXT, "1234"), STREAM_CREATED);
    assert_int_equal(put(&world, "/3", TEXT, NULL), STREAM_FULL);
    assert_int_equal(post(&world, "/1", TEXT, "1"), STREAM_FULL);
    assert_int_equal(post(&world, "/1", TEXT, "1234567"), STREAM_TOO_LARGE);
    assert_int_equal(world_delete(&world, "/2"), STREAM_OK);
    assert_int_equal(post(&world, "/1", TEXT, "1"), STREAM_OK);
    assert_int_equal(put(&world, "/3", TEXT, NULL), STREAM_CREATED);
    world_end(&world);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_offsets),
        ON_ALL(test_create),
        ON_ALL(test_create_closed),
        ON_ALL(test_lifetimes_are_compared),
        ON_ALL(test_append),
        ON_ALL(test_stream_seq),
        ON_ALL(test_close),
        ON_ALL(test_producers),
        ON_ALL(test_producer_closes),
        ON_ALL(test_json),
        ON_ALL(test_json_in_parts),
        ON_ALL(test_text_in_parts),
        ON_ALL(test_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
