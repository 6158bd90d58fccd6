#include "server/conn.h"

#include <stdlib.h>

#include "server/bodies.h"
#include "server/handle.h"
#include "server/reply.h"
#include "server/server_parts.h"
#include "server/tls.h"

enum {
    WAITING_MAX = 64 * 1024, /* bytes behind the request under way, before reading stops */
    IN_MAX = WAITING_MAX + SERVER_READ,
    LINGER_MS = 2000,
    LINGER_MAX = 4 * 1024 * 1024,
    BODY_RATE = 1024,        /* bytes a second that a long body has to come with */
    TOLD_MAX = 64,           /* connections over the limit, at one time */
    UNREAD_MAX = 256 * 1024, /* bytes of answers that wait for the client, before it gets another one */
};

static void on_timer(uv_timer_t *timer);
static void begin_linger(struct conn *conn);

/* ---- time ---- */

uint64_t conn_taken(struct conn *conn) {
    size_t waiting = uv_stream_get_write_queue_size((uv_stream_t *)&conn->tcp);
    if (!conn->writing || waiting != conn->waiting) {
        conn->waiting = waiting;
        conn->sent = server_now(conn->server);
    }
    return conn->sent;
}

/* Nothing has left for so long, though something waits. */
static bool is_stalled(struct conn *conn, uint64_t now) {
    return now - conn_taken(conn) >= conn->server->options.request_ms;
}

static void timer_arm(struct conn *conn) {
    uint64_t due = conn->deadline;
    if (conn->writing && conn->sent + conn->server->options.request_ms < due) {
        due = conn->sent + conn->server->options.request_ms;
    }
    uint64_t now = server_now(conn->server);
    bool runs = conn->timer_due && conn->timer_due <= due; /* it looks again when it fires */
    if (runs || due == UINT64_MAX || conn->state == CONN_CLOSING) {
        return;
    }
    conn->timer_due = due > now ? due : now + 1;
    uv_timer_start(&conn->timer, on_timer, conn->timer_due - now, 0);
}

void conn_set_deadline(struct conn *conn, uint64_t at) {
    conn->deadline = at;
    timer_arm(conn);
}

/* A head has its time, and a body too, from piece to piece and, where it is long, by its rate. */
static void request_deadline(struct conn *conn) {
    uint64_t limit = conn->server->options.request_ms;
    uint64_t by_rate = conn->since + limit + conn->request.body.len * 1000 / BODY_RATE;
    uint64_t by_piece = conn->heard + limit;
    conn_set_deadline(conn, by_rate < by_piece ? by_rate : by_piece);
}

static void give_up_request(struct conn *conn) {
    conn->state = CONN_ANSWER;
    conn->last = true;
    reply_error(conn, 408, "the request did not come in time");
    conn_flush(conn);
}

static void on_deadline(struct conn *conn) {
    switch (conn->state) {
    case CONN_REQUEST:
        give_up_request(conn);
        break;
    case CONN_ANSWER:
    case CONN_STREAM:
        handle_deadline(conn);
        conn_flush(conn);
        break;
    case CONN_IDLE:
        conn_end(conn);
        break;
    case CONN_LINGER:
    case CONN_CLOSING:
        conn_close(conn);
        break;
    }
}

static void on_timer(uv_timer_t *timer) {
    struct conn *conn = timer->data;
    uint64_t now = server_now(conn->server);
    conn->timer_due = 0;
    if (is_stalled(conn, now)) {
        conn_close(conn);
        return;
    }
    if (now >= conn->deadline) {
        conn->deadline = UINT64_MAX;
        on_deadline(conn);
    }
    timer_arm(conn);
}

/* ---- reading ---- */

static void on_alloc(uv_handle_t *handle, size_t size, uv_buf_t *buf) {
    struct conn *conn = handle->data;
    (void)size;
    *buf = uv_buf_init(conn->server->read, SERVER_READ);
}

/* Nothing that is whole is left to be taken: what was answered is sent, and then it ends. */
static void end_of_requests(struct conn *conn) {
    if (conn_backlog(conn)) {
        begin_linger(conn);
    } else {
        conn_close(conn);
    }
}

/* What was asked for before that is still answered. */
void conn_take_end(struct conn *conn) {
    conn->eof = true;
    conn->last = conn->last || conn->in.len == 0;
    switch (conn->state) {
    case CONN_IDLE:
    case CONN_REQUEST:
        if (conn->in.len == 0) {
            end_of_requests(conn);
        }
        break; /* otherwise the client is to take answers first */
    case CONN_ANSWER:
        if (conn->exchange.kind == EXCHANGE_POLL) {
            conn_close(conn);
        }
        break;
    case CONN_LINGER:
        if (conn->shut) {
            conn_close(conn);
        }
        break; /* otherwise the rest of the answer is on its way */
    case CONN_STREAM:
    case CONN_CLOSING:
        conn_close(conn);
        break;
    }
}

static void on_read(uv_stream_t *stream, ssize_t len, const uv_buf_t *buf) {
    struct conn *conn = stream->data;
    if (len == UV_EOF) {
        uv_read_stop(stream);
        conn->reading = false;
        conn_take_end(conn);
    } else if (len < 0) {
        conn_close(conn);
    } else if (len > 0) {
        conn->heard = server_now(conn->server);
        if (conn->tls) {
            tls_take(conn, buf->base, (size_t)len);
        } else {
            conn_take(conn, buf->base, (size_t)len);
        }
        conn_flush(conn);
    }
}

static void set_reading(struct conn *conn, bool reading) {
    if (conn->reading == reading || conn->state == CONN_CLOSING || conn->eof) {
        return;
    }
    conn->reading = reading;
    if (reading) {
        uv_read_start((uv_stream_t *)&conn->tcp, on_alloc, on_read);
    } else {
        uv_read_stop((uv_stream_t *)&conn->tcp);
    }
}

/* ---- from bytes to requests ---- */

/* False: the request was answered before all of it came. */
static bool take_head(struct conn *conn) {
    if (!handle_head(conn)) {
        return false;
    }
    struct slice expect = conn->request.fields[FIELD_EXPECT];
    if (expect.ptr && conn->request.has_body && !conn->interim && !conn->request.http10) {
        conn->interim = true;
        conn_put(conn, SLICE("HTTP/1.1 100 Continue\r\n\r\n"));
        conn_flush(conn);
    }
    return true;
}

static void refuse(struct conn *conn, const struct error *e) {
    conn->state = CONN_ANSWER;
    conn->last = true;
    reply_error(conn, e->status ? e->status : 400, "%s", e->message);
}

/* One step of the parser. Returns what it used; *more: it can use the rest as well. */
static size_t take_step(struct conn *conn, const char *ptr, size_t len, bool *more) {
    struct error e;
    size_t used;
    *more = true;
    switch (parser_feed(conn->parser, ptr, len, &used, &e)) {
    case PARSER_MORE:
        *more = false;
        if (parser_begun(conn->parser)) {
            request_deadline(conn);
            bodies_grown(conn);
        }
        break;
    case PARSER_HEAD:
        if (take_head(conn)) {
            request_deadline(conn);
        }
        break;
    case PARSER_DONE:
        conn->state = CONN_ANSWER;
        conn->deadline = UINT64_MAX;
        bodies_count(conn);
        handle_request(conn);
        break;
    case PARSER_BAD:
        refuse(conn, &e);
        break;
    }
    return used;
}

static bool takes_requests(const struct conn *conn) {
    return conn->state == CONN_IDLE || conn->state == CONN_REQUEST;
}

/* Who does not read its answers gets no more of them: on_written goes on. */
static bool may_take(struct conn *conn) {
    if (conn_backlog(conn) > UNREAD_MAX) {
        conn_flush(conn);
    }
    return takes_requests(conn) && conn_backlog(conn) <= UNREAD_MAX;
}

/* Feeds the parser as long as it takes something. Returns what was used. */
static size_t feed(struct conn *conn, const char *ptr, size_t len) {
    size_t used = 0;
    bool more = true;
    conn->feeding = true;
    while (more && may_take(conn)) {
        if (conn->state == CONN_IDLE && used == len) {
            break;
        }
        if (conn->state == CONN_IDLE) {
            conn->state = CONN_REQUEST;
            conn->since = server_now(conn->server);
            conn->status = 0;
            conn->put = 0;
        }
        used += take_step(conn, ptr + used, len - used, &more);
    }
    conn->feeding = false;
    return used;
}

static void linger(struct conn *conn, size_t len) {
    conn->lingered += len;
    if (conn->lingered > LINGER_MAX) {
        conn_close(conn);
    }
}

/* Keeps what cannot be taken now; reading stops where it is much. */
static void keep(struct conn *conn, const char *ptr, size_t len) {
    if (!buf_append(&conn->in, ptr, len)) {
        conn_close(conn);
        return;
    }
    set_reading(conn, conn->in.len < WAITING_MAX);
}

static void take(struct conn *conn, const char *ptr, size_t len) {
    size_t used = takes_requests(conn) ? feed(conn, ptr, len) : 0;
    if (conn->state == CONN_LINGER) {
        linger(conn, len - used);
    } else if (conn->state != CONN_CLOSING && used < len) {
        keep(conn, ptr + used, len - used);
    }
}

void conn_take(struct conn *conn, const char *ptr, size_t len) {
    if (conn->in.len == 0) {
        take(conn, ptr, len);
    } else {
        keep(conn, ptr, len); /* behind what waits; the answer under way sets that going */
    }
}

void conn_resume(struct conn *conn) {
    if (conn->feeding || conn->in.len == 0) {
        return;
    }
    while (conn->in.len && may_take(conn)) {
        size_t used = feed(conn, conn->in.ptr, conn->in.len);
        buf_consume(&conn->in, used);
        if (used == 0) {
            break;
        }
    }
    buf_shrink(&conn->in, 0);
    if (conn->state != CONN_LINGER) {
        set_reading(conn, conn->in.len < WAITING_MAX);
    }
    if (conn->eof && conn->in.len == 0) {
        conn->last = true; /* the answer under way, or the one before */
        if (takes_requests(conn)) {
            end_of_requests(conn);
        }
    }
}

/* ---- the end of an answer ---- */

static void begin_linger(struct conn *conn) {
    conn->state = CONN_LINGER;
    buf_free(&conn->in);
    bodies_drop(conn);
    set_reading(conn, true);
    conn_set_deadline(conn, UINT64_MAX);
    conn_settle(conn);
}

static void on_shutdown(uv_shutdown_t *request, int status) {
    struct conn *conn = request->data;
    if (status < 0 || conn->eof) {
        conn_close(conn);
    }
}

void conn_settle(struct conn *conn) {
    if (conn->state != CONN_LINGER || conn->shut || conn_backlog(conn)) {
        return;
    }
    if (conn->tls && !conn->told_end) {
        conn->told_end = true;
        tls_end(conn);
        conn_flush(conn); /* which comes back here */
        return;
    }
    conn->shut = true;
    conn->shutdown.data = conn;
    if (uv_shutdown(&conn->shutdown, (uv_stream_t *)&conn->tcp, on_shutdown) != 0) {
        conn_close(conn);
        return;
    }
    conn_set_deadline(conn, server_now(conn->server) + LINGER_MS);
}

void conn_answered(struct conn *conn) {
    if (conn->state == CONN_CLOSING) {
        return;
    }
    conn_note(conn);
    if (conn->last || conn->server->closing) {
        begin_linger(conn);
        return;
    }
    conn->state = CONN_IDLE;
    conn->interim = false;
    request_reset(&conn->request);
    bodies_over(conn);
    parser_reset(conn->parser);
    conn_set_deadline(conn, server_now(conn->server) + conn->server->options.idle_ms);
    conn_resume(conn);
}

void conn_end(struct conn *conn) {
    conn->last = true;
    switch (conn->state) {
    case CONN_IDLE:
        begin_linger(conn);
        break;
    case CONN_ANSWER:
    case CONN_STREAM:
        handle_stop(conn);
        break;
    case CONN_REQUEST:
        if (conn->request.path.len == 0) { /* not even its head is there */
            begin_linger(conn);
        }
        break;
    case CONN_LINGER:
    case CONN_CLOSING:
        break;
    }
}

/* ---- life ---- */

static void conn_free(struct conn *conn) {
    struct server *server = conn->server;
    parser_free(conn->parser);
    bodies_drop(conn);
    request_free(&conn->request);
    buf_free(&conn->in);
    outbox_free(&conn->out);
    tls_free(conn->tls);
    free(conn);
    server_conn_gone(server);
}

static void on_closed(uv_handle_t *handle) {
    struct conn *conn = handle->data;
    if (--conn->handles == 0) {
        conn_free(conn);
    }
}

void conn_close(struct conn *conn) {
    struct server *server = conn->server;
    if (conn->state == CONN_CLOSING) {
        return;
    }
    if (conn->request.target.ptr &&
        (conn->state == CONN_REQUEST || conn->state == CONN_ANSWER || conn->state == CONN_STREAM)) {
        conn_note(conn);
    }
    handle_cancel(conn);
    fan_remove(conn);
    outbox_free(&conn->out);
    conn->state = CONN_CLOSING;
    if (server->writer == conn) {
        server->writer = NULL;
        buf_clear(&server->scratch);
    }
    if (conn->prev) {
        conn->prev->next = conn->next;
    } else {
        server->conns = conn->next;
    }
    if (conn->next) {
        conn->next->prev = conn->prev;
    }
    uv_close((uv_handle_t *)&conn->tcp, on_closed);
    uv_close((uv_handle_t *)&conn->timer, on_closed);
}

/* NULL: out of memory. */
static struct conn *conn_new(struct server *server) {
    struct conn *conn = calloc(1, sizeof *conn);
    if (!conn) {
        return NULL;
    }
    conn->server = server;
    request_init(&conn->request, server->options.max_body);
    buf_init(&conn->in, IN_MAX);
    outbox_init(&conn->out, &server->output);
    conn->parser = parser_new(&conn->request);
    bool ok = conn->parser && (!server->tls || tls_new(conn));
    if (!ok) {
        parser_free(conn->parser);
        free(conn);
        return NULL;
    }
    uv_tcp_init(loop_uv(server->loop), &conn->tcp);
    uv_timer_init(loop_uv(server->loop), &conn->timer);
    conn->tcp.data = conn;
    conn->timer.data = conn;
    conn->handles = 2;
    conn->next = server->conns;
    if (conn->next) {
        conn->next->prev = conn;
    }
    server->conns = conn;
    server->conn_count++;
    return conn;
}

/* Too many: says so, where that is possible without waiting, and where not too many are being told. */
static void turn_away(struct conn *conn) {
    conn->state = CONN_ANSWER;
    conn->last = true;
    bool told = conn->server->conn_count <= conn->server->options.max_connections + TOLD_MAX;
    if (told && !conn->tls) {
        reply_error(conn, 503, "all of the %zu connections are in use (--max-connections)",
                    conn->server->options.max_connections);
        conn_flush(conn);
    } else {
        conn_close(conn);
    }
}

void conn_accept(struct server *server, uv_stream_t *listener) {
    struct conn *conn = conn_new(server);
    if (!conn) {
        return; /* libuv asks again with the next connection */
    }
    uint64_t now = server_now(server);
    conn->since = conn->heard = conn->sent = now;
    if (uv_accept(listener, (uv_stream_t *)&conn->tcp) != 0) {
        conn_close(conn);
        return;
    }
    uv_tcp_nodelay(&conn->tcp, 1);
    conn_note_peer(conn);
    set_reading(conn, true);
    if (server->conn_count > server->options.max_connections) {
        turn_away(conn);
        return;
    }
    conn->deadline = UINT64_MAX;
    conn_set_deadline(conn, now + server->options.request_ms);
}
