/* The part of a stream's content that is in memory: its chunks, in order, without gaps. */
#ifndef SERVER_CONTENT_H
#define SERVER_CONTENT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"
#include "server/chunk.h"

struct content {
    struct chunk **chunks; /* a reference each */
    uint32_t count, places;
    bool sealed;    /* the last chunk takes nothing more */
    uint64_t start; /* what is before it is in the stream's file, or in what it was forked from */
};

void content_init(struct content *content, uint64_t start);
void content_free(struct content *content);

/* Makes room for len bytes at `tail` (where the content ends), so that the next content_append of at most
 * as many cannot fail. False: out of memory, nothing changed for readers. */
bool content_reserve(struct content *content, uint64_t tail, size_t len);
void content_append(struct content *content, struct slice bytes);

/* The chunk that holds the byte at a position from `start` on and before the end. No reference is added. */
struct chunk *content_at(const struct content *content, uint64_t position);

/* What is appended from now on goes into a new chunk. */
void content_seal(struct content *content);

/* Lets go of what is before a position at which a chunk begins, or all ends. */
void content_forget(struct content *content, uint64_t position);

#endif
