#include "server/handle.h"

#include <string.h>
#include <strings.h>

#include "server/faults.h"
#include "server/reply.h"
#include "server/server_parts.h"
#include "server/target.h"

static const char methods[] = "GET, HEAD, POST, PUT, DELETE, OPTIONS";

/* ---- what the head alone decides ---- */

/* Takes as long for every token of one length, right or wrong. */
static bool token_is(const struct buf *token, struct slice given) {
    unsigned difference = given.len != token->len;
    for (size_t i = 0; i < given.len; i++) {
        difference |= (unsigned char)given.ptr[i] ^ (unsigned char)token->ptr[i % token->len];
    }
    return difference == 0;
}

static bool is_allowed(const struct conn *conn) {
    struct slice given = conn->request.fields[FIELD_AUTHORIZATION];
    const struct buf *token = &conn->server->token;
    if (token->len == 0 || conn->request.method == REQUEST_OPTIONS) {
        return true; /* a browser asks by OPTIONS before it sends any credential */
    }
    return given.len > 7 && strncasecmp(given.ptr, "Bearer ", 7) == 0 &&
           token_is(token, slice_of(given.ptr + 7, given.len - 7));
}

static bool refuse(struct conn *conn, int status, const char *reason) {
    conn->state = CONN_ANSWER;
    conn->last = conn->last || conn->request.has_body; /* which will not be read */
    reply_begin(conn, status);
    if (status == 401) {
        reply_text(conn, "WWW-Authenticate", "Bearer");
    }
    reply_reason(conn, reason);
    return false;
}

static bool take_path(struct conn *conn) {
    struct request *request = &conn->request;
    struct slice path;
    struct error e;
    if (slice_is(request->target, "*") && request->method == REQUEST_OPTIONS) {
        return buf_append_byte(&request->path, '*');
    }
    if (!target_split(request->target, &path, &request->query)) {
        return refuse(conn, 400, "expected a target that begins with '/', without '#'");
    }
    if (!target_normalise(&request->path, path, &e)) {
        return refuse(conn, 400, e.message);
    }
    return true;
}

static bool takes_body(struct conn *conn) {
    const struct request *request = &conn->request;
    struct slice expect = request->fields[FIELD_EXPECT];
    struct slice coding = request->fields[FIELD_CONTENT_ENCODING];
    if (expect.ptr && (expect.len != 12 || strncasecmp(expect.ptr, "100-continue", 12) != 0)) {
        return refuse(conn, 417, "no expectation but 100-continue is met");
    }
    if (request->has_body && coding.len && (coding.len != 8 || strncasecmp(coding.ptr, "identity", 8) != 0)) {
        return refuse(conn, 415, "a body with a Content-Encoding is not taken: send it as it is");
    }
    if (request->length > conn->server->options.max_body) {
        conn->state = CONN_ANSWER;
        conn->last = true;
        reply_error(conn, 413, "the body is longer than %zu bytes (--max-body)",
                    conn->server->options.max_body);
        return false;
    }
    return true;
}

bool handle_head(struct conn *conn) {
    if (!take_path(conn)) {
        return false;
    }
    if (!is_allowed(conn)) {
        return refuse(conn, 401, "expected 'Authorization: Bearer TOKEN' with this server's token");
    }
    return takes_body(conn);
}

/* ---- the request ---- */

static void handle_options(struct conn *conn) {
    reply_begin(conn, 204);
    reply_text(conn, "Allow", methods);
    if (conn->server->origin.len) {
        reply_text(conn, "Access-Control-Allow-Methods", methods);
        reply_text(
            conn, "Access-Control-Allow-Headers",
            "Content-Type, Authorization, If-None-Match, Stream-Seq, Stream-TTL, Stream-Expires-At, "
            "Stream-Closed, Stream-Forked-From, Stream-Fork-Offset, Stream-Fork-Sub-Offset, Producer-Id, "
            "Producer-Epoch, Producer-Seq");
        reply_text(conn, "Access-Control-Max-Age", "600");
    }
    reply_end(conn, SLICE(""));
}

/* True where a segment of the path is `__ds`: PROTOCOL.md section 6 keeps those for subscriptions. */
static bool is_reserved(struct slice path) {
    const char *at = memmem(path.ptr, path.len, "/__ds", 5);
    return at && (at + 5 == path.ptr + path.len || at[5] == '/');
}

static void handle_method(struct conn *conn) {
    switch (conn->request.method) {
    case REQUEST_GET:
        handle_get(conn);
        break;
    case REQUEST_HEAD:
        handle_look(conn);
        break;
    case REQUEST_POST:
        handle_post(conn);
        break;
    case REQUEST_PUT:
        handle_put(conn);
        break;
    case REQUEST_DELETE:
        handle_delete(conn);
        break;
    case REQUEST_OPTIONS:
        handle_options(conn);
        break;
    case REQUEST_OTHER:
        break; /* was refused before */
    }
}

static void handle_stream(struct conn *conn) {
    struct slice path = buf_slice(&conn->request.path);
    if (conn->request.method == REQUEST_OPTIONS) {
        handle_options(conn);
    } else if (conn->request.method == REQUEST_OTHER) {
        reply_begin(conn, 405);
        reply_text(conn, "Allow", methods);
        reply_reason(conn, "expected one of GET, HEAD, POST, PUT, DELETE, OPTIONS");
    } else if (is_reserved(path)) {
        reply_error(conn, 501, "subscriptions (paths with __ds) are not served here");
    } else if (slice_is(path, "/")) {
        reply_error(conn, 404,
                    "this is weir serve: streams live under any path but '/', such as /v1/stream/NAME");
    } else {
        handle_method(conn);
    }
}

void handle_request(struct conn *conn) {
    block_drop(conn->exchange.inject);
    conn->exchange = (struct exchange){0};
    switch (faults_meet(conn)) {
    case FAULTS_NONE:
        handle_stream(conn);
        break;
    case FAULTS_ANSWERED:
        break;
    case FAULTS_DELAY:
        conn->exchange.kind = EXCHANGE_DELAY;
        break;
    }
}

/* ---- what happens meanwhile ---- */

void handle_deadline(struct conn *conn) {
    switch (conn->exchange.kind) {
    case EXCHANGE_DELAY:
        conn->exchange.kind = EXCHANGE_NONE;
        if (!faults_delayed(conn)) {
            handle_stream(conn);
        }
        break;
    case EXCHANGE_POLL:
        live_poll_end(conn);
        break;
    case EXCHANGE_SSE:
        live_sse_deadline(conn);
        break;
    case EXCHANGE_NONE:
    case EXCHANGE_WRITE:
        break;
    }
}

void handle_drained(struct conn *conn) {
    if (conn->state == CONN_STREAM && conn->exchange.kind == EXCHANGE_SSE && conn->exchange.changed) {
        live_sse_pump(conn);
    }
}

void handle_stop(struct conn *conn) {
    if (conn->exchange.kind == EXCHANGE_POLL) {
        live_poll_end(conn);
    } else if (conn->exchange.kind == EXCHANGE_SSE) {
        live_sse_end(conn);
    }
    conn_flush(conn);
}

void handle_cancel(struct conn *conn) {
    stream_wait_cancel(&conn->exchange.wait);
    stream_watch_stop(&conn->exchange.watch);
    block_drop(conn->exchange.inject);
    conn->exchange.inject = NULL;
    conn->exchange.kind = EXCHANGE_NONE;
}

/* ---- statuses ---- */

struct answer {
    int status;
    const char *reason;
};

static struct answer answer_of(enum stream_status status) {
    switch (status) {
    case STREAM_NOT_FOUND:
        return (struct answer){404, "there is no such stream"};
    case STREAM_GONE:
        return (struct answer){410, "the stream is deleted; forks of it live on"};
    case STREAM_SOURCE_NOT_FOUND:
        return (struct answer){404, "there is no stream at the path of Stream-Forked-From"};
    case STREAM_SOURCE_GONE:
        return (struct answer){409, "the stream at the path of Stream-Forked-From is deleted"};
    case STREAM_EXISTS_OTHERWISE:
        return (struct answer){409, "the path is in use by a stream of another configuration"};
    case STREAM_CLOSED:
        return (struct answer){409, "the stream is closed"};
    case STREAM_TYPE_MISMATCH:
        return (struct answer){409, "expected the stream's own Content-Type"};
    case STREAM_SEQ_REGRESSION:
        return (struct answer){409, "expected a Stream-Seq above the last one"};
    case STREAM_PRODUCER_GAP:
        return (struct answer){409, "expected another Producer-Seq: see Producer-Expected-Seq"};
    case STREAM_PRODUCER_STALE:
        return (struct answer){403, "the Producer-Epoch is over: see the current one"};
    case STREAM_PRODUCER_START:
        return (struct answer){400, "expected Producer-Seq 0 at the begin of a new Producer-Epoch"};
    case STREAM_EMPTY_BODY:
        return (struct answer){400, "expected a body, or Stream-Closed: true"};
    case STREAM_EMPTY_ARRAY:
        return (struct answer){400, "expected at least one message: the array is empty"};
    case STREAM_BAD_JSON:
        return (struct answer){400, "expected JSON"};
    case STREAM_BAD_OFFSET:
        return (struct answer){400, "expected -1, now, or an offset that this server gave for this stream"};
    case STREAM_BAD_SUB_OFFSET:
        return (struct answer){400,
                               "expected a Stream-Fork-Sub-Offset within the source, behind a fork offset"};
    case STREAM_BAD_REQUEST:
        return (struct answer){400, "a value is out of its range"};
    case STREAM_TOO_LARGE:
        return (struct answer){413, "the body is longer than one append may be (--max-body)"};
    case STREAM_FULL:
        return (struct answer){507, "the server is full"};
    case STREAM_BUSY:
        return (struct answer){503, "too much waits for the disk: try again"};
    case STREAM_FAILED:
    case STREAM_OK:
    case STREAM_WAITING:
    case STREAM_CREATED:
    case STREAM_EXISTS:
    case STREAM_DUPLICATE:
        break;
    }
    return (struct answer){500, "the server's storage failed"};
}

static void status_fields(struct conn *conn, enum stream_status status, const struct stream_result *result) {
    switch (status) {
    case STREAM_CLOSED:
        reply_text(conn, "Stream-Closed", "true");
        reply_next(conn, result->tail);
        break;
    case STREAM_PRODUCER_GAP:
        reply_number(conn, "Producer-Expected-Seq", result->expected);
        reply_number(conn, "Producer-Received-Seq", result->seq);
        break;
    case STREAM_PRODUCER_STALE:
        reply_number(conn, "Producer-Epoch", result->epoch);
        break;
    case STREAM_BUSY:
        reply_text(conn, "Retry-After", "1");
        break;
    default:
        break;
    }
}

void handle_status(struct conn *conn, enum stream_status status, const struct stream_result *result) {
    struct answer answer = answer_of(status);
    const char *reason = result && result->reason ? result->reason : answer.reason;
    if (status == STREAM_BAD_JSON && result) {
        reply_error(conn, 400, "byte %zu of the body: %s", result->position, reason);
        return;
    }
    reply_begin(conn, answer.status);
    if (result) {
        status_fields(conn, status, result);
    }
    reply_reason(conn, reason);
}

uint64_t handle_cursor(struct conn *conn) {
    struct exchange *exchange = &conn->exchange;
    uint64_t now = server_cursor();
    if (exchange->has_cursor && exchange->cursor >= now) {
        return exchange->cursor;
    }
    return now;
}
