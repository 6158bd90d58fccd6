#include "server/fan.h"

#include <stdlib.h>

#include "base/list.h"
#include "io/team.h"
#include "server/server_parts.h"

enum { TEAM_LEAST = 64 }; /* fewer are served sooner than a thread wakes up */

/* On any thread: nobody else touches the connection meanwhile. */
static void send_one(void *user, size_t i) {
    const struct fan *fan = user;
    struct conn *conn = fan->conns[i];
    if (conn) {
        conn->fan_sent = conn_try_send(conn);
    }
}

static void send_together(struct fan *fan) {
    if (!fan->team) {
        fan->team = team_new();
    }
    if (fan->team) {
        team_each(fan->team, fan->count, send_one, fan);
    }
}

static void on_task(struct loop_task *task) {
    struct server *server = task->owner;
    struct fan *fan = &server->fan;
    if (fan->count >= TEAM_LEAST) {
        send_together(fan);
    }
    for (size_t i = 0; i < fan->count; i++) {
        struct conn *conn = fan->conns[i];
        if (conn) {
            size_t sent = conn->fan_sent;
            conn->fan_place = conn->fan_sent = 0;
            conn_sent(conn, sent);
        }
    }
    fan->count = 0;
}

static bool make_room(struct fan *fan) {
    struct conn **conns = list_room(fan->conns, fan->count, &fan->places, TEAM_LEAST, sizeof(struct conn *));
    fan->conns = conns ? conns : fan->conns;
    return conns;
}

void fan_add(struct conn *conn) {
    struct fan *fan = &conn->server->fan;
    if (conn->state == CONN_CLOSING || conn->fan_place) {
        return;
    }
    if (!make_room(fan)) {
        conn_flush(conn);
        return;
    }
    fan->conns[fan->count++] = conn;
    conn->fan_place = fan->count;
    loop_defer(conn->server->loop, &fan->task);
}

void fan_remove(struct conn *conn) {
    if (conn->fan_place) {
        conn->server->fan.conns[conn->fan_place - 1] = NULL;
        conn->fan_place = 0;
    }
}

void fan_init(struct server *server) {
    server->fan.task = (struct loop_task){.run = on_task, .owner = server};
}

void fan_free(struct server *server) {
    loop_cancel(server->loop, &server->fan.task);
    team_free(server->fan.team);
    free(server->fan.conns);
}
