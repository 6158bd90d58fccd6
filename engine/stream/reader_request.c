#include "stream/reader_parts.h"

#include <string.h>
#include <time.h>

#include "io/url.h"

enum {
    LIVE_IDLE_MS = 75 * 1000, /* a server may hold a live request for a minute or so */
    IDLE_MS = 30 * 1000,
    CONNECT_MS = 10 * 1000,
    LEAST_WAIT_MS = 250, /* what the last attempt before a limit gets */
    URL_MAX = 64 * 1024,
    BODY_SHOWN_MAX = 1024,
};

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

/* Nothing has come since the answer that the entity tag is of: everything is as it was then. */
static bool mark_same(struct reader *r) {
    if (!r->etag.len) {
        return error_set(&r->last, ERROR_HTTP, "304 to a request without If-None-Match");
    }
    r->mark.up_to_date = true;
    r->mark.closed = false;
    buf_clear(&r->mark.cursor);
    return reader_set(&r->mark.offset, &r->offset) ||
           error_set(&r->last, ERROR_MEMORY, "out of memory for an offset");
}

/* An answer that left us where we are can be asked for by its tag the next time. */
static void keep_etag(struct reader *r, const struct http_response *response) {
    struct slice etag = http_field(response, "ETag");
    bool same = slice_equal(buf_slice(&r->offset), buf_slice(&r->mark.offset));
    if (r->mode != CATCH_UP || r->answer != ANSWER_BODY) {
        return;
    }
    buf_clear(&r->etag);
    if (same && r->mark.up_to_date && !r->mark.closed) {
        buf_append_slice(&r->etag, etag);
    }
}

static bool reads(const struct reader *r) {
    return r->answer == ANSWER_BODY || r->answer == ANSWER_NOTHING || r->answer == ANSWER_SAME;
}

static void on_head(void *user, const struct http_response *response) {
    struct reader *r = user;
    bool sse = r->mode == SSE;
    r->form.sse = sse;
    r->status = response->status;
    r->answer = answer_of_read(response, &r->form, &r->last);
    bool marked = !reads(r) || (sse && r->answer == ANSWER_BODY) ||
                  (r->answer == ANSWER_SAME ? mark_same(r) : mark_from_head(&r->mark, response, &r->last));
    if (!marked) {
        r->answer = ANSWER_NO;
    }
    if (r->answer == ANSWER_RETRY) {
        backoff_retry_after(http_field(response, "Retry-After"), time(NULL), &r->retry_ms);
    }
    if (reads(r) && !sse) {
        r->behind = reader_is_behind(r);
        check_hollow(r, response);
        keep_etag(r, response);
    }
    r->answered = r->answered || (reads(r) && !r->behind);
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
        reader_fall_back(r, r->last.message);
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
    bool refused = !reads(r);
    bool idle = e->code == ERROR_TIMEOUT && took >= r->idle_ms && r->mode != CATCH_UP && !r->in_chunk;
    if (e->code == ERROR_NONE && refused) {
        reader_refused(r);
        return;
    }
    r->last = *e;
    if (r->patient && !r->answered && e->code == ERROR_NETWORK) {
        r->opened_at += took; /* the wait for an answer that broke off does not count */
    }
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

static bool set_url(struct reader *r, struct buf *url, struct fields *fields) {
    bool live = r->mode != CATCH_UP;
    struct slice mode = slice_from(r->mode == SSE ? "sse" : "long-poll");
    struct slice none = {0};
    bool ok = fields_param(fields, SLICE("cursor"), live && r->cursor.len ? buf_slice(&r->cursor) : none,
                           &r->last) &&
              fields_param(fields, SLICE("live"), live ? mode : none, &r->last) &&
              fields_param(fields, SLICE("offset"), buf_slice(&r->offset), &r->last);
    if (ok && !url_query(url, r->url, fields->params, fields->param_count)) {
        ok = error_set(&r->last, ERROR_LIMIT, "%s: the URL has too many parameters or is too long", r->shown);
    }
    return ok;
}

static bool set_fields(struct reader *r, struct fields *fields) {
    if (!fields_add(fields, &r->fields, &r->last)) {
        return false;
    }
    if (r->hooks.refresh && !r->hooks.refresh(r->hooks.user, fields, &r->last)) {
        return error_context(&r->last, "%s", r->shown);
    }
    if (r->mode == CATCH_UP && r->etag.len &&
        !fields_default(fields, "If-None-Match", buf_slice(&r->etag), &r->last)) {
        return false;
    }
    return r->mode != SSE || fields_default(fields, "Accept", SLICE("text/event-stream"), &r->last);
}

static void clear_answer(struct reader *r) {
    sse_reset(&r->sse);
    buf_clear(&r->body);
    error_clear(&r->last);
    r->answer = ANSWER_NO;
    r->status = 0;
    r->retry_ms = 0;
    r->controls = 0;
    r->moved = false;
    r->behind = false;
    r->hollow = false;
    r->sent_at = loop_now(r->loop);
}

static void start(struct reader *r, const char *url, const struct fields *fields) {
    uint64_t left = reader_time_left(r);
    left = left < LEAST_WAIT_MS ? LEAST_WAIT_MS : left;
    r->idle_ms = r->mode == CATCH_UP ? IDLE_MS : LIVE_IDLE_MS;
    /* A server that is there may need its time to collect a long stream. */
    uint64_t answer_ms = r->patient && !r->answered ? r->idle_ms : left;
    struct http_options o = {
        .method = "GET",
        .url = url,
        .fields = fields->headers,
        .field_count = fields->header_count,
        .connect_timeout_ms = left < CONNECT_MS ? left : CONNECT_MS,
        .idle_timeout_ms = answer_ms < r->idle_ms ? answer_ms : r->idle_ms,
        .ca_file = r->ca_file,
        .size = r->mode == CATCH_UP ? HTTP_LARGE : HTTP_SMALL,
        .plain = r->mode == SSE,
        .on_head = on_head,
        .on_body = on_body,
        .on_done = on_done,
        .user = r,
    };
    r->request = http_start(r->http, &o, &r->last);
}

void reader_send(struct reader *r) {
    struct fields fields;
    struct buf url;
    fields_init(&fields);
    buf_init(&url, URL_MAX);
    clear_answer(r);
    if (set_fields(r, &fields) && set_url(r, &url, &fields)) {
        start(r, url.ptr, &fields);
    }
    fields_free(&fields);
    buf_free(&url);
    if (!r->request) {
        reader_fail(r);
    } else if (r->mode == SSE && r->live == SOURCE_LIVE_AUTO) {
        loop_timer_start(&r->timer, r->sse_first_ms);
    }
}
