#include "stream/reader_parts.h"

enum {
    SSE_QUICK_MS = 1000, /* a connection that ends sooner and brought nothing is paced */
    SSE_SILENT_MAX = 3,  /* SSE connections in a row without one control event */
};

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

/* False: the rest of the bytes is not wanted. */
static bool sse_event(struct reader *r, const struct sse_event *event) {
    if (slice_is(event->type, "control")) {
        return sse_control(r, event->data);
    }
    if (!slice_is(event->type, "data")) {
        return true;
    }
    if (event->data.len == 0) {
        error_set(&r->last, ERROR_SYNTAX, "an SSE data event is empty");
        sse_broke(r);
        return false;
    }
    unsigned turn = r->turn;
    if (!reader_begin(r)) {
        return false;
    }
    r->sink.bytes(r->sink.user, event->data.ptr, event->data.len);
    return turn == r->turn;
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

/* Servers end such connections every minute or so, and what lies between may cut them: that is no
 * failure where the connection was of use. */
void reader_sse_done(struct reader *r, bool idle) {
    if (!r->controls && !idle && r->last.code == ERROR_NONE) {
        error_set(&r->last, ERROR_NETWORK, "%s: the SSE connection ended before its first control event",
                  r->shown);
    }
    if (!r->controls) {
        r->silent++;
        if (r->live == SOURCE_LIVE_AUTO && r->silent >= SSE_SILENT_MAX) {
            log_write(r->log, LOG_WARN, "%s: %u SSE connections in a row told nothing: using long-poll",
                      r->shown, r->silent);
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
    r->mode = reader_live_mode(r);
    reader_next(r, reader_pace(r, SSE_QUICK_MS));
}
