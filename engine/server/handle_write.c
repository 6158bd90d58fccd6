/* PUT, POST and DELETE: what changes streams. */
#include <ctype.h>
#include <string.h>

#include "server/handle.h"
#include "server/reply.h"
#include "server/server_parts.h"
#include "server/stamp.h"
#include "server/target.h"

#define PRODUCER_MAX UINT64_C(9007199254740991) /* 2^53 - 1 */

/* A whole number in decimal digits, without leading zeros, at most max. */
static bool number_of(struct slice text, uint64_t max, uint64_t *number) {
    *number = 0;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        uint64_t digit = (uint64_t)(c - '0');
        if (c < '0' || c > '9' || *number > (max - digit) / 10) {
            return false;
        }
        *number = *number * 10 + digit;
    }
    return text.len == 1 || (text.len > 1 && text.ptr[0] != '0');
}

/* ---- waiting for the disk ---- */

static void on_done(struct stream_wait *wait, const struct stream_result *result) {
    struct conn *conn = wait->user;
    struct stream_result answer = *result;
    conn->exchange.kind = EXCHANGE_NONE;
    switch (conn->request.method) {
    case REQUEST_PUT:
        handle_created(conn, &answer);
        break;
    case REQUEST_DELETE:
        handle_deleted(conn, &answer);
        break;
    default:
        handle_appended(conn, &answer);
        break;
    }
    conn_flush(conn);
}

static struct stream_wait *begin_wait(struct conn *conn) {
    struct stream_wait *wait = &conn->exchange.wait;
    *wait = (struct stream_wait){.done = on_done, .user = conn};
    return wait;
}

/* ---- PUT ---- */

static bool bad(struct conn *conn, const char *reason) {
    reply_error(conn, 400, "%s", reason);
    return false;
}

static struct slice behind_token(struct slice s) {
    static const char marks[] = "!#$%&'*+-.^_`|~";
    while (s.len && (isalnum((unsigned char)s.ptr[0]) || (s.ptr[0] && strchr(marks, s.ptr[0])))) {
        s = slice_of(s.ptr + 1, s.len - 1);
    }
    return s;
}

/* TYPE/SUBTYPE, and parameters in visible ASCII. */
static bool is_media_type(struct slice type) {
    struct slice rest = behind_token(type);
    if (rest.len == type.len || rest.len < 2 || rest.ptr[0] != '/') {
        return false;
    }
    struct slice subtype = slice_of(rest.ptr + 1, rest.len - 1);
    rest = behind_token(subtype);
    bool visible = true;
    for (size_t i = 0; i < rest.len; i++) {
        visible = visible && rest.ptr[i] >= 0x20 && rest.ptr[i] < 0x7f;
    }
    return rest.len < subtype.len && visible && (rest.len == 0 || strchr("; ", rest.ptr[0]));
}

static bool take_type(struct conn *conn) {
    struct slice type = conn->request.fields[FIELD_CONTENT_TYPE];
    return !type.ptr || is_media_type(type) ||
           bad(conn, "expected Content-Type to be TYPE/SUBTYPE, such as application/json");
}

static bool take_life(struct conn *conn, struct stream_create *create) {
    struct slice ttl = conn->request.fields[FIELD_STREAM_TTL];
    struct slice expires = conn->request.fields[FIELD_STREAM_EXPIRES_AT];
    create->has_ttl = ttl.ptr != NULL;
    create->has_expires = expires.ptr != NULL;
    if (ttl.ptr && expires.ptr) {
        return bad(conn, "Stream-TTL and Stream-Expires-At exclude each other");
    }
    if (ttl.ptr && !number_of(ttl, PRODUCER_MAX, &create->ttl_s)) {
        return bad(conn, "expected Stream-TTL in whole seconds, without sign or leading zeros");
    }
    if (expires.ptr && !stamp_parse(expires, &create->expires_ms)) {
        return bad(conn, "expected Stream-Expires-At as in RFC 3339: 2030-01-15T10:30:00Z");
    }
    return true;
}

/* The source's path in its one spelling, appended to `path` (which holds the request's own). */
static bool take_source(struct conn *conn, struct slice sent, struct buf *path,
                        struct stream_create *create) {
    struct error e;
    size_t own = path->len;
    bool is_path = sent.len && sent.ptr[0] == '/' && !memchr(sent.ptr, '?', sent.len) &&
                   !memchr(sent.ptr, '#', sent.len);
    path->max = own + REQUEST_PATH_MAX; /* two paths now */
    bool taken = is_path && target_normalise(path, sent, &e);
    path->max = REQUEST_PATH_MAX;
    if (!taken) {
        return bad(conn, "expected Stream-Forked-From to be the path of a stream on this server");
    }
    create->path = slice_of(path->ptr, own);
    create->source = slice_of(path->ptr + own, path->len - own);
    return true;
}

static bool take_fork(struct conn *conn, struct buf *path, struct stream_create *create) {
    const struct slice *fields = conn->request.fields;
    struct slice source = fields[FIELD_STREAM_FORKED_FROM];
    struct slice sub = fields[FIELD_STREAM_FORK_SUB_OFFSET];
    create->fork_offset = fields[FIELD_STREAM_FORK_OFFSET];
    create->has_fork_sub = sub.ptr != NULL;
    if (sub.ptr && !number_of(sub, STREAM_POSITION_MAX, &create->fork_sub)) {
        return bad(conn,
                   "expected Stream-Fork-Sub-Offset to be a whole number, without sign or leading zeros");
    }
    if (source.ptr) {
        return take_source(conn, source, path, create);
    }
    if (create->fork_offset.ptr || sub.ptr) {
        return bad(conn, "a fork offset means nothing without Stream-Forked-From");
    }
    return true;
}

void handle_put(struct conn *conn) {
    struct request *request = &conn->request;
    struct buf *path = &request->path;
    struct stream_create create = {
        .path = buf_slice(path),
        .type = request->fields[FIELD_CONTENT_TYPE],
        .body = buf_slice(&request->body),
        .closed = request_field_true(request, FIELD_STREAM_CLOSED),
    };
    struct stream_result result = {0};
    size_t own = path->len;
    if (!take_type(conn) || !take_life(conn, &create) || !take_fork(conn, path, &create)) {
        return;
    }
    enum stream_status status = streams_create(conn->server->streams, &create, begin_wait(conn), &result);
    path->len = own;
    if (status == STREAM_WAITING) {
        conn->exchange.kind = EXCHANGE_WRITE;
        return;
    }
    result.status = status;
    handle_created(conn, &result);
}

static void put_location(struct conn *conn) {
    struct slice host = conn->request.fields[FIELD_HOST];
    conn_put(conn, SLICE("Location: "));
    if (host.ptr) {
        conn_put(conn, conn->tls ? SLICE("https://") : SLICE("http://"));
        conn_put(conn, host);
    }
    conn_put(conn, buf_slice(&conn->request.path));
    conn_put(conn, SLICE("\r\n"));
}

void handle_created(struct conn *conn, const struct stream_result *result) {
    if (result->status != STREAM_CREATED && result->status != STREAM_EXISTS) {
        handle_status(conn, result->status, result);
        return;
    }
    bool created = result->status == STREAM_CREATED;
    reply_begin(conn, created ? 201 : 200);
    if (created) {
        put_location(conn);
    }
    reply_field(conn, "Content-Type", result->type);
    reply_next(conn, result->tail);
    if (result->closed) {
        reply_text(conn, "Stream-Closed", "true");
    }
    reply_end(conn, SLICE(""));
}

/* ---- POST ---- */

static bool take_producer(struct conn *conn, struct stream_append *append) {
    const struct slice *fields = conn->request.fields;
    struct slice id = fields[FIELD_PRODUCER_ID];
    struct slice epoch = fields[FIELD_PRODUCER_EPOCH];
    struct slice seq = fields[FIELD_PRODUCER_SEQ];
    if (!id.ptr && !epoch.ptr && !seq.ptr) {
        return true;
    }
    if (!id.ptr || !epoch.ptr || !seq.ptr) {
        return bad(conn, "expected Producer-Id, Producer-Epoch and Producer-Seq together");
    }
    if (id.len == 0) {
        return bad(conn, "expected a Producer-Id that is not empty");
    }
    if (!number_of(epoch, PRODUCER_MAX, &append->epoch)) {
        return bad(conn, "expected Producer-Epoch to be a whole number of at most 2^53 - 1");
    }
    if (!number_of(seq, PRODUCER_MAX, &append->producer_seq)) {
        return bad(conn, "expected Producer-Seq to be a whole number of at most 2^53 - 1");
    }
    append->producer = id;
    return true;
}

void handle_post(struct conn *conn) {
    const struct request *request = &conn->request;
    struct stream_append append = {
        .path = buf_slice(&request->path),
        .type = request->fields[FIELD_CONTENT_TYPE],
        .body = buf_slice(&request->body),
        .close = request_field_true(request, FIELD_STREAM_CLOSED),
        .seq = request->fields[FIELD_STREAM_SEQ],
    };
    struct stream_result result = {0};
    if (!take_producer(conn, &append)) {
        return;
    }
    conn->exchange.producer = append.producer.ptr != NULL;
    conn->exchange.close_only = append.body.len == 0;
    enum stream_status status = streams_append(conn->server->streams, &append, begin_wait(conn), &result);
    if (status == STREAM_WAITING) {
        conn->exchange.kind = EXCHANGE_WRITE;
        return;
    }
    result.status = status;
    handle_appended(conn, &result);
}

void handle_appended(struct conn *conn, const struct stream_result *result) {
    bool duplicate = result->status == STREAM_DUPLICATE;
    const struct exchange *exchange = &conn->exchange;
    if (result->status != STREAM_OK && !duplicate) {
        handle_status(conn, result->status, result);
        return;
    }
    reply_begin(conn, exchange->producer && !duplicate && !exchange->close_only ? 200 : 204);
    reply_next(conn, result->tail);
    if (exchange->producer) {
        reply_number(conn, "Producer-Epoch", result->epoch);
        reply_number(conn, "Producer-Seq", result->seq);
    }
    if (result->closed) {
        reply_text(conn, "Stream-Closed", "true");
    }
    reply_end(conn, SLICE(""));
}

/* ---- DELETE ---- */

void handle_delete(struct conn *conn) {
    struct stream_result result = {0};
    enum stream_status status = streams_delete(conn->server->streams, buf_slice(&conn->request.path),
                                               begin_wait(conn), &result);
    if (status == STREAM_WAITING) {
        conn->exchange.kind = EXCHANGE_WRITE;
        return;
    }
    result.status = status;
    handle_deleted(conn, &result);
}

void handle_deleted(struct conn *conn, const struct stream_result *result) {
    if (result->status != STREAM_OK) {
        handle_status(conn, result->status, result);
        return;
    }
    reply_begin(conn, 204);
    reply_end(conn, SLICE(""));
}
