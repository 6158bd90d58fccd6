/* One connection to a MySQL or MariaDB server, without blocking: the file that knows both libmariadb and libuv.
 *
 *     my_link_connect ---> done      my_link_query ---> done (rows in `result`)
 *
 * One call at a time; `done` comes in a turn of the loop, never from within a call. libmariadb would block while it looks
 * up a host's name, so that it is given addresses, one after the other. With MY_TLS_VERIFY it is given the name, as soon
 * as that has been looked up: it holds the certificate against what it was given, and has no option for another name. */
#ifndef SINK_MYSQL_LINK_H
#define SINK_MYSQL_LINK_H

#include <mysql.h>
#include <stdbool.h>

#include "base/error.h"
#include "base/slice.h"
#include "io/lookup.h"
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
    struct lookup *lookup;
    struct lookup_answer addresses; /* of the host; count 0: libmariadb is given what the URL says */
    size_t at;                      /* the one that is tried */
    MYSQL *mysql;
    struct poll *poll;
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
