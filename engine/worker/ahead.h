/* Looking ahead: while one event is applied, the memory that those behind it will need is on its way.
 *
 * Of a store larger than the processor's caches each look-up waits for memory two or three times. Asked
 * for some events early, the waits of many events are one. */
#ifndef WORKER_AHEAD_H
#define WORKER_AHEAD_H

#include <stdint.h>

#include "state/store.h"
#include "worker/intake.h"

/* All zero at first. */
struct ahead {
    struct store_place *places; /* of the events at hand and behind it: a ring */
    size_t room;                /* a power of two */
    uint64_t aimed, neared;     /* events, as the intake counts them */
};

void ahead_free(struct ahead *ahead);

/* The place of the change that the intake gave last, which has a key; good until this is called again. NULL
 * where it is not known: for want of memory. */
const struct store_place *ahead_place(struct ahead *ahead, struct store *store, struct intake *intake);

#endif
