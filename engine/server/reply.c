#include "server/reply.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/plain.h"
#include "server/server_parts.h"
#include "server/sse.h"
#include "server/stamp.h"

enum { COPY_MAX = 16 * 1024 }; /* bodies up to this are copied: cheaper than keeping them */

static const char *reason_of(int status) {
    switch (status) {
    case 200:
        return "OK";
    case 201:
        return "Created";
    case 204:
        return "No Content";
    case 304:
        return "Not Modified";
    case 400:
        return "Bad Request";
    case 401:
        return "Unauthorized";
    case 403:
        return "Forbidden";
    case 404:
        return "Not Found";
    case 405:
        return "Method Not Allowed";
    case 408:
        return "Request Timeout";
    case 409:
        return "Conflict";
    case 410:
        return "Gone";
    case 413:
        return "Content Too Large";
    case 415:
        return "Unsupported Media Type";
    case 417:
        return "Expectation Failed";
    case 429:
        return "Too Many Requests";
    case 431:
        return "Request Header Fields Too Large";
    case 500:
        return "Internal Server Error";
    case 501:
        return "Not Implemented";
    case 503:
        return "Service Unavailable";
    case 505:
        return "HTTP Version Not Supported";
    case 507:
        return "Insufficient Storage";
    default:
        return "Status";
    }
}

/* What every response has: made anew once a second, for its date. */
static struct slice common_fields(struct server *server) {
    static const char exposed[] =
        "Access-Control-Expose-Headers: Stream-Next-Offset, Stream-Cursor, Stream-Up-To-Date, Stream-Closed, "
        "Stream-TTL, Stream-Expires-At, Stream-SSE-Data-Encoding, Producer-Epoch, Producer-Seq, "
        "Producer-Expected-Seq, Producer-Received-Seq, ETag, Content-Type, Location, Retry-After\r\n";
    uint64_t s = server_wall_ms() / 1000;
    struct buf *common = &server->common;
    if (s == server->common_s) {
        return buf_slice(common);
    }
    char date[STAMP_HTTP_SIZE];
    stamp_http(s, date);
    server->common_s = s;
    buf_clear(common);
    buf_printf(common, "Date: %s\r\nX-Content-Type-Options: nosniff\r\n", date);
    if (server->origin.len) {
        struct slice origin = buf_slice(&server->origin);
        bool any = slice_is(origin, "*");
        buf_printf(common,
                   "Cross-Origin-Resource-Policy: cross-origin\r\nAccess-Control-Allow-Origin: %.*s\r\n%s",
                   (int)origin.len, origin.ptr, any ? "" : "Vary: Origin\r\n");
        buf_append_text(common, exposed);
    } else {
        buf_append_text(common, "Cross-Origin-Resource-Policy: same-origin\r\n");
    }
    return buf_slice(common);
}

void reply_begin(struct conn *conn, int status) {
    char line[64];
    int len = snprintf(line, sizeof line, "HTTP/1.1 %d %s\r\n", status, reason_of(status));
    conn->status = status;
    conn_put(conn, slice_of(line, (size_t)len));
    conn_put(conn, common_fields(conn->server));
}

void reply_field(struct conn *conn, const char *name, struct slice value) {
    conn_put(conn, slice_from(name));
    conn_put(conn, SLICE(": "));
    conn_put(conn, value);
    conn_put(conn, SLICE("\r\n"));
}

void reply_text(struct conn *conn, const char *name, const char *value) {
    reply_field(conn, name, slice_from(value));
}

void reply_number(struct conn *conn, const char *name, uint64_t value) {
    char text[24];
    snprintf(text, sizeof text, "%" PRIu64, value);
    reply_text(conn, name, text);
}

void reply_next(struct conn *conn, uint64_t position) {
    char offset[STREAM_OFFSET_SIZE];
    stream_offset_format(position, offset);
    reply_field(conn, "Stream-Next-Offset", slice_of(offset, STREAM_OFFSET_LEN));
}

static void end_fields(struct conn *conn) {
    bool over = conn->last || conn->server->closing || !conn->request.keep_alive;
    if (over) {
        conn->last = true;
        conn_put(conn, SLICE("Connection: close\r\n\r\n"));
    } else if (conn->request.http10) {
        conn_put(conn, SLICE("Connection: keep-alive\r\n\r\n"));
    } else {
        conn_put(conn, SLICE("\r\n"));
    }
}

/* Content-Length and the end of the fields. True: a body is to follow. */
static bool begin_body(struct conn *conn, size_t len) {
    bool bodiless = conn->status == 204 || conn->status == 304;
    bool unsaid = conn->request.method == REQUEST_HEAD &&
                  conn->status == 200; /* what GET gives depends on more */
    if (!bodiless && !unsaid) {
        reply_number(conn, "Content-Length", len);
    }
    end_fields(conn);
    return !bodiless && conn->request.method != REQUEST_HEAD;
}

void reply_end(struct conn *conn, struct slice body) {
    if (begin_body(conn, body.len)) {
        conn_put(conn, body);
    }
    conn_answered(conn);
}

/* A block that stands for what was read. */
struct read_block {
    struct stream_body body;
    struct block block;
};

static void release_read(struct block *block) {
    struct read_block *read = (struct read_block *)((char *)block - offsetof(struct read_block, block));
    stream_body_free(&read->body);
    free(read);
}

static void put_copied(struct conn *conn, struct stream_body *body) {
    for (size_t i = 0; i < body->count; i++) {
        conn_put(conn, body->pieces[i]);
    }
    stream_body_free(body);
}

static void put_kept(struct conn *conn, struct stream_body *body) {
    struct read_block *read = malloc(sizeof *read);
    if (!read) {
        stream_body_free(body);
        conn_close(conn);
        return;
    }
    read->body = *body;
    read->block = (struct block){.refs = 1, .release = release_read, .len = body->loaded};
    for (size_t i = 0; i < read->body.count; i++) {
        conn_put_block(conn, &read->block, read->body.pieces[i]);
    }
    block_drop(&read->block);
}

/* What a fault makes of a body: shorter, or with a byte that does not belong there. */
static void put_spoilt(struct conn *conn, struct stream_body *body, size_t len) {
    size_t left = len;
    for (size_t i = 0; i < body->count && left; i++) {
        struct slice piece = body->pieces[i];
        piece.len = piece.len < left ? piece.len : left;
        if (conn->exchange.corrupts && i == 0 && piece.len) {
            conn_put(conn, SLICE("\x01"));
            piece = slice_of(piece.ptr + 1, piece.len - 1);
            left--;
        }
        conn_put(conn, piece);
        left -= piece.len;
    }
    stream_body_free(body);
}

void reply_read(struct conn *conn, struct stream_body *body) {
    const struct exchange *exchange = &conn->exchange;
    size_t len = body->len;
    if (exchange->truncates && exchange->truncate < len) {
        len = exchange->truncate;
    }
    if (!begin_body(conn, len)) {
        stream_body_free(body);
    } else if (exchange->truncates || exchange->corrupts) {
        put_spoilt(conn, body, len);
    } else if (len <= COPY_MAX) {
        put_copied(conn, body);
    } else {
        put_kept(conn, body);
    }
    conn_answered(conn);
}

void reply_stream(struct conn *conn) {
    if (conn->request.http10) {
        conn->last = true;
    } else {
        conn_put(conn, SLICE("Transfer-Encoding: chunked\r\n"));
    }
    end_fields(conn);
    if (conn->state == CONN_ANSWER) {
        conn->state = CONN_STREAM;
    }
}

void reply_chunk(struct conn *conn, struct block *block) {
    if (conn->request.http10) {
        conn_put_block(conn, block, sse_bare(block));
    } else {
        conn_put_block(conn, block, slice_of(block->bytes, block->len));
    }
}

void reply_stream_end(struct conn *conn) {
    if (!conn->request.http10) {
        conn_put(conn, SLICE("0\r\n\r\n"));
    }
    conn_answered(conn);
}

void reply_reason(struct conn *conn, const char *reason) {
    char line[512];
    int len = snprintf(line, sizeof line, "%s\n", reason);
    reply_text(conn, "Content-Type", "text/plain; charset=utf-8");
    reply_text(conn, "Cache-Control", "no-store");
    reply_end(conn, slice_of(line, (size_t)len < sizeof line ? (size_t)len : sizeof line - 1));
}

void reply_error(struct conn *conn, int status, const char *format, ...) {
    char reason[400];
    va_list args;
    va_start(args, format);
    vsnprintf(reason, sizeof reason, format, args);
    va_end(args);
    plain_text(reason);
    reply_begin(conn, status);
    reply_reason(conn, reason);
}
