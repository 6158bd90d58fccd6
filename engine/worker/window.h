/* The window: bytes that wait to be taken, as a queue of pieces, of which the first is looked at.
 *
 *     append, give --> [ first: the view ] [ piece ] [ last ]
 *
 * Bytes stay where they are until window_release, and those of the view until the next piece is joined to it:
 * what was cut out of them stays good. */
#ifndef WORKER_WINDOW_H
#define WORKER_WINDOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/piece.h"
#include "base/slice.h"

struct window {
    struct piece *first, *last;
    struct piece *left;  /* were looked at, and are still in use */
    struct piece *spare; /* used ones, to be filled again: */
    unsigned spares;     /* so many */
    uint64_t base;       /* bytes taken so far: the position of the view's first byte */
    size_t waiting;      /* bytes not taken yet */
    size_t max;          /* waiting never passes this */
};

/* max is in bytes. Allocates nothing yet. */
void window_init(struct window *window, size_t max);
void window_free(struct window *window);

/* Copies bytes behind what waits. False: the cap or memory; nothing changed. */
bool window_append(struct window *window, const char *ptr, size_t len);

/* Takes the piece over, whatever it answers. False: the cap. */
bool window_give(struct window *window, struct piece *piece);

/* Appends all that waits in `from`, whatever the cap. */
void window_move(struct window *window, struct window *from);

/* A used piece, which becomes the caller's; NULL where there is none. */
struct piece *window_spare(struct window *window);

/* The bytes to look at: all that waits lies in them, or window_join makes them more. */
struct slice window_view(const struct window *window);

/* Moves over the view's first len bytes. */
void window_take(struct window *window, size_t len);

/* Joins what is left of the view with the piece behind it. False with *failed false: there is none. */
bool window_join(struct window *window, bool *failed);

/* Nothing that was cut out of pieces joined to others so far is in use any more. */
void window_release(struct window *window);

/* In two steps: hands those pieces out, which become the caller's, linked by `next`; and any window takes them as its
 * spare ones. window_keep: or as they were. NULL is fine. */
struct piece *window_leave(struct window *window);
void window_keep(struct window *window, struct piece *left);
void window_recycle(struct window *window, struct piece *left);

/* Everything that waits counts as taken. */
void window_clear(struct window *window);

/* Gives memory back that an idle stream does not need: nothing waits and nothing of the view is used. */
void window_settle(struct window *window);

#endif
