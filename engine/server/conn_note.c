/* What a connection tells the access log. */
#include "server/access.h"
#include "server/conn.h"
#include "server/server_parts.h"

void conn_note(const struct conn *conn) {
    const struct server *server = conn->server;
    if (server->access) {
        struct access_entry entry = {
            .address = conn->peer[0] ? conn->peer : "-",
            .method = request_method_name(conn->request.method),
            .target = conn->request.target,
            .status = conn->status,
            .bytes = conn->put,
            .ms = server_now(server) - conn->since,
        };
        access_add(server->access, &entry);
    }
}

void conn_note_peer(struct conn *conn) {
    struct sockaddr_storage address;
    int len = sizeof address;
    if (conn->server->access && uv_tcp_getpeername(&conn->tcp, (struct sockaddr *)&address, &len) == 0) {
        server_address(&address, conn->peer, sizeof conn->peer);
    }
}
