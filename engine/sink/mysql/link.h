/* One connection to a MySQL or MariaDB server, without blocking: the file that knows both libmariadb and libuv.
 *
 *     my_link_connect ---> done      my_link_query ---> done (rows in `result`)
 *
 * One call at a time; `done` comes in a turn of the loop, never from within a call. Only the look-up of a host's name may
 * block, which libmariadb does by itself: name an address or a socket where that matters. */
#ifndef SINK_MYSQL_LINK_H
#define SINK_MYSQL_LINK_H

#include <mysql.h>
#include <stdbool.h>

#include "base/error.h"
#include "base/slice.h"
#include "io/loop.h"
#include "sink/mysql/address.h"

struct my_link {
    const struct my_address *address;
    void (*done)(void *user);
    void *user;
    /* What came of the last call; good until the next one. */
    unsigned code; /* 0: it worked; otherwise the server's or the library's number */
    char message[512];
    MYSQL_RES *result; /* of a query that has rows, all of them; or NULL */
    uint64_t affected; /* rows that it found */
    /* Private. */
    struct loop *loop;
    MYSQL *mysql;
    struct my_poll *poll;
    struct loop_timer timer;
    struct loop_task task;
    int call; /* under way */
    int wait; /* of MYSQL_WAIT_... */
    MYSQL *connected;
    int rc;
};

void my_link_init(struct my_link *link, struct loop *loop, const struct my_address *address,
                  void (*done)(void *user), void *user);

/* A new connection, in the place of the one before. */
void my_link_connect(struct my_link *link);

/* sql stays until done. */
void my_link_query(struct my_link *link, struct slice sql);

/* Nothing more is called. */
void my_link_drop(struct my_link *link);

/* Drops the connection, and closes the timer; closed: the memory may go. */
void my_link_close(struct my_link *link, void (*closed)(struct loop_timer *timer));

#endif
