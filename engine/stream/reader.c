#include "stream/reader.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "io/url.h"
#include "stream/reader_parts.h"

enum {
    FIRST_LIMIT_MS = 5 * 1000,
    OUTAGE_LIMIT_MS = 10 * 60 * 1000,
    IDLE_MS = 120 * 1000, /* a server may hold a live request for a minute or so */
    CONNECT_MS = 10 * 1000,
    LEAST_WAIT_MS = 250, /* what the last attempt before a limit gets */
    BACKOFF_FIRST_MS = 100,
    BACKOFF_MAX_MS = 10 * 1000,
    REJECTS_MAX = 3,
    BODY_SHOWN_MAX = 1024,
    URL_MAX = 64 * 1024,
};

/* ---- one request ---- */

/* An offset that moves without a body would lose what lies between. A 204 may tell a tail that moved
 * after it was decided: it is asked again from where we are. A 200 must have a body then; so must one
 * that had bytes on the wire which decoded to nothing (gzip, cut at its start, is no error to curl). */
static void check_hollow(struct reader *r, const struct http_response *response) {
    struct slice here = buf_slice(&r->offset);
    bool moved = !reader_is_sentinel(here) && !slice_equal(here, buf_slice(&r->mark.offset));
    struct slice length = http_field(response, "Content-Length");
    bool sent = http_field(response, "Content-Encoding").ptr || (length.len && !slice_is(length, "0"));
    r->hollow = r->answer == ANSWER_BODY && (moved || sent);
    if (r->answer == ANSWER_NOTHING && moved) {
        r->mark.up_to_date = false;
        r->mark.closed = false;
        buf_clear(&r->mark.offset);
        buf_append_slice(&r->mark.offset, here);
    }
}

static void on_head(void *user, const struct http_response *response) {
    struct reader *r = user;
    r->answer = answer_of_read(response, r->mode == SSE, &r->last);
    bool reads = r->answer == ANSWER_BODY || r->answer == ANSWER_NOTHING;
    if (reads && !(r->answer == ANSWER_BODY && r->mode == SSE) &&
        !mark_from_head(&r->mark, response, &r->last)) {
        r->answer = ANSWER_NO;
    }
    if (r->answer == ANSWER_RETRY) {
        backoff_retry_after(http_field(response, "Retry-After"), time(NULL), &r->retry_ms);
    }
    reads = r->answer == ANSWER_BODY || r->answer == ANSWER_NOTHING;
    if (reads && r->mode != SSE) {
        r->behind = reader_is_behind(r);
        check_hollow(r, response);
    }
    r->answered = r->answered || (reads && !r->behind);
}

static void on_body(void *user, const char *ptr, size_t len) {
    struct reader *r = user;
    if (r->answer != ANSWER_BODY || r->behind) {
        size_t room = BODY_SHOWN_MAX - r->body.len;
        buf_append(&r->body, ptr, len < room ? len : room);
    } else if (r->mode == SSE) {
        reader_sse_bytes(r, slice_of(ptr, len));
    } else if (r->in_chunk || reader_begin(r)) {
        r->sink.bytes(r->sink.user, ptr, len);
    }
}

/* The whole answer is there, and it says no. */
static void reader_refused(struct reader *r) {
    if (r->answer == ANSWER_NO_SSE && r->live == SOURCE_LIVE_AUTO) {
        log_write(r->log, LOG_WARN, "%s: SSE was %s: using long-poll", r->shown, r->last.message);
        r->live = SOURCE_LIVE_LONG_POLL;
        r->mode = LONG_POLL;
        reader_next(r, 0);
        return;
    }
    if (r->last.status) {
        answer_error(r->last.status, buf_slice(&r->body), &r->last);
    }
    if (r->last.code == ERROR_NOT_FOUND || r->last.code == ERROR_GONE || r->last.status == 400) {
        error_context(&r->last, "%s at offset %.*s", r->shown, (int)r->offset.len, r->offset.ptr);
    } else {
        error_context(&r->last, "%s", r->shown);
    }
    reader_broke(r);
}

static void on_done(void *user, const struct http_response *response, const struct error *e) {
    (void)response;
    struct reader *r = user;
    r->request = NULL;
    uint64_t took = loop_now(r->loop) - r->sent_at;
    bool refused = r->answer != ANSWER_BODY && r->answer != ANSWER_NOTHING;
    bool idle = e->code == ERROR_TIMEOUT && took >= IDLE_MS && r->mode != CATCH_UP && !r->in_chunk;
    if (e->code == ERROR_NONE && refused) {
        reader_refused(r);
        return;
    }
    r->last = *e;
    if (r->mode == SSE && r->answer == ANSWER_BODY && !refused) {
        reader_sse_done(r, idle);
    } else if (idle) {
        reader_next(r, 0);
    } else if (e->code != ERROR_NONE) {
        reader_broke(r);
    } else if (r->behind) {
        reader_behind(r);
    } else if (r->hollow && !r->in_chunk) {
        error_set(&r->last, ERROR_NETWORK, "%s: the answer at offset %.*s came without its body", r->shown,
                  (int)r->offset.len, r->offset.ptr);
        reader_broke(r);
    } else {
        reader_whole(r);
    }
}

static bool set_url(struct reader *r) {
    bool live = r->mode != CATCH_UP;
    struct url_param params[] = {
        {"cursor", live && r->cursor.len ? buf_slice(&r->cursor) : (struct slice){0}},
        {"live", live ? slice_from(r->mode == SSE ? "sse" : "long-poll") : (struct slice){0}},
        {"offset", buf_slice(&r->offset)},
    };
    buf_clear(&r->request_url);
    return url_query(&r->request_url, r->url, params, sizeof params / sizeof *params) ||
           error_set(&r->last, ERROR_LIMIT, "%s: the URL has too many parameters or is too long", r->shown);
}

static void reader_send(struct reader *r) {
    uint64_t left = reader_time_left(r);
    left = left < LEAST_WAIT_MS ? LEAST_WAIT_MS : left;
    fields_trim(&r->fields);
    if (r->mode == SSE) {
        fields_put(&r->fields, "Accept", SLICE("text/event-stream"));
    }
    sse_reset(&r->sse);
    buf_clear(&r->body);
    error_clear(&r->last);
    r->answer = ANSWER_NO;
    r->retry_ms = 0;
    r->controls = 0;
    r->moved = false;
    r->behind = false;
    r->hollow = false;
    r->sent_at = loop_now(r->loop);
    if (set_url(r)) {
        struct http_options o = {
            .method = "GET",
            .url = r->request_url.ptr,
            .fields = r->fields.list,
            .field_count = r->fields.count,
            .connect_timeout_ms = left < CONNECT_MS ? left : CONNECT_MS,
            .idle_timeout_ms = left < IDLE_MS ? left : IDLE_MS,
            .ca_file = r->ca_file,
            .on_head = on_head,
            .on_body = on_body,
            .on_done = on_done,
            .user = r,
        };
        r->request = http_start(r->http, &o, &r->last);
    }
    if (!r->request) {
        reader_fail(r);
    }
}

static void on_timer(struct loop_task *task) {
    struct reader *r = task->owner;
    if (r->doomed) {
        reader_fail(r);
    } else if (r->paused) {
        r->due = true;
    } else {
        reader_send(r);
    }
}

/* ---- what source.h asks for ---- */

static void reader_pause(struct source *source) {
    struct reader *r = (struct reader *)source;
    r->paused = true;
    if (r->request) {
        http_pause(r->request);
    }
}

static void reader_resume(struct source *source) {
    struct reader *r = (struct reader *)source;
    r->paused = false;
    if (r->request) {
        http_resume(r->request);
    } else if (r->due) {
        r->due = false;
        reader_next(r, 0);
    }
}

/* Starts anew, from r->offset. */
static void reader_restart(struct reader *r, uint64_t delay_ms) {
    reader_stop(r);
    r->turn++;
    r->finished = false;
    r->mode = CATCH_UP;
    r->told_tail = false;
    r->stuck = 0;
    reader_next(r, delay_ms);
}

static void reader_doom(struct reader *r, const struct error *why) {
    struct error e = *why; /* may be r->last itself */
    reader_restart(r, 0);
    r->last = e;
    r->doomed = true;
}

static void reader_seek(struct source *source, const char *offset) {
    struct reader *r = (struct reader *)source;
    struct error e;
    buf_clear(&r->offset);
    buf_clear(&r->cursor);
    buf_clear(&r->started);
    if (!buf_append_text(&r->offset, offset && *offset ? offset : "-1")) {
        error_set(&e, ERROR_ARGUMENT, "%s: the offset is longer than %d bytes", r->shown, MARK_TEXT_MAX);
        reader_doom(r, &e);
        return;
    }
    reader_restart(r, 0);
}

static void reader_reject(struct source *source, const struct error *why) {
    struct reader *r = (struct reader *)source;
    bool ok = r->in_chunk || r->started.len == 0 || reader_set(&r->offset, &r->started);
    bool again = r->rejects && slice_equal(buf_slice(&r->offset), buf_slice(&r->rejected));
    r->rejects = again ? r->rejects + 1 : 1;
    ok = reader_set(&r->rejected, &r->offset) && ok;
    if (!ok || r->rejects >= REJECTS_MAX) {
        reader_doom(r, why);
        return;
    }
    uint64_t wait = backoff_next(&r->backoff, 0);
    log_write(r->log, LOG_WARN, "%s: the chunk at offset %.*s cannot be used: %s; reading it again in %.1f s",
              r->shown, (int)r->offset.len, r->offset.ptr, why->message, (double)wait / 1000);
    reader_restart(r, wait);
}

static void reader_release(struct reader *r) {
    free(r->url);
    free(r->ca_file);
    fields_free(&r->fields);
    buf_free(&r->request_url);
    buf_free(&r->offset);
    buf_free(&r->cursor);
    buf_free(&r->started);
    buf_free(&r->rejected);
    buf_free(&r->body);
    mark_free(&r->mark);
    sse_free(&r->sse);
    free(r);
}

static void on_closed(struct loop_timer *timer) {
    reader_release(timer->task.owner);
}

static void reader_close(struct source *source) {
    struct reader *r = (struct reader *)source;
    reader_stop(r);
    r->turn++;
    loop_timer_close(&r->timer, on_closed);
}

static const struct source_kind reader_kind = {
    .pause = reader_pause,
    .resume = reader_resume,
    .seek = reader_seek,
    .reject = reader_reject,
    .close = reader_close,
};

static bool reader_fill(struct reader *r, const struct source_options *o, struct error *e) {
    buf_init(&r->request_url, URL_MAX);
    buf_init(&r->offset, MARK_TEXT_MAX);
    buf_init(&r->cursor, MARK_TEXT_MAX);
    buf_init(&r->started, MARK_TEXT_MAX);
    buf_init(&r->rejected, MARK_TEXT_MAX);
    buf_init(&r->body, BODY_SHOWN_MAX);
    mark_init(&r->mark);
    sse_init(&r->sse, 0);
    r->url = strdup(o->location);
    r->ca_file = o->ca_file ? strdup(o->ca_file) : NULL;
    if (!r->url || (o->ca_file && !r->ca_file)) {
        return error_set(e, ERROR_MEMORY, "out of memory for a source");
    }
    if (!buf_append_text(&r->offset, o->offset && *o->offset ? o->offset : "-1")) {
        return error_set(e, ERROR_ARGUMENT, "%s: the offset is longer than %d bytes", r->shown,
                         MARK_TEXT_MAX);
    }
    return fields_copy(&r->fields, o->fields, o->field_count, 1, e);
}

struct source *reader_open(const struct source_options *options, struct error *e) {
    struct reader *r = calloc(1, sizeof *r);
    if (!r) {
        error_set(e, ERROR_MEMORY, "out of memory for a source");
        return NULL;
    }
    r->base.kind = &reader_kind;
    r->loop = options->loop;
    r->http = options->http;
    r->log = options->log;
    r->sink = options->sink;
    r->live = options->live;
    r->first_limit_ms = options->first_limit_ms ? options->first_limit_ms : FIRST_LIMIT_MS;
    r->outage_limit_ms = options->outage_limit_ms ? options->outage_limit_ms : OUTAGE_LIMIT_MS;
    url_redact(options->location, r->shown, sizeof r->shown);
    if (!reader_fill(r, options, e)) {
        reader_release(r);
        return NULL;
    }
    uint64_t seed = 0;
    if (getrandom(&seed, sizeof seed, GRND_NONBLOCK) != (ssize_t)sizeof seed) {
        seed = uv_hrtime();
    }
    backoff_init(&r->backoff, BACKOFF_FIRST_MS, BACKOFF_MAX_MS, seed);
    r->opened_at = loop_now(r->loop);
    loop_timer_init(r->loop, &r->timer, on_timer, r);
    reader_next(r, 0);
    return &r->base;
}
