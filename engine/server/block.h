/* Bytes that are sent without being copied, counted by reference: formatted once, shared by all who send
 * them. A block holds its bytes itself, or stands for memory of somebody else's, which it gives back at
 * its end. One thread's. */
#ifndef SERVER_BLOCK_H
#define SERVER_BLOCK_H

#include <stddef.h>

#include "base/slice.h"

struct block {
    size_t refs;
    size_t waits;                         /* places in outboxes that it has: see outbox.h */
    void (*release)(struct block *block); /* frees it; NULL: it holds its bytes itself */
    size_t len;                           /* of the memory that goes with it */
    char *bytes;                          /* len of them; NULL where it stands for somebody else's memory */
};

/* One reference, the caller's; len bytes to be filled in. NULL: out of memory. */
struct block *block_new(size_t len);

/* A copy of the bytes. */
struct block *block_copy(struct slice bytes);

struct block *block_ref(struct block *block);

/* Gives one reference back; frees with the last. NULL is fine. */
void block_drop(struct block *block);

#endif
