#include <sys/socket.h>

#include "server/conn.h"
#include "server/handle.h"
#include "server/server_parts.h"
#include "server/tls.h"

enum { BUFS_MAX = 64, SCRATCH_FLUSH = 64 * 1024 };

static void send_waiting(struct conn *conn);

size_t conn_backlog(const struct conn *conn) {
    const struct server *server = conn->server;
    return conn->out.bytes + (server->writer == conn ? server->scratch.len : 0);
}

/* Where nothing waits any more, there may be more to send. */
static void on_empty(struct conn *conn) {
    if (conn->out.bytes == 0) {
        handle_drained(conn);
        conn_resume(conn);
        conn_flush(conn);
        conn_settle(conn);
    }
}

static void on_written(uv_write_t *request, int status) {
    struct conn *conn = request->data;
    conn->writing = false;
    if (status < 0) {
        conn_close(conn);
        return;
    }
    outbox_sent(&conn->out, conn->waiting_bytes);
    conn->sent = server_now(conn->server);
    send_waiting(conn);
    on_empty(conn);
}

/* Of all others that have not taken what they were sent, the one that has not for the longest; NULL: none. */
static struct conn *slowest(const struct conn *but) {
    struct conn *found = NULL;
    for (struct conn *conn = but->server->conns; conn; conn = conn->next) {
        if (conn == but || !conn->writing) {
            continue;
        }
        uint64_t taken = conn_taken(conn);
        if (!found || taken < found->sent || (taken == found->sent && conn->out.bytes > found->out.bytes)) {
            found = conn;
        }
    }
    return found;
}

/* Something more waits now, of this connection: where that is too much, others have to go. */
static void make_way(const struct conn *conn) {
    const struct server *server = conn->server;
    while (server->output > server->options.max_output) {
        struct conn *other = slowest(conn);
        if (!other) {
            return;
        }
        if (server->options.log) {
            log_write(server->options.log, LOG_INFO,
                      "a connection was cut off: %zu bytes wait to be taken by slow clients (--max-output)",
                      server->output);
        }
        conn_close(other);
    }
}

/* Sends from the outbox: at once what the kernel takes, the rest as it takes it. */
static void send_waiting(struct conn *conn) {
    uv_buf_t bufs[BUFS_MAX];
    uv_stream_t *stream = (uv_stream_t *)&conn->tcp;
    while (!conn->writing && conn->out.count && conn->state != CONN_CLOSING) {
        unsigned count = outbox_bufs(&conn->out, bufs, BUFS_MAX);
        int sent = uv_try_write(stream, bufs, count);
        if (sent > 0) {
            outbox_sent(&conn->out, (size_t)sent);
            continue;
        }
        if (sent != UV_EAGAIN && sent < 0) {
            conn_close(conn);
            return;
        }
        conn->waiting_bytes = 0;
        for (unsigned i = 0; i < count; i++) {
            conn->waiting_bytes += bufs[i].len;
        }
        conn->write.data = conn;
        conn->sent = server_now(conn->server);
        conn->waiting = conn->waiting_bytes;
        if (uv_write(&conn->write, stream, bufs, count, on_written) != 0) {
            conn_close(conn);
            return;
        }
        conn->writing = true;
        make_way(conn);
        conn_set_deadline(conn, conn->deadline); /* from now on a client that takes nothing is noticed */
    }
}

size_t conn_try_send(const struct conn *conn) {
    uv_buf_t bufs[BUFS_MAX];
    uv_os_fd_t fd;
    unsigned count = conn->writing ? 0 : outbox_bufs(&conn->out, bufs, BUFS_MAX);
    if (count == 0 || uv_fileno((const uv_handle_t *)&conn->tcp, &fd) != 0) {
        return 0;
    }
    /* libuv's buffers are made to be what the system takes. */
    struct msghdr message = {.msg_iov = (struct iovec *)bufs, .msg_iovlen = count};
    ssize_t sent = sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    return sent > 0 ? (size_t)sent : 0;
}

void conn_sent(struct conn *conn, size_t len) {
    outbox_sent(&conn->out, len);
    conn_flush(conn);
    if (conn->state != CONN_CLOSING) {
        on_empty(conn);
    }
}

/* The bytes of scratch go behind what waits. */
static void scratch_to_outbox(struct conn *conn, struct slice bytes) {
    struct block *block = block_copy(bytes);
    if (!block || !outbox_add(&conn->out, block, slice_of(block->bytes, block->len))) {
        block_drop(block);
        conn_close(conn);
        return;
    }
    block_drop(block);
}

static void scratch_flush(struct conn *conn) {
    struct server *server = conn->server;
    struct slice bytes = buf_slice(&server->scratch);
    if (server->writer != conn) {
        return;
    }
    server->writer = NULL;
    if (conn->tls) {
        tls_send(conn, bytes);
    } else {
        if (!conn->writing && conn->out.count == 0 && bytes.len) {
            uv_buf_t buf = uv_buf_init((char *)bytes.ptr, (unsigned)bytes.len);
            int sent = uv_try_write((uv_stream_t *)&conn->tcp, &buf, 1);
            if (sent > 0) {
                bytes = slice_of(bytes.ptr + sent, bytes.len - (size_t)sent);
            } else if (sent < 0 && sent != UV_EAGAIN) {
                buf_clear(&server->scratch);
                conn_close(conn);
                return;
            }
        }
        if (bytes.len) {
            scratch_to_outbox(conn, bytes);
        }
    }
    buf_clear(&server->scratch);
    buf_shrink(&server->scratch, 256 * 1024);
}

void conn_flush(struct conn *conn) {
    if (conn->state == CONN_CLOSING) {
        return;
    }
    scratch_flush(conn);
    send_waiting(conn);
    if (conn->state == CONN_LINGER) {
        conn_settle(conn);
    }
}

void conn_put(struct conn *conn, struct slice bytes) {
    struct server *server = conn->server;
    if (conn->state == CONN_CLOSING) {
        return;
    }
    if (server->writer && server->writer != conn) {
        conn_flush(server->writer);
    }
    server->writer = conn;
    conn->put += bytes.len;
    if (!buf_append_slice(&server->scratch, bytes)) {
        conn_close(conn);
    }
}

void conn_put_block(struct conn *conn, struct block *owner, struct slice bytes) {
    struct server *server = conn->server;
    if (conn->state == CONN_CLOSING) {
        return;
    }
    if (conn->tls) {
        conn_put(conn, bytes);
        return;
    }
    if (server->writer == conn) {
        server->writer = NULL;
        scratch_to_outbox(conn, buf_slice(&server->scratch));
        buf_clear(&server->scratch);
    }
    conn->put += bytes.len;
    if (conn->state != CONN_CLOSING && !outbox_add(&conn->out, owner, bytes)) {
        conn_close(conn);
    }
}
