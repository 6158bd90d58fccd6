/* A run of bytes that somebody else owns: never freed, never terminated by a NUL. */
#ifndef BASE_SLICE_H
#define BASE_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct slice {
    const char *ptr; /* NULL means absent; an empty slice has a pointer and len 0 */
    size_t len;
};

/* Of a literal: in a static initializer, and elsewhere. */
#define SLICE_INIT(literal)                                                                                  \
    { (literal), sizeof(literal) - 1 }
#define SLICE(literal) ((struct slice)SLICE_INIT(literal))

static inline struct slice slice_of(const char *ptr, size_t len) {
    return (struct slice){ptr, len};
}

static inline struct slice slice_from(const char *text) {
    return (struct slice){text, text ? strlen(text) : 0};
}

static inline bool slice_equal(struct slice a, struct slice b) {
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

/* Bytes as a number, in the machine's order. */
static inline uint32_t slice_four_bytes(const char *at) {
    uint32_t bytes;
    memcpy(&bytes, at, sizeof bytes);
    return bytes;
}

static inline uint64_t slice_eight_bytes(const char *at) {
    uint64_t bytes;
    memcpy(&bytes, at, sizeof bytes);
    return bytes;
}

/* As slice_equal, without a call where there are four bytes or more: for names and keys, which are short, on a path
 * that is taken once for each event. */
static inline bool slice_equal_short(struct slice a, struct slice b) {
    size_t len = a.len;
    if (len != b.len) {
        return false;
    }
    if (len < 4) {
        return len == 0 || memcmp(a.ptr, b.ptr, len) == 0;
    }
    if (len < 8) {
        return slice_four_bytes(a.ptr) == slice_four_bytes(b.ptr) &&
               slice_four_bytes(a.ptr + len - 4) == slice_four_bytes(b.ptr + len - 4);
    }
    for (size_t at = 0; at + 8 < len; at += 8) {
        if (slice_eight_bytes(a.ptr + at) != slice_eight_bytes(b.ptr + at)) {
            return false;
        }
    }
    return slice_eight_bytes(a.ptr + len - 8) == slice_eight_bytes(b.ptr + len - 8);
}

static inline bool slice_is(struct slice a, const char *text) {
    return slice_equal(a, slice_from(text));
}

/* Byte order, the shorter first where one is the start of the other. */
static inline int slice_compare(struct slice a, struct slice b) {
    size_t least = a.len < b.len ? a.len : b.len;
    int order = least ? memcmp(a.ptr, b.ptr, least) : 0;
    if (order != 0) {
        return order;
    }
    return (a.len > b.len) - (a.len < b.len);
}

/* A copy that the caller frees, with a NUL behind it. NULL: out of memory. */
static inline char *slice_copy(struct slice s) {
    char *copy = malloc(s.len + 1);
    if (copy) {
        if (s.len > 0) {
            memcpy(copy, s.ptr, s.len);
        }
        copy[s.len] = '\0';
    }
    return copy;
}

/* Copies the bytes to *to and moves that behind them; the copy. Absent stays absent. */
static inline struct slice slice_put(char **to, struct slice s) {
    char *start = *to;
    if (!s.ptr) {
        return s;
    }
    memcpy(start, s.ptr, s.len);
    *to += s.len;
    return slice_of(start, s.len);
}

#endif
