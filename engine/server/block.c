#include "server/block.h"

#include <stdlib.h>

struct block *block_new(size_t len) {
    struct block *block = malloc(sizeof *block + len);
    if (block) {
        *block = (struct block){.refs = 1, .len = len, .bytes = (char *)(block + 1)};
    }
    return block;
}

struct block *block_copy(struct slice bytes) {
    struct block *block = block_new(bytes.len);
    if (block && bytes.len) {
        memcpy(block->bytes, bytes.ptr, bytes.len);
    }
    return block;
}

struct block *block_ref(struct block *block) {
    block->refs++;
    return block;
}

/* Not inlined: where a block is a part of something, gcc would take the free for that of an inner address. */
__attribute__((noinline)) void block_drop(struct block *block) {
    if (!block || --block->refs > 0) {
        return;
    }
    if (block->release) {
        block->release(block);
    } else {
        free(block);
    }
}
