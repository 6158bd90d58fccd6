#include "base/buf.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BUF_LEAST = 256 };

void buf_init(struct buf *b, size_t max) {
    *b = (struct buf){.max = max};
}

void buf_free(struct buf *b) {
    free(b->ptr);
    *b = (struct buf){.max = b->max};
}

bool buf_reserve(struct buf *b, size_t more) {
    if (more > b->max - b->len) {
        b->full = true;
        return false;
    }
    size_t need = b->len + more;
    if (need <= b->cap) {
        return true;
    }
    size_t cap = b->cap ? b->cap : BUF_LEAST;
    while (cap < need) {
        cap = cap > SIZE_MAX / 2 ? need : cap * 2;
    }
    if (cap > b->max) {
        cap = b->max;
    }
    char *ptr = realloc(b->ptr, cap);
    if (!ptr) {
        b->full = false;
        return false;
    }
    b->ptr = ptr;
    b->cap = cap;
    return true;
}

bool buf_append(struct buf *b, const void *ptr, size_t len) {
    if (!buf_reserve(b, len)) {
        return false;
    }
    if (len) {
        memcpy(b->ptr + b->len, ptr, len);
        b->len += len;
    }
    return true;
}

bool buf_append_slice(struct buf *b, struct slice s) {
    return buf_append(b, s.ptr, s.len);
}

bool buf_append_text(struct buf *b, const char *text) {
    return buf_append(b, text, strlen(text));
}

bool buf_append_byte(struct buf *b, char byte) {
    return buf_append(b, &byte, 1);
}

bool buf_printf(struct buf *b, const char *format, ...) {
    va_list args;
    va_start(args, format);
    va_list again;
    va_copy(again, args);
    int need = vsnprintf(NULL, 0, format, args);
    va_end(args);
    bool ok = need >= 0 && buf_reserve(b, (size_t)need + 1);
    if (ok) {
        vsnprintf(b->ptr + b->len, (size_t)need + 1, format, again);
        b->len += (size_t)need;
    }
    va_end(again);
    return ok;
}

void buf_consume(struct buf *b, size_t len) {
    if (len >= b->len) {
        b->len = 0;
        return;
    }
    memmove(b->ptr, b->ptr + len, b->len - len);
    b->len -= len;
}

void buf_clear(struct buf *b) {
    b->len = 0;
}

void buf_shrink(struct buf *b, size_t keep) {
    if (b->len == 0 && b->cap > keep) {
        buf_free(b);
    }
}

bool buf_error(const struct buf *b, struct error *e, const char *what, const char *advice) {
    if (b->full) {
        return error_set(e, ERROR_LIMIT, "%s would pass its cap of %zu bytes%s%s", what, b->max,
                         advice ? ": " : "", advice ? advice : "");
    }
    return error_set(e, ERROR_MEMORY, "out of memory while %s was growing", what);
}
