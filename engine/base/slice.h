/* A run of bytes that somebody else owns: never freed, never terminated by a NUL. */
#ifndef BASE_SLICE_H
#define BASE_SLICE_H

#include <stdbool.h>
#include <stddef.h>
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
