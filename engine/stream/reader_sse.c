#include "stream/reader_parts.h"

#include "stream/base64.h"

enum {
    SSE_QUICK_MS = 1000, /* a connection that ends sooner and brought nothing is paced */
    SSE_SILENT_MAX = 3,  /* SSE connections in a row without one control event */
};

/* The connection is of no use any more. */
static void sse_broke(struct reader *r) {
    error_context(&r->last, "%s", r->shown);
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
    r->poll_ms = r->sse_again_ms;
    if (reader_is_behind(r)) { /* the connection stands there too, and would bring everything again */
        http_cancel(r->request);
        r->request = NULL;
        reader_behind(r);
        return false;
    }
    bool same = slice_equal(buf_slice(&r->offset), buf_slice(&r->mark.offset));
    bool news = r->in_chunk || !same || r->mark.closed || (r->mark.up_to_date && !r->told_tail) ||
                r->failing_at;
    if (!news) { /* a sign of life, with a new cursor */
        if (r->mark.cursor.len) {
            reader_set(&r->cursor, &r->mark.cursor);
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

static bool sse_data(struct reader *r, struct slice data) {
    bool json = r->form.format == SOURCE_ARRAY;
    if (r->form.base64) {
        buf_clear(&r->decoded);
        if (!base64_decode(&r->decoded, data, &r->last)) {
            error_context(&r->last, "an SSE data event");
            sse_broke(r);
            return false;
        }
        data = buf_slice(&r->decoded);
    } else if (json && data.len == 0) {
        error_set(&r->last, ERROR_SYNTAX, "an SSE data event is empty");
        sse_broke(r);
        return false;
    }
    unsigned turn = r->turn;
    if ((json || !r->in_chunk) && !reader_begin(r)) {
        return false;
    }
    if (data.len) {
        r->sink.bytes(r->sink.user, data.ptr, data.len);
    }
    return turn == r->turn;
}

/* False: the rest of the bytes is not wanted. */
static bool sse_event(struct reader *r, const struct sse_event *event) {
    if (slice_is(event->type, "control")) {
        return sse_control(r, event->data);
    }
    if (!slice_is(event->type, "data")) {
        return true;
    }
    return sse_data(r, event->data);
}

void reader_sse_bytes(struct reader *r, struct slice input) {
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

/* It once did not get through: the next time, less is needed to see that. */
static unsigned silent_max(const struct reader *r) {
    return r->poll_until ? 1 : SSE_SILENT_MAX;
}

void reader_sse_silent(struct reader *r) {
    if (r->controls) {
        return;
    }
    if (r->paused) { /* what it told may wait to be read */
        loop_timer_start(&r->timer, r->sse_first_ms);
        return;
    }
    http_cancel(r->request);
    r->request = NULL;
    if (reader_abort(r)) {
        reader_fall_back(r, "nothing came");
        r->mode = LONG_POLL;
        reader_next(r, 0);
    }
}

/* Servers end such connections every minute or so, and what lies between may cut them: that is no
 * failure where the connection was of use. */
void reader_sse_done(struct reader *r, bool idle) {
    if (!r->controls && !idle && r->last.code == ERROR_NONE) {
        error_set(&r->last, ERROR_NETWORK, "%s: the SSE connection ended before its first control event",
                  r->shown);
    }
    if (!r->controls && r->live == SOURCE_LIVE_AUTO && ++r->silent >= silent_max(r)) {
        reader_fall_back(r, "connections told nothing");
    }
    if (!r->controls && !idle) {
        reader_broke(r);
        return;
    }
    if (!reader_abort(r)) {
        return;
    }
    r->mode = reader_live_mode(r);
    reader_next(r, reader_pace(r, SSE_QUICK_MS));
}
