/* The cutter: makes runs of events out of the bytes that wait.
 *
 *     bytes --> [ window ] --slicer, decoder--> [ run ]
 *
 * It touches nothing but itself and the run, so it may work on another thread than the one that has the runs: one at
 * a time has it. */
#ifndef WORKER_CUTTER_H
#define WORKER_CUTTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "message/event.h"
#include "message/slicer.h"
#include "worker/run.h"
#include "worker/window.h"

struct cutter {
    struct window window;
    struct slicer slicer;
    struct event_decoder decoder;
    uint64_t skip; /* messages that are passed over, of those to come */
    /* The last run ended with something that has to be dealt with before anything behind it is decoded: until who
     * has dealt with it sets this to false, runs stay empty. */
    bool stopped;
    bool spent;    /* in the bytes looked at last there is nothing more to find: */
    bool closed;   /* the chunk's last ones were among them */
    uint64_t seen; /* the position behind them */
};

/* How far it may look. */
struct cutter_limit {
    uint64_t at;  /* a position, as those of the window */
    bool is_last; /* the chunk ends there */
};

/* message_max: bytes of one message. Allocates nothing yet. Who adds to the window sees to it that not too much waits.
 * The cutter must stay where it is. */
void cutter_init(struct cutter *cutter, size_t message_max);
void cutter_free(struct cutter *cutter);

/* A chunk's bytes begin. */
void cutter_begin(struct cutter *cutter, enum slicer_format format);

/* The bytes to look at next. */
struct slice cutter_view(const struct cutter *cutter, struct cutter_limit limit);

/* There is something to look at that was not there when the last run was decoded. */
bool cutter_has_news(const struct cutter *cutter, struct cutter_limit limit);

/* There is, or there is more behind what was looked at. */
bool cutter_can_go_on(const struct cutter *cutter, struct cutter_limit limit);

/* Fills the run from the view, emptying it before. */
void cutter_cut(struct cutter *cutter, struct run *run, struct cutter_limit limit);

/* Likewise, from the views behind it too where it has no whole message. The pieces left on the way become the run's
 * (run->left). */
void cutter_cut_on(struct cutter *cutter, struct run *run, struct cutter_limit limit);

#endif
