/* Chunks: bytes of a stream that lie together in memory, shared by whoever reads them.
 *
 * What was written once never changes or moves; bytes are only added behind it, within the capacity.
 * References are counted on the loop's thread; another thread may read what was there when it was told. */
#ifndef SERVER_CHUNK_H
#define SERVER_CHUNK_H

#include <stddef.h>
#include <stdint.h>

struct chunk {
    uint64_t position; /* of its first byte in the stream */
    size_t len, cap;
    unsigned refs;
    char bytes[];
};

/* With one reference. NULL: out of memory. */
struct chunk *chunk_new(uint64_t position, size_t cap);

static inline struct chunk *chunk_hold(struct chunk *chunk) {
    chunk->refs++;
    return chunk;
}

/* NULL is fine. */
void chunk_drop(struct chunk *chunk);

static inline uint64_t chunk_end(const struct chunk *chunk) {
    return chunk->position + chunk->len;
}

#endif
