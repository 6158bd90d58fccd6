#include "worker/window.h"

#include <string.h>

enum {
    GAP_BYTES = 4096,       /* in front of appended bytes, for what is left of a message */
    PIECE_LEAST = 16 << 10, /* an appended piece's room, growing */
    PIECE_MOST = 256 << 10, /* up to this */
    SPARE_MOST = 1 << 20,   /* larger pieces are not kept, */
    SPARES = 4,             /* nor more of them */
};

void window_init(struct window *window, size_t max) {
    *window = (struct window){.max = max};
}

static void free_all(struct window *window) {
    for (struct piece *piece = window->first; piece;) {
        struct piece *next = piece->next;
        piece_free(piece);
        piece = next;
    }
    window->first = window->last = NULL;
}

static void free_spares(struct window *window) {
    for (struct piece *spare; (spare = window_spare(window));) {
        piece_free(spare);
    }
}

void window_free(struct window *window) {
    free_all(window);
    window_release(window);
    free_spares(window);
    window->waiting = 0;
}

static bool fits(const struct window *window, size_t more) {
    return more <= window->max && window->waiting <= window->max - more;
}

static void push(struct window *window, struct piece *piece) {
    piece->next = NULL;
    if (window->last) {
        window->last->next = piece;
    } else {
        window->first = piece;
    }
    window->last = piece;
    window->waiting += piece_len(piece);
}

static void leave(struct window *window, struct piece *piece) {
    piece->next = window->left;
    window->left = piece;
}

struct piece *window_leave(struct window *window) {
    struct piece *left = window->left;
    window->left = NULL;
    return left;
}

void window_keep(struct window *window, struct piece *left) {
    while (left) {
        struct piece *piece = left;
        left = piece->next;
        leave(window, piece);
    }
}

void window_recycle(struct window *window, struct piece *left) {
    while (left) {
        struct piece *piece = left;
        left = piece->next;
        if (window->spares == SPARES || piece->cap > SPARE_MOST) {
            piece_free(piece);
        } else {
            piece->next = window->spare;
            window->spare = piece;
            window->spares++;
        }
    }
}

void window_release(struct window *window) {
    window_recycle(window, window_leave(window));
}

/* Room for at least len bytes behind the last: pieces grow with what comes. */
static struct piece *add_piece(struct window *window, size_t len) {
    size_t cap = window->last ? window->last->cap * 2 : PIECE_LEAST;
    cap = cap > PIECE_MOST ? PIECE_MOST : cap;
    cap = cap < len + GAP_BYTES ? len + GAP_BYTES : cap;
    if (window->spare && window->spare->cap >= cap) {
        struct piece *piece = window_spare(window);
        piece->start = piece->end = GAP_BYTES;
        return piece;
    }
    return piece_new(cap, GAP_BYTES);
}

bool window_append(struct window *window, const char *ptr, size_t len) {
    if (!fits(window, len)) {
        return false;
    }
    struct piece *last = window->last;
    if (last && last->cap - last->end >= len) {
        memcpy(last->bytes + last->end, ptr, len);
        last->end += len;
        window->waiting += len;
        return true;
    }
    struct piece *piece = add_piece(window, len);
    if (!piece) {
        return false;
    }
    memcpy(piece->bytes + piece->end, ptr, len);
    piece->end += len;
    push(window, piece);
    return true;
}

bool window_give(struct window *window, struct piece *piece) {
    if (!fits(window, piece_len(piece))) {
        piece_free(piece);
        return false;
    }
    push(window, piece);
    return true;
}

void window_move(struct window *window, struct window *from) {
    while (from->first) {
        struct piece *piece = from->first;
        from->first = piece->next;
        push(window, piece);
    }
    from->last = NULL;
    from->base += from->waiting;
    from->waiting = 0;
}

struct piece *window_spare(struct window *window) {
    struct piece *spare = window->spare;
    if (spare) {
        window->spare = spare->next;
        window->spares--;
    }
    return spare;
}

struct slice window_view(const struct window *window) {
    const struct piece *first = window->first;
    return first ? slice_of(first->bytes + first->start, piece_len(first)) : slice_of("", 0);
}

void window_take(struct window *window, size_t len) {
    if (len > 0) {
        window->first->start += len;
        window->base += len;
        window->waiting -= len;
    }
}

/* A long message goes on in the next piece: the first one grows, by half at least, so that each byte is
 * moved a few times at most. */
static struct piece *grow_first(struct window *window, size_t more) {
    struct piece *old = window->first;
    size_t len = piece_len(old);
    if (old->cap - old->end >= more) {
        return old;
    }
    size_t cap = len + more > old->cap + old->cap / 2 ? len + more : old->cap + old->cap / 2;
    struct piece *piece = piece_new(cap, 0);
    if (!piece) {
        return NULL;
    }
    memcpy(piece->bytes, old->bytes + old->start, len);
    piece->end = len;
    piece->next = old->next;
    window->first = piece;
    leave(window, old);
    return piece;
}

bool window_join(struct window *window, bool *failed) {
    struct piece *first = window->first;
    struct piece *next = first ? first->next : NULL;
    *failed = false;
    if (!next) {
        return false;
    }
    size_t len = piece_len(first);
    if (len <= next->start) {
        next->start -= len;
        memcpy(next->bytes + next->start, first->bytes + first->start, len);
        window->first = next;
        leave(window, first);
        return true;
    }
    first = grow_first(window, piece_len(next));
    if (!first) {
        *failed = true;
        return false;
    }
    memcpy(first->bytes + first->end, next->bytes + next->start, piece_len(next));
    first->end += piece_len(next);
    first->next = next->next;
    window->last = window->last == next ? first : window->last;
    leave(window, next);
    return true;
}

void window_clear(struct window *window) {
    struct piece *first = window->first;
    window->base += window->waiting;
    window->waiting = 0;
    if (!first) {
        return;
    }
    /* The first one stays, empty: somebody may still be reading what was cut out of it. */
    for (struct piece *piece = first->next; piece;) {
        struct piece *next = piece->next;
        piece_free(piece);
        piece = next;
    }
    first->next = NULL;
    first->start = first->end;
    window->last = first;
}

void window_settle(struct window *window) {
    if (window->waiting == 0) {
        free_all(window);
        window_release(window);
        free_spares(window);
    }
}
