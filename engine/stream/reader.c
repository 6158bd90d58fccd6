#include "stream/reader.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "base/buf.h"
#include "io/url.h"
#include "stream/answer.h"
#include "stream/backoff.h"
#include "stream/fields.h"
#include "stream/kind.h"
#include "stream/mark.h"
#include "stream/sse.h"

enum {
    FIRST_LIMIT_MS = 5 * 1000,
    OUTAGE_LIMIT_MS = 10 * 60 * 1000,
    IDLE_MS = 120 * 1000, /* a server may hold a live request for a minute or so */
    CONNECT_MS = 10 * 1000,
    LEAST_WAIT_MS = 250, /* what the last attempt before a limit gets */
    BACKOFF_FIRST_MS = 100,
    BACKOFF_MAX_MS = 10 * 1000,
    REJECTS_MAX = 3,
    STUCK_MAX = 100,     /* answers in a row that neither move the offset nor reach the tail */
    BEHIND_FREE = 10,    /* answers in a row from before our offset, until that is a failure */
    BEHIND_STEP_MS = 10,
    BARREN_FREE = 3,     /* live answers in a row that came at once and told nothing, before it paces */
    BARREN_STEP_MS = 50,
    BARREN_MAX_MS = 1000,
    POLL_QUICK_MS = 20,  /* what "at once" means for a long-poll, and */
    SSE_QUICK_MS = 1000, /* for an SSE connection */
    SSE_SILENT_MAX = 3,  /* SSE connections in a row without one control event */
    BODY_SHOWN_MAX = 1024,
    URL_MAX = 64 * 1024,
};

enum mode { CATCH_UP, LONG_POLL, SSE };

struct reader {
    struct source base;
    struct loop *loop;
    struct http *http;
    const struct log *log;
    struct source_sink sink;
    enum source_live live;
    uint64_t first_limit_ms, outage_limit_ms;
    char *url, *ca_file;
    char shown[512]; /* the URL, for messages */
    struct fields fields;
    struct buf request_url;

    struct buf offset;   /* the next chunk's, or the one's under way */
    struct buf cursor;
    struct buf started;  /* where the chunk that ended last began; empty: none has */
    struct buf rejected; /* where the chunk rejected last began */
    unsigned rejects;
    struct mark mark; /* where it stands after the chunk under way */

    enum mode mode;
    struct http_request *request;
    struct loop_timer timer; /* to the next request */
    bool paused, due;        /* due: the timer fired while paused */
    bool finished, doomed;   /* doomed: `last` is to be reported as the end */
    unsigned turn;           /* counts seek, reject and close: a report's caller looks whether it changed */

    enum answer answer; /* to the present request */
    bool in_chunk;
    struct error last;     /* why the present or the last attempt failed */
    struct buf body;       /* the start of a body that is not a chunk */
    uint64_t retry_ms;     /* Retry-After */
    uint64_t sent_at;      /* when the present request left */
    uint64_t opened_at, failing_at; /* failing_at 0: it is not */
    bool answered;         /* there was an answer, ever */
    bool told_tail;        /* the last end said up to date */
    bool moved;            /* this connection brought something */
    bool behind;           /* the present answer's offset is one that was passed already */
    unsigned behinds;      /* such answers in a row */
    unsigned controls;     /* control events of this connection */
    unsigned stuck, barren, silent;
    struct backoff backoff;
    struct sse sse;
};

static void reader_next(struct reader *r, uint64_t delay_ms);

/* ---- ends ---- */

static void reader_stop(struct reader *r) {
    if (r->request) {
        http_cancel(r->request);
        r->request = NULL;
    }
    loop_timer_stop(&r->timer);
    r->due = false;
    r->in_chunk = false;
    r->doomed = false;
}

static void reader_eof(struct reader *r) {
    reader_stop(r);
    r->finished = true;
    r->sink.eof(r->sink.user);
}

/* Reports r->last as the end. */
static void reader_fail(struct reader *r) {
    reader_stop(r);
    r->finished = true;
    struct error e = r->last; /* a seek from within the report may change it */
    r->sink.fail(r->sink.user, &e);
}

/* Drops the chunk under way. False: the consumer has taken another course. */
static bool reader_abort(struct reader *r) {
    unsigned turn = r->turn;
    if (r->in_chunk) {
        r->in_chunk = false;
        r->sink.abort(r->sink.user);
    }
    return turn == r->turn;
}

/* ---- trying again ---- */

/* Milliseconds until it gives up; UINT64_MAX where nothing is wrong. */
static uint64_t time_left(const struct reader *r) {
    if (r->answered && !r->failing_at) {
        return UINT64_MAX;
    }
    uint64_t limit = r->answered ? r->outage_limit_ms : r->first_limit_ms;
    uint64_t since = loop_now(r->loop) - (r->answered ? r->failing_at : r->opened_at);
    return since < limit ? limit - since : 0;
}

static bool may_change(const struct error *e) {
    return e->code == ERROR_NETWORK || e->code == ERROR_TIMEOUT || answer_may_change(e->status);
}

/* The present request failed with r->last. */
static void reader_broke(struct reader *r) {
    uint64_t now = loop_now(r->loop);
    if (!reader_abort(r)) {
        return;
    }
    r->mode = CATCH_UP;
    if (!may_change(&r->last)) {
        reader_fail(r);
        return;
    }
    r->failing_at = r->failing_at ? r->failing_at : now;
    uint64_t left = time_left(r);
    uint64_t wait = backoff_next(&r->backoff, r->retry_ms);
    uint64_t since = r->answered ? r->failing_at : r->opened_at;
    if (left == 0 || r->retry_ms > left) {
        if (left) {
            error_context(&r->last, "the server asks to wait %.1f s, which is longer than the %.1f s left",
                          (double)r->retry_ms / 1000, (double)left / 1000);
        }
        size_t used = strlen(r->last.message);
        snprintf(r->last.message + used, sizeof r->last.message - used, "; gave up after %.1f s",
                 (double)(now - since) / 1000);
        reader_fail(r);
        return;
    }
    wait = wait < left ? wait : left;
    log_write(r->log, LOG_WARN, "%s; trying again in %.1f s", r->last.message, (double)wait / 1000);
    reader_next(r, wait);
}

/* ---- answers from the past ---- */

/* True where r->mark lies before the offset read from. Offsets grow in byte order (PROTOCOL.md section
 * 8), so to follow it would hand over messages twice. Those of different lengths are not compared:
 * servers that count in plain decimals are not punished for it. */
static bool is_behind(const struct reader *r) {
    struct slice here = buf_slice(&r->offset);
    struct slice told = buf_slice(&r->mark.offset);
    return !slice_is(here, "-1") && !slice_is(here, "now") && here.len == told.len && slice_compare(told, here) < 0;
}

/* A server may serve a message before its tail says so, and for a moment know nothing of the offset it
 * has just given out. Asked again it catches up; where it does not, it has lost what we have read. */
static void reader_behind(struct reader *r) {
    error_set(&r->last, ERROR_NETWORK, "%s: it answered with offset %.*s, but was read up to %.*s: was the stream made anew?",
              r->shown, (int)r->mark.offset.len, r->mark.offset.ptr, (int)r->offset.len, r->offset.ptr);
    if (++r->behinds > BEHIND_FREE) {
        reader_broke(r);
        return;
    }
    log_write(r->log, LOG_DEBUG, "%s", r->last.message);
    if (reader_abort(r)) {
        reader_next(r, (uint64_t)r->behinds * BEHIND_STEP_MS);
    }
}

/* ---- chunks ---- */

static bool buf_set(struct buf *to, const struct buf *from) {
    buf_clear(to);
    return buf_append_slice(to, buf_slice(from));
}

/* r->mark is the end of a chunk: the offset moves. False: the consumer has taken another course, or
 * memory is out and the source has failed. */
static bool reader_end(struct reader *r) {
    bool moved = !slice_equal(buf_slice(&r->offset), buf_slice(&r->mark.offset));
    if (!buf_set(&r->started, &r->offset) || !buf_set(&r->offset, &r->mark.offset) ||
        (r->mark.cursor.len && !buf_set(&r->cursor, &r->mark.cursor))) {
        error_set(&r->last, ERROR_MEMORY, "%s: out of memory for an offset", r->shown);
        reader_fail(r);
        return false;
    }
    if (r->failing_at) {
        log_write(r->log, LOG_INFO, "%s: reading again after %.1f s", r->shown,
                  (double)(loop_now(r->loop) - r->failing_at) / 1000);
    }
    r->failing_at = 0;
    r->behinds = 0;
    backoff_reset(&r->backoff);
    r->moved = r->moved || moved || r->in_chunk;
    r->in_chunk = false;
    r->told_tail = r->mark.up_to_date;
    if (!slice_equal(buf_slice(&r->started), buf_slice(&r->rejected))) {
        r->rejects = 0;
    }
    struct source_chunk chunk = {
        .offset = buf_slice(&r->mark.offset),
        .cursor = r->mark.cursor.len ? buf_slice(&r->mark.cursor) : (struct slice){0},
        .up_to_date = r->mark.up_to_date,
        .closed = r->mark.closed,
    };
    unsigned turn = r->turn;
    r->sink.end(r->sink.user, &chunk);
    return turn == r->turn;
}

static bool reader_begin(struct reader *r) {
    unsigned turn = r->turn;
    r->in_chunk = true;
    r->sink.begin(r->sink.user, SOURCE_ARRAY);
    return turn == r->turn;
}

static enum mode live_mode(const struct reader *r) {
    return r->live == SOURCE_LIVE_LONG_POLL ? LONG_POLL : SSE;
}

/* A live answer that came at once and brought nothing must not turn into a tight loop. */
static uint64_t pace(struct reader *r, uint64_t quick_ms) {
    bool barren = !r->moved && loop_now(r->loop) - r->sent_at < quick_ms;
    r->barren = barren ? r->barren + 1 : 0;
    if (r->barren <= BARREN_FREE) {
        return 0;
    }
    uint64_t wait = (uint64_t)(r->barren - BARREN_FREE) * BARREN_STEP_MS;
    return wait < BARREN_MAX_MS ? wait : BARREN_MAX_MS;
}

/* A whole response to a catch-up or long-poll request. */
static void reader_whole(struct reader *r) {
    bool same = slice_equal(buf_slice(&r->offset), buf_slice(&r->mark.offset));
    r->stuck = same && !r->mark.up_to_date ? r->stuck + 1 : 0;
    if (!reader_end(r)) {
        return;
    }
    if (r->mark.closed || (r->mark.up_to_date && r->live == SOURCE_LIVE_NO)) {
        reader_eof(r);
        return;
    }
    if (r->stuck > STUCK_MAX) {
        error_set(&r->last, ERROR_HTTP, "%s: %d answers in a row stay at offset %.*s and are not up to date",
                  r->shown, STUCK_MAX, (int)r->offset.len, r->offset.ptr);
        reader_fail(r);
        return;
    }
    if (r->mark.up_to_date && r->mode == CATCH_UP) {
        r->mode = live_mode(r);
        reader_next(r, 0);
        return;
    }
    reader_next(r, r->mode == LONG_POLL ? pace(r, POLL_QUICK_MS) : 0);
}

/* ---- SSE ---- */

/* The connection is of no use any more. */
static void sse_broke(struct reader *r) {
    error_context(&r->last, "%s", r->shown);
    if (r->last.code == ERROR_SYNTAX) {
        r->last.code = ERROR_NETWORK; /* garbled on its way: worth another try */
    }
    http_cancel(r->request);
    r->request = NULL;
    reader_broke(r);
}

static bool sse_control(struct reader *r, struct slice data) {
    if (!mark_from_control(&r->mark, data, &r->last)) {
        sse_broke(r);
        return false;
    }
    r->controls++;
    r->silent = 0;
    if (is_behind(r)) { /* the connection stands there too, and would bring everything again */
        http_cancel(r->request);
        r->request = NULL;
        reader_behind(r);
        return false;
    }
    bool same = slice_equal(buf_slice(&r->offset), buf_slice(&r->mark.offset));
    bool news = r->in_chunk || !same || r->mark.closed || (r->mark.up_to_date && !r->told_tail) || r->failing_at;
    if (!news) { /* a sign of life, with a new cursor */
        if (r->mark.cursor.len) {
            buf_set(&r->cursor, &r->mark.cursor);
        }
        return true;
    }
    if (!reader_end(r)) {
        return false;
    }
    if (r->mark.closed) {
        reader_eof(r);
        return false;
    }
    return true;
}

/* False: the rest of the bytes is not wanted. */
static bool sse_event(struct reader *r, const struct sse_event *event) {
    if (slice_is(event->type, "control")) {
        return sse_control(r, event->data);
    }
    if (!slice_is(event->type, "data") || event->data.len == 0) {
        return true;
    }
    unsigned turn = r->turn;
    if (!reader_begin(r)) {
        return false;
    }
    r->sink.bytes(r->sink.user, event->data.ptr, event->data.len);
    return turn == r->turn;
}

static void sse_bytes(struct reader *r, struct slice input) {
    struct sse_event event;
    enum sse_result got;
    while ((got = sse_next(&r->sse, &input, &event, &r->last)) == SSE_EVENT) {
        if (!sse_event(r, &event)) {
            return;
        }
    }
    if (got == SSE_ERROR) {
        sse_broke(r);
    }
}

/* Servers end such connections every minute or so, and what lies between may cut them: that is no
 * failure where the connection was of use. */
static void sse_done(struct reader *r, bool idle) {
    if (!r->controls && !idle && r->last.code == ERROR_NONE) {
        error_set(&r->last, ERROR_NETWORK, "%s: the SSE connection ended before its first control event", r->shown);
    }
    if (!r->controls) {
        r->silent++;
        if (r->live == SOURCE_LIVE_AUTO && r->silent >= SSE_SILENT_MAX) {
            log_write(r->log, LOG_WARN, "%s: %u SSE connections in a row told nothing: using long-poll", r->shown,
                      r->silent);
            r->live = SOURCE_LIVE_LONG_POLL;
        }
    }
    if (!r->controls && !idle) {
        reader_broke(r);
        return;
    }
    if (!reader_abort(r)) {
        return;
    }
    r->mode = live_mode(r);
    reader_next(r, pace(r, SSE_QUICK_MS));
}

/* ---- one request ---- */

static void on_head(void *user, const struct http_response *response) {
    struct reader *r = user;
    r->answer = answer_of_read(response, r->mode == SSE, &r->last);
    bool reads = r->answer == ANSWER_BODY || r->answer == ANSWER_NOTHING;
    if (reads && !(r->answer == ANSWER_BODY && r->mode == SSE) && !mark_from_head(&r->mark, response, &r->last)) {
        r->answer = ANSWER_NO;
    }
    if (r->answer == ANSWER_RETRY) {
        backoff_retry_after(http_field(response, "Retry-After"), time(NULL), &r->retry_ms);
    }
    reads = r->answer == ANSWER_BODY || r->answer == ANSWER_NOTHING;
    r->behind = reads && r->mode != SSE && is_behind(r);
    r->answered = r->answered || (reads && !r->behind);
}

static void on_body(void *user, const char *ptr, size_t len) {
    struct reader *r = user;
    if (r->answer != ANSWER_BODY || r->behind) {
        size_t room = BODY_SHOWN_MAX - r->body.len;
        buf_append(&r->body, ptr, len < room ? len : room);
    } else if (r->mode == SSE) {
        sse_bytes(r, slice_of(ptr, len));
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
        sse_done(r, idle);
    } else if (idle) {
        reader_next(r, 0);
    } else if (e->code != ERROR_NONE) {
        reader_broke(r);
    } else if (r->behind) {
        reader_behind(r);
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
    uint64_t left = time_left(r);
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

static void reader_next(struct reader *r, uint64_t delay_ms) {
    loop_timer_start(&r->timer, delay_ms);
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
    bool ok = r->in_chunk || r->started.len == 0 || buf_set(&r->offset, &r->started);
    bool again = r->rejects && slice_equal(buf_slice(&r->offset), buf_slice(&r->rejected));
    r->rejects = again ? r->rejects + 1 : 1;
    ok = buf_set(&r->rejected, &r->offset) && ok;
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
        return error_set(e, ERROR_ARGUMENT, "%s: the offset is longer than %d bytes", r->shown, MARK_TEXT_MAX);
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
