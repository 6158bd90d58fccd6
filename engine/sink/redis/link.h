/* A connection to a Redis server on the loop, with one call of the sink's script (or one plain command) under way at
 * a time. link.c is the one file that knows both hiredis' async API and libuv.
 *
 *     open --> resolve, connect, AUTH, SELECT, SCRIPT LOAD --> up
 *     send --> reply (exactly one) ...                          down (exactly one for each open)
 *
 * A script that the server does not know (any more) is sent with its text. Where a cluster answers MOVED, the link
 * goes down, and is opened next to the node that was named. */
#ifndef SINK_REDIS_LINK_H
#define SINK_REDIS_LINK_H

#include <hiredis/hiredis.h>
#include <stdbool.h>

#include "base/error.h"
#include "io/loop.h"
#include "sink/redis/address.h"
#include "sink/redis/command.h"

struct redis_link;

/* Called in turns of the loop, never from within redis_link_open or _send. Each may call any function of the link. */
struct redis_link_host {
    void *user;
    void (*up)(void *user);
    /* Of the command that was sent last; good during the call. An error only where the command may fail. */
    void (*reply)(void *user, const redisReply *reply);
    /* There is no connection any more: e says why. again: it is worth trying again. */
    void (*down)(void *user, const struct error *e, bool again);
};

/* script (borrowed, constant) is the text of the one script that commands call. The address is borrowed until the
 * link is freed. NULL: out of memory. */
struct redis_link *redis_link_new(struct loop *loop, const struct redis_address *address, const char *script,
                                  const struct redis_link_host *host);

/* No further callback. The memory goes when libuv has let go of it; then `freed` (may be NULL) is called. */
void redis_link_free(struct redis_link *link, void (*freed)(void *user));

/* Starts connecting. It must be down. */
void redis_link_open(struct redis_link *link);

/* Sends a command, which is kept (borrowed) until its reply. The link must be up, with nothing under way. */
void redis_link_send(struct redis_link *link, struct redis_command *command);

/* Closes the connection without a callback: it is down. */
void redis_link_drop(struct redis_link *link);

bool redis_link_is_up(const struct redis_link *link);

/* The bytes that a command's gap must have for the script. */
size_t redis_link_gap(const char *script);

#endif
