/* Reading a stream by HTTP, against scripted answers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "loopback.h"
#include "recorder.h"

#define JSON "Content-Type: application/json\r\n"
#define NEXT(offset) JSON "Stream-Next-Offset: " offset "\r\n"
#define TAIL(offset) NEXT(offset) "Stream-Up-To-Date: true\r\n"
#define SHUT(offset) TAIL(offset) "Stream-Closed: true\r\n"
#define EVENTS "Content-Type: text/event-stream\r\n"

struct fixture {
    struct loop *loop;
    struct http *http;
    struct log log;
    struct loopback server;
    struct recorder recorder;
    struct source_options options;
    char url[128];
};

static void open_fixture(struct fixture *f, const struct reply *replies, size_t count) {
    struct error e;
    memset(f, 0, sizeof *f);
    f->loop = loop_new(&e);
    assert_non_null(f->loop);
    f->http = http_new(f->loop, &e);
    assert_non_null(f->http);
    f->log = (struct log){.file = stderr, .level = LOG_OFF};
    loopback_open(&f->server, f->loop, replies, count);
    recorder_init(&f->recorder);
    snprintf(f->url, sizeof f->url, "http://127.0.0.1:%d/s", f->server.port);
    f->options = (struct source_options){
        .loop = f->loop,
        .http = f->http,
        .log = &f->log,
        .location = f->url,
        .live = SOURCE_LIVE_NO,
        .first_limit_ms = 60 * 1000,
        .outage_limit_ms = 60 * 1000,
        .sink = recorder_sink(&f->recorder),
    };
}

static void start(struct fixture *f) {
    struct error e;
    f->recorder.source = source_open(&f->options, &e);
    assert_non_null(f->recorder.source);
}

static void run(struct fixture *f) {
    start(f);
    assert_true(loop_run_until(f->loop, recorder_over, &f->recorder));
}

static void close_fixture(struct fixture *f) {
    struct error e = {0};
    assert_true(f->recorder.eofs + f->recorder.fails <= 1);
    source_close(f->recorder.source);
    loopback_close(&f->server);
    http_free(f->http);
    if (!loop_free(f->loop, &e)) {
        fail_msg("%s", e.message);
    }
    loopback_free(&f->server);
    buf_free(&f->recorder.text);
}

static void expect_request(struct fixture *f, size_t n, const char *line) {
    assert_true(n < f->server.request_count);
    char want[512];
    snprintf(want, sizeof want, "GET %s HTTP/1.1\r\n", line);
    assert_memory_equal(f->server.requests[n], want, strlen(want));
}

#define COUNT(a) (sizeof(a) / sizeof *(a))
#define RUN(f, replies) (open_fixture(&(f), replies, COUNT(replies)), run(&(f)))

static void test_catch_up(void **state) {
    (void)state;
    static const struct reply replies[] = {
        {.status = 200, .fields = NEXT("1_a"), .body = "[1,2]"},
        {.status = 200, .fields = NEXT("1_b"), .body = "[3]", .frame = LOOPBACK_CHUNKED, .split = 1},
        {.status = 200, .fields = TAIL("1_c d"), .body = "[]"},
    };
    struct fixture f;
    RUN(f, replies);
    assert_string_equal(recorder_text(&f.recorder), "<[1,2]>1_a;<[3]>1_b;<[]>1_c d^;EOF");
    expect_request(&f, 0, "/s?offset=-1");
    expect_request(&f, 1, "/s?offset=1_a");
    expect_request(&f, 2, "/s?offset=1_b");
    assert_non_null(strstr(f.server.requests[0], "Accept-Encoding: identity")); /* to this machine */
    close_fixture(&f);
}

static void test_closed_stream_ends_in_every_mode(void **state) {
    (void)state;
    static const struct reply replies[] = {{.status = 200, .fields = SHUT("9"), .body = NULL}};
    for (int live = SOURCE_LIVE_NO; live <= SOURCE_LIVE_LONG_POLL; live++) {
        struct fixture f;
        open_fixture(&f, replies, 1);
        f.options.live = (enum source_live)live;
        run(&f);
        assert_string_equal(recorder_text(&f.recorder), ">9^$;EOF");
        assert_int_equal(f.server.request_count, 1);
        close_fixture(&f);
    }
}

static void test_query_is_merged_and_sorted(void **state) {
    (void)state;
    static const struct reply replies[] = {
        {.status = 200, .fields = TAIL("5") "Stream-Cursor: c 1\r\n", .body = "[]"},
        {.status = 204, .fields = "Stream-Next-Offset: 5\r\nStream-Closed: true\r\n"},
    };
    struct fixture f;
    open_fixture(&f, replies, COUNT(replies));
    strcat(f.url, "?z=1&offset=old&a=%20x&live=no#part");
    f.options.offset = "4/4";
    f.options.live = SOURCE_LIVE_LONG_POLL;
    run(&f);
    expect_request(&f, 0, "/s?a=%20x&offset=4%2F4&z=1");
    expect_request(&f, 1, "/s?a=%20x&cursor=c%201&live=long-poll&offset=5&z=1");
    assert_string_equal(recorder_text(&f.recorder), "<[]>5^;>5^$;EOF");
    close_fixture(&f);
}

static void test_long_poll(void **state) {
    (void)state;
    static const struct reply replies[] = {
        {.status = 200, .fields = TAIL("1"), .body = "[1]"},
        {.status = 204, .fields = "Stream-Next-Offset: 1\r\nStream-Up-To-Date: true\r\nStream-Cursor: 7\r\n"},
        {.status = 200, .fields = TAIL("2") "Stream-Cursor: 8\r\n", .body = "[2]"},
        {.status = 204,
         .fields = "Stream-Next-Offset: 2\r\nStream-Up-To-Date: true\r\nStream-Closed: true\r\n"},
    };
    struct fixture f;
    open_fixture(&f, replies, COUNT(replies));
    f.options.live = SOURCE_LIVE_LONG_POLL;
    run(&f);
    assert_string_equal(recorder_text(&f.recorder), "<[1]>1^;>1^;<[2]>2^;>2^$;EOF");
    expect_request(&f, 2, "/s?cursor=7&live=long-poll&offset=1");
    expect_request(&f, 3, "/s?cursor=8&live=long-poll&offset=2");
    close_fixture(&f);
}

#define CONTROL(offset)                                                                                      \
    "event: control\ndata: {\"streamNextOffset\":\"" offset "\",\"streamCursor\":\"k\"}\n\n"
#define CONTROL_TAIL(offset)                                                                                 \
    "event: control\ndata: {\"streamNextOffset\":\"" offset "\",\"streamCursor\":\"k\",\"upToDate\":true}"   \
    "\n\n"
#define CONTROL_SHUT(offset)                                                                                 \
    "event: control\ndata: {\"streamNextOffset\":\"" offset "\",\"streamClosed\":true}\n\n"
#define DATA(text) "event: data\ndata:" text "\n\n"

static void test_sse(void **state) {
    (void)state;
    static const char body[] = CONTROL_TAIL("1") ": sign of life\n\n" DATA("[2]") DATA("[3]")
        CONTROL_TAIL("3") CONTROL_TAIL("3") DATA("[\ndata: 4\ndata: ]") CONTROL("4") CONTROL_TAIL("4")
            DATA("[5]") CONTROL_SHUT("5");
    for (size_t split = 0; split < 9; split++) {
        const struct reply replies[] = {
            {.status = 200, .fields = TAIL("1"), .body = "[1]"},
            {.status = 200,
             .fields = EVENTS,
             .body = body,
             .frame = LOOPBACK_CHUNKED,
             .split = split * 5,
             .hold = true},
        };
        struct fixture f;
        open_fixture(&f, replies, COUNT(replies));
        f.options.live = SOURCE_LIVE_AUTO;
        run(&f);
        assert_string_equal(recorder_text(&f.recorder), "<[1]>1^;<[2]<[3]>3^;<[\n4\n]>4;>4^;<[5]>5^$;EOF");
        expect_request(&f, 1, "/s?live=sse&offset=1");
        assert_non_null(strstr(f.server.requests[1], "Accept: text/event-stream"));
        close_fixture(&f);
    }
}

static void test_sse_reconnects_from_the_last_control(void **state) {
    (void)state;
    static const struct reply replies[] = {
        {.status = 200, .fields = TAIL("1"), .body = "[1]"},
        /* A regular end; an end inside a chunk; one inside an event; a drop. */
        {.status = 200, .fields = EVENTS, .body = DATA("[2]") CONTROL_TAIL("2"), .frame = LOOPBACK_CHUNKED},
        {.status = 200,
         .fields = EVENTS,
         .body = DATA("[3]") CONTROL_TAIL("3") DATA("[4]"),
         .frame = LOOPBACK_CHUNKED},
        {.status = 200,
         .fields = EVENTS,
         .body = DATA("[4]") CONTROL_TAIL("4") "event: data\ndata: [5",
         .frame = LOOPBACK_CHUNKED,
         .cut = true},
        {.status = 0},
        {.status = 200, .fields = NEXT("5"), .body = "[5]"},
        {.status = 200, .fields = TAIL("5"), .body = "[]"},
        {.status = 200, .fields = EVENTS, .body = CONTROL_SHUT("5"), .frame = LOOPBACK_CHUNKED},
    };
    struct fixture f;
    open_fixture(&f, replies, COUNT(replies));
    f.options.live = SOURCE_LIVE_SSE;
    run(&f);
    assert_string_equal(recorder_text(&f.recorder),
                        "<[1]>1^;<[2]>2^;<[3]>3^;<[4]!<[4]>4^;<[5]>5;<[]>5^;>5^$;EOF");
    expect_request(&f, 2, "/s?cursor=k&live=sse&offset=2");
    expect_request(&f, 3, "/s?cursor=k&live=sse&offset=3");
    expect_request(&f, 4, "/s?cursor=k&live=sse&offset=4");
    expect_request(&f, 5, "/s?offset=4"); /* after a failure it catches up first */
    close_fixture(&f);
}

static void test_sse_that_is_not_there_falls_back(void **state) {
    (void)state;
    const struct reply sse[] = {
        {.status = 400, .fields = "Content-Type: text/plain\r\n", .body = "no live mode of that name"},
        {.status = 200, .fields = "Content-Type: text/html\r\n", .body = "<html>"},
        {.status = 200, .fields = TAIL("1"), .body = "[]"},
    };
    for (size_t i = 0; i < COUNT(sse); i++) {
        const struct reply replies[] = {
            {.status = 200, .fields = TAIL("1"), .body = "[1]"},
            sse[i],
            {.status = 204, .fields = "Stream-Next-Offset: 1\r\nStream-Closed: true\r\n"},
        };
        struct fixture f;
        open_fixture(&f, replies, COUNT(replies));
        f.options.live = SOURCE_LIVE_AUTO;
        run(&f);
        assert_string_equal(recorder_text(&f.recorder), "<[1]>1^;>1^$;EOF");
        expect_request(&f, 2, "/s?live=long-poll&offset=1");
        close_fixture(&f);

        open_fixture(&f, replies, COUNT(replies));
        f.options.live = SOURCE_LIVE_SSE; /* who asks for it by name is told */
        run(&f);
        assert_string_equal(recorder_text(&f.recorder), "<[1]>1^;FAIL");
        close_fixture(&f);
    }
}

static void test_broken_control_is_tried_again(void **state) {
    (void)state;
    static const struct reply replies[] = {
        {.status = 200, .fields = TAIL("1"), .body = "[1]"},
        {.status = 200,
         .fields = EVENTS,
         .body = DATA("[2]") "event: control\ndata: {\"streamNext\n\n",
         .frame = LOOPBACK_CHUNKED,
         .hold = true},
        {.status = 200, .fields = SHUT("2"), .body = "[2]"},
    };
    struct fixture f;
    open_fixture(&f, replies, COUNT(replies));
    f.options.live = SOURCE_LIVE_SSE;
    run(&f);
    assert_string_equal(recorder_text(&f.recorder), "<[1]>1^;<[2]!<[2]>2^$;EOF");
    close_fixture(&f);
}

static void test_binary_streams_are_refused(void **state) {
    (void)state;
    static const struct reply replies[] = {
        {.status = 200, .fields = TAIL("1"), .body = "[1]"},
        {.status = 200, .fields = EVENTS "stream-sse-data-encoding: base64\r\n", .body = DATA("AAAA")},
    };
    struct fixture f;
    open_fixture(&f, replies, COUNT(replies));
    f.options.live = SOURCE_LIVE_AUTO;
    run(&f);
    assert_string_equal(recorder_text(&f.recorder), "<[1]>1^;FAIL");
    assert_non_null(strstr(f.recorder.error.message, "base64"));
    close_fixture(&f);
}

static void test_failures_are_tried_again(void **state) {
    (void)state;
    static const struct reply replies[] = {
        {.status = 0},
        {.status = 503},
        {.status = 429, .fields = "Retry-After: 0\r\n"},
        {.status = 200, .fields = NEXT("1"), .body = "[1,2,3", .cut = true},
        {.status = 200, .fields = NEXT("1"), .body = "[1,2,3]", .frame = LOOPBACK_CHUNKED, .cut = true},
        {.status = 500, .body = "oops"},
        {.status = 200, .fields = TAIL("1"), .body = "[1,2,3]"},
    };
    struct fixture f;
    RUN(f, replies);
    assert_string_equal(recorder_text(&f.recorder), "<[1,2,3!<[1,2,3]!<[1,2,3]>1^;EOF");
    for (size_t i = 0; i < COUNT(replies); i++) {
        expect_request(&f, i, "/s?offset=-1");
    }
    close_fixture(&f);
}

static void test_retry_after_is_a_floor(void **state) {
    (void)state;
    static const struct reply replies[] = {
        {.status = 503, .fields = "Retry-After: 1\r\n"},
        {.status = 200, .fields = TAIL("1"), .body = "[]"},
    };
    struct fixture f;
    uint64_t before = uv_hrtime();
    RUN(f, replies);
    assert_true(uv_hrtime() - before >= 990 * 1000000ULL);
    close_fixture(&f);

    static const struct reply late[] = {{.status = 503, .fields = "Retry-After: 3600\r\n"}};
    RUN(f, late);
    assert_string_equal(recorder_text(&f.recorder), "FAIL");
    assert_int_equal(f.recorder.error.status, 503);
    assert_non_null(strstr(f.recorder.error.message, "3600"));
    assert_int_equal(f.server.request_count, 1);
    close_fixture(&f);
}

/* Runs it with a limit that is soon over, until it fails with that code and text, after so many requests. Where the
 * machine stands still a limit may be over sooner, or in the middle of a request: then there is twice the time. */
static void give_up(struct fixture *f, const struct reply *replies, size_t count, const char *where,
                    enum error_code code, const char *part, size_t requests) {
    for (uint64_t ms = 300; ms < 20 * 1000; ms *= 2) {
        open_fixture(f, replies, count);
        if (where) {
            snprintf(f->url, sizeof f->url, "%s", where);
        }
        f->options.first_limit_ms = f->options.outage_limit_ms = ms;
        run(f);
        const struct error *e = &f->recorder.error;
        if (e->code == code && strstr(e->message, part) && f->server.request_count >= requests) {
            return;
        }
        close_fixture(f);
    }
    fail_msg("it does not end with %s", part);
}

static void test_gives_up(void **state) {
    (void)state;
    static const struct reply replies[] = {{.status = 503}};
    struct fixture f;
    give_up(&f, replies, 1, NULL, ERROR_HTTP, "gave up after", 2);
    assert_string_equal(recorder_text(&f.recorder), "FAIL");
    assert_int_equal(f.recorder.error.status, 503);
    assert_non_null(strstr(f.recorder.error.message, f.url));
    close_fixture(&f);

    /* Nothing listens; and something listens but never answers. */
    give_up(&f, replies, 1, "http://user:word@127.0.0.1:1/s?token=word", ERROR_NETWORK, "gave up after", 0);
    assert_null(strstr(f.recorder.error.message, "word"));
    close_fixture(&f);

    static const struct reply silent[] = {{.status = 200, .delay_ms = 60 * 1000}};
    uint64_t before = uv_hrtime();
    give_up(&f, silent, 1, NULL, ERROR_TIMEOUT, "gave up after", 1);
    assert_true(uv_hrtime() - before < 50 * 1000000000ULL);
    close_fixture(&f);

    static const struct reply outage[] = {{.status = 200, .fields = NEXT("1"), .body = "[1]"}, {.status = 0}};
    give_up(&f, outage, 2, NULL, ERROR_NETWORK, "gave up after", 2);
    assert_string_equal(recorder_text(&f.recorder), "<[1]>1;FAIL");
    close_fixture(&f);
}

static void test_answers_that_end_it(void **state) {
    (void)state;
    static const struct {
        struct reply reply;
        enum error_code code;
        const char *says;
    } cases[] = {
        {{.status = 404, .body = "Stream not found"}, ERROR_NOT_FOUND, "Stream not found"},
        {{.status = 410}, ERROR_GONE, "offset -1"},
        {{.status = 400, .body = "Invalid offset\nsecond line"}, ERROR_HTTP, "Invalid offset"},
        {{.status = 401}, ERROR_HTTP, "Authorization"},
        {{.status = 403}, ERROR_HTTP, "403"},
        {{.status = 418}, ERROR_HTTP, "418"},
        {{.status = 200, .fields = JSON, .body = "[]"}, ERROR_HTTP, "Stream-Next-Offset"},
        {{.status = 200, .fields = "Content-Type: text/html\r\n", .body = "<p>"},
         ERROR_HTTP,
         "answered text/html: expected application/json"},
        {{.status = 200, .body = "x"}, ERROR_HTTP, "no content type"},
        {{.status = 200, .fields = "Content-Type: application/x-ndjson\r\n"}, ERROR_HTTP, "x-ndjson"},
        {{.status = 302, .fields = "Location: file:///etc/passwd\r\n"}, ERROR_ARGUMENT, "file"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct fixture f;
        open_fixture(&f, &cases[i].reply, 1);
        run(&f);
        assert_string_equal(recorder_text(&f.recorder), "FAIL");
        assert_int_equal(f.recorder.error.code, cases[i].code);
        if (!strstr(f.recorder.error.message, cases[i].says) || !strstr(f.recorder.error.message, f.url)) {
            fail_msg("case %zu: %s", i, f.recorder.error.message);
        }
        assert_int_equal(f.server.request_count, 1);
        close_fixture(&f);
    }
}

/* A body that is lost on its way must not move the offset. */
static void test_offset_does_not_move_without_a_body(void **state) {
    (void)state;
    static const struct reply replies[] = {
        {.status = 200, .fields = NEXT("0_1") "Content-Encoding: gzip\r\n", .body = "\x1f"}, /* cut */
        {.status = 200, .fields = NEXT("0_1"), .body = "[1]"},
        {.status = 200, .fields = TAIL("0_2")},
        {.status = 200, .fields = TAIL("0_2"), .body = "[2]"},
        {.status = 204,
         .fields = "Stream-Next-Offset: 0_3\r\nStream-Up-To-Date: true\r\nStream-Closed: true\r\n"},
        {.status = 200, .fields = SHUT("0_3"), .body = "[3]"},
    };
    struct fixture f;
    open_fixture(&f, replies, COUNT(replies));
    f.options.live = SOURCE_LIVE_LONG_POLL;
    run(&f);
    assert_string_equal(recorder_text(&f.recorder), "<[1]>0_1;<[2]>0_2^;>0_2;<[3]>0_3^$;EOF");
    close_fixture(&f);
}

static void test_stuck_server(void **state) {
    (void)state;
    static const struct reply replies[] = {{.status = 200, .fields = NEXT("1"), .body = "[]"}};
    struct fixture f;
    RUN(f, replies);
    assert_int_equal(f.recorder.fails, 1);
    assert_non_null(strstr(f.recorder.error.message, "stay at offset 1"));
    assert_true(f.server.request_count < 110);
    close_fixture(&f);
}

static void test_offset_never_goes_back(void **state) {
    (void)state;
    static const struct reply replies[] = {
        {.status = 200, .fields = TAIL("0_5"), .body = "[5]"},
        {.status = 200, .fields = TAIL("0_4"), .body = "[]"},
        {.status = 200, .fields = TAIL("0_6"), .body = "[6]"},
        {.status = 204, .fields = "Stream-Next-Offset: 0_6\r\nStream-Closed: true\r\n"},
    };
    struct fixture f;
    open_fixture(&f, replies, COUNT(replies));
    f.options.live = SOURCE_LIVE_LONG_POLL;
    run(&f);
    assert_string_equal(recorder_text(&f.recorder), "<[5]>0_5^;<[6]>0_6^;>0_6^$;EOF");
    expect_request(&f, 2, "/s?live=long-poll&offset=0_5");
    close_fixture(&f);

    static const struct reply sse[] = {
        {.status = 200, .fields = TAIL("0_5"), .body = "[5]"},
        {.status = 200,
         .fields = EVENTS,
         .body = DATA("[6]") CONTROL("0_6") CONTROL_TAIL("0_5") DATA("[6]") CONTROL_TAIL("0_6"),
         .frame = LOOPBACK_CHUNKED,
         .hold = true},
        {.status = 200, .fields = EVENTS, .body = CONTROL_SHUT("0_6"), .frame = LOOPBACK_CHUNKED},
    };
    open_fixture(&f, sse, COUNT(sse));
    f.options.live = SOURCE_LIVE_SSE;
    run(&f);
    assert_string_equal(recorder_text(&f.recorder), "<[5]>0_5^;<[6]>0_6;>0_6^$;EOF");
    expect_request(&f, 2, "/s?cursor=k&live=sse&offset=0_6");
    close_fixture(&f);

    static const struct reply anew[] = {{.status = 200, .fields = TAIL("0_1"), .body = "[1]"}};
    bool said = false;
    for (uint64_t ms = 600; !said && ms < 20 * 1000; ms *= 2) { /* see give_up */
        open_fixture(&f, anew, 1);
        f.options.offset = "0_9";
        f.options.first_limit_ms = ms;
        run(&f);
        assert_string_equal(recorder_text(&f.recorder), "FAIL");
        said = strstr(f.recorder.error.message, "made anew") != NULL;
        close_fixture(&f);
    }
    assert_true(said);
}

/* ---- what the consumer asks for ---- */

static void reject_all(struct recorder *r, const struct source_chunk *chunk) {
    (void)chunk;
    struct error why;
    error_set(&why, ERROR_SYNTAX, "not an array");
    source_reject(r->source, &why);
}

static void reject_once_in_bytes(struct recorder *r) {
    struct error why;
    error_set(&why, ERROR_SYNTAX, "not an array");
    r->on_bytes = NULL;
    source_reject(r->source, &why);
}

static void test_reject(void **state) {
    (void)state;
    static const struct reply replies[] = {{.status = 200, .fields = SHUT("1"), .body = "[1,"}};
    struct fixture f;
    open_fixture(&f, replies, 1);
    f.recorder.on_end = reject_all;
    run(&f);
    assert_string_equal(recorder_text(&f.recorder), "<[1,>1^$;<[1,>1^$;<[1,>1^$;FAIL");
    assert_string_equal(f.recorder.error.message, "not an array");
    expect_request(&f, 2, "/s?offset=-1");
    close_fixture(&f);

    open_fixture(&f, replies, 1);
    f.recorder.on_bytes = reject_once_in_bytes;
    run(&f);
    assert_string_equal(recorder_text(&f.recorder), "<[1,<[1,>1^$;EOF");
    close_fixture(&f);
}

static void seek_once(struct recorder *r, const struct source_chunk *chunk) {
    if (slice_is(chunk->offset, "2")) {
        r->on_end = NULL;
        source_seek(r->source, "1");
    }
}

static void test_seek(void **state) {
    (void)state;
    static const struct reply replies[] = {
        {.status = 200, .fields = NEXT("1"), .body = "[1]"},
        {.status = 200, .fields = SHUT("2"), .body = "[2]"},
        {.status = 200, .fields = SHUT("2"), .body = "[2]"},
    };
    struct fixture f;
    open_fixture(&f, replies, COUNT(replies));
    f.recorder.on_end = seek_once;
    run(&f);
    assert_string_equal(recorder_text(&f.recorder), "<[1]>1;<[2]>2^$;<[2]>2^$;EOF");
    expect_request(&f, 2, "/s?offset=1");

    f.recorder.eofs = 0; /* and after the end */
    source_seek(f.recorder.source, "-1");
    assert_true(loop_run_until(f.loop, recorder_over, &f.recorder));
    expect_request(&f, 3, "/s?offset=-1");
    close_fixture(&f);
}

static bool has_requests(void *arg) {
    struct fixture *f = arg;
    return f->server.request_count >= 2 || f->recorder.bytes > 0;
}

static bool has_bytes(void *arg) {
    return ((struct recorder *)arg)->bytes > 0;
}

static void close_now(struct recorder *r) {
    source_close(r->source);
    r->source = NULL;
}

static void test_close_anywhere(void **state) {
    (void)state;
    static const struct reply replies[] = {
        {.status = 200, .fields = TAIL("1"), .body = "[1]"},
        {.status = 200,
         .fields = EVENTS,
         .body = DATA("[2]") DATA("[3]"),
         .frame = LOOPBACK_CHUNKED,
         .hold = true},
    };
    struct fixture f;
    open_fixture(&f, replies, COUNT(replies)); /* before it began */
    start(&f);
    close_fixture(&f);

    open_fixture(&f, replies, COUNT(replies)); /* within a report */
    f.recorder.on_bytes = close_now;
    start(&f);
    assert_true(loop_run_until(f.loop, has_bytes, &f.recorder));
    assert_string_equal(recorder_text(&f.recorder), "<[1]");
    close_fixture(&f);

    open_fixture(&f, replies, COUNT(replies)); /* between reports */
    f.options.live = SOURCE_LIVE_SSE;
    start(&f);
    assert_true(loop_run_until(f.loop, has_requests, &f));
    close_fixture(&f);
}

struct pausing {
    struct loop_timer timer;
    struct recorder *recorder;
    uint64_t seen, most;
    unsigned rounds;
};

static void pause_now(struct recorder *r) {
    struct pausing *p = r->user;
    if (!p->timer.task.queued && !uv_is_active((uv_handle_t *)&p->timer.uv)) {
        source_pause(r->source);
        p->seen = r->bytes;
        loop_timer_start(&p->timer, 2);
    } else if (r->bytes - p->seen > p->most) {
        p->most = r->bytes - p->seen; /* came although paused */
    }
}

static void resume_later(struct loop_task *task) {
    struct pausing *p = task->owner;
    p->rounds++;
    source_resume(p->recorder->source);
}

static void test_pause(void **state) {
    (void)state;
    enum { BYTES = 4 * 1024 * 1024 };
    char *body = malloc(BYTES + 1);
    memset(body, ' ', BYTES);
    body[0] = '[';
    body[BYTES - 1] = ']';
    body[BYTES] = '\0';
    const struct reply replies[] = {{.status = 200, .fields = SHUT("1"), .body = body, .body_len = BYTES}};
    struct fixture f;
    open_fixture(&f, replies, 1);
    struct pausing p = {.recorder = &f.recorder};
    loop_timer_init(f.loop, &p.timer, resume_later, &p);
    f.recorder.quiet = true;
    f.recorder.user = &p;
    f.recorder.on_bytes = pause_now;
    run(&f);
    assert_string_equal(recorder_text(&f.recorder), "<>1^$;EOF");
    assert_int_equal(f.recorder.bytes, BYTES);
    assert_int_equal(p.most, 0);
    assert_true(p.rounds > 20);
    loop_timer_close(&p.timer, NULL);
    close_fixture(&f);
    free(body);
}

static void test_locations(void **state) {
    (void)state;
    struct error e;
    struct source_options o = {.location = "ftp://user:word@host/x"};
    assert_null(source_open(&o, &e));
    assert_int_equal(e.code, ERROR_ARGUMENT);
    assert_null(strstr(e.message, "word"));
    assert_true(source_is_url("HTTPS://x"));
    assert_false(source_is_url("http.json"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_catch_up),
        cmocka_unit_test(test_closed_stream_ends_in_every_mode),
        cmocka_unit_test(test_query_is_merged_and_sorted),
        cmocka_unit_test(test_long_poll),
        cmocka_unit_test(test_sse),
        cmocka_unit_test(test_sse_reconnects_from_the_last_control),
        cmocka_unit_test(test_sse_that_is_not_there_falls_back),
        cmocka_unit_test(test_broken_control_is_tried_again),
        cmocka_unit_test(test_binary_streams_are_refused),
        cmocka_unit_test(test_failures_are_tried_again),
        cmocka_unit_test(test_retry_after_is_a_floor),
        cmocka_unit_test(test_gives_up),
        cmocka_unit_test(test_answers_that_end_it),
        cmocka_unit_test(test_offset_does_not_move_without_a_body),
        cmocka_unit_test(test_stuck_server),
        cmocka_unit_test(test_offset_never_goes_back),
        cmocka_unit_test(test_reject),
        cmocka_unit_test(test_seek),
        cmocka_unit_test(test_close_anywhere),
        cmocka_unit_test(test_pause),
        cmocka_unit_test(test_locations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
