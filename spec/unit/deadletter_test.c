/* Dead letters in a stream, against scripted answers. Those in files are spec/deadletter_spec.lua's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "loopback.h"
#include "sink/deadletter.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))
#define REPLY(code, head, text)                                                                              \
    { .status = (code), .fields = (head), .body = (text) }
#define MADE REPLY(201, "Content-Type: application/json\r\nStream-Next-Offset: 0\r\n", NULL)
#define STORED REPLY(200, "Producer-Epoch: 0\r\nProducer-Seq: 0\r\n", NULL)

struct fixture {
    struct loop *loop;
    struct http *http;
    struct log log;
    struct loopback server;
    struct deadletter *letters;
    unsigned settled;
    struct error error;
    bool close_in_settled;
};

static void on_settled(void *user, const struct error *e) {
    struct fixture *f = user;
    f->settled++;
    error_clear(&f->error);
    if (e) {
        f->error = *e;
    }
    if (f->close_in_settled) {
        deadletter_close(f->letters);
        f->letters = NULL;
    }
}

static void open_limited(struct fixture *f, const struct reply *replies, size_t count, uint64_t limit_ms) {
    struct error e;
    char url[128];
    memset(f, 0, sizeof *f);
    f->loop = loop_new(&e);
    f->http = http_new(f->loop, &e);
    f->log = (struct log){.file = stderr, .level = LOG_OFF};
    loopback_open(&f->server, f->loop, replies, count);
    snprintf(url, sizeof url, "http://127.0.0.1:%d/dead", f->server.port);
    struct deadletter_options options = {
        .target = url,
        .loop = f->loop,
        .http = f->http,
        .log = &f->log,
        .limit_ms = limit_ms,
        .user = f,
        .settled = on_settled,
    };
    f->letters = deadletter_open(&options, &e);
    assert_non_null(f->letters);
}

static void open_fixture(struct fixture *f, const struct reply *replies, size_t count) {
    open_limited(f, replies, count, 60 * 1000);
}

static void close_fixture(struct fixture *f) {
    struct error e = {0};
    deadletter_close(f->letters);
    loopback_close(&f->server);
    http_free(f->http);
    if (!loop_free(f->loop, &e)) {
        fail_msg("%s", e.message);
    }
    loopback_free(&f->server);
}

static bool put(struct fixture *f, const char *text, struct error *e) {
    struct deadletter_entry entry = {.stream = "room",
                                     .url = "http://h/s",
                                     .offset = "-1",
                                     .index = 4,
                                     .counted = true,
                                     .sequence = 9,
                                     .reason = "no",
                                     .text = slice_from(text)};
    return deadletter_write(f->letters, &entry, e);
}

static bool has_settled(void *arg) {
    return ((struct fixture *)arg)->settled > 0;
}

static void settle(struct fixture *f) {
    f->settled = 0;
    assert_true(loop_run_until(f->loop, has_settled, f));
}

static void assert_has(const char *text, const char *part) {
    if (!text || !strstr(text, part)) {
        fail_msg("no \"%s\" in \"%s\"", part, text ? text : "");
    }
}

static void test_letters_wait_to_be_stored(void **state) {
    static const struct reply replies[] = {MADE, STORED};
    struct fixture f;
    struct error e;
    (void)state;
    open_fixture(&f, replies, COUNT(replies));
    assert_false(deadletter_waits(f.letters));
    assert_true(put(&f, "one", &e));
    assert_true(put(&f, "two\n", &e)); /* of the same message, before the stream is there */
    assert_true(deadletter_waits(f.letters));
    assert_int_equal(f.settled, 0);
    settle(&f);
    assert_false(deadletter_waits(f.letters));
    assert_true(put(&f, "three", &e));
    settle(&f);
    assert_int_equal(f.error.code, ERROR_NONE);
    assert_has(f.server.requests[0], "PUT /dead");
    assert_has(f.server.requests[1],
               "[{\"stream\":\"room\",\"url\":\"http://h/s\",\"offset\":\"-1\",\"index\":4,"
               "\"sequence\":9,\"time\":\"");
    assert_has(f.server.requests[1], "\"reason\":\"no\",\"event\":\"one\"}");
    assert_has(f.server.requests[f.server.request_count - 1], "\"event\":\"three\"}]");
    close_fixture(&f);
}

static void test_bytes_that_are_no_text(void **state) {
    static const struct reply replies[] = {MADE, STORED};
    struct fixture f;
    struct error e;
    (void)state;
    open_fixture(&f, replies, COUNT(replies));
    assert_true(put(&f, "\xff\x01", &e));
    settle(&f);
    assert_has(f.server.requests[1], "\"bytes\":\"ff01\"}]");
    close_fixture(&f);
}

static void test_a_stream_of_another_kind_of_life(void **state) {
    static const struct reply replies[] = {REPLY(409, NULL, "other TTL"), STORED};
    struct fixture f;
    struct error e;
    (void)state;
    open_fixture(&f, replies, COUNT(replies));
    assert_true(put(&f, "one", &e));
    settle(&f);
    assert_int_equal(f.error.code, ERROR_NONE);
    close_fixture(&f);
}

static void test_failures_are_for_good(void **state) {
    static const struct reply denied[] = {REPLY(401, NULL, "who?")};
    static const struct reply closed[] = {MADE, REPLY(409, "Stream-Closed: true\r\n", "")};
    static const struct reply down[] = {MADE, REPLY(503, NULL, "later")};
    static const struct {
        const struct reply *replies;
        size_t count;
        uint64_t limit_ms;
        const char *part;
    } cases[] = {{denied, COUNT(denied), 60 * 1000, "401"},
                 {closed, COUNT(closed), 60 * 1000, "closed"},
                 {down, COUNT(down), 500, "gave up"}};
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct fixture f;
        struct error e;
        open_limited(&f, cases[i].replies, cases[i].count, cases[i].limit_ms);
        assert_true(put(&f, "one", &e));
        settle(&f);
        assert_has(f.error.message, "dead letters: http://127.0.0.1");
        assert_has(f.error.message, cases[i].part);
        assert_false(put(&f, "two", &e));
        assert_string_equal(e.message, f.error.message);
        close_fixture(&f);
    }
}

static void test_closing(void **state) {
    static const struct reply replies[] = {MADE, STORED};
    static const struct reply held[] = {{.status = 201, .hold = true}};
    struct fixture f;
    struct error e;
    (void)state;
    open_fixture(&f, replies, COUNT(replies));
    f.close_in_settled = true;
    assert_true(put(&f, "one", &e));
    settle(&f);
    assert_null(f.letters);
    close_fixture(&f);
    open_fixture(&f, held, COUNT(held)); /* with the request under way */
    assert_true(put(&f, "one", &e));
    close_fixture(&f);
    assert_int_equal(f.settled, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_letters_wait_to_be_stored),
        cmocka_unit_test(test_bytes_that_are_no_text),
        cmocka_unit_test(test_a_stream_of_another_kind_of_life),
        cmocka_unit_test(test_failures_are_for_good),
        cmocka_unit_test(test_closing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
