/* A byte buffer that is born with its cap. The buffer owns its memory; slices of it are good until
 * the next call that appends, reserves or frees. */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "base/slice.h"

struct buf {
    char *ptr;
    size_t len; /* bytes in use */
    size_t cap; /* bytes allocated */
    size_t max; /* len never passes this */
    bool full;  /* what was refused last would have passed max */
};

/* Allocates nothing yet. max is in bytes. */
void buf_init(struct buf *b, size_t max);
void buf_free(struct buf *b);

/* Makes room for `more` bytes behind len. False when max or memory is reached: nothing changed. */
bool buf_reserve(struct buf *b, size_t more);

bool buf_append(struct buf *b, const void *ptr, size_t len);
bool buf_append_slice(struct buf *b, struct slice s);
bool buf_append_text(struct buf *b, const char *text);
bool buf_append_byte(struct buf *b, char byte);
bool buf_printf(struct buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Drops the first len bytes by moving the rest to the front. */
void buf_consume(struct buf *b, size_t len);

/* len becomes 0; the memory stays. */
void buf_clear(struct buf *b);

/* Gives memory back when far more is allocated than `keep` and the buffer is empty. */
void buf_shrink(struct buf *b, size_t keep);

static inline struct slice buf_slice(const struct buf *b) {
    return slice_of(b->ptr ? b->ptr : "", b->len);
}

/* Fills e for a failed append: the cap if it was reached, memory otherwise. `what` names the buffer,
 * `advice` says what can be done about its cap ("raise limits.message"); NULL: nothing. Always returns false. */
bool buf_error(const struct buf *b, struct error *e, const char *what, const char *advice);

#endif
