/* Texts for tests of what reads JSON. Included by one file of a program. */
#ifndef UNIT_EXACT_H
#define UNIT_EXACT_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/slice.h"

#define TEXT(literal) SLICE_INIT(literal)

/* A copy that ends where its memory ends, so that the sanitizer sees a read past it. */
static inline struct slice exact(struct slice text) {
    char *copy = malloc(text.len ? text.len : 1);
    assert_non_null(copy);
    memcpy(copy, text.ptr, text.len);
    return slice_of(copy, text.len);
}

static inline uint64_t random_next(uint64_t *seed) {
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

#endif
