/* A socket that belongs to somebody else's library, watched for what that library wants.
 *
 * libuv is through with a handle later than the library is with its socket: what watches has memory of its own, which
 * goes with the handle. */
#ifndef IO_POLL_H
#define IO_POLL_H

#include <stdbool.h>
#include <uv.h>

#include "io/loop.h"

struct poll;

/* events: UV_READABLE, UV_WRITABLE; status below 0: an error instead. It may close the poll. */
typedef void poll_ready(struct poll *poll, int status, int events);

struct poll {
    uv_poll_t uv;
    int fd;
    int events; /* what it waits for */
    void *user; /* NULL: it is closed */
    poll_ready *ready;
};

/* Watches for nothing yet. user: for `ready`, not NULL. NULL: out of memory, or the socket cannot be watched. */
struct poll *poll_new(struct loop *loop, int fd, poll_ready *ready, void *user);

/* From now on for these events; 0: for none. */
bool poll_for(struct poll *poll, int events);

/* NULL is nothing. */
void poll_close(struct poll *poll);

#endif
