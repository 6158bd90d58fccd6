#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/plain.h"
#include "io/url.h"
#include "sink/search_name.h"
#include "sink/search_parts.h"
#include "sink/search_verify.h"
#include "json/read.h"
#include "json/scan.h"
#include "json/text.h"

enum { ANSWER_MAX = 64 << 20, PATH_MAX_BYTES = 64 << 10, KEEP = 8 << 20, EXCERPT = 300 };
static const size_t body_max = (size_t)1 << 30;

/* ---- jobs ---- */

void search_end(struct search_sink *s) {
    loop_defer(s->loop, &s->ending);
}

static void run_ending(struct loop_task *task) {
    struct search_sink *s = task->owner;
    struct error e = s->error;
    if (e.code == ERROR_NONE) {
        outage_over(&s->outage, loop_now(s->loop));
    }
    s->end(s, e.code == ERROR_NONE ? NULL : &e);
}

void search_fail(struct search_sink *s, enum error_code code, const char *format, ...) {
    char text[ERROR_MESSAGE_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    error_set(&s->error, code, "%s: %s", s->sink.name, text);
    search_end(s);
}

void search_excerpt(struct slice text, char *out, size_t size) {
    size_t len = text.len < size - 1 ? text.len : size - 1;
    if (len) {
        memcpy(out, text.ptr, len);
    }
    out[len] = '\0';
    plain_text(out);
}

void search_unexpected(struct search_sink *s, const char *what, int status) {
    char excerpt[EXCERPT];
    search_excerpt(buf_slice(&s->answer), excerpt, sizeof excerpt);
    search_fail(s, ERROR_HTTP, "the server answered %d when weir %s: %s", status, what, excerpt);
    s->error.status = status;
}

struct slice search_json(const struct search_sink *s) {
    struct slice text = json_trim(buf_slice(&s->answer));
    return json_check(text, NULL) ? text : slice_of(NULL, 0);
}

struct slice search_member(struct slice object, const char *name) {
    bool is_object = object.ptr && object.len && json_kind_of(object) == JSON_OBJECT;
    return is_object ? json_member(object, slice_from(name)) : slice_of(NULL, 0);
}

uint64_t search_number(struct slice value) {
    char digits[32] = "";
    if (value.ptr && value.len < sizeof digits) {
        memcpy(digits, value.ptr, value.len);
    }
    return strtoull(digits, NULL, 10);
}

bool search_string_is(struct slice value, const char *text) {
    return value.ptr && json_kind_of(value) == JSON_STRING && json_string_is(value, slice_from(text));
}

bool search_put_own(struct search_sink *s) {
    struct error ignored;
    return buf_append_text(&s->body, "{\"stream\":") &&
           json_quote(&s->body, slice_from(s->sink.stream), &ignored) &&
           buf_append_text(&s->body, ",\"type\":") && json_quote(&s->body, s->type->type, &ignored) &&
           buf_append_byte(&s->body, '}');
}

bool search_says_own(const struct search_sink *s, struct slice weir, struct slice *type) {
    *type = search_member(weir, "type");
    return search_string_is(search_member(weir, "stream"), s->sink.stream) && type->ptr &&
           json_kind_of(*type) == JSON_STRING;
}

void search_list(struct search_sink *s, search_heard *heard, void (*after)(struct search_sink *s)) {
    s->heard = heard;
    s->after_list = after;
    s->dialect->list(s);
}

void search_listed(struct search_sink *s, bool ok) {
    if (ok) {
        s->after_list(s);
    } else {
        search_fail(s, ERROR_MEMORY, "out of memory for names");
    }
}

/* ---- requests ---- */

void search_begin(struct search_sink *s, const char *method, const char *content_type) {
    s->method = method;
    s->content_type = content_type;
    buf_clear(&s->path);
    buf_clear(&s->body);
    buf_shrink(&s->body, KEEP);
}

/* Sends the request once more after a pause, until that has gone on for too long. */
static void wait_and_send(struct search_sink *s) {
    uint64_t wait;
    s->error = s->failure;
    if (outage_wait(&s->outage, loop_now(s->loop), s->floor_ms, &wait, &s->error)) {
        error_clear(&s->error);
        s->waiting = true;
        loop_timer_start(&s->timer, wait);
    } else {
        search_end(s);
    }
}

static void on_body(void *user, const char *ptr, size_t len) {
    struct search_sink *s = user;
    buf_append(&s->answer, ptr, len); /* what does not fit makes it no JSON */
}

static void on_done(void *user, const struct http_response *response, const struct error *e) {
    struct search_sink *s = user;
    s->request = NULL;
    s->status = e->code == ERROR_NONE ? response->status : 0;
    s->floor_ms = 0;
    if (e->code != ERROR_NONE) {
        s->failure = *e;
        error_context(&s->failure, "%s", s->sink.name);
    } else {
        struct slice after = http_field(response, "retry-after");
        if (after.ptr) {
            backoff_retry_after(after, time(NULL), &s->floor_ms);
        }
    }
    loop_defer(s->loop, &s->answered);
}

static bool start(struct search_sink *s, struct buf *url) {
    char authorization[1024];
    struct http_field fields[3];
    size_t count = 0;
    bool is_elastic = s->dialect == &search_elastic;
    if (s->api_key) {
        int len = snprintf(authorization, sizeof authorization, "%s%s", is_elastic ? "ApiKey " : "",
                           s->api_key);
        fields[count++] = (struct http_field){
            is_elastic ? SLICE("Authorization") : SLICE("X-TYPESENSE-API-KEY"),
            slice_of(authorization,
                     (size_t)len < sizeof authorization ? (size_t)len : sizeof authorization - 1)};
    }
    if (s->content_type) {
        fields[count++] = (struct http_field){SLICE("Content-Type"), slice_from(s->content_type)};
    }
    struct http_options options = {
        .method = s->method,
        .url = url->ptr,
        .fields = fields,
        .field_count = count,
        .body = s->content_type ? buf_slice(&s->body) : slice_of(NULL, 0),
        .on_body = on_body,
        .on_done = on_done,
        .user = s,
    };
    s->request = http_start(s->http, &options, &s->failure);
    return s->request != NULL;
}

static void send_request(struct search_sink *s) {
    struct buf url;
    buf_init(&url, PATH_MAX_BYTES * 2);
    buf_clear(&s->answer);
    buf_shrink(&s->answer, KEEP);
    bool ok = buf_append_text(&url, s->url) && buf_append_slice(&url, buf_slice(&s->path)) &&
              buf_append_byte(&url, '\0');
    if (!ok) {
        search_fail(s, ERROR_MEMORY, "out of memory for a request");
    } else if (!start(s, &url)) {
        s->error = s->failure;
        error_context(&s->error, "%s", s->sink.name);
        search_end(s);
    }
    buf_free(&url);
}

static void run_again(struct loop_task *task) {
    struct search_sink *s = task->owner;
    s->waiting = false;
    send_request(s);
}

void search_send(struct search_sink *s, bool ok, search_then *then) {
    s->then = then;
    if (ok) {
        send_request(s);
    } else {
        search_fail(s, ERROR_MEMORY, "out of memory for a request");
    }
}

void search_again(struct search_sink *s, const char *reason) {
    error_set(&s->failure, ERROR_HTTP, "%s: %s", s->sink.name, reason);
    wait_and_send(s);
}

static bool has_answer(const struct search_sink *s, const char *text) {
    return s->answer.len && memmem(s->answer.ptr, s->answer.len, text, strlen(text));
}

/* The server's disk or memory is full: Elasticsearch then says 403, Typesense 422. */
static bool is_full(const struct search_sink *s) {
    return (s->status == 403 && has_answer(s, "cluster_block_exception")) ||
           (s->status == 422 && has_answer(s, "running out of resource"));
}

static bool is_passing(const struct search_sink *s) {
    return s->status == 408 || s->status == 429 || s->status >= 500 || is_full(s);
}

static void run_answered(struct loop_task *task) {
    struct search_sink *s = task->owner;
    char excerpt[EXCERPT];
    if (s->status == 0) {
        wait_and_send(s);
    } else if (is_passing(s)) {
        search_excerpt(buf_slice(&s->answer), excerpt, sizeof excerpt);
        error_set(&s->failure, ERROR_HTTP, "%s: the server answered %d: %s", s->sink.name, s->status,
                  excerpt);
        s->failure.status = s->status;
        wait_and_send(s);
    } else if (s->status == 401 || s->status == 403) {
        search_excerpt(buf_slice(&s->answer), excerpt, sizeof excerpt);
        search_fail(
            s, ERROR_ARGUMENT,
            "the server answered %d: it does not allow this with the apiKey, or the user and password of the "
            "url, that it was given: %s",
            s->status, excerpt);
    } else {
        s->then(s, s->status);
    }
}

/* ---- the kind ---- */

static void drop(struct search_sink *s) {
    free(s->url);
    free(s->prefix);
    free(s->api_key);
    free(s->owner);
    free(s->found_owner);
    free(s->again);
    buf_free(&s->path);
    buf_free(&s->body);
    buf_free(&s->answer);
    buf_free(&s->names);
    sink_place_free(&s->place);
    search_plan_free(&s->plan);
    search_verify_free(s->verify);
    search_types_free(&s->types);
    sink_release(&s->sink);
    free(s);
}

static bool wrong(const char *what, struct error *e) {
    return error_set(e, ERROR_ARGUMENT, "%s", what);
}

static bool configure(struct search_sink *s, const struct sink_options *options, struct error *e) {
    const char *url = sink_setting(options, "url");
    const char *dialect = sink_setting(options, "dialect");
    const char *prefix = sink_setting(options, "prefix");
    const char *key = sink_setting(options, "apiKey");
    if (!url || (strncmp(url, "http://", 7) != 0 && strncmp(url, "https://", 8) != 0) || strpbrk(url, "?#")) {
        return wrong("url: expected http://host:port or https://host:port, without a query", e);
    }
    if (dialect && strcmp(dialect, "elasticsearch") == 0) {
        s->dialect = &search_elastic;
    } else if (dialect && strcmp(dialect, "typesense") == 0) {
        s->dialect = &search_typesense;
    } else {
        return wrong("dialect: expected \"elasticsearch\" or \"typesense\"", e);
    }
    if (prefix && !search_name_prefix(prefix)) {
        return wrong(
            "prefix: expected 40 characters at most, of lower case letters, digits, \"_\", \".\" and \"-\" "
            "(a letter or digit first, no \"--\")",
            e);
    }
    if (key && strlen(key) > 900) {
        return wrong("apiKey: it is too long", e);
    }
    size_t len = strlen(url);
    while (len > 0 && url[len - 1] == '/') {
        len--;
    }
    s->url = strndup(url, len);
    s->prefix = strdup(prefix ? prefix : "");
    s->api_key = key ? strdup(key) : NULL;
    return (s->url && s->prefix && (!key || s->api_key)) ||
           error_set(e, ERROR_MEMORY, "out of memory for a sink");
}

static void opened(struct search_sink *s, const struct error *e) {
    s->sink.host.opened(s->sink.host.user, &s->sink, !e && s->has_place ? &s->place : NULL, e);
}

static struct sink *search_open(const struct sink_kind *kind, const struct sink_options *options,
                                struct error *e) {
    struct search_sink *s = sink_new(sizeof *s, kind, options, e);
    if (!s) {
        return NULL;
    }
    s->loop = options->loop;
    s->http = options->http;
    s->log = options->log;
    s->read_only = options->read_only;
    buf_init(&s->path, PATH_MAX_BYTES);
    buf_init(&s->body, body_max);
    buf_init(&s->answer, ANSWER_MAX);
    buf_init(&s->names, PATH_MAX_BYTES * 64);
    s->rows_max = SEARCH_ROWS_MAX;
    if (!configure(s, options, e)) {
        error_context(e, "%s", options->name);
        drop(s);
        return NULL;
    }
    search_types_init(&s->types, s->prefix);
    outage_init(&s->outage, s->log, s->sink.name, options->outage_limit_ms);
    s->ending = (struct loop_task){.run = run_ending, .owner = s};
    s->answered = (struct loop_task){.run = run_answered, .owner = s};
    loop_timer_init(s->loop, &s->timer, run_again, s);
    s->end = opened;
    search_place_open(s);
    return &s->sink;
}

static void on_timer_closed(struct loop_timer *timer) {
    drop(timer->task.owner);
}

static void search_close(struct sink *sink) {
    struct search_sink *s = (struct search_sink *)sink;
    if (s->request) {
        http_cancel(s->request);
    }
    loop_cancel(s->loop, &s->ending);
    loop_cancel(s->loop, &s->answered);
    loop_timer_close(&s->timer, on_timer_closed);
}

const struct sink_kind sink_search = {
    .name = "search",
    .exact = false,
    .open = search_open,
    .commit = search_commit,
    .verify = search_verify,
    .close = search_close,
};
