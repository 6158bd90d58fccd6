#include "base/piece.h"

#include <stdlib.h>

struct piece *piece_new(size_t cap, size_t gap) {
    struct piece *piece = malloc(sizeof *piece + cap);
    if (piece) {
        piece->next = NULL;
        piece->start = piece->end = gap;
        piece->cap = cap;
    }
    return piece;
}

void piece_free(struct piece *piece) {
    free(piece);
}
