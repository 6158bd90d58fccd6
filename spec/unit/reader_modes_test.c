/* How a stream by HTTP is read: modes, kinds of content, entity tags, hooks, against scripted answers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "loopback.h"
#include "recorder.h"

#define JSON "Content-Type: application/json\r\n"
#define TEXT "Content-Type: text/plain\r\n"
#define NEXT(offset) "Stream-Next-Offset: " offset "\r\n"
#define TAIL(offset) NEXT(offset) "Stream-Up-To-Date: true\r\n"
#define SHUT(offset) TAIL(offset) "Stream-Closed: true\r\n"
#define EVENTS "Content-Type: text/event-stream\r\n"
#define BASE64 EVENTS "Stream-SSE-Data-Encoding: base64\r\n"
#define DATA(text) "event: data\ndata: " text "\n\n"
#define CONTROL(offset, more) "event: control\ndata: {\"streamNextOffset\":\"" offset "\"" more "}\n\n"
#define COUNT(a) (sizeof(a) / sizeof *(a))

struct fixture {
    struct loop *loop;
    struct http *http;
    struct log log;
    struct loopback server;
    struct recorder recorder;
    struct source_options options;
    char url[128];
    int statuses[8];
};

static void keep_status(struct recorder *recorder, const struct source_chunk *chunk) {
    struct fixture *f = recorder->user;
    f->statuses[(recorder->ends - 1) % COUNT(f->statuses)] = chunk->status;
}

static void open_fixture(struct fixture *f, const struct reply *replies, size_t count) {
    struct error e;
    memset(f, 0, sizeof *f);
    f->loop = loop_new(&e);
    f->http = http_new(f->loop, &e);
    f->log = (struct log){.file = stderr, .level = LOG_OFF};
    loopback_open(&f->server, f->loop, replies, count);
    recorder_init(&f->recorder);
    f->recorder.on_end = keep_status;
    f->recorder.user = f;
    snprintf(f->url, sizeof f->url, "http://127.0.0.1:%d/s", f->server.port);
    f->options = (struct source_options){
        .loop = f->loop,
        .http = f->http,
        .log = &f->log,
        .location = f->url,
        .any_type = true,
        .first_limit_ms = 60 * 1000,
        .outage_limit_ms = 60 * 1000,
        .sink = recorder_sink(&f->recorder),
    };
}

static void run(struct fixture *f, const char *text) {
    struct error e;
    f->recorder.source = source_open(&f->options, &e);
    assert_non_null(f->recorder.source);
    assert_true(loop_run_until(f->loop, recorder_over, &f->recorder));
    if (strcmp(recorder_text(&f->recorder), text) != 0) {
        fail_msg("%s\nexpected %s\n%s", recorder_text(&f->recorder), text, f->recorder.error.message);
    }
}

static void close_fixture(struct fixture *f) {
    struct error e = {0};
    source_close(f->recorder.source);
    loopback_close(&f->server);
    http_free(f->http);
    if (!loop_free(f->loop, &e)) {
        fail_msg("%s", e.message);
    }
    loopback_free(&f->server);
    buf_free(&f->recorder.text);
}

static void expect_sent(struct fixture *f, size_t n, const char *text) {
    assert_true(n < f->server.request_count);
    if (!strstr(f->server.requests[n], text)) {
        fail_msg("request %zu: %s\nexpected %s", n, f->server.requests[n], text);
    }
}

/* ---- kinds of content ---- */

static void test_bytes(void **state) {
    (void)state;
    static const struct reply replies[] = {
        {.status = 200, .fields = TEXT NEXT("3"), .body = "a\r\n"},
        {.status = 200, .fields = TEXT SHUT("5"), .body = "[b", .split = 1},
    };
    struct fixture f;
    open_fixture(&f, replies, COUNT(replies));
    run(&f, "<a\r\n>3;<[b>5^$;EOF");
    assert_int_equal(f.recorder.format, SOURCE_BYTES);
    assert_int_equal(f.statuses[0], 200);
    close_fixture(&f);

    static const struct reply json[] = {{.status = 200, .fields = JSON SHUT("3"), .body = "[1]"}};
    open_fixture(&f, json, 1);
    run(&f, "<[1]>3^$;EOF");
    assert_int_equal(f.recorder.format, SOURCE_ARRAY);
    close_fixture(&f);
    open_fixture(&f, json, 1);
    f.options.format = SOURCE_BYTES; /* the array as it is */
    run(&f, "<[1]>3^$;EOF");
    assert_int_equal(f.recorder.format, SOURCE_BYTES);
    close_fixture(&f);
}

static void test_text_by_sse(void **state) {
    (void)state;
    static const struct reply replies[] = {
        {.status = 200, .fields = TEXT TAIL("1"), .body = "a"},
        {.status = 200,
         .fields = EVENTS,
         .body = DATA("b") DATA("") "event: later\ndata: x\n\n" DATA("c\r\ndata:d")
             CONTROL("4", ",\"streamClosed\":true"),
         .frame = LOOPBACK_CHUNKED,
         .split = 1},
    };
    struct fixture f;
    open_fixture(&f, replies, COUNT(replies));
    f.options.live = SOURCE_LIVE_AUTO;
    run(&f, "<a>1^;<bc\nd>4^$;EOF"); /* one body, whatever the events */
    assert_int_equal(f.recorder.format, SOURCE_BYTES);
    close_fixture(&f);
}

static void test_binary_by_sse(void **state) {
    (void)state;
    static const struct reply replies[] = {
        {.status = 200,
         .fields = BASE64,
         .body = DATA("SGVs\ndata: bG8=") DATA("") DATA("IQ==") CONTROL("6", ",\"upToDate\":true") DATA("Pz8")
             CONTROL("8", ""),
         .frame = LOOPBACK_CHUNKED},
        {.status = 200, .fields = BASE64, .body = DATA("Pz8/") CONTROL("9", ",\"streamClosed\":true")},
    };
    struct fixture f;
    open_fixture(&f, replies, COUNT(replies));
    f.options.live = SOURCE_LIVE_SSE;
    f.options.direct = true;
    run(&f, "<Hello!>6^;<\?\?\?>9^$;EOF"); /* what is not base64 is asked for again */
    expect_sent(&f, 0, "GET /s?live=sse&offset=-1 ");
    expect_sent(&f, 1, "GET /s?live=sse&offset=6 ");
    close_fixture(&f);
}

/* ---- modes ---- */

static void test_direct_long_poll(void **state) {
    (void)state;
    static const struct reply replies[] = {
        {.status = 204, .fields = TAIL("5") "Stream-Cursor: c1\r\n"},
        {.status = 503},
        {.status = 200, .fields = JSON TAIL("6") "Stream-Cursor: c2\r\n", .body = "[1]"},
        {.status = 204, .fields = SHUT("6")},
    };
    struct fixture f;
    open_fixture(&f, replies, COUNT(replies));
    f.options.live = SOURCE_LIVE_LONG_POLL;
    f.options.direct = true;
    f.options.offset = "now";
    run(&f, ">5^;<[1]>6^;>6^$;EOF");
    assert_int_equal(f.statuses[0], 204);
    assert_int_equal(f.statuses[1], 200);
    expect_sent(&f, 0, "GET /s?live=long-poll&offset=now ");
    expect_sent(&f, 1, "GET /s?cursor=c1&live=long-poll&offset=5 ");
    expect_sent(&f, 2, "GET /s?cursor=c1&live=long-poll&offset=5 "); /* after a failure too */
    expect_sent(&f, 3, "GET /s?cursor=c2&live=long-poll&offset=6 ");
    close_fixture(&f);
}

/* Through a proxy that holds SSE back nothing comes: long-poll, and SSE again when its time has come. */
static void test_silent_sse_and_back(void **state) {
    (void)state;
    static const struct reply replies[] = {
        {.status = 200, .fields = JSON TAIL("1"), .body = "[1]"},
        {.status = 200, .fields = EVENTS, .body = ": on\n", .frame = LOOPBACK_CHUNKED, .hold = true},
        {.status = 200, .fields = JSON TAIL("2"), .body = "[2]", .delay_ms = 150},
        {.status = 200, .fields = EVENTS, .body = CONTROL("2", ",\"streamClosed\":true")},
    };
    struct fixture f;
    open_fixture(&f, replies, COUNT(replies));
    f.options.live = SOURCE_LIVE_AUTO;
    f.options.sse_first_ms = 50;
    f.options.sse_again_ms = 100;
    run(&f, "<[1]>1^;<[2]>2^;>2^$;EOF");
    expect_sent(&f, 1, "live=sse");
    expect_sent(&f, 2, "live=long-poll&offset=1");
    expect_sent(&f, 3, "live=sse&offset=2");
    close_fixture(&f);
}

static void test_entity_tag(void **state) {
    (void)state;
    static const struct reply replies[] = {
        {.status = 200, .fields = JSON TAIL("1") "ETag: \"a\"\r\n", .body = "[1]"},
        {.status = 503},
        {.status = 200, .fields = JSON TAIL("1") "ETag: \"b\"\r\n"},
        {.status = 503},
        {.status = 304, .fields = "ETag: \"b\"\r\n"},
        {.status = 204, .fields = SHUT("1")},
    };
    struct fixture f;
    open_fixture(&f, replies, COUNT(replies));
    f.options.live = SOURCE_LIVE_LONG_POLL;
    run(&f, "<[1]>1^;>1^;>1^;>1^$;EOF");
    assert_null(strstr(f.server.requests[2], "If-None-Match")); /* of another offset */
    expect_sent(&f, 4, "GET /s?offset=1 ");
    expect_sent(&f, 4, "If-None-Match: \"b\"\r\n");
    assert_null(strstr(f.server.requests[5], "If-None-Match"));
    assert_int_equal(f.statuses[2], 304);
    close_fixture(&f);

    static const struct reply unasked[] = {{.status = 304}};
    open_fixture(&f, unasked, 1);
    run(&f, "FAIL");
    assert_non_null(strstr(f.recorder.error.message, "If-None-Match"));
    close_fixture(&f);
}

/* ---- hooks ---- */

struct asked {
    unsigned refreshed, failures;
    enum hooks_verdict verdict;
    struct error error;
    bool refuse;
};

static bool refresh(void *user, struct fields *fields, struct error *e) {
    struct asked *asked = user;
    char token[32];
    snprintf(token, sizeof token, "t%u", ++asked->refreshed);
    if (asked->refuse) {
        return error_set(e, ERROR_SCRIPT, "no token");
    }
    return fields_header(fields, SLICE("authorization"), slice_from(token), e) &&
           fields_param(fields, SLICE("z&"), slice_from(token), e);
}

static enum hooks_verdict on_error(void *user, const struct error *e, bool retrying) {
    struct asked *asked = user;
    (void)retrying;
    asked->failures++;
    asked->error = *e;
    return asked->verdict;
}

static void test_refresh_before_every_request(void **state) {
    (void)state;
    static const struct reply replies[] = {
        {.status = 401},
        {.status = 500},
        {.status = 200, .fields = JSON TAIL("1"), .body = "[1]"},
        {.status = 204, .fields = SHUT("1")},
    };
    const struct http_field own = {SLICE("Authorization"), SLICE("old")};
    struct asked asked = {.verdict = HOOKS_RETRY};
    struct fixture f;
    open_fixture(&f, replies, COUNT(replies));
    f.options.live = SOURCE_LIVE_LONG_POLL;
    f.options.fields = &own;
    f.options.field_count = 1;
    f.options.hooks = (struct hooks){.user = &asked, .refresh = refresh, .on_error = on_error};
    run(&f, "<[1]>1^;>1^$;EOF");
    assert_int_equal(asked.failures, 2);
    expect_sent(&f, 0, "GET /s?offset=-1&z%26=t1 ");
    expect_sent(&f, 3, "live=long-poll&offset=1&z%26=t4 ");
    expect_sent(&f, 3, "authorization: t4\r\n");
    assert_null(strstr(f.server.requests[3], "old"));
    close_fixture(&f);
}

static void test_verdicts(void **state) {
    (void)state;
    static const struct reply busy[] = {{.status = 503}};
    static const struct reply gone[] = {{.status = 410}};
    struct asked asked = {.verdict = HOOKS_STOP};
    struct fixture f;
    open_fixture(&f, busy, 1);
    f.options.hooks = (struct hooks){.user = &asked, .on_error = on_error};
    run(&f, "FAIL");
    assert_int_equal(f.server.request_count, 1);
    assert_int_equal(asked.error.status, 503);
    close_fixture(&f);

    asked = (struct asked){.verdict = HOOKS_DEFAULT};
    open_fixture(&f, gone, 1);
    f.options.hooks = (struct hooks){.user = &asked, .on_error = on_error};
    run(&f, "FAIL");
    assert_int_equal(asked.error.code, ERROR_GONE);
    assert_int_equal(f.server.request_count, 1);
    close_fixture(&f);

    asked = (struct asked){.refuse = true};
    open_fixture(&f, gone, 1);
    f.options.hooks = (struct hooks){.user = &asked, .refresh = refresh};
    run(&f, "FAIL");
    assert_int_equal(f.recorder.error.code, ERROR_SCRIPT);
    assert_int_equal(f.server.request_count, 0);
    close_fixture(&f);
}

static void test_counted_retries(void **state) {
    (void)state;
    static const struct reply replies[] = {{.status = 500}};
    struct retry retry = {.max_retries = 4, .first_ms = 1, .max_ms = 2, .multiplier = 1.5};
    struct fixture f;
    open_fixture(&f, replies, 1);
    f.options.retry = &retry;
    run(&f, "FAIL");
    assert_int_equal(f.server.request_count, 5);
    assert_int_equal(f.recorder.error.status, 500);
    close_fixture(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bytes),
        cmocka_unit_test(test_text_by_sse),
        cmocka_unit_test(test_binary_by_sse),
        cmocka_unit_test(test_direct_long_poll),
        cmocka_unit_test(test_silent_sse_and_back),
        cmocka_unit_test(test_entity_tag),
        cmocka_unit_test(test_refresh_before_every_request),
        cmocka_unit_test(test_verdicts),
        cmocka_unit_test(test_counted_retries),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
