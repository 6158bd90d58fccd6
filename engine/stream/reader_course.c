#include "stream/reader_parts.h"

enum {
    STUCK_MAX = 100,  /* answers in a row that neither move the offset nor reach the tail */
    BEHIND_FREE = 10, /* answers in a row from before our offset, until that is a failure */
    BEHIND_STEP_MS = 10,
    BARREN_FREE = 3, /* live answers in a row that came at once and told nothing, before it paces */
    BARREN_STEP_MS = 50,
    BARREN_MAX_MS = 1000,
    POLL_QUICK_MS = 20, /* what "at once" means for a long-poll */
    POLL_GROWS = 16,    /* the longest time between two tries of SSE, in times of the first */
};

void reader_next(struct reader *r, uint64_t delay_ms) {
    loop_timer_start(&r->timer, delay_ms);
}

/* ---- ends ---- */

void reader_stop(struct reader *r) {
    if (r->request) {
        http_cancel(r->request);
        r->request = NULL;
    }
    loop_timer_stop(&r->timer);
    r->due = false;
    r->in_chunk = false;
    r->doomed = false;
    r->asking = false;
}

void reader_eof(struct reader *r) {
    reader_stop(r);
    r->finished = true;
    r->sink.eof(r->sink.user);
}

/* Reports r->last as the end. */
void reader_fail(struct reader *r) {
    reader_stop(r);
    r->finished = true;
    struct error e = r->last; /* a seek from within the report may change it */
    r->sink.fail(r->sink.user, &e);
}

/* Drops the chunk under way. False: the consumer has taken another course. */
bool reader_abort(struct reader *r) {
    unsigned turn = r->turn;
    if (r->in_chunk) {
        r->in_chunk = false;
        r->sink.abort(r->sink.user);
    }
    return turn == r->turn;
}

/* ---- trying again ---- */

/* Milliseconds until it gives up; UINT64_MAX where nothing is wrong. */
uint64_t reader_time_left(const struct reader *r) {
    if (r->answered && !r->failing_at) {
        return UINT64_MAX;
    }
    uint64_t limit = r->answered ? r->outage_limit_ms : r->first_limit_ms;
    uint64_t since = loop_now(r->loop) - (r->answered ? r->failing_at : r->opened_at);
    return since < limit ? limit - since : 0;
}

static bool may_change(const struct error *e) {
    /* What SSE garbles on its way is worth another try, too. */
    return e->code == ERROR_NETWORK || e->code == ERROR_TIMEOUT || e->code == ERROR_SYNTAX ||
           answer_may_change(e->status);
}

/* What follows from r->last. */
static void retry_or_fail(struct reader *r, bool retryable) {
    uint64_t now = loop_now(r->loop);
    r->failing_at = r->failing_at ? r->failing_at : now;
    uint64_t limit = r->answered ? r->outage_limit_ms : r->first_limit_ms;
    uint64_t since = now - (r->answered ? r->failing_at : r->opened_at);
    uint64_t wait = 0;
    if (!retryable || !tries_again(&r->tries, since, limit, r->retry_ms, &wait, &r->last)) {
        reader_fail(r);
        return;
    }
    log_write(r->log, LOG_WARN, "%s; trying again in %.1f s", r->last.message, (double)wait / 1000);
    reader_next(r, wait);
}

/* The present request failed with r->last. */
void reader_broke(struct reader *r) {
    if (!reader_abort(r)) {
        return;
    }
    r->mode = reader_first_mode(r);
    if (r->hooks.on_error) { /* it may run Lua: from a task */
        r->asking = true;
        reader_next(r, 0);
        return;
    }
    retry_or_fail(r, may_change(&r->last));
}

void reader_ask(struct reader *r) {
    bool retryable = may_change(&r->last);
    r->asking = false;
    enum hooks_verdict verdict = r->hooks.on_error(r->hooks.user, &r->last, retryable);
    retry_or_fail(r, verdict == HOOKS_RETRY || (verdict == HOOKS_DEFAULT && retryable));
}

/* ---- answers from the past ---- */

/* "-1" and "now" stand for an offset. */
bool reader_is_sentinel(struct slice offset) {
    return slice_is(offset, "-1") || slice_is(offset, "now");
}

/* True where r->mark lies before the offset read from. Offsets grow in byte order (PROTOCOL.md section
 * 8), so to follow it would hand over messages twice. Those of different lengths are not compared:
 * servers that count in plain decimals are not punished for it. */
bool reader_is_behind(const struct reader *r) {
    struct slice here = buf_slice(&r->offset);
    struct slice told = buf_slice(&r->mark.offset);
    return !reader_is_sentinel(here) && here.len == told.len && slice_compare(told, here) < 0;
}

/* A server may serve a message before its tail says so, and for a moment know nothing of the offset it
 * has just given out. Asked again it catches up; where it does not, it has lost what we have read. */
void reader_behind(struct reader *r) {
    error_set(&r->last, ERROR_NETWORK,
              "%s: it answered with offset %.*s, but was read up to %.*s: was the stream made anew?",
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

bool reader_set(struct buf *to, const struct buf *from) {
    buf_clear(to);
    return buf_append_slice(to, buf_slice(from));
}

/* r->mark is the end of a chunk: the offset moves. False: the consumer has taken another course, or
 * memory is out and the source has failed. */
bool reader_end(struct reader *r) {
    bool moved = !slice_equal(buf_slice(&r->offset), buf_slice(&r->mark.offset));
    if (!reader_set(&r->started, &r->offset) || !reader_set(&r->offset, &r->mark.offset) ||
        (r->mark.cursor.len && !reader_set(&r->cursor, &r->mark.cursor))) {
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
    tries_reset(&r->tries);
    if (moved) {
        buf_clear(&r->etag);
    }
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
        .status = r->status,
    };
    unsigned turn = r->turn;
    r->sink.end(r->sink.user, &chunk);
    return turn == r->turn;
}

bool reader_begin(struct reader *r) {
    unsigned turn = r->turn;
    r->in_chunk = true;
    r->sink.begin(r->sink.user, r->form.format);
    return turn == r->turn;
}

enum reader_mode reader_live_mode(const struct reader *r) {
    bool polls = r->live == SOURCE_LIVE_AUTO && loop_now(r->loop) < r->poll_until;
    return r->live == SOURCE_LIVE_LONG_POLL || polls ? LONG_POLL : SSE;
}

enum reader_mode reader_first_mode(const struct reader *r) {
    return r->direct && r->live != SOURCE_LIVE_NO ? reader_live_mode(r) : CATCH_UP;
}

void reader_fall_back(struct reader *r, const char *why) {
    log_write(r->log, LOG_WARN, "%s: SSE does not get through (%s): using long-poll for %.0f s", r->shown,
              why, (double)r->poll_ms / 1000);
    r->poll_until = loop_now(r->loop) + r->poll_ms;
    r->poll_ms = r->poll_ms * 2 < r->sse_again_ms * POLL_GROWS ? r->poll_ms * 2
                                                               : r->sse_again_ms * POLL_GROWS;
}

/* A live answer that came at once and brought nothing must not turn into a tight loop. */
uint64_t reader_pace(struct reader *r, uint64_t quick_ms) {
    bool barren = !r->moved && loop_now(r->loop) - r->sent_at < quick_ms;
    r->barren = barren ? r->barren + 1 : 0;
    if (r->barren <= BARREN_FREE) {
        return 0;
    }
    uint64_t wait = (uint64_t)(r->barren - BARREN_FREE) * BARREN_STEP_MS;
    return wait < BARREN_MAX_MS ? wait : BARREN_MAX_MS;
}

/* A whole response to a catch-up or long-poll request. */
void reader_whole(struct reader *r) {
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
        r->mode = reader_live_mode(r);
        reader_next(r, 0);
        return;
    }
    uint64_t wait = r->mode == LONG_POLL ? reader_pace(r, POLL_QUICK_MS) : 0;
    r->mode = r->mode == CATCH_UP ? CATCH_UP : reader_live_mode(r); /* SSE may be due again */
    reader_next(r, wait);
}
