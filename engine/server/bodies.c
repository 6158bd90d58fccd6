#include "server/bodies.h"

#include "server/reply.h"
#include "server/server_parts.h"

void bodies_count(struct conn *conn) {
    struct server *server = conn->server;
    size_t memory = conn->request.body.cap;
    server->input += memory - conn->body_memory;
    conn->body_memory = memory;
}

void bodies_drop(struct conn *conn) {
    buf_free(&conn->request.body);
    bodies_count(conn);
}

void bodies_over(struct conn *conn) {
    if (conn->server->input > conn->server->options.max_input / 2) {
        buf_free(&conn->request.body);
    }
    bodies_count(conn);
}

/* Of the bodies that are not whole; NULL: there is none. */
static struct conn *longest(const struct server *server) {
    struct conn *found = NULL;
    for (struct conn *conn = server->conns; conn; conn = conn->next) {
        size_t len = conn->state == CONN_REQUEST ? conn->request.body.len : 0;
        if (len > (found ? found->request.body.len : 0)) {
            found = conn;
        }
    }
    return found;
}

static void refuse(struct conn *conn) {
    conn->state = CONN_ANSWER;
    conn->last = true;
    bodies_drop(conn);
    reply_begin(conn, 503);
    reply_text(conn, "Retry-After", "1");
    reply_reason(conn, "too many long bodies come in at the same time (--max-input): try again");
    conn_flush(conn);
}

void bodies_grown(struct conn *conn) {
    struct server *server = conn->server;
    bodies_count(conn);
    while (server->input > server->options.max_input) {
        struct conn *other = longest(server);
        if (!other) {
            return; /* the rest is being answered */
        }
        refuse(other);
    }
}
