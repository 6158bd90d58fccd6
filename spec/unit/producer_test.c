/* The idempotent producer, against scripted answers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buf.h"
#include "loopback.h"
#include "stream/producer.h"

#define NEXT(offset) "Stream-Next-Offset: " offset "\r\n"
#define COUNT(a) (sizeof(a) / sizeof *(a))

struct fixture {
    struct loop *loop;
    struct http *http;
    struct log log;
    struct loopback server;
    struct producer *producer;
    struct producer_options options;
    struct buf text; /* what done was told: "STATUS EPOCH/SEQ OFFSET;" or an error's name */
    struct error error;
    unsigned dones, wanted;
    bool free_in_done;
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
    producer_options_init(&f->options);
    f->options.loop = f->loop;
    f->options.http = f->http;
    f->options.log = &f->log;
    f->options.url = f->url;
    f->options.id = "p";
    f->options.limit_ms = 3000;
}

static void close_fixture(struct fixture *f) {
    struct error e = {0};
    producer_free(f->producer);
    loopback_close(&f->server);
    http_free(f->http);
    if (!loop_free(f->loop, &e)) {
        fail_msg("%s", e.message);
    }
    loopback_free(&f->server);
    buf_free(&f->text);
}

static void on_done(void *user, const struct producer_result *result, const struct error *e) {
    struct fixture *f = user;
    f->dones++;
    f->error = *e;
    if (e->code == ERROR_NONE) {
        buf_printf(&f->text, "%d %lu/%lu %.*s%s;", result->status, (unsigned long)result->epoch,
                   (unsigned long)result->seq, result->offset.ptr ? (int)result->offset.len : 1,
                   result->offset.ptr ? result->offset.ptr : "-", result->closed ? "$" : "");
    } else {
        buf_printf(&f->text, "%s;", error_name(e->code));
    }
    if (f->free_in_done) {
        producer_free(f->producer);
        f->producer = NULL;
    }
}

static bool is_done(void *arg) {
    struct fixture *f = arg;
    return f->dones >= f->wanted;
}

static void need(struct fixture *f) {
    struct error e;
    if (!f->producer) {
        f->producer = producer_new(&f->options, &e);
        if (!f->producer) {
            fail_msg("%s", e.message);
        }
    }
}

static void append(struct fixture *f, const char *body) {
    struct error e;
    need(f);
    assert_true(producer_append(f->producer, slice_from(body), on_done, f, &e));
    f->wanted++;
}

static void flush(struct fixture *f) {
    struct error e;
    need(f);
    assert_true(producer_flush(f->producer, on_done, f, &e));
    f->wanted++;
}

static void wait_for_all(struct fixture *f, const char *text) {
    assert_true(loop_run_until(f->loop, is_done, f));
    buf_append_byte(&f->text, '\0');
    assert_string_equal(f->text.ptr, text);
    buf_clear(&f->text);
}

/* "EPOCH/SEQ BODY" of the n-th request. */
static void expect_request(struct fixture *f, size_t n, const char *text) {
    char got[256];
    loopback_append(&f->server, n, got, sizeof got);
    assert_string_equal(got, text);
    assert_non_null(strstr(f->server.requests[n], "Producer-Id: p\r\n"));
}

/* ---- batches ---- */

static void test_messages_share_a_batch(void **state) {
    (void)state;
    static const struct reply replies[] = {{.status = 200, .fields = NEXT("3")}};
    struct fixture f;
    open_fixture(&f, replies, 1);
    append(&f, "{\"a\":1}");
    append(&f, "[2]");
    append(&f, "3");
    assert_int_equal(producer_pending(f.producer), 3);
    wait_for_all(&f, "200 0/0 3;200 0/0 3;200 0/0 3;");
    expect_request(&f, 0, "0/0 [{\"a\":1},[2],3]");
    assert_int_equal(f.server.request_count, 1);
    assert_int_equal(producer_pending(f.producer), 0);
    assert_int_equal(producer_bytes(f.producer), 0);
    assert_int_equal(producer_seq(f.producer), 1);
    close_fixture(&f);
}

static void test_bytes_are_joined(void **state) {
    (void)state;
    static const struct reply replies[] = {{.status = 200, .fields = NEXT("5")}};
    struct fixture f;
    open_fixture(&f, replies, 1);
    f.options.content_type = "text/plain";
    append(&f, "He");
    append(&f, "llo");
    wait_for_all(&f, "200 0/0 5;200 0/0 5;");
    expect_request(&f, 0, "0/0 Hello");
    close_fixture(&f);
}

static void test_batches_have_limits(void **state) {
    (void)state;
    static const struct reply replies[] = {{.status = 200, .fields = NEXT("1")}};
    struct fixture f;
    open_fixture(&f, replies, 1);
    f.options.max_batch_items = 2;
    f.options.max_in_flight = 1;
    append(&f, "1");
    append(&f, "2");
    append(&f, "3");
    wait_for_all(&f, "200 0/0 1;200 0/0 1;200 0/1 1;");
    expect_request(&f, 0, "0/0 [1,2]");
    expect_request(&f, 1, "0/1 [3]");
    close_fixture(&f);

    open_fixture(&f, replies, 1);
    f.options.max_batch_bytes = 7; /* with brackets and commas */
    f.options.max_in_flight = 1;
    append(&f, "11");
    append(&f, "22");
    append(&f, "3");
    append(&f, "\"a message larger than a batch\"");
    wait_for_all(&f, "200 0/0 1;200 0/0 1;200 0/1 1;200 0/2 1;");
    expect_request(&f, 0, "0/0 [11,22]");
    expect_request(&f, 1, "0/1 [3]");
    expect_request(&f, 2, "0/2 [\"a message larger than a batch\"]");
    close_fixture(&f);
}

static void test_linger_ends_with_a_flush(void **state) {
    (void)state;
    static const struct reply replies[] = {{.status = 200, .fields = NEXT("2")}};
    struct fixture f;
    open_fixture(&f, replies, 1);
    f.options.linger_ms = 60 * 1000;
    append(&f, "1");
    append(&f, "2");
    flush(&f);
    wait_for_all(&f, "200 0/0 2;200 0/0 2;200 0/0 2;");
    flush(&f); /* of nothing */
    wait_for_all(&f, "200 0/0 2;");
    assert_int_equal(f.server.request_count, 1);
    close_fixture(&f);
}

/* ---- retries ---- */

static void test_retries_carry_the_same_number(void **state) {
    (void)state;
    static const struct reply replies[] = {{.status = 0},
                                           {.status = 503, .fields = "Retry-After: 0\r\n"},
                                           {.status = 204},
                                           {.status = 200, .fields = NEXT("2")}};
    struct fixture f;
    open_fixture(&f, replies, COUNT(replies));
    f.options.max_batch_items = 1;
    append(&f, "1");
    append(&f, "2");
    wait_for_all(&f, "204 0/0 -;200 0/1 2;");
    expect_request(&f, 0, "0/0 [1]"); /* an epoch begins with one batch alone */
    expect_request(&f, 1, "0/0 [1]");
    expect_request(&f, 2, "0/0 [1]");
    expect_request(&f, 3, "0/1 [2]");
    close_fixture(&f);
}

static void test_gap_waits_for_those_before(void **state) {
    (void)state;
    static const struct reply replies[] = {
        {.status = 200, .fields = NEXT("1")},
        {.status = 200, .fields = NEXT("2"), .delay_ms = 50},
        {.status = 409, .fields = "Producer-Expected-Seq: 1\r\nProducer-Received-Seq: 2\r\n"},
        {.status = 200, .fields = NEXT("3")},
    };
    struct fixture f;
    open_fixture(&f, replies, COUNT(replies));
    f.options.max_batch_items = 1;
    append(&f, "1");
    append(&f, "2");
    append(&f, "3");
    wait_for_all(&f, "200 0/0 1;200 0/1 2;200 0/2 3;");
    assert_int_equal(f.server.request_count, 4);
    expect_request(&f, 3, "0/2 [3]");
    close_fixture(&f);
}

/* A gap that is told when what was missing has arrived meanwhile is no reason to start anew. */
static void test_gap_that_is_old_news(void **state) {
    (void)state;
    static const struct reply replies[] = {
        {.status = 200, .fields = NEXT("1")},
        {.status = 200, .fields = NEXT("2")},
        {.status = 409, .fields = "Producer-Expected-Seq: 0\r\n", .delay_ms = 50},
        {.status = 200, .fields = NEXT("3")},
    };
    struct fixture f;
    open_fixture(&f, replies, COUNT(replies));
    f.options.max_batch_items = 1;
    append(&f, "1");
    append(&f, "2");
    append(&f, "3");
    wait_for_all(&f, "200 0/0 1;200 0/1 2;200 0/2 3;");
    close_fixture(&f);
}

/* An acknowledged number says that those before it are stored. */
static void test_failure_of_what_is_stored(void **state) {
    (void)state;
    static const struct reply replies[] = {
        {.status = 200, .fields = NEXT("1")},
        {.status = 500, .delay_ms = 50},
        {.status = 200, .fields = NEXT("3")},
    };
    struct fixture f;
    open_fixture(&f, replies, COUNT(replies));
    f.options.max_batch_items = 1;
    append(&f, "1");
    append(&f, "2");
    append(&f, "3");
    wait_for_all(&f, "200 0/0 1;204 0/1 -;200 0/2 3;");
    close_fixture(&f);
}

static void test_refused_batch_fails_alone(void **state) {
    (void)state;
    static const struct reply replies[] = {
        {.status = 200, .fields = NEXT("1")},
        {.status = 400, .body = "no"},
        {.status = 409, .fields = "Producer-Expected-Seq: 1\r\n"},
        {.status = 200, .fields = NEXT("3")},
    };
    struct fixture f;
    open_fixture(&f, replies, COUNT(replies));
    f.options.max_batch_items = 1;
    append(&f, "1");
    append(&f, "2");
    append(&f, "3");
    flush(&f);
    wait_for_all(&f, "200 0/0 1;http;200 1/0 3;http;"); /* a flush tells of the first failure */
    expect_request(&f, f.server.request_count - 1, "1/0 [3]");
    flush(&f);
    wait_for_all(&f, "200 1/0 3;");
    close_fixture(&f);
}

/* What followed one that may be stored cannot go out under another number. */
static void test_unknown_takes_its_followers_with_it(void **state) {
    (void)state;
    static const struct reply replies[] = {
        {.status = 200, .fields = NEXT("1")},
        {.status = 200, .delay_ms = 60 * 1000},
    };
    struct fixture f;
    open_fixture(&f, replies, COUNT(replies));
    f.options.max_batch_items = 1;
    f.options.limit_ms = 300;
    append(&f, "1");
    append(&f, "2");
    append(&f, "3");
    assert_true(loop_run_until(f.loop, is_done, &f));
    buf_append_byte(&f.text, '\0');
    assert_non_null(strstr(f.text.ptr, "200 0/0 1;timeout;"));
    assert_non_null(strstr(f.error.message, "not known"));
    close_fixture(&f);
}

static void test_counted_retries(void **state) {
    (void)state;
    static const struct reply replies[] = {{.status = 500}};
    struct retry retry = {.max_retries = 2, .first_ms = 1, .max_ms = 2, .multiplier = 1};
    struct fixture f;
    open_fixture(&f, replies, 1);
    f.options.retry = &retry;
    append(&f, "1");
    wait_for_all(&f, "http;");
    assert_int_equal(f.server.request_count, 3);
    assert_non_null(strstr(f.error.message, "gave up after 2 more tries"));
    close_fixture(&f);
}

/* ---- epochs ---- */

static void test_fenced_for_good(void **state) {
    (void)state;
    static const struct reply replies[] = {{.status = 403, .fields = "Producer-Epoch: 7\r\n"}};
    struct fixture f;
    struct error e;
    open_fixture(&f, replies, 1);
    f.options.max_batch_items = 1;
    append(&f, "1");
    append(&f, "2");
    wait_for_all(&f, "http;http;");
    assert_int_equal(f.error.status, 403);
    assert_non_null(strstr(f.error.message, "epoch 7"));
    assert_int_equal(f.server.request_count, 1);
    assert_false(producer_append(f.producer, SLICE("3"), on_done, &f, &e));
    assert_int_equal(e.status, 403);
    close_fixture(&f);
}

static void test_auto_claim(void **state) {
    (void)state;
    static const struct reply replies[] = {
        {.status = 403, .fields = "Producer-Epoch: 7\r\n"},
        {.status = 200, .fields = NEXT("1")},
        {.status = 200, .fields = NEXT("2")},
    };
    struct fixture f;
    open_fixture(&f, replies, COUNT(replies));
    f.options.max_batch_items = 1;
    f.options.auto_claim = true;
    append(&f, "1");
    append(&f, "2");
    wait_for_all(&f, "200 8/0 1;200 8/1 2;");
    expect_request(&f, 1, "8/0 [1]");
    expect_request(&f, 2, "8/1 [2]");
    assert_int_equal(producer_epoch(f.producer), 8);
    close_fixture(&f);
}

static void test_auto_claim_ends(void **state) {
    (void)state;
    static const struct reply replies[] = {{.status = 403, .fields = "Producer-Epoch: 9007\r\n"}};
    struct fixture f;
    open_fixture(&f, replies, 1);
    f.options.auto_claim = true;
    append(&f, "1");
    wait_for_all(&f, "http;");
    assert_non_null(strstr(f.error.message, "again and again"));
    close_fixture(&f);
}

/* ---- ends ---- */

static void test_close(void **state) {
    (void)state;
    static const struct reply replies[] = {
        {.status = 200, .fields = NEXT("1")},
        {.status = 200, .fields = NEXT("2") "Stream-Closed: true\r\n"},
    };
    struct fixture f;
    struct error e;
    open_fixture(&f, replies, COUNT(replies));
    append(&f, "1");
    assert_true(producer_close(f.producer, SLICE("2"), on_done, &f, &e));
    f.wanted++;
    assert_false(producer_append(f.producer, SLICE("3"), on_done, &f, &e));
    assert_int_equal(e.code, ERROR_CLOSED);
    wait_for_all(&f, "200 0/0 1;200 0/1 2$;");
    expect_request(&f, 1, "0/1 [2]");
    assert_null(strstr(f.server.requests[0], "Stream-Closed"));
    assert_non_null(strstr(f.server.requests[1], "Stream-Closed: true\r\n"));
    assert_true(producer_close(f.producer, SLICE("again"), on_done, &f, &e));
    f.wanted++;
    wait_for_all(&f, "200 0/1 2$;");
    assert_int_equal(f.server.request_count, 2);
    close_fixture(&f);
}

static void test_bare_close_of_a_closed_stream(void **state) {
    (void)state;
    static const struct reply replies[] = {{.status = 204, .fields = NEXT("1") "Stream-Closed: true\r\n"},
                                           {.status = 409, .fields = NEXT("1") "Stream-Closed: true\r\n"}};
    struct fixture f;
    struct error e;
    open_fixture(&f, replies, 1);
    need(&f);
    assert_true(producer_close(f.producer, (struct slice){0}, on_done, &f, &e));
    f.wanted++;
    wait_for_all(&f, "204 0/0 1$;");
    expect_request(&f, 0, "0/0 ");
    close_fixture(&f);

    open_fixture(&f, replies + 1, 1);
    append(&f, "1");
    wait_for_all(&f, "closed;");
    close_fixture(&f);
}

static void test_detach(void **state) {
    (void)state;
    static const struct reply replies[] = {{.status = 200, .fields = NEXT("1")}};
    struct fixture f;
    struct error e;
    open_fixture(&f, replies, 1);
    f.options.linger_ms = 60 * 1000;
    append(&f, "1");
    assert_true(producer_detach(f.producer, on_done, &f, &e));
    f.wanted++;
    assert_false(producer_append(f.producer, SLICE("2"), on_done, &f, &e));
    wait_for_all(&f, "200 0/0 1;200 0/0 1;");
    assert_null(strstr(f.server.requests[0], "Stream-Closed"));
    close_fixture(&f);
}

static void test_free_anywhere(void **state) {
    (void)state;
    static const struct reply replies[] = {{.status = 200, .fields = NEXT("1")},
                                           {.status = 200, .fields = NEXT("1"), .delay_ms = 5}};
    struct fixture f;
    open_fixture(&f, replies, 2); /* before the first left */
    append(&f, "1");
    flush(&f);
    close_fixture(&f);
    assert_int_equal(f.dones, 0);

    open_fixture(&f, replies, 2); /* within done, with others in the batch, queued and under way */
    f.options.max_batch_items = 2;
    for (int i = 0; i < 9; i++) {
        append(&f, "1");
    }
    f.free_in_done = true;
    f.wanted = 1;
    assert_true(loop_run_until(f.loop, is_done, &f));
    close_fixture(&f);
    assert_int_equal(f.dones, 1);
}

/* ---- hooks and options ---- */

struct asked {
    unsigned refreshed, failures;
    bool retrying, stop;
};

static bool refresh(void *user, struct fields *fields, struct error *e) {
    struct asked *asked = user;
    char token[32];
    snprintf(token, sizeof token, "t%u", ++asked->refreshed);
    return fields_header(fields, SLICE("Authorization"), slice_from(token), e) &&
           fields_param(fields, SLICE("n"), slice_from(token), e);
}

static enum hooks_verdict on_error(void *user, const struct error *e, bool retrying) {
    struct asked *asked = user;
    asked->failures++;
    asked->retrying = retrying;
    assert_int_not_equal(e->code, ERROR_NONE);
    return asked->stop ? HOOKS_STOP : HOOKS_RETRY;
}

static void test_hooks(void **state) {
    (void)state;
    static const struct reply replies[] = {
        {.status = 401}, {.status = 503}, {.status = 200, .fields = NEXT("1")}};
    struct asked asked = {0};
    struct fixture f;
    open_fixture(&f, replies, COUNT(replies));
    f.options.hooks = (struct hooks){.user = &asked, .refresh = refresh, .on_error = on_error};
    append(&f, "1");
    wait_for_all(&f, "200 0/0 1;");
    assert_int_equal(asked.refreshed, 3);
    assert_int_equal(asked.failures, 2);
    assert_true(asked.retrying);
    assert_non_null(strstr(f.server.requests[0], "POST /s?n=t1 "));
    assert_non_null(strstr(f.server.requests[2], "POST /s?n=t3 "));
    assert_non_null(strstr(f.server.requests[2], "Authorization: t3\r\n"));
    close_fixture(&f);

    asked = (struct asked){.stop = true};
    open_fixture(&f, replies + 1, 2);
    f.options.hooks = (struct hooks){.user = &asked, .on_error = on_error};
    append(&f, "1");
    wait_for_all(&f, "http;");
    assert_int_equal(f.server.request_count, 1);
    close_fixture(&f);
}

static void test_options(void **state) {
    (void)state;
    struct error e;
    struct producer_options o;
    struct retry retry = {.max_retries = -1, .first_ms = 1, .max_ms = 1, .multiplier = 1};
    producer_options_init(&o);
    assert_true(producer_options_check(&o, &e));
#define REFUSED(field, value, name)                                                                          \
    producer_options_init(&o);                                                                               \
    o.field = (value);                                                                                       \
    assert_false(producer_options_check(&o, &e));                                                            \
    assert_int_equal(e.code, ERROR_ARGUMENT);                                                                \
    assert_non_null(strstr(e.message, name));
    REFUSED(id, "", "id")
    REFUSED(epoch, -1, "epoch")
    REFUSED(epoch, INT64_C(1) << 53, "epoch")
    REFUSED(linger_ms, -1, "lingerMs")
    REFUSED(max_batch_bytes, 0, "maxBatchBytes")
    REFUSED(max_batch_items, 0, "maxBatchItems")
    REFUSED(max_in_flight, 0, "maxInFlight")
    REFUSED(retry, &retry, "maxRetries")
    producer_options_init(&o);
    o.url = "file.json";
    assert_null(producer_new(&o, &e));
    assert_int_equal(e.code, ERROR_ARGUMENT);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_messages_share_a_batch),
        cmocka_unit_test(test_bytes_are_joined),
        cmocka_unit_test(test_batches_have_limits),
        cmocka_unit_test(test_linger_ends_with_a_flush),
        cmocka_unit_test(test_retries_carry_the_same_number),
        cmocka_unit_test(test_gap_waits_for_those_before),
        cmocka_unit_test(test_gap_that_is_old_news),
        cmocka_unit_test(test_failure_of_what_is_stored),
        cmocka_unit_test(test_refused_batch_fails_alone),
        cmocka_unit_test(test_unknown_takes_its_followers_with_it),
        cmocka_unit_test(test_counted_retries),
        cmocka_unit_test(test_fenced_for_good),
        cmocka_unit_test(test_auto_claim),
        cmocka_unit_test(test_auto_claim_ends),
        cmocka_unit_test(test_close),
        cmocka_unit_test(test_bare_close_of_a_closed_stream),
        cmocka_unit_test(test_detach),
        cmocka_unit_test(test_free_anywhere),
        cmocka_unit_test(test_hooks),
        cmocka_unit_test(test_options),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
