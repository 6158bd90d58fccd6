/* HTTP requests on the loop: what is sent, what is reported, pause and cancel in every place. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buf.h"
#include "io/head.h"
#include "io/http.h"
#include "io/url.h"
#include "loopback.h"

enum when { NOT, IN_HEAD, IN_BODY };

struct call {
    struct http *http;
    struct http_request *request;
    struct buf body;
    struct error error;
    int status;
    size_t fields;
    char type[64];
    unsigned heads, dones;
    enum when cancel, pause, start; /* what to do within a callback */
    struct call *second;            /* what `start` starts */
    struct http_options options;
};

static void launch(struct call *c) {
    struct error e;
    c->request = http_start(c->http, &c->options, &e);
    assert_non_null(c->request);
}

static void within(struct call *c, enum when when) {
    if (c->pause == when) {
        c->pause = NOT;
        http_pause(c->request);
    }
    if (c->start == when) {
        c->start = NOT;
        launch(c->second);
    }
    if (c->cancel == when) {
        http_cancel(c->request);
    }
}

static void on_head(void *user, const struct http_response *response) {
    struct call *c = user;
    struct slice type = http_field(response, "content-type");
    c->heads++;
    c->status = response->status;
    c->fields = response->field_count;
    snprintf(c->type, sizeof c->type, "%.*s", (int)type.len, type.ptr ? type.ptr : "");
    assert_int_equal(c->body.len, 0);
    within(c, IN_HEAD);
}

static void on_body(void *user, const char *ptr, size_t len) {
    struct call *c = user;
    assert_int_equal(c->heads, 1);
    buf_append(&c->body, ptr, len);
    within(c, IN_BODY);
}

static void on_done(void *user, const struct http_response *response, const struct error *e) {
    struct call *c = user;
    c->dones++;
    c->error = *e;
    assert_int_equal(response->status, c->status);
}

struct fixture {
    struct loop *loop;
    struct http *http;
    struct loopback server;
    struct call calls[4];
    char url[128];
};

static void open_fixture(struct fixture *f, const struct reply *replies, size_t count) {
    struct error e;
    memset(f, 0, sizeof *f);
    f->loop = loop_new(&e);
    f->http = http_new(f->loop, &e);
    loopback_open(&f->server, f->loop, replies, count);
    snprintf(f->url, sizeof f->url, "http://127.0.0.1:%d/s", f->server.port);
    for (int i = 0; i < 4; i++) {
        struct call *c = &f->calls[i];
        c->http = f->http;
        c->second = &f->calls[i + 1];
        buf_init(&c->body, 1 << 24);
        c->options = (struct http_options){
            .method = "GET",
            .url = f->url,
            .on_head = on_head,
            .on_body = on_body,
            .on_done = on_done,
            .user = c,
        };
    }
}

static void close_fixture(struct fixture *f) {
    struct error e = {0};
    loopback_close(&f->server);
    http_free(f->http);
    if (!loop_free(f->loop, &e)) {
        fail_msg("%s", e.message);
    }
    loopback_free(&f->server);
    for (int i = 0; i < 4; i++) {
        buf_free(&f->calls[i].body);
    }
}

static bool is_done(void *arg) {
    return ((struct call *)arg)->dones > 0;
}

static void finish(struct fixture *f, struct call *c) {
    assert_true(loop_run_until(f->loop, is_done, c));
    assert_int_equal(c->dones, 1);
}

static void expect_body(struct call *c, const char *text) {
    assert_int_equal(c->error.code, ERROR_NONE);
    assert_int_equal(c->body.len, strlen(text));
    assert_memory_equal(c->body.ptr ? c->body.ptr : "", text, strlen(text));
}

#define COUNT(a) (sizeof(a) / sizeof *(a))

static void test_get(void **state) {
    (void)state;
    static const struct reply replies[] = {
        {.status = 200, .fields = "CONTENT-type:  text/plain \r\nX: 1\r\n", .body = "hello", .split = 3}};
    static const struct http_field fields[] = {
        {{"X-Own", 5}, {"v", 1}}, {{"X-Empty", 7}, {"", 0}}, {{"User-Agent", 10}, {"own", 3}}};
    struct fixture f;
    open_fixture(&f, replies, 1);
    f.calls[0].options.fields = fields;
    f.calls[0].options.field_count = 3;
    launch(&f.calls[0]);
    finish(&f, &f.calls[0]);
    expect_body(&f.calls[0], "hello");
    assert_int_equal(f.calls[0].status, 200);
    assert_string_equal(f.calls[0].type, "text/plain");
    assert_non_null(strstr(f.server.requests[0], "X-Own: v\r\n"));
    assert_non_null(strstr(f.server.requests[0], "X-Empty:"));
    assert_non_null(strstr(f.server.requests[0], "User-Agent: own\r\n"));
    close_fixture(&f);
}

static void test_methods(void **state) {
    (void)state;
    static const struct reply replies[] = {{.status = 204}};
    static const char *const methods[] = {"POST", "PUT", "DELETE", "HEAD"};
    for (size_t i = 0; i < COUNT(methods); i++) {
        struct fixture f;
        open_fixture(&f, replies, 1);
        f.calls[0].options.method = methods[i];
        if (i < 2) {
            f.calls[0].options.body = SLICE("a\0b");
        }
        launch(&f.calls[0]);
        finish(&f, &f.calls[0]);
        assert_int_equal(f.calls[0].status, 204);
        const char *request = f.server.requests[0];
        assert_memory_equal(request, methods[i], strlen(methods[i]));
        assert_null(strstr(request, "Expect"));
        assert_null(strstr(request, "Content-Type"));
        if (i < 2) {
            assert_non_null(strstr(request, "Content-Length: 3\r\n"));
        }
        close_fixture(&f);
    }
}

static void test_redirects(void **state) {
    (void)state;
    static const struct reply replies[] = {
        {.status = 302, .fields = "Location: /t\r\nContent-Type: text/html\r\n", .body = "moved"},
        {.status = 307, .fields = "Location: /u\r\n"},
        {.status = 200, .fields = "Content-Type: a/b\r\n", .body = "there"},
    };
    struct fixture f;
    open_fixture(&f, replies, COUNT(replies));
    f.calls[0].options.method = "POST";
    f.calls[0].options.body = SLICE("body");
    launch(&f.calls[0]);
    finish(&f, &f.calls[0]);
    expect_body(&f.calls[0], "there");
    assert_int_equal(f.calls[0].heads, 1);
    assert_string_equal(f.calls[0].type, "a/b");
    assert_memory_equal(f.server.requests[2], "POST /u", 7); /* the method and the body stay */
    assert_non_null(strstr(f.server.requests[2], "\r\n\r\nbody"));
    close_fixture(&f);

    static const struct reply round[] = {{.status = 302, .fields = "Location: /s\r\n"}};
    open_fixture(&f, round, 1);
    launch(&f.calls[0]);
    finish(&f, &f.calls[0]);
    assert_int_equal(f.calls[0].error.code, ERROR_HTTP);
    assert_int_equal(f.server.request_count, 6);
    close_fixture(&f);
}

/* What identifies the caller stays with the host that it was meant for. */
static void test_redirect_to_another_host(void **state) {
    (void)state;
    const struct http_field fields[] = {{SLICE("Authorization"), SLICE("Bearer s1")},
                                        {SLICE("X-Api-Key"), SLICE("s2")},
                                        {SLICE("Stream-Seq"), SLICE("7")},
                                        {SLICE("Content-Type"), SLICE("a/b")}};
    static const struct reply there[] = {{.status = 200, .body = "there"}};
    char location[128];
    struct reply here[] = {{.status = 302, .fields = "Location: /t\r\n"},
                           {.status = 307, .fields = location}};
    struct fixture f;
    struct loopback other;
    open_fixture(&f, here, COUNT(here));
    loopback_open(&other, f.loop, there, 1);
    snprintf(location, sizeof location, "Location: http://127.0.0.1:%d/x\r\n", other.port);
    f.calls[0].options.method = "POST";
    f.calls[0].options.body = SLICE("body");
    f.calls[0].options.fields = fields;
    f.calls[0].options.field_count = COUNT(fields);
    launch(&f.calls[0]);
    finish(&f, &f.calls[0]);
    expect_body(&f.calls[0], "there");
    assert_non_null(strstr(f.server.requests[1], "s1")); /* the same host */
    assert_non_null(strstr(f.server.requests[1], "s2"));
    assert_null(strstr(other.requests[0], "s1"));
    assert_null(strstr(other.requests[0], "s2"));
    assert_non_null(strstr(other.requests[0], "Stream-Seq: 7\r\n"));
    assert_non_null(strstr(other.requests[0], "Content-Type: a/b\r\n"));
    assert_non_null(strstr(other.requests[0], "\r\n\r\nbody"));
    loopback_close(&other);
    close_fixture(&f);
    loopback_free(&other);

    static const struct reply file[] = {{.status = 302, .fields = "Location: file:///etc/passwd\r\n"}};
    open_fixture(&f, file, 1);
    launch(&f.calls[0]);
    finish(&f, &f.calls[0]);
    assert_int_equal(f.calls[0].error.code, ERROR_ARGUMENT);
    close_fixture(&f);
}

static void test_broken_answers(void **state) {
    (void)state;
    static const struct reply replies[] = {
        {.status = 0},
        {.status = 200, .body = "half", .cut = true},
        {.status = 200, .body = "half", .frame = LOOPBACK_CHUNKED, .cut = true},
    };
    struct fixture f;
    open_fixture(&f, replies, COUNT(replies));
    for (int i = 0; i < 3; i++) {
        launch(&f.calls[i]);
        finish(&f, &f.calls[i]);
        assert_int_equal(f.calls[i].error.code, ERROR_NETWORK);
        assert_int_equal(f.calls[i].status, i ? 200 : 0);
        assert_non_null(strstr(f.calls[i].error.message, f.url));
    }
    close_fixture(&f);
}

/* One request that may go for idle_ms without a byte: how it ended, and the bytes that had come. */
static struct error end_of(const struct reply *reply, uint64_t idle_ms, size_t *len) {
    struct fixture f;
    open_fixture(&f, reply, 1);
    struct call *c = &f.calls[0];
    c->options.idle_timeout_ms = idle_ms;
    launch(c);
    finish(&f, c);
    struct error end = c->error;
    *len = c->body.len;
    close_fixture(&f);
    return end;
}

/* Where the machine stands still bytes come late: then there is twice the time. */
enum { IDLE_FIRST_MS = 50, IDLE_LAST_MS = 20 * 1000 };

static void test_idle_timeout(void **state) {
    (void)state;
    static const struct reply silent = {.status = 200, .delay_ms = 60 * 1000};
    static const struct reply begun = {.status = 200, .body = "start", .hold = true};
    static const char body[] = "01234567890123456789012345678901234567890123456789"
                               "01234567890123456789012345678901234567890123456789";
    static const struct reply slow = {.status = 200, .body = body, .split = 1, .frame = LOOPBACK_CHUNKED};
    size_t len;
    struct error end = end_of(&silent, IDLE_FIRST_MS, &len);
    assert_int_equal(end.code, ERROR_TIMEOUT);
    assert_non_null(strstr(end.message, "no byte came"));

    len = 0;
    for (uint64_t ms = IDLE_FIRST_MS; len < strlen(begun.body) && ms < IDLE_LAST_MS; ms *= 2) {
        end = end_of(&begun, ms, &len);
        assert_int_equal(end.code, ERROR_TIMEOUT);
    }
    assert_int_equal(len, strlen(begun.body));

    end.code = ERROR_TIMEOUT; /* all in all it takes longer than the first of these */
    for (uint64_t ms = IDLE_FIRST_MS; end.code == ERROR_TIMEOUT && ms < IDLE_LAST_MS; ms *= 2) {
        end = end_of(&slow, ms, &len);
    }
    assert_int_equal(end.code, ERROR_NONE);
    assert_int_equal(len, strlen(body));
}

static void test_head_caps(void **state) {
    (void)state;
    struct buf many;
    buf_init(&many, 1 << 20);
    for (int i = 0; i < 300; i++) {
        buf_append_text(&many, "X-A: 1\r\n");
    }
    buf_append_byte(&many, '\0');
    struct head head;
    struct error e = {0};
    head_init(&head);
    int added = 0;
    while (added < 400 && head_line(&head, "X-A: 1\r\n", 8, &e)) {
        added++;
    }
    assert_int_equal(added, HEAD_FIELDS_MAX);
    assert_int_equal(e.code, ERROR_LIMIT);
    head_free(&head);

    head_init(&head);
    char *line = malloc(5000);
    memset(line, 'x', 5000);
    memcpy(line, "X: ", 3);
    for (added = 0; added < 400 && head_line(&head, line, 5000, &e);) {
        added++;
    }
    assert_int_equal(added, HEAD_BYTES_MAX / 5000);
    assert_int_equal(e.code, ERROR_LIMIT);
    free(line);
    head_free(&head);

    const struct reply replies[] = {{.status = 200, .fields = many.ptr, .body = "x"}};
    struct fixture f;
    open_fixture(&f, replies, 1);
    launch(&f.calls[0]);
    finish(&f, &f.calls[0]);
    assert_int_equal(f.calls[0].error.code, ERROR_LIMIT);
    assert_non_null(strstr(f.calls[0].error.message, "256 fields"));
    assert_int_equal(f.calls[0].heads, 0);
    close_fixture(&f);
    buf_free(&many);
}

static void test_head_lines(void **state) {
    (void)state;
    static const char *const lines[] = {"HTTP/1.1 302 Found\r\n", "Location: x\r\n", "\r\n",
                                        "HTTP/2 200\r\n",         "A:b\r\n",         "  folded \r\n",
                                        "no colon\r\n",           "C :\t d : e \n",  "\r\n"};
    struct head head;
    struct error e;
    head_init(&head);
    for (size_t i = 0; i < COUNT(lines); i++) {
        assert_true(head_line(&head, lines[i], strlen(lines[i]), &e));
    }
    struct http_response response;
    assert_true(head_response(&head, &response, &e));
    assert_int_equal(response.status, 200);
    assert_int_equal(response.field_count, 2);
    assert_true(slice_is(http_field(&response, "a"), "b folded"));
    assert_true(slice_is(http_field(&response, "c"), "d : e"));
    assert_null(http_field(&response, "Location").ptr);
    head_free(&head);
}

enum { PAUSE_BYTES = 3 * 1024 * 1024 };

/* A request is paused in that place for longer than it may go without a byte. False: the machine stood still so long
 * before or after that. */
static bool pause_in(enum when place, const char *body, unsigned idle_ms) {
    const struct reply replies[] = {{.status = 200, .body = body, .body_len = PAUSE_BYTES},
                                    {.status = 200, .body = "small", .delay_ms = 2 * idle_ms}};
    struct fixture f;
    open_fixture(&f, replies, COUNT(replies));
    struct call *c = &f.calls[0];
    struct call *other = &f.calls[1];
    c->pause = place;
    c->options.idle_timeout_ms = idle_ms;
    launch(c);
    while (c->pause != NOT && c->dones == 0) {
        uv_run(loop_uv(f.loop), UV_RUN_ONCE);
    }
    if (c->dones == 0) {
        size_t seen = c->body.len;
        launch(other); /* the second runs while the first is paused */
        finish(&f, other);
        expect_body(other, "small");
        assert_int_equal(c->dones, 0);
        assert_int_equal(c->body.len, seen);
        http_resume(c->request);
        assert_int_equal(c->body.len, seen); /* not within the call */
        http_pause(c->request);
        http_resume(c->request);
        finish(&f, c);
    }
    enum error_code end = c->error.code;
    assert_true(end == ERROR_TIMEOUT || (end == ERROR_NONE && c->body.len == PAUSE_BYTES));
    close_fixture(&f);
    return end == ERROR_NONE;
}

static void test_pause(void **state) {
    (void)state;
    char *body = malloc(PAUSE_BYTES);
    memset(body, 'x', PAUSE_BYTES);
    static const enum when places[] = {IN_HEAD, IN_BODY};
    for (size_t i = 0; i < COUNT(places); i++) {
        unsigned ms = IDLE_FIRST_MS;
        while (!pause_in(places[i], body, ms)) {
            ms *= 2;
            assert_true(ms < IDLE_LAST_MS);
        }
    }
    free(body);
}

static void test_cancel(void **state) {
    (void)state;
    static const struct reply replies[] = {
        {.status = 200, .body = "0123456789", .split = 4, .frame = LOOPBACK_CHUNKED},
        {.status = 200, .body = "other"},
    };
    static const enum when places[] = {IN_HEAD, IN_BODY};
    for (size_t i = 0; i < COUNT(places); i++) {
        struct fixture f;
        open_fixture(&f, replies, COUNT(replies));
        f.calls[0].cancel = places[i];
        f.calls[0].start = places[i]; /* and starts another in the same callback */
        launch(&f.calls[0]);
        finish(&f, &f.calls[1]);
        expect_body(&f.calls[1], "other");
        assert_int_equal(f.calls[0].dones, 0);
        close_fixture(&f);
    }
    struct fixture f;
    open_fixture(&f, replies, 1);
    launch(&f.calls[0]);
    http_cancel(f.calls[0].request); /* before anything happened */
    launch(&f.calls[1]);             /* and one that http_free finds under way */
    uv_run(loop_uv(f.loop), UV_RUN_ONCE);
    close_fixture(&f);
    assert_int_equal(f.calls[0].dones + f.calls[1].dones, 0);
}

static void test_mistakes(void **state) {
    (void)state;
    static const struct reply replies[] = {{.status = 200}};
    static const struct http_field wrong[] = {
        {{"A\r\nB", 4}, {"v", 1}}, {{"A", 1}, {"v\nX: y", 6}}, {{"", 0}, {"v", 1}}, {{"A:", 2}, {"v", 1}}};
    struct fixture f;
    struct error e;
    open_fixture(&f, replies, 1);
    for (size_t i = 0; i < COUNT(wrong); i++) {
        f.calls[0].options.fields = &wrong[i];
        f.calls[0].options.field_count = 1;
        assert_null(http_start(f.http, &f.calls[0].options, &e));
        assert_int_equal(e.code, ERROR_ARGUMENT);
    }
    f.calls[1].options.url = "http://user:word@127.0.0.1:1/?my_token=word";
    launch(&f.calls[1]);
    finish(&f, &f.calls[1]);
    assert_int_equal(f.calls[1].error.code, ERROR_NETWORK);
    assert_null(strstr(f.calls[1].error.message, "word"));
    f.calls[2].options.url = "file:///etc/passwd";
    launch(&f.calls[2]);
    finish(&f, &f.calls[2]);
    assert_int_equal(f.calls[2].error.code, ERROR_ARGUMENT);
    close_fixture(&f);
}

static void test_connections_are_kept(void **state) {
    (void)state;
    static const struct reply replies[] = {{.status = 200, .body = "x"}};
    struct fixture f;
    open_fixture(&f, replies, 1);
    for (int i = 0; i < 3; i++) {
        launch(&f.calls[i]);
        finish(&f, &f.calls[i]);
    }
    assert_int_equal(f.server.connections, 1);
    close_fixture(&f);
}

static void test_urls(void **state) {
    (void)state;
    static const struct {
        const char *url, *shown;
    } cases[] = {
        {"http://u:p@h:1/a?b=c", "http://h:1/a?b=c"},
        {"https://h/a@b?Api_Key=x&c=d#f", "https://h/a@b?Api_Key=...&c=d"},
        {"http://h?token", "http://h?token"},
        {"x", "x"},
    };
    char shown[64];
    for (size_t i = 0; i < COUNT(cases); i++) {
        url_redact(cases[i].url, shown, sizeof shown);
        assert_string_equal(shown, cases[i].shown);
    }
    url_redact("http://host/long", shown, 8);
    assert_string_equal(shown, "http://");
}

static void test_loopback_urls(void **state) {
    (void)state;
    static const char *const here[] = {"http://localhost",   "http://LOCALHOST:80/x",
                                       "https://127.0.0.1/", "http://u:p@127.1.2.3:4437/a?b",
                                       "http://[::1]:80/",   "http://[::1]"};
    static const char *const away[] = {"http://127.example.org/",
                                       "http://localhost.example.org",
                                       "http://example.org/127.0.0.1",
                                       "http://127.0.0.1@example.org/",
                                       "http://[::2]/",
                                       "http://10.0.0.1/"};
    for (size_t i = 0; i < COUNT(here); i++) {
        assert_true(url_is_loopback(here[i]));
        assert_false(url_is_loopback(away[i]));
    }
}

static void test_redacted_urls_show_it(void **state) {
    static const struct {
        const char *url, *shown;
        bool redacted;
    } cases[] = {
        {"http://host/s", "http://host/s", false},
        {"http://me:pw@host/s?a=1", "http://...@host/s?a=1", true},
        {"http://host/s?a=1&token=x#f", "http://host/s?a=1&token=...", true},
        {"http://host/s?a=...", "http://host/s?a=...", false},
        {"http://host/s?token=....", "http://host/s?token=...", true},
        {"http://host/...@s", "http://host/...@s", false},
    };
    char shown[128];
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        url_redact_marked(cases[i].url, shown, sizeof shown);
        assert_string_equal(shown, cases[i].shown);
        assert_int_equal(url_is_redacted(shown), cases[i].redacted);
    }
}

static void test_same_server(void **state) {
    (void)state;
    assert_true(url_same_server("http://host:80/a", "http://me:pw@HOST:80?b"));
    assert_true(url_same_server("HTTPS://host", "https://host/x"));
    assert_false(url_same_server("http://host/a", "https://host/a"));
    assert_false(url_same_server("http://host/a", "http://host:81/a"));
    assert_false(url_same_server("http://host/a", "http://other@host.example/a"));
    assert_false(url_same_server("http://host/a", "http://host@other/a"));
    assert_false(url_same_server("events.jsonl", "events.jsonl"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_redacted_urls_show_it),
        cmocka_unit_test(test_same_server),
        cmocka_unit_test(test_get),
        cmocka_unit_test(test_methods),
        cmocka_unit_test(test_redirects),
        cmocka_unit_test(test_redirect_to_another_host),
        cmocka_unit_test(test_broken_answers),
        cmocka_unit_test(test_idle_timeout),
        cmocka_unit_test(test_head_caps),
        cmocka_unit_test(test_head_lines),
        cmocka_unit_test(test_pause),
        cmocka_unit_test(test_cancel),
        cmocka_unit_test(test_mistakes),
        cmocka_unit_test(test_connections_are_kept),
        cmocka_unit_test(test_urls),
        cmocka_unit_test(test_loopback_urls),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
