/* A piece of bytes that is handed on whole, so that nobody copies them: who reads fills it, who
 * consumes frees it, or gives it back to be filled again.
 *
 * The bytes in use may start behind the beginning: what is left of the piece before goes there. */
#ifndef BASE_PIECE_H
#define BASE_PIECE_H

#include <stddef.h>

struct piece {
    struct piece *next; /* of whoever holds it */
    size_t start, end;  /* the bytes in use */
    size_t cap;
    char *bytes; /* cap of them, behind the struct, at a boundary that is good to copy to */
};

/* Empty: start and end are at `gap`, which is at most cap. NULL: out of memory. */
struct piece *piece_new(size_t cap, size_t gap);

/* NULL is fine. */
void piece_free(struct piece *piece);

static inline size_t piece_len(const struct piece *piece) {
    return piece->end - piece->start;
}

#endif
