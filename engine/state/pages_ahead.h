/* Large pages that are made ready by another thread before they are needed: the system clears a page when it is
 * touched first, and that takes as long as filling it. One at a time; for a heap that grows. */
#ifndef STATE_PAGES_AHEAD_H
#define STATE_PAGES_AHEAD_H

#include <pthread.h>
#include <stdbool.h>

/* All zero: none is being made ready. */
struct pages_ahead {
    pthread_t thread;
    bool started;
    void *pages; /* PAGES_HUGE bytes, owned; belongs to the thread while that has not been joined */
    unsigned taken;
};

/* PAGES_HUGE bytes, as of pages_map, which the caller owns; and the next ones are begun with. NULL: out of
 * memory. */
void *pages_ahead_take(struct pages_ahead *ahead);

/* Frees what was made ready. */
void pages_ahead_free(struct pages_ahead *ahead);

#endif
