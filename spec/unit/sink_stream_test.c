/* The sink "stream", against scripted answers: what is sent, and what is left out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buf.h"
#include "loopback.h"
#include "sink/sink.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))
#define JSON "Content-Type: application/json\r\nStream-Next-Offset: 0\r\n"
#define REPLY(code, head, text)                                                                              \
    { .status = (code), .fields = (head), .body = (text) }
#define NUMBERED(code, epoch, seq)                                                                           \
    REPLY(code, "Producer-Epoch: " #epoch "\r\nProducer-Seq: " #seq "\r\n", NULL)
#define STORED(epoch, seq) NUMBERED(200, epoch, seq)
#define BEFORE(epoch, seq) NUMBERED(204, epoch, seq)
#define STALE(epoch) REPLY(403, "Producer-Epoch: " #epoch "\r\n", "stale")
#define HEAD REPLY(200, JSON, NULL)
#define LARGE REPLY(413, NULL, "too large")
#define TAKEN REPLY(409, NULL, "not above the last one")

struct fixture {
    struct loop *loop;
    struct http *http;
    struct log log;
    FILE *log_file;
    char *log_text;
    size_t log_len;
    struct loopback server;
    struct sink *sink;
    struct sink_batch *batch;
    struct sink_setting settings[8];
    size_t setting_count;
    uint64_t limit_ms;
    char url[128];
    bool opened, committed, keep_refused;
    struct error error; /* of what ended last */
    struct buf refused;
};

static void on_opened(void *user, struct sink *sink, const struct sink_place *place, const struct error *e) {
    struct fixture *f = user;
    (void)sink;
    assert_null(place);
    f->opened = true;
    error_clear(&f->error);
    if (e) {
        f->error = *e;
    }
}

static void on_committed(void *user, struct sink *sink, const struct error *e) {
    struct fixture *f = user;
    (void)sink;
    f->committed = true;
    error_clear(&f->error);
    if (e) {
        f->error = *e;
    }
}

static bool on_refused(void *user, struct sink *sink, const struct sink_row *row, struct error *e) {
    struct fixture *f = user;
    (void)sink;
    (void)e;
    buf_append_slice(&f->refused, row->value);
    return f->keep_refused;
}

static void open_fixture(struct fixture *f, const struct reply *replies, size_t count) {
    struct error e;
    memset(f, 0, sizeof *f);
    f->loop = loop_new(&e);
    f->http = http_new(f->loop, &e);
    f->log_file = open_memstream(&f->log_text, &f->log_len);
    f->log = (struct log){.file = f->log_file, .level = LOG_WARN};
    loopback_open(&f->server, f->loop, replies, count);
    snprintf(f->url, sizeof f->url, "http://127.0.0.1:%d/out", f->server.port);
    f->settings[f->setting_count++] = (struct sink_setting){"url", f->url};
    f->settings[f->setting_count++] = (struct sink_setting){"producer", "p"};
    f->batch = sink_batch_new(1 << 20);
    f->limit_ms = 60 * 1000;
    buf_init(&f->refused, 1 << 16);
}

static void close_fixture(struct fixture *f) {
    struct error e = {0};
    if (f->sink) {
        sink_close(f->sink);
    }
    loopback_close(&f->server);
    http_free(f->http);
    if (!loop_free(f->loop, &e)) {
        fail_msg("%s", e.message);
    }
    loopback_free(&f->server);
    sink_batch_free(f->batch);
    buf_free(&f->refused);
    fclose(f->log_file);
    free(f->log_text);
}

static struct sink_options options_of(struct fixture *f) {
    return (struct sink_options){
        .loop = f->loop,
        .http = f->http,
        .log = &f->log,
        .stream = "http://127.0.0.1/in",
        .name = "out",
        .settings = f->settings,
        .setting_count = f->setting_count,
        .outage_limit_ms = f->limit_ms,
        .host = {.user = f, .opened = on_opened, .committed = on_committed, .refused = on_refused},
    };
}

static bool is_true(void *arg) {
    return *(bool *)arg;
}

static void open_sink(struct fixture *f) {
    struct error e;
    struct sink_options options = options_of(f);
    const struct sink_kind *kind = sink_kind_named("stream", &e);
    f->sink = kind->open(kind, &options, &e);
    if (!f->sink) {
        fail_msg("%s", e.message);
    }
    assert_true(loop_run_until(f->loop, is_true, &f->opened));
}

static void add(struct fixture *f, enum sink_op op, const char *key, const char *value, uint64_t sequence) {
    struct error e;
    struct sink_row row = {.op = op,
                           .type = SLICE("t"),
                           .key = slice_from(key),
                           .value = slice_from(value),
                           .sequence = sequence,
                           .offset = SLICE("-1"),
                           .index = sequence};
    assert_true(sink_batch_add(f->batch, &row, &e));
}

static void commit(struct fixture *f) {
    f->committed = false;
    sink_commit(f->sink, f->batch);
    assert_false(f->committed);
    assert_true(loop_run_until(f->loop, is_true, &f->committed));
    sink_batch_clear(f->batch);
}

/* "EPOCH/SEQ BODY" of request n. */
static void assert_sent(const struct fixture *f, size_t n, const char *expected) {
    char got[512];
    loopback_append(&f->server, n, got, sizeof got);
    assert_string_equal(got, expected);
    assert_non_null(strcasestr(f->server.requests[n], "\r\nProducer-Id: p\r\n"));
}

/* The number in its Stream-Seq; -1: it has none. */
static void assert_order(const struct fixture *f, size_t n, long expected) {
    static const char field[] = "\r\nStream-Seq: !weir-";
    const char *order = strcasestr(f->server.requests[n], field);
    long got = order ? strtol(order + sizeof field - 1, NULL, 10) : -1;
    assert_int_equal(got, expected);
    assert_true(!order || strspn(order + sizeof field - 1, "0123456789") == 16);
}

static void add_five(struct fixture *f) {
    static const char *const values[] = {"0", "1", "2", "3", "4"};
    for (uint64_t i = 0; i < COUNT(values); i++) {
        add(f, SINK_EMIT, "out", values[i], i);
    }
}

static void assert_fine(const struct fixture *f) {
    if (f->error.code != ERROR_NONE) {
        fail_msg("%s", f->error.message);
    }
}

static void assert_error(const struct fixture *f, enum error_code code, const char *part) {
    assert_string_equal(error_name(f->error.code), error_name(code));
    if (!strstr(f->error.message, part)) {
        fail_msg("no \"%s\" in \"%s\"", part, f->error.message);
    }
}

/* ---- what is sent ---- */

static void test_one_append_a_message(void **state) {
    static const struct reply replies[] = {HEAD, STORED(1, 0), STORED(4, 0)};
    struct fixture f;
    (void)state;
    open_fixture(&f, replies, COUNT(replies));
    open_sink(&f);
    assert_fine(&f);
    add(&f, SINK_PUT, "k", "0", 0);
    add(&f, SINK_EMIT, "out", "{\"a\":1}", 0);
    add(&f, SINK_EMIT, "other", "9", 0);
    add(&f, SINK_EMIT, "out", "[2]", 0);
    add(&f, SINK_CLEAR, "", "", 1);
    add(&f, SINK_EMIT, "other", "9", 2);
    add(&f, SINK_EMIT, "out", "3", 3);
    commit(&f);
    assert_fine(&f);
    assert_int_equal(f.server.request_count, 3);
    assert_sent(&f, 1, "1/0 [{\"a\":1},[2]]");
    assert_sent(&f, 2, "4/0 [3]");
    close_fixture(&f);
}

static void test_nothing_to_send(void **state) {
    static const struct reply replies[] = {HEAD};
    struct fixture f;
    (void)state;
    open_fixture(&f, replies, COUNT(replies));
    open_sink(&f);
    commit(&f);
    add(&f, SINK_PUT, "k", "0", 0);
    commit(&f);
    assert_fine(&f);
    assert_int_equal(f.server.request_count, 1);
    close_fixture(&f);
}

/* After a restart: the server says how far it is, and what it has is not sent. */
static void test_what_is_stored_is_left_out(void **state) {
    static const struct reply replies[] = {HEAD, STALE(4), BEFORE(4, 0), STORED(5, 0)};
    struct fixture f;
    (void)state;
    open_fixture(&f, replies, COUNT(replies));
    open_sink(&f);
    for (uint64_t i = 0; i < 4; i++) {
        add(&f, SINK_EMIT, "out", "1", i);
    }
    add(&f, SINK_EMIT, "out", "2", 3); /* perhaps one of two: asked for again */
    add(&f, SINK_EMIT, "out", "3", 4);
    commit(&f);
    assert_fine(&f);
    assert_int_equal(f.server.request_count, 4);
    assert_sent(&f, 1, "1/0 [1]");
    assert_sent(&f, 2, "4/0 [1,2]");
    assert_sent(&f, 3, "5/0 [3]");
    assert_true(f.log_len == 0 || fflush(f.log_file) == 0);
    close_fixture(&f);
}

static void test_another_worker_is_told_of(void **state) {
    static const struct reply replies[] = {HEAD, STORED(1, 0), STALE(9)};
    struct fixture f;
    (void)state;
    open_fixture(&f, replies, COUNT(replies));
    open_sink(&f);
    for (uint64_t i = 0; i < 5; i++) {
        add(&f, SINK_EMIT, "out", "1", i);
    }
    commit(&f);
    assert_fine(&f);
    assert_int_equal(f.server.request_count, 3);
    fflush(f.log_file);
    assert_non_null(strstr(f.log_text, "another worker appends the same under the producer p"));
    close_fixture(&f);
}

/* ---- several messages in one append ---- */

static void test_messages_leave_together(void **state) {
    static const struct reply replies[] = {HEAD, STORED(1, 0), TAKEN, STORED(5, 0), STORED(9, 0)};
    struct fixture f;
    (void)state;
    open_fixture(&f, replies, COUNT(replies));
    open_sink(&f);
    add_five(&f);
    commit(&f);
    assert_fine(&f);
    assert_sent(&f, 1, "1/0 [0]");
    assert_order(&f, 1, 0);
    assert_sent(&f, 2, "2/0 [1]"); /* to see whether it is refused */
    assert_order(&f, 2, 0);
    assert_sent(&f, 3, "5/0 [1,2,3,4]");
    assert_order(&f, 3, 1);
    add(&f, SINK_EMIT, "other", "9", 6);
    add(&f, SINK_EMIT, "out", "7", 7);
    add(&f, SINK_EMIT, "out", "8", 8);
    add(&f, SINK_EMIT, "other", "9", 9);
    commit(&f);
    assert_fine(&f);
    assert_int_equal(f.server.request_count, 5);
    assert_sent(&f, 4, "9/0 [7,8]");
    assert_order(&f, 4, 5);
    close_fixture(&f);
}

/* Sent when another worker had stored some of them: its number is taken, and what is there says the server. */
static void test_together_after_another(void **state) {
    static const struct reply replies[] = {HEAD, STORED(1, 0), TAKEN, TAKEN, STALE(4), STORED(5, 0)};
    struct fixture f;
    (void)state;
    open_fixture(&f, replies, COUNT(replies));
    open_sink(&f);
    add_five(&f);
    commit(&f);
    assert_fine(&f);
    assert_int_equal(f.server.request_count, 6);
    assert_sent(&f, 4, "2/0 [1]");
    assert_sent(&f, 5, "5/0 [4]");
    assert_order(&f, 5, 4);
    close_fixture(&f);
}

static void test_numbers_that_others_take(void **state) {
    static const struct reply replies[] = {HEAD,         TAKEN, TAKEN,        STORED(1, 0), TAKEN,
                                           STORED(2, 0), TAKEN, STORED(3, 0), STORED(4, 0), STORED(5, 0)};
    struct fixture f;
    (void)state;
    open_fixture(&f, replies, COUNT(replies));
    open_sink(&f);
    add_five(&f);
    commit(&f);
    assert_fine(&f);
    assert_int_equal(f.server.request_count, COUNT(replies));
    assert_order(&f, 1, 0);
    assert_order(&f, 2, 0);
    assert_order(&f, 3, -1);
    assert_sent(&f, 4, "5/0 [1,2,3,4]");
    assert_sent(&f, 5, "2/0 [1]");
    assert_order(&f, 5, -1); /* 0 and 1 are taken */
    assert_sent(&f, 6, "3/0 [2]");
    assert_order(&f, 6, 4097);
    for (size_t i = 7; i < COUNT(replies); i++) {
        assert_order(&f, i, -1); /* all up to there are */
    }
    assert_sent(&f, 9, "5/0 [4]");
    close_fixture(&f);
}

static void test_a_server_that_takes_any_number(void **state) {
    static const struct reply replies[] = {HEAD,         STORED(1, 0), STORED(2, 0),
                                           STORED(3, 0), STORED(4, 0), STORED(5, 0)};
    struct fixture f;
    (void)state;
    open_fixture(&f, replies, COUNT(replies));
    open_sink(&f);
    add_five(&f);
    commit(&f);
    assert_fine(&f);
    assert_sent(&f, 2, "2/0 [1]");
    assert_order(&f, 2, 0);
    assert_sent(&f, 5, "5/0 [4]");
    close_fixture(&f);
}

static void test_too_large_together(void **state) {
    static const struct reply replies[] = {HEAD,         STORED(1, 0), TAKEN,        LARGE,
                                           STORED(3, 0), LARGE,        STORED(4, 0), STORED(5, 0)};
    struct fixture f;
    (void)state;
    open_fixture(&f, replies, COUNT(replies));
    f.keep_refused = true;
    open_sink(&f);
    add_five(&f);
    add(&f, SINK_EMIT, "out", "5", 4);
    commit(&f);
    assert_fine(&f);
    assert_sent(&f, 3, "5/0 [1,2,3,4,5]");
    assert_sent(&f, 4, "3/0 [1,2]");
    assert_sent(&f, 5, "4/0 [3]"); /* which is too large alone */
    assert_true(slice_is(buf_slice(&f.refused), "3"));
    assert_sent(&f, 6, "5/0 [4,5]");
    close_fixture(&f);
}

static void test_too_large(void **state) {
    static const struct reply replies[] = {HEAD, LARGE, STORED(1, 0), LARGE, STORED(1, 1), STORED(2, 0)};
    struct fixture f;
    (void)state;
    open_fixture(&f, replies, COUNT(replies));
    f.keep_refused = true;
    open_sink(&f);
    add(&f, SINK_EMIT, "out", "1", 0);
    add(&f, SINK_EMIT, "other", "9", 0);
    add(&f, SINK_EMIT, "out", "2", 0);
    add(&f, SINK_EMIT, "out", "3", 0);
    add(&f, SINK_EMIT, "other", "9", 0);
    add(&f, SINK_EMIT, "out", "4", 1);
    commit(&f);
    assert_fine(&f);
    assert_sent(&f, 1, "1/0 [1,2,3]");
    assert_sent(&f, 2, "1/0 [1]");
    assert_sent(&f, 3, "1/1 [2]");
    assert_sent(&f, 4, "1/1 [3]");
    assert_sent(&f, 5, "2/0 [4]");
    assert_true(slice_is(buf_slice(&f.refused), "2"));
    close_fixture(&f);
}

/* Sent one by one by a worker that ended in the middle. */
static void test_too_large_again(void **state) {
    static const struct reply replies[] = {HEAD, REPLY(413, NULL, ""), BEFORE(1, 1), STORED(1, 2)};
    struct fixture f;
    (void)state;
    open_fixture(&f, replies, COUNT(replies));
    open_sink(&f);
    add(&f, SINK_EMIT, "out", "1", 0);
    add(&f, SINK_EMIT, "out", "2", 0);
    add(&f, SINK_EMIT, "out", "3", 0);
    commit(&f);
    assert_fine(&f);
    assert_int_equal(f.server.request_count, 4);
    assert_sent(&f, 2, "1/0 [1]");
    assert_sent(&f, 3, "1/2 [3]");
    close_fixture(&f);
}

static void test_too_large_and_not_kept(void **state) {
    static const struct reply replies[] = {HEAD, REPLY(413, NULL, "too large")};
    struct fixture f;
    (void)state;
    open_fixture(&f, replies, COUNT(replies));
    open_sink(&f);
    add(&f, SINK_EMIT, "out", "1", 0);
    commit(&f);
    assert_error(&f, ERROR_HTTP, "out: http://127.0.0.1");
    close_fixture(&f);
}

static void test_an_outage_is_waited_out(void **state) {
    static const struct reply replies[] = {
        HEAD, REPLY(503, NULL, "later"), {.status = 0}, BEFORE(1, 0), STORED(2, 0)};
    struct fixture f;
    (void)state;
    open_fixture(&f, replies, COUNT(replies));
    open_sink(&f);
    add(&f, SINK_EMIT, "out", "1", 0);
    add(&f, SINK_EMIT, "out", "2", 1);
    commit(&f);
    assert_fine(&f);
    assert_sent(&f, 2, "1/0 [1]");
    assert_sent(&f, 4, "2/0 [2]");
    close_fixture(&f);
}

static void test_an_outage_has_a_limit(void **state) {
    static const struct reply replies[] = {HEAD, REPLY(503, NULL, "later")};
    struct fixture f;
    (void)state;
    open_fixture(&f, replies, COUNT(replies));
    f.limit_ms = 2000; /* less, and it could be over in the middle of a request */
    open_sink(&f);
    add(&f, SINK_EMIT, "out", "1", 0);
    commit(&f);
    assert_error(&f, ERROR_HTTP, "gave up after");
    close_fixture(&f);
}

/* ---- what ends it ---- */

static void assert_commit_fails(const struct reply *reply, enum error_code code, const char *part) {
    const struct reply replies[] = {HEAD, *reply};
    struct fixture f;
    open_fixture(&f, replies, COUNT(replies));
    open_sink(&f);
    add(&f, SINK_EMIT, "out", "1", 0);
    commit(&f);
    assert_error(&f, code, part);
    close_fixture(&f);
}

static void test_what_ends_a_commit(void **state) {
    (void)state;
    assert_commit_fails(&(struct reply)REPLY(404, NULL, ""), ERROR_NOT_FOUND, "out: http://");
    assert_commit_fails(&(struct reply)REPLY(410, NULL, ""), ERROR_GONE, "out: http://");
    assert_commit_fails(&(struct reply)REPLY(409, "Stream-Closed: true\r\n", ""), ERROR_CLOSED, "closed");
    assert_commit_fails(&(struct reply)REPLY(403, NULL, "no"), ERROR_HTTP, "403");
    assert_commit_fails(&(struct reply)REPLY(204, NULL, NULL), ERROR_CONFLICT, "no Producer-Epoch");
    assert_commit_fails(
        &(struct reply)REPLY(409, "Producer-Expected-Seq: 7\r\nProducer-Received-Seq: 0\r\n", ""),
        ERROR_CONFLICT, "has forgotten");
}

static void assert_opens(const struct reply *replies, size_t count, const char *create, enum error_code code,
                         const char *part) {
    struct fixture f;
    open_fixture(&f, replies, count);
    if (create) {
        f.settings[f.setting_count++] = (struct sink_setting){"create", create};
    }
    open_sink(&f);
    if (code == ERROR_NONE) {
        assert_fine(&f);
    } else {
        assert_error(&f, code, part);
    }
    close_fixture(&f);
}

static void test_opening(void **state) {
    static const struct reply made[] = {REPLY(404, NULL, ""), REPLY(201, JSON, NULL)};
    static const struct reply closed[] = {REPLY(200, JSON "Stream-Closed: true\r\n", NULL)};
    static const struct reply text[] = {
        REPLY(200, "Content-Type: text/plain\r\nStream-Next-Offset: 0\r\n", NULL)};
    static const struct reply denied[] = {REPLY(401, NULL, "who?")};
    static const struct reply charset[] = {
        REPLY(200, "Content-Type: application/json; charset=utf-8\r\nStream-Next-Offset: 0\r\n", NULL)};
    (void)state;
    assert_opens(made, COUNT(made), NULL, ERROR_NONE, NULL);
    assert_opens(charset, COUNT(charset), NULL, ERROR_NONE, NULL);
    assert_opens(made, COUNT(made), "false", ERROR_NOT_FOUND, "create it, or leave out create = false");
    assert_opens(closed, COUNT(closed), NULL, ERROR_CLOSED, "out: http://127.0.0.1");
    assert_opens(text, COUNT(text), NULL, ERROR_CONFLICT, "content type is text/plain");
    assert_opens(denied, COUNT(denied), NULL, ERROR_HTTP, "401");
}

static void test_settings(void **state) {
    static const struct reply replies[] = {HEAD, STORED(1, 0)};
    struct fixture f;
    struct error e;
    (void)state;
    open_fixture(&f, replies, COUNT(replies));
    const struct sink_kind *kind = sink_kind_named("stream", &e);
    f.settings[2] = (struct sink_setting){"create", "perhaps"};
    f.setting_count = 3;
    struct sink_options options = options_of(&f);
    assert_null(kind->open(kind, &options, &e));
    assert_string_equal(e.message, "out: create: expected true or false, got perhaps");
    f.settings[0].value = "file.json";
    f.setting_count = 2;
    options = options_of(&f);
    assert_null(kind->open(kind, &options, &e));
    assert_string_equal(e.message, "out: url: expected the http(s) URL of a stream");
    f.settings[0].value = f.url;
    f.settings[2] = (struct sink_setting){"header.X-Who", "me"};
    f.setting_count = 3;
    open_sink(&f);
    add(&f, SINK_EMIT, "out", "1", 0);
    commit(&f);
    assert_fine(&f);
    for (size_t i = 0; i < 2; i++) {
        assert_non_null(strcasestr(f.server.requests[i], "\r\nX-Who: me\r\n"));
    }
    close_fixture(&f);
}

/* Closed with a request under way. */
static void test_closing(void **state) {
    static const struct reply replies[] = {HEAD, {.status = 200, .hold = true}};
    struct fixture f;
    (void)state;
    open_fixture(&f, replies, COUNT(replies));
    open_sink(&f);
    add(&f, SINK_EMIT, "out", "1", 0);
    sink_commit(f.sink, f.batch);
    close_fixture(&f);
    assert_false(f.committed);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_append_a_message),
        cmocka_unit_test(test_nothing_to_send),
        cmocka_unit_test(test_what_is_stored_is_left_out),
        cmocka_unit_test(test_another_worker_is_told_of),
        cmocka_unit_test(test_messages_leave_together),
        cmocka_unit_test(test_together_after_another),
        cmocka_unit_test(test_numbers_that_others_take),
        cmocka_unit_test(test_a_server_that_takes_any_number),
        cmocka_unit_test(test_too_large_together),
        cmocka_unit_test(test_too_large),
        cmocka_unit_test(test_too_large_again),
        cmocka_unit_test(test_too_large_and_not_kept),
        cmocka_unit_test(test_an_outage_is_waited_out),
        cmocka_unit_test(test_an_outage_has_a_limit),
        cmocka_unit_test(test_what_ends_a_commit),
        cmocka_unit_test(test_opening),
        cmocka_unit_test(test_settings),
        cmocka_unit_test(test_closing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
