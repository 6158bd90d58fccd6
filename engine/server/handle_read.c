/* GET and HEAD: what reads streams. */
#include <inttypes.h>
#include <stdio.h>

#include "server/cursor.h"
#include "server/etag.h"
#include "server/handle.h"
#include "server/reply.h"
#include "server/server_parts.h"
#include "server/stamp.h"

enum { PARAM_MAX = 512 };

/* ---- HEAD ---- */

void handle_look(struct conn *conn) {
    struct stream_info info;
    enum stream_status status = streams_head(conn->server->streams, buf_slice(&conn->request.path), &info);
    if (status != STREAM_OK) {
        handle_status(conn, status, NULL);
        return;
    }
    reply_begin(conn, 200);
    reply_field(conn, "Content-Type", info.type);
    reply_text(conn, "Cache-Control", "no-store");
    reply_next(conn, info.tail);
    if (info.has_ttl) {
        reply_number(conn, "Stream-TTL", info.ttl_s);
    }
    if (info.has_expires) {
        char stamp[STAMP_SIZE];
        stamp_format(info.expires_ms, stamp);
        reply_text(conn, "Stream-Expires-At", stamp);
    }
    if (info.closed) {
        reply_text(conn, "Stream-Closed", "true");
    }
    reply_end(conn, SLICE(""));
}

/* ---- GET ---- */

enum live { LIVE_NO, LIVE_POLL, LIVE_SSE };

struct question {
    struct stream_offset offset;
    bool has_offset;
    enum live live;
    struct buf cursor;
};

static bool bad(struct conn *conn, const char *reason) {
    reply_error(conn, 400, "%s", reason);
    return false;
}

static bool take_offset(struct conn *conn, struct buf *text, struct question *question) {
    int count = request_param(&conn->request, "offset", text);
    question->has_offset = count != 0;
    if (count > 1) {
        return bad(conn, "expected one offset parameter, not several");
    }
    struct slice value = count ? buf_slice(text) : slice_of(NULL, 0);
    if (count < 0 || !stream_offset_parse(value, &question->offset)) {
        return bad(conn, "expected offset to be -1, now, or an offset that this server gave");
    }
    return true;
}

static bool take_live(struct conn *conn, struct buf *text, struct question *question) {
    int count = request_param(&conn->request, "live", text);
    if (count == 0) {
        return true;
    }
    if (count == 1 && slice_is(buf_slice(text), "long-poll")) {
        question->live = LIVE_POLL;
    } else if (count == 1 && slice_is(buf_slice(text), "sse")) {
        question->live = LIVE_SSE;
    } else {
        return bad(conn, "expected live to be long-poll or sse");
    }
    return question->has_offset || bad(conn, "expected an offset parameter beside live");
}

static void read_now(struct conn *conn, struct stream *stream, uint64_t position, bool now) {
    struct stream_body body;
    enum stream_status status = stream_read(stream, position, &body);
    if (status != STREAM_OK) {
        handle_status(conn, status, NULL);
        return;
    }
    handle_read(conn, stream, &body, false, now);
}

static void answer(struct conn *conn, const struct question *question) {
    struct stream *stream;
    enum stream_status status = streams_get(conn->server->streams, buf_slice(&conn->request.path), &stream);
    if (status != STREAM_OK) {
        handle_status(conn, status, NULL);
        return;
    }
    uint64_t position = stream_position(stream, &question->offset);
    struct slice cursor = buf_slice(&question->cursor);
    switch (question->live) {
    case LIVE_NO:
        read_now(conn, stream, position, question->offset.kind == STREAM_OFFSET_NOW);
        break;
    case LIVE_POLL:
        live_poll(conn, stream, position, cursor);
        break;
    case LIVE_SSE:
        live_sse(conn, stream, position, cursor);
        break;
    }
}

void handle_get(struct conn *conn) {
    struct question question = {.live = LIVE_NO};
    struct buf text;
    buf_init(&text, PARAM_MAX);
    buf_init(&question.cursor, PARAM_MAX);
    if (take_offset(conn, &text, &question) && take_live(conn, &text, &question)) {
        if (request_param(&conn->request, "cursor", &question.cursor) < 0) {
            buf_clear(&question.cursor);
        }
        answer(conn, &question);
    }
    buf_free(&text);
    buf_free(&question.cursor);
}

/* ---- what was read ---- */

/* How long caches may keep it: no longer than the stream lives. */
static void put_caching(struct conn *conn, const struct stream_info *info, bool empty, bool now) {
    char text[96];
    uint64_t wall = server_wall_ms();
    uint64_t age = 60;
    if (now) {
        reply_text(conn, "Cache-Control", "no-store");
        return;
    }
    if (empty) {
        reply_text(conn, "Cache-Control", "no-cache"); /* to be asked again: there may be more by then */
        return;
    }
    if (info->has_ttl && info->ttl_s < age) {
        age = info->ttl_s;
    }
    if (info->has_expires && info->expires_ms < wall + age * 1000) {
        age = info->expires_ms > wall ? (info->expires_ms - wall) / 1000 : 0;
    }
    const char *who = conn->server->token.len ? "private" : "public";
    snprintf(text, sizeof text, "%s, max-age=%" PRIu64 "%s", who, age,
             age == 60 ? ", stale-while-revalidate=300" : "");
    reply_text(conn, "Cache-Control", text);
}

static void put_place(struct conn *conn, const struct stream_body *body, bool cursor) {
    reply_next(conn, body->next);
    if (cursor && !body->closed) {
        reply_number(conn, "Stream-Cursor", handle_cursor(conn));
    }
    if (body->up_to_date) {
        reply_text(conn, "Stream-Up-To-Date", "true");
    }
    if (body->closed) {
        reply_text(conn, "Stream-Closed", "true");
    }
}

void handle_read(struct conn *conn, const struct stream *stream, struct stream_body *body, bool cursor,
                 bool now) {
    struct stream_info info;
    char etag[ETAG_SIZE];
    stream_info(stream, &info);
    etag_format(conn->server->life, info.id, body, etag);
    bool same = !now && etag_matches(conn->request.fields[FIELD_IF_NONE_MATCH], etag);
    reply_begin(conn, same ? 304 : 200);
    if (!now) {
        reply_text(conn, "ETag", etag);
    }
    put_caching(conn, &info, body->next == body->from, now);
    put_place(conn, body, cursor);
    if (same) {
        stream_body_free(body);
        reply_end(conn, SLICE(""));
        return;
    }
    reply_field(conn, "Content-Type", info.type);
    reply_read(conn, body);
}
