#include "server/chunk.h"

#include <stdlib.h>

struct chunk *chunk_new(uint64_t position, size_t cap) {
    struct chunk *chunk = malloc(sizeof *chunk + cap);
    if (chunk) {
        chunk->position = position;
        chunk->len = 0;
        chunk->cap = cap;
        chunk->refs = 1;
    }
    return chunk;
}

void chunk_drop(struct chunk *chunk) {
    if (chunk && --chunk->refs == 0) {
        free(chunk);
    }
}
