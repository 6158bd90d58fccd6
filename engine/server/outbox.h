/* What a connection has yet to send, in order: runs of bytes that blocks keep. Several outboxes count
 * together the memory that they keep: a block that waits in many of them counts once. Pure. */
#ifndef SERVER_OUTBOX_H
#define SERVER_OUTBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

#include "server/block.h"

struct outbox_piece {
    struct block *owner;
    struct slice bytes; /* those that have not left */
};

struct outbox {
    struct outbox_piece *pieces; /* a run of `count` from `first` on */
    size_t first, count, cap;
    size_t bytes; /* that wait */
    size_t *kept; /* the memory of what waits here and in the others */
};

void outbox_init(struct outbox *outbox, size_t *kept);
/* Forgets what waits. Twice is fine. */
void outbox_free(struct outbox *outbox);

/* Adds bytes that `owner` keeps, with a reference of its own. False: out of memory. */
bool outbox_add(struct outbox *outbox, struct block *owner, struct slice bytes);

/* The first pieces, `max` at most, as libuv wants them. Returns how many. */
unsigned outbox_bufs(const struct outbox *outbox, uv_buf_t *bufs, unsigned max);

/* So many bytes have left. */
void outbox_sent(struct outbox *outbox, size_t len);

#endif
