#include "stream/reader.h"

#include <stdlib.h>
#include <string.h>

#include "io/url.h"
#include "stream/reader_parts.h"

enum {
    FIRST_LIMIT_MS = 5 * 1000,
    OUTAGE_LIMIT_MS = 10 * 60 * 1000,
    SSE_FIRST_MS = 10 * 1000,
    SSE_AGAIN_MS = 60 * 1000,
    REJECTS_MAX = 3,
    BODY_SHOWN_MAX = 1024,
    ETAG_MAX = 4096,
};

static void on_timer(struct loop_task *task) {
    struct reader *r = task->owner;
    if (r->doomed) {
        reader_fail(r);
    } else if (r->asking) {
        reader_ask(r);
    } else if (r->request) {
        reader_sse_silent(r);
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
    r->mode = reader_first_mode(r);
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
    buf_clear(&r->etag);
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
    uint64_t wait = backoff_next(&r->tries.backoff, 0);
    log_write(r->log, LOG_WARN, "%s: the chunk at offset %.*s cannot be used: %s; reading it again in %.1f s",
              r->shown, (int)r->offset.len, r->offset.ptr, why->message, (double)wait / 1000);
    reader_restart(r, wait);
}

static void reader_release(struct reader *r) {
    free(r->url);
    free(r->ca_file);
    free(r->shown);
    fields_free(&r->fields);
    buf_free(&r->offset);
    buf_free(&r->cursor);
    buf_free(&r->started);
    buf_free(&r->rejected);
    buf_free(&r->body);
    buf_free(&r->etag);
    buf_free(&r->decoded);
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
    buf_init(&r->offset, MARK_TEXT_MAX);
    buf_init(&r->cursor, MARK_TEXT_MAX);
    buf_init(&r->started, MARK_TEXT_MAX);
    buf_init(&r->rejected, MARK_TEXT_MAX);
    buf_init(&r->body, BODY_SHOWN_MAX);
    buf_init(&r->etag, ETAG_MAX);
    buf_init(&r->decoded, SSE_EVENT_MAX);
    fields_init(&r->fields);
    mark_init(&r->mark);
    sse_init(&r->sse, 0);
    char shown[512];
    url_redact(o->location, shown, sizeof shown);
    r->shown = strdup(shown);
    r->url = strdup(o->location);
    r->ca_file = o->ca_file ? strdup(o->ca_file) : NULL;
    if (!r->url || !r->shown || (o->ca_file && !r->ca_file)) {
        return error_set(e, ERROR_MEMORY, "out of memory for a source");
    }
    if (!buf_append_text(&r->offset, o->offset && *o->offset ? o->offset : "-1")) {
        return error_set(e, ERROR_ARGUMENT, "%s: the offset is longer than %d bytes", r->shown,
                         MARK_TEXT_MAX);
    }
    return fields_headers(&r->fields, o->fields, o->field_count, e);
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
    r->patient = !options->first_limit_ms;
    r->outage_limit_ms = options->outage_limit_ms ? options->outage_limit_ms : OUTAGE_LIMIT_MS;
    r->sse_first_ms = options->sse_first_ms ? options->sse_first_ms : SSE_FIRST_MS;
    r->sse_again_ms = options->sse_again_ms ? options->sse_again_ms : SSE_AGAIN_MS;
    r->hooks = options->hooks;
    r->direct = options->direct;
    bool known = options->format == SOURCE_ARRAY || options->format == SOURCE_BYTES;
    r->form = (struct answer_form){.any_type = options->any_type,
                                   .format = known ? options->format : SOURCE_AUTO};
    if (!reader_fill(r, options, e)) {
        reader_release(r);
        return NULL;
    }
    tries_init(&r->tries, options->retry);
    r->poll_ms = r->sse_again_ms;
    r->opened_at = loop_now(r->loop);
    r->mode = reader_first_mode(r);
    loop_timer_init(r->loop, &r->timer, on_timer, r);
    reader_next(r, 0);
    return &r->base;
}
