/* Appending to a stream, against scripted answers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buf.h"
#include "loopback.h"
#include "stream/writer.h"

#define NEXT(offset) "Stream-Next-Offset: " offset "\r\n"

struct fixture {
    struct loop *loop;
    struct http *http;
    struct log log;
    struct loopback server;
    struct writer *writer;
    struct writer_options options;
    struct buf text; /* what done was told: an offset or an error's name, each with ";" */
    struct error error;
    unsigned dones, wanted;
    bool close_in_done;
    char url[128];
};

static void open_fixture(struct fixture *f, const struct reply *replies, size_t count) {
    struct error e;
    memset(f, 0, sizeof *f);
    f->loop = loop_new(&e);
    f->http = http_new(f->loop, &e);
    f->log = (struct log){.file = stderr, .level = LOG_OFF};
    loopback_open(&f->server, f->loop, replies, count);
    buf_init(&f->text, 1 << 16);
    snprintf(f->url, sizeof f->url, "http://127.0.0.1:%d/s", f->server.port);
    f->options = (struct writer_options){
        .loop = f->loop, .http = f->http, .log = &f->log, .url = f->url, .limit_ms = 60 * 1000};
}

static void close_fixture(struct fixture *f) {
    struct error e = {0};
    writer_close(f->writer);
    loopback_close(&f->server);
    http_free(f->http);
    if (!loop_free(f->loop, &e)) {
        fail_msg("%s", e.message);
    }
    loopback_free(&f->server);
    buf_free(&f->text);
}

static void on_done(void *user, struct slice offset, const struct error *e) {
    struct fixture *f = user;
    f->dones++;
    f->error = *e;
    if (e->code == ERROR_NONE) {
        buf_printf(&f->text, "%.*s;", offset.ptr ? (int)offset.len : 1, offset.ptr ? offset.ptr : "-");
    } else {
        buf_printf(&f->text, "%s;", error_name(e->code));
    }
    if (f->close_in_done) {
        writer_close(f->writer);
        f->writer = NULL;
    }
}

static bool is_done(void *arg) {
    struct fixture *f = arg;
    return f->dones >= f->wanted;
}

static void append(struct fixture *f, const char *body) {
    struct error e;
    if (!f->writer) {
        f->writer = writer_new(&f->options, &e);
        assert_non_null(f->writer);
    }
    assert_true(writer_append(f->writer, slice_from(body), on_done, f, &e));
    f->wanted++;
}

static void wait_for_all(struct fixture *f, const char *text) {
    assert_true(loop_run_until(f->loop, is_done, f));
    buf_append_byte(&f->text, '\0');
    assert_string_equal(f->text.ptr, text);
}

/* "EPOCH/SEQ BODY" of the n-th request. */
static void expect_request(struct fixture *f, size_t n, const char *text) {
    char got[256];
    loopback_append(&f->server, n, got, sizeof got);
    assert_string_equal(got, text);
}

#define COUNT(a) (sizeof(a) / sizeof *(a))

static void test_appends_in_order(void **state) {
    (void)state;
    static const struct reply replies[] = {
        {.status = 200, .fields = NEXT("1")}, {.status = 204}, {.status = 204, .fields = NEXT("3")}};
    struct fixture f;
    open_fixture(&f, replies, COUNT(replies));
    append(&f, "{\"a\":1}");
    append(&f, "[1]");
    append(&f, "3");
    assert_int_equal(writer_pending(f.writer), 3);
    wait_for_all(&f, "1;-;3;");
    assert_int_equal(writer_pending(f.writer), 0);
    expect_request(&f, 0, "0/0 [{\"a\":1}]");
    expect_request(&f, 1, "0/1 [[1]]");
    expect_request(&f, 2, "0/2 [3]");
    assert_non_null(strstr(f.server.requests[0], "Content-Type: application/json\r\n"));
    const char *id = strstr(f.server.requests[0], "Producer-Id: ");
    assert_non_null(id);
    assert_int_equal(id[13 + 14], '4'); /* a random UUID */
    assert_non_null(strstr(f.server.requests[2], "Producer-Id: "));
    assert_memory_equal(strstr(f.server.requests[2], "Producer-Id: "), id, 49);
    close_fixture(&f);
}

static void test_other_content_is_sent_as_it_is(void **state) {
    (void)state;
    static const struct reply replies[] = {{.status = 204, .fields = NEXT("1")}};
    struct fixture f;
    open_fixture(&f, replies, 1);
    f.options.content_type = "text/plain";
    append(&f, "plain");
    wait_for_all(&f, "1;");
    expect_request(&f, 0, "0/0 plain");
    close_fixture(&f);
}

static void test_retries_carry_the_same_number(void **state) {
    (void)state;
    static const struct reply replies[] = {
        {.status = 0},
        {.status = 503, .fields = "Retry-After: 0\r\n"},
        {.status = 429},
        {.status = 204},
        {.status = 200, .fields = NEXT("2")},
    };
    struct fixture f;
    open_fixture(&f, replies, COUNT(replies));
    append(&f, "1");
    append(&f, "2");
    wait_for_all(&f, "-;2;");
    for (size_t i = 0; i < 4; i++) {
        expect_request(&f, i, "0/0 [1]");
    }
    expect_request(&f, 4, "0/1 [2]");
    close_fixture(&f);
}

static void test_failures_raise_the_epoch(void **state) {
    (void)state;
    static const struct reply replies[] = {
        {.status = 200, .fields = NEXT("1")},
        {.status = 400, .body = "not JSON\nat all"},
        {.status = 200, .fields = NEXT("3")},
    };
    struct fixture f;
    open_fixture(&f, replies, COUNT(replies));
    append(&f, "1");
    append(&f, "x");
    append(&f, "3");
    wait_for_all(&f, "1;http;3;");
    expect_request(&f, 1, "0/1 [x]");
    expect_request(&f, 2, "1/0 [3]");
    close_fixture(&f);
}

static void test_answers_that_end_it(void **state) {
    (void)state;
    static const struct {
        struct reply reply;
        enum error_code code;
        const char *says;
    } cases[] = {
        {{.status = 404}, ERROR_NOT_FOUND, "no such stream"},
        {{.status = 410}, ERROR_GONE, "410"},
        {{.status = 400, .body = "why\nnot"}, ERROR_HTTP, ": why"},
        {{.status = 403, .fields = "Producer-Epoch: 7\r\n"}, ERROR_HTTP, "another writer"},
        {{.status = 403}, ERROR_HTTP, "credentials"},
        {{.status = 409, .fields = "Stream-Closed: true\r\n" NEXT("9")}, ERROR_CLOSED, "closed"},
        {{.status = 409, .body = "Content-type mismatch"}, ERROR_CONFLICT, "Content-type mismatch"},
        {{.status = 413}, ERROR_HTTP, "too large"},
        {{.status = 501}, ERROR_HTTP, "does not do this"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct fixture f;
        open_fixture(&f, &cases[i].reply, 1);
        append(&f, "1");
        assert_true(loop_run_until(f.loop, is_done, &f));
        assert_int_equal(f.error.code, cases[i].code);
        if (!strstr(f.error.message, cases[i].says) || !strstr(f.error.message, f.url)) {
            fail_msg("case %zu: %s", i, f.error.message);
        }
        assert_int_equal(f.server.request_count, 1);
        close_fixture(&f);
    }
}

static void test_server_that_forgot_the_producer(void **state) {
    (void)state;
    static const struct reply replies[] = {
        {.status = 200, .fields = NEXT("1")},
        {.status = 409, .fields = "Producer-Expected-Seq: 0\r\nProducer-Received-Seq: 1\r\n"},
        {.status = 200, .fields = NEXT("2")},
        {.status = 409, .fields = "Producer-Expected-Seq: 0\r\n"},
        {.status = 409, .fields = "Producer-Expected-Seq: 0\r\n"},
    };
    struct fixture f;
    open_fixture(&f, replies, COUNT(replies));
    append(&f, "1");
    append(&f, "2");
    append(&f, "3");
    wait_for_all(&f, "1;2;conflict;");
    expect_request(&f, 2, "1/0 [2]");
    expect_request(&f, 3, "1/1 [3]");
    expect_request(&f, 4, "2/0 [3]"); /* once only */
    assert_int_equal(f.server.request_count, 5);
    close_fixture(&f);
}

static void test_gives_up(void **state) {
    (void)state;
    static const struct reply replies[] = {{.status = 503, .body = "busy"}};
    struct fixture f;
    open_fixture(&f, replies, 1);
    f.options.limit_ms = 2000; /* less, and it could be over in the middle of a request */
    append(&f, "1");
    append(&f, "2");
    wait_for_all(&f, "http;http;");
    expect_request(&f, f.server.request_count - 2, "0/0 [1]");
    expect_request(&f, f.server.request_count - 1, "1/0 [2]"); /* the second does not wait anew */
    assert_int_equal(f.error.status, 503);
    assert_non_null(strstr(f.error.message, "gave up"));
    close_fixture(&f);

    static const struct reply silent[] = {{.status = 200, .delay_ms = 60 * 1000}};
    open_fixture(&f, silent, 1);
    f.options.limit_ms = 200;
    append(&f, "1");
    wait_for_all(&f, "timeout;");
    close_fixture(&f);
}

static void test_queue_cap(void **state) {
    (void)state;
    static const struct reply replies[] = {{.status = 204}};
    struct fixture f;
    struct error e;
    open_fixture(&f, replies, 1);
    f.options.queue_max = 10;
    append(&f, "123456");
    assert_false(writer_append(f.writer, SLICE("1"), on_done, &f, &e));
    assert_int_equal(e.code, ERROR_LIMIT);
    assert_non_null(strstr(e.message, "queue_max"));
    assert_false(writer_append(f.writer, SLICE(""), on_done, &f, &e));
    assert_int_equal(e.code, ERROR_ARGUMENT);
    wait_for_all(&f, "-;");
    close_fixture(&f);
}

static void test_close(void **state) {
    (void)state;
    static const struct reply replies[] = {{.status = 204, .delay_ms = 5}};
    struct fixture f;
    open_fixture(&f, replies, 1); /* with a queue, before the first left */
    append(&f, "1");
    append(&f, "2");
    close_fixture(&f);
    assert_int_equal(f.dones, 0);

    open_fixture(&f, replies, 1); /* within done */
    append(&f, "1");
    append(&f, "2");
    f.close_in_done = true;
    f.wanted = 1;
    assert_true(loop_run_until(f.loop, is_done, &f));
    close_fixture(&f);
    assert_int_equal(f.dones, 1);

    struct error e;
    f.options.url = "file.json";
    assert_null(writer_new(&f.options, &e));
    assert_int_equal(e.code, ERROR_ARGUMENT);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_appends_in_order),
        cmocka_unit_test(test_other_content_is_sent_as_it_is),
        cmocka_unit_test(test_retries_carry_the_same_number),
        cmocka_unit_test(test_failures_raise_the_epoch),
        cmocka_unit_test(test_answers_that_end_it),
        cmocka_unit_test(test_server_that_forgot_the_producer),
        cmocka_unit_test(test_gives_up),
        cmocka_unit_test(test_queue_cap),
        cmocka_unit_test(test_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
