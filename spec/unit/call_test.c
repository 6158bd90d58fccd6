/* One-shot operations on a stream, against scripted answers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "loopback.h"
#include "stream/call.h"

#define NEXT(offset) "Stream-Next-Offset: " offset "\r\n"
#define COUNT(a) (sizeof(a) / sizeof *(a))

struct fixture {
    struct loop *loop;
    struct http *http;
    struct log log;
    struct loopback server;
    struct call_options options;
    struct call_result result; /* its slices are dead */
    char offset[64], type[64], expires[64];
    struct error error;
    bool done;
    char url[128];
};

static void copy(char out[64], struct slice s) {
    snprintf(out, 64, "%.*s", s.ptr ? (int)s.len : 1, s.ptr ? s.ptr : "-");
}

static void on_done(void *user, const struct call_result *result, const struct error *e) {
    struct fixture *f = user;
    f->result = *result;
    copy(f->offset, result->offset);
    copy(f->type, result->content_type);
    copy(f->expires, result->expires_at);
    f->error = *e;
    assert_false(f->done);
    f->done = true;
}

static void open_fixture(struct fixture *f, const struct reply *replies, size_t count) {
    struct error e;
    memset(f, 0, sizeof *f);
    f->loop = loop_new(&e);
    f->http = http_new(f->loop, &e);
    f->log = (struct log){.file = stderr, .level = LOG_OFF};
    loopback_open(&f->server, f->loop, replies, count);
    snprintf(f->url, sizeof f->url, "http://127.0.0.1:%d/s", f->server.port);
    f->options = (struct call_options){.loop = f->loop,
                                       .http = f->http,
                                       .log = &f->log,
                                       .url = f->url,
                                       .limit_ms = 60 * 1000,
                                       .done = on_done,
                                       .user = f};
}

static void close_fixture(struct fixture *f) {
    struct error e = {0};
    loopback_close(&f->server);
    http_free(f->http);
    if (!loop_free(f->loop, &e)) {
        fail_msg("%s", e.message);
    }
    loopback_free(&f->server);
}

static bool is_done(void *arg) {
    return ((struct fixture *)arg)->done;
}

static void run(struct fixture *f, enum call_kind kind) {
    struct error e;
    f->options.kind = kind;
    f->done = false;
    if (!call_start(&f->options, &e)) {
        fail_msg("%s", e.message);
    }
    assert_true(loop_run_until(f->loop, is_done, f));
}

static bool sent(struct fixture *f, size_t n, const char *text) {
    return strstr(f->server.requests[n], text) != NULL;
}

static void test_create(void **state) {
    (void)state;
    static const struct reply replies[] = {
        {.status = 201, .fields = NEXT("4") "Content-Type: text/plain\r\nStream-Closed: TRUE\r\n"},
        {.status = 200, .fields = NEXT("4")}};
    struct fixture f;
    open_fixture(&f, replies, COUNT(replies));
    f.options.content_type = "text/plain";
    f.options.has_ttl = true;
    f.options.ttl_s = 60;
    f.options.closed = true;
    f.options.body = SLICE("data");
    run(&f, CALL_CREATE);
    assert_int_equal(f.error.code, ERROR_NONE);
    assert_true(f.result.created && f.result.closed);
    assert_int_equal(f.result.status, 201);
    assert_string_equal(f.offset, "4");
    assert_string_equal(f.type, "text/plain");
    assert_true(sent(&f, 0, "PUT /s HTTP/1.1\r\n") && sent(&f, 0, "Content-Type: text/plain\r\n"));
    assert_true(sent(&f, 0, "Stream-TTL: 60\r\n") && sent(&f, 0, "Stream-Closed: true\r\n"));
    assert_true(sent(&f, 0, "\r\n\r\ndata") && !sent(&f, 0, "Producer-Id"));

    f.options = (struct call_options){.loop = f.loop,
                                      .http = f.http,
                                      .log = &f.log,
                                      .url = f.url,
                                      .done = on_done,
                                      .user = &f,
                                      .expires_at = "2030-01-01T00:00:00Z",
                                      .fork_from = "/v1/stream/a",
                                      .fork_offset = "0_5",
                                      .has_fork_sub_offset = true,
                                      .fork_sub_offset = 0};
    run(&f, CALL_CREATE);
    assert_false(f.result.created || f.result.closed);
    assert_true(sent(&f, 1, "Stream-Expires-At: 2030-01-01T00:00:00Z\r\n"));
    assert_true(sent(&f, 1, "Stream-Forked-From: /v1/stream/a\r\n"));
    assert_true(sent(&f, 1, "Stream-Fork-Offset: 0_5\r\n") && sent(&f, 1, "Stream-Fork-Sub-Offset: 0\r\n"));
    assert_false(sent(&f, 1, "Content-Type") || sent(&f, 1, "Stream-TTL") || sent(&f, 1, "Stream-Closed"));
    close_fixture(&f);
}

static void test_head(void **state) {
    (void)state;
    static const struct reply replies[] = {
        {.status = 200,
         .fields = NEXT("9") "Content-Type: application/json\r\nStream-TTL: 30\r\n"
                             "Stream-Expires-At: soon\r\nX-More: yes\r\n"},
        {.status = 404}};
    struct fixture f;
    open_fixture(&f, replies, COUNT(replies));
    run(&f, CALL_HEAD);
    assert_int_equal(f.error.code, ERROR_NONE);
    assert_true(f.result.has_ttl && !f.result.closed);
    assert_int_equal(f.result.ttl_s, 30);
    assert_string_equal(f.offset, "9");
    assert_string_equal(f.expires, "soon");
    assert_true(sent(&f, 0, "HEAD /s HTTP/1.1\r\n"));
    run(&f, CALL_HEAD);
    assert_int_equal(f.error.code, ERROR_NOT_FOUND);
    assert_int_equal(f.error.status, 404);
    assert_non_null(strstr(f.error.message, f.url));
    close_fixture(&f);
}

/* An append may be repeated, as it carries the headers of a producer of its own. */
static void test_append_is_stored_once(void **state) {
    (void)state;
    static const struct reply replies[] = {
        {.status = 0}, {.status = 502}, {.status = 204, .fields = NEXT("5") "Producer-Seq: 0\r\n"}};
    struct fixture f;
    open_fixture(&f, replies, COUNT(replies));
    f.options.body = SLICE("hello");
    f.options.stream_seq = "0007";
    run(&f, CALL_APPEND);
    assert_int_equal(f.error.code, ERROR_NONE);
    assert_true(f.result.duplicate);
    assert_int_equal(f.server.request_count, 3);
    const char *first = strstr(f.server.requests[0], "Producer-Id: ");
    const char *last = strstr(f.server.requests[2], "Producer-Id: ");
    assert_memory_equal(first, last, 13 + 36);
    assert_true(sent(&f, 2, "Producer-Epoch: 0\r\n") && sent(&f, 2, "Producer-Seq: 0\r\n"));
    assert_true(sent(&f, 2, "Stream-Seq: 0007\r\n"));
    assert_true(sent(&f, 2, "Content-Type: application/octet-stream\r\n"));
    close_fixture(&f);
}

static void test_append_of_a_given_producer(void **state) {
    (void)state;
    static const struct reply replies[] = {
        {.status = 409, .fields = "Producer-Expected-Seq: 3\r\nProducer-Received-Seq: 5\r\n"},
        {.status = 403, .fields = "Producer-Epoch: 4\r\n"},
        {.status = 409, .fields = NEXT("9") "Stream-Closed: true\r\n"}};
    struct fixture f;
    open_fixture(&f, replies, COUNT(replies));
    f.options.body = SLICE("x");
    f.options.producer_id = "p";
    f.options.producer_epoch = "2";
    f.options.producer_seq = "5";
    run(&f, CALL_APPEND);
    assert_int_equal(f.error.code, ERROR_CONFLICT);
    assert_true(f.result.has_expected && f.result.has_received);
    assert_int_equal(f.result.expected_seq, 3);
    assert_int_equal(f.result.received_seq, 5);
    assert_true(sent(&f, 0, "Producer-Id: p\r\n") && sent(&f, 0, "Producer-Seq: 5\r\n"));
    run(&f, CALL_APPEND);
    assert_int_equal(f.error.status, 403);
    assert_int_equal(f.result.epoch, 4);
    run(&f, CALL_APPEND);
    assert_int_equal(f.error.code, ERROR_CLOSED);
    assert_string_equal(f.offset, "9");
    close_fixture(&f);
}

static void test_close_and_delete(void **state) {
    (void)state;
    static const struct reply replies[] = {{.status = 204, .fields = NEXT("5") "Stream-Closed: true\r\n"},
                                           {.status = 204, .fields = NEXT("6") "Stream-Closed: true\r\n"},
                                           {.status = 204}};
    struct fixture f;
    open_fixture(&f, replies, COUNT(replies));
    run(&f, CALL_CLOSE);
    assert_true(f.result.closed);
    assert_true(sent(&f, 0, "POST /s") && sent(&f, 0, "Stream-Closed: true\r\n"));
    assert_false(sent(&f, 0, "Producer-Id") || sent(&f, 0, "Content-Type"));
    f.options.body = SLICE("last");
    run(&f, CALL_CLOSE);
    assert_true(sent(&f, 1, "\r\n\r\nlast") && sent(&f, 1, "Producer-Id"));
    run(&f, CALL_DELETE);
    assert_int_equal(f.error.code, ERROR_NONE);
    assert_true(sent(&f, 2, "DELETE /s") && !sent(&f, 2, "last"));
    close_fixture(&f);
}

/* A web server that answers whatever it is sent has stored nothing. */
static void test_success_of_no_stream(void **state) {
    (void)state;
    static const struct reply replies[] = {
        {.status = 200, .fields = "Content-Type: text/html\r\n", .body = "<html>"}};
    static const enum call_kind kinds[] = {CALL_CREATE, CALL_HEAD, CALL_APPEND, CALL_CLOSE, CALL_DELETE};
    struct fixture f;
    open_fixture(&f, replies, COUNT(replies));
    f.options.body = SLICE("x");
    for (size_t i = 0; i < COUNT(kinds); i++) {
        run(&f, kinds[i]);
        assert_int_equal(f.error.code, ERROR_HTTP);
        assert_int_equal(f.error.status, 200);
        assert_non_null(strstr(f.error.message, "/s: 200: the answer has no Stream-Next-Offset header"));
    }
    assert_int_equal(f.server.request_count, COUNT(kinds));
    close_fixture(&f);
}

/* What the server says as well is said once. */
static void test_reasons(void **state) {
    (void)state;
    static const struct reply replies[] = {{.status = 404, .body = "there is no such stream\nat all"},
                                           {.status = 404, .body = "there is no such streams"}};
    char message[256];
    struct fixture f;
    open_fixture(&f, replies, COUNT(replies));
    run(&f, CALL_DELETE);
    snprintf(message, sizeof message, "%s: 404: there is no such stream", f.url);
    assert_string_equal(f.error.message, message);
    run(&f, CALL_DELETE);
    assert_non_null(strstr(f.error.message, "404: there is no such stream: there is no such streams"));
    close_fixture(&f);
}

static void test_tries(void **state) {
    (void)state;
    static const struct reply replies[] = {{.status = 503, .body = "busy"}};
    static const struct reply refused[] = {{.status = 400, .body = "no"}};
    struct retry retry = {.max_retries = 3, .first_ms = 1, .max_ms = 2, .multiplier = 2};
    struct fixture f;
    open_fixture(&f, replies, 1);
    f.options.retry = &retry;
    run(&f, CALL_DELETE);
    assert_int_equal(f.error.status, 503);
    assert_int_equal(f.server.request_count, 4);
    assert_non_null(strstr(f.error.message, "busy; gave up after 3 more tries"));
    f.options.retry = NULL;
    f.options.limit_ms = 200;
    run(&f, CALL_DELETE);
    assert_non_null(strstr(f.error.message, "gave up after "));
    close_fixture(&f);

    open_fixture(&f, refused, 1);
    run(&f, CALL_HEAD);
    assert_int_equal(f.server.request_count, 1);
    close_fixture(&f);
}

static bool refuse(void *user, struct fields *fields, struct error *e) {
    (void)user;
    (void)fields;
    return error_set(e, ERROR_SCRIPT, "no token");
}

static enum hooks_verdict stop(void *user, const struct error *e, bool retrying) {
    (void)e;
    assert_true(retrying);
    ++*(unsigned *)user;
    return HOOKS_STOP;
}

static void test_hooks(void **state) {
    (void)state;
    static const struct reply replies[] = {{.status = 503}};
    unsigned asked = 0;
    struct fixture f;
    open_fixture(&f, replies, 1);
    f.options.hooks = (struct hooks){.user = &asked, .on_error = stop};
    run(&f, CALL_HEAD);
    assert_int_equal(f.error.status, 503);
    assert_int_equal(asked, 1);
    f.options.hooks = (struct hooks){.refresh = refuse};
    run(&f, CALL_HEAD);
    assert_int_equal(f.error.code, ERROR_SCRIPT);
    assert_int_equal(f.server.request_count, 1);
    close_fixture(&f);
}

static void test_refused_and_cancelled(void **state) {
    (void)state;
    static const struct reply replies[] = {{.status = 200, .delay_ms = 5}};
    struct fixture f;
    struct error e;
    open_fixture(&f, replies, 1);
    f.options.kind = CALL_APPEND;
    assert_null(call_start(&f.options, &e)); /* no body */
    assert_int_equal(e.code, ERROR_ARGUMENT);
    f.options.kind = CALL_CREATE;
    f.options.has_ttl = true;
    f.options.expires_at = "x";
    assert_null(call_start(&f.options, &e));
    f.options.expires_at = NULL;
    f.options.producer_id = "only";
    assert_null(call_start(&f.options, &e));
    f.options.producer_id = NULL;
    f.options.url = "file.json";
    assert_null(call_start(&f.options, &e));
    f.options.url = f.url;
    call_cancel(call_start(&f.options, &e));
    assert_false(f.done);
    close_fixture(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_create),
        cmocka_unit_test(test_head),
        cmocka_unit_test(test_append_is_stored_once),
        cmocka_unit_test(test_append_of_a_given_producer),
        cmocka_unit_test(test_close_and_delete),
        cmocka_unit_test(test_success_of_no_stream),
        cmocka_unit_test(test_reasons),
        cmocka_unit_test(test_tries),
        cmocka_unit_test(test_hooks),
        cmocka_unit_test(test_refused_and_cancelled),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
