/* The reads that wait (PROTOCOL.md sections 5.7 and 5.8): long-poll and SSE. */
#include "server/cursor.h"
#include "server/handle.h"
#include "server/reply.h"
#include "server/server_parts.h"
#include "server/sse.h"

enum {
    SSE_BACKLOG = 256 * 1024
}; /* bytes that a slow reader may leave waiting before nothing more is read for it */

static void on_wake(struct stream_watch *watch, enum stream_event event);

static void begin(struct conn *conn, enum exchange_kind kind, uint64_t position, struct slice cursor) {
    struct exchange *exchange = &conn->exchange;
    exchange->kind = kind;
    exchange->position = position;
    exchange->cursor = cursor_next(server_cursor(), cursor, server_random(conn->server));
    exchange->has_cursor = true;
    exchange->watch.wake = on_wake;
    exchange->watch.user = conn;
}

static void leave(struct conn *conn) {
    stream_watch_stop(&conn->exchange.watch);
    conn->exchange.kind = EXCHANGE_NONE;
}

/* ---- long-poll ---- */

static void answer_nothing(struct conn *conn, bool closed) {
    reply_begin(conn, 204);
    reply_text(conn, "Cache-Control", "no-store");
    reply_next(conn, conn->exchange.position);
    reply_text(conn, "Stream-Up-To-Date", "true");
    if (closed) {
        reply_text(conn, "Stream-Closed", "true");
    } else {
        reply_number(conn, "Stream-Cursor", handle_cursor(conn));
    }
    reply_end(conn, SLICE(""));
}

/* Answers where there is something to answer with. */
static bool poll_answer(struct conn *conn, struct stream *stream) {
    struct stream_body body;
    enum stream_status status = stream_read(stream, conn->exchange.position, &body);
    if (status != STREAM_OK) {
        leave(conn);
        handle_status(conn, status, NULL);
        return true;
    }
    if (body.next > body.from) {
        leave(conn);
        handle_read(conn, stream, &body, true, false);
        return true;
    }
    stream_body_free(&body);
    if (body.closed) {
        leave(conn);
        answer_nothing(conn, true);
        return true;
    }
    return false;
}

void live_poll(struct conn *conn, struct stream *stream, uint64_t position, struct slice cursor) {
    begin(conn, EXCHANGE_POLL, position, cursor);
    if (poll_answer(conn, stream)) {
        return;
    }
    if (conn->server->closing) {
        live_poll_end(conn);
        return;
    }
    stream_watch_start(stream, &conn->exchange.watch);
    conn_set_deadline(conn, server_now(conn->server) + conn->server->options.long_poll_ms);
}

void live_poll_end(struct conn *conn) {
    leave(conn);
    answer_nothing(conn, false);
}

/* ---- SSE ---- */

static void last_forget(struct sse_last *last) {
    block_drop(last->data);
    block_drop(last->control);
    *last = (struct sse_last){0};
}

/* Reads and formats what is behind `from`. False: it cannot be read, or memory ran out. */
static bool last_make(struct sse_last *last, struct stream *stream, const struct stream_info *info,
                      uint64_t from) {
    struct stream_body body;
    last_forget(last);
    if (stream_read(stream, from, &body) != STREAM_OK) {
        return false;
    }
    *last = (struct sse_last){.id = info->id, .from = from, .next = body.next, .tail = info->tail};
    last->closed = body.closed;
    last->up_to_date = body.up_to_date;
    last->cursor = server_cursor();
    bool ok = true;
    if (body.next > from) {
        last->data = sse_data(&body, !info->text);
        ok = last->data != NULL;
    }
    stream_body_free(&body);
    last->control = sse_control(last->next, last->cursor, last->up_to_date, last->closed);
    last->whole = ok && last->control;
    return last->whole;
}

/* What is behind this reader's position, formatted: for the first who stands there; the others share it. */
static const struct sse_last *last_of(struct conn *conn) {
    struct sse_last *last = &conn->server->sse;
    struct stream *stream = conn->exchange.watch.stream;
    uint64_t from = conn->exchange.position;
    struct stream_info info;
    stream_info(stream, &info);
    bool same = last->whole && last->id == info.id && last->from == from && last->tail == info.tail &&
                last->cursor == server_cursor() && (last->closed || !info.closed || last->next < info.tail);
    return same || last_make(last, stream, &info, from) ? last : NULL;
}

/* The control event: that of all, but for one who has been given a later cursor. */
static bool put_control(struct conn *conn, const struct sse_last *last) {
    uint64_t cursor = handle_cursor(conn);
    if (last->closed || cursor == last->cursor) {
        reply_chunk(conn, last->control);
        return true;
    }
    struct block *own = sse_control(last->next, cursor, last->up_to_date, last->closed);
    if (own) {
        reply_chunk(conn, own);
        block_drop(own);
    }
    return own != NULL;
}

static void set_deadline(struct conn *conn) {
    uint64_t comment = server_now(conn->server) + conn->server->options.comment_ms;
    uint64_t end = conn->exchange.end;
    conn_set_deadline(conn, comment < end ? comment : end);
}

/* Sends the next events. True: there is more. */
static bool sse_step(struct conn *conn) {
    struct exchange *exchange = &conn->exchange;
    const struct sse_last *last = last_of(conn);
    if (!last) {
        conn_close(conn); /* without an end: the reader notices, and comes back */
        return false;
    }
    if (!last->data && exchange->told && !last->closed) {
        return false;
    }
    if (last->data) {
        reply_chunk(conn, last->data);
    }
    if (!put_control(conn, last)) {
        conn_close(conn);
        return false;
    }
    exchange->position = last->next;
    exchange->told = true;
    if (last->closed) {
        live_sse_end(conn);
        return false;
    }
    set_deadline(conn);
    return !last->up_to_date;
}

void live_sse_pump(struct conn *conn) {
    bool more = true;
    conn->exchange.changed = false;
    while (more && conn->state == CONN_STREAM && conn->exchange.kind == EXCHANGE_SSE) {
        if (conn_backlog(conn) > SSE_BACKLOG) {
            conn->exchange.changed = true; /* goes on when all of it has left */
            return;
        }
        more = sse_step(conn);
        if (more) {
            conn_flush(conn);
        }
    }
}

void live_sse(struct conn *conn, struct stream *stream, uint64_t position, struct slice cursor) {
    struct server *server = conn->server;
    struct stream_info info;
    struct stream_body body;
    enum stream_status status = stream_read(stream, position, &body);
    if (status != STREAM_OK) {
        handle_status(conn, status, NULL);
        return;
    }
    stream_body_free(&body);
    stream_info(stream, &info);
    begin(conn, EXCHANGE_SSE, position, cursor);
    uint64_t life = server->options.sse_life_ms;
    conn->exchange.end = server_now(server) + life - life / 10 + server_random(server) % (life / 5 + 1);
    reply_begin(conn, 200);
    reply_text(conn, "Content-Type", "text/event-stream");
    reply_text(conn, "Cache-Control", "no-cache");
    reply_text(conn, "X-Accel-Buffering", "no");
    if (!info.text) {
        reply_text(conn, "Stream-SSE-Data-Encoding", "base64");
    }
    reply_stream(conn);
    if (conn->exchange.inject) {
        reply_chunk(conn, conn->exchange.inject);
    }
    stream_watch_start(stream, &conn->exchange.watch);
    live_sse_pump(conn);
    if (server->closing && conn->exchange.kind == EXCHANGE_SSE) {
        live_sse_end(conn);
    }
}

void live_sse_deadline(struct conn *conn) {
    if (server_now(conn->server) >= conn->exchange.end) {
        live_sse_end(conn);
        return;
    }
    if (!conn->server->comment) {
        conn->server->comment = sse_comment();
    }
    if (conn->server->comment) {
        reply_chunk(conn, conn->server->comment);
    }
    set_deadline(conn);
}

void live_sse_end(struct conn *conn) {
    leave(conn);
    reply_stream_end(conn);
}

/* ---- both ---- */

static void on_deleted(struct conn *conn) {
    if (conn->exchange.kind == EXCHANGE_SSE) {
        live_sse_end(conn);
    } else {
        struct stream_info info;
        enum stream_status status = streams_head(conn->server->streams, buf_slice(&conn->request.path),
                                                 &info);
        leave(conn);
        handle_status(conn, status == STREAM_GONE ? STREAM_GONE : STREAM_NOT_FOUND, NULL);
    }
}

static void on_wake(struct stream_watch *watch, enum stream_event event) {
    struct conn *conn = watch->user;
    if (event == STREAM_EVENT_DELETED) {
        on_deleted(conn);
    } else if (conn->exchange.kind == EXCHANGE_POLL) {
        poll_answer(conn, watch->stream);
    } else if (conn->exchange.changed || conn_backlog(conn)) {
        conn->exchange.changed = true;
        return; /* it has not taken what it was sent before */
    } else {
        live_sse_pump(conn);
        fan_add(conn);
        return;
    }
    conn_flush(conn);
}
