/* Runs ahead: while the events of one run, the front, are given, the runs behind it are cut on the loop's other thread
 * (io/beside.h), several of them, so that neither thread has to wait for the other at once.
 *
 *     cutter --> [ run being cut ] [ run ] [ run ] [ front ] --> events
 *
 * As long as there are any ahead, the cutter belongs to the other thread. What comes meanwhile waits in a window of
 * this thread, and is lent with the next run that is begun. */
#ifndef WORKER_RUNS_H
#define WORKER_RUNS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "io/loop.h"
#include "worker/cutter.h"
#include "worker/run.h"
#include "worker/window.h"

enum { RUNS_AHEAD = 3 };

struct runs;

/* A run behind the front, and its way to get there. */
struct runs_slot {
    struct runs *runs;
    struct run *run; /* NULL: none was needed yet */
    struct beside_job job;
    struct window lent; /* bytes that the cutter has not had yet */
    struct cutter_limit limit;
    bool ready; /* it is cut */
};

struct runs {
    struct cutter *cutter;
    struct beside *beside; /* NULL: there is no other thread */
    struct runs_slot slots[RUNS_AHEAD + 1];
    unsigned front;        /* of slots */
    unsigned ahead;        /* runs behind the front, ready or not */
    struct window arrived; /* while there are any: bytes to be lent */
    void (*on_ready)(void *user);
    void *user;
};

/* Borrows the cutter. on_ready: a run is ready; from a libuv callback. The struct must stay where it is. */
void runs_init(struct runs *runs, struct cutter *cutter, void (*on_ready)(void *user), void *user);

/* Nothing may be ahead. */
void runs_free(struct runs *runs);

/* The run that is given from; NULL where there was none yet. */
static inline struct run *runs_front(const struct runs *runs) {
    return runs->slots[runs->front].run;
}

/* The front with room for at least so many events; its own are forgotten where it has to grow. NULL: out of memory. */
struct run *runs_reserve(struct runs *runs, size_t room);

/* Begins one more run behind the others, of room for so many events. seed: for the hashes of its keys. False: there are
 * enough of them, or there is no thread or no memory. */
bool runs_begin(struct runs *runs, size_t room, uint64_t seed, struct cutter_limit limit);

/* The run behind the front where it is ready; else NULL. */
const struct run *runs_next(struct runs *runs);

/* The run behind the front, which is ready, becomes the front, whose events have all been given. */
void runs_advance(struct runs *runs);

/* Forgets what is ahead. All bytes that no run has taken wait in the cutter's window then, and the cutter belongs to this
 * thread. Runs that are ready are lost with their bytes: for what follows a stop (cutter.h), which is empty, or to
 * leave a place. */
void runs_recall(struct runs *runs);

#endif
