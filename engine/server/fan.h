/* An event that many readers wait for: it leaves for all of them together, on several processors at once.
 * Part of its server. The loop's thread waits until the kernel has it all, so that nothing else needs a
 * lock. */
#ifndef SERVER_FAN_H
#define SERVER_FAN_H

#include <stddef.h>

#include "io/loop.h"

struct conn;
struct server;
struct team;

struct fan {
    struct conn **conns; /* that were given something; NULL in the place of one that was closed since */
    size_t count, places;
    struct loop_task task;
    struct team *team; /* NULL: there never were many */
};

void fan_init(struct server *server);
void fan_free(struct server *server);

/* What was put on the connection is to leave with that of others, at the next drain point. */
void fan_add(struct conn *conn);

/* The connection is being closed. */
void fan_remove(struct conn *conn);

#endif
