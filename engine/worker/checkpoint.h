/* The checkpoint of one stream: a snapshot of its state and of the place up to which it was handled, kept in
 * the folder of --data, so that the next worker goes on from there.
 *
 * It is written now and then, when due, and at the end. Writing holds the loop up (about a millisecond for 2
 * MB); syncing does not. The next one is due after the interval, and after 20 times what this one took. One
 * that cannot be written is reported, the one before stays, and the work goes on. */
#ifndef WORKER_CHECKPOINT_H
#define WORKER_CHECKPOINT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/log.h"
#include "io/loop.h"
#include "script/api_stream.h"
#include "worker/datadir.h"
#include "worker/handled.h"
#include "worker/reset.h"

struct checkpoint;

struct checkpoint_options {
    const struct datadir *dir; /* borrowed, as all of this: it outlives the checkpoint */
    struct loop *loop;
    const struct log *log;
    const struct api_stream *stream;
    const char *variant; /* of `weir state`: what else the state depends on. NULL: handlers are called */
    uint64_t every_ms;   /* 0: only at the end */
};

/* False where a stream cannot be gone on with: what it is read from (standard input, a pipe) is gone then. */
bool checkpoint_possible(const char *location);

/* NULL with e. */
struct checkpoint *checkpoint_new(const struct checkpoint_options *options, struct error *e);

/* The file's name in the folder. */
const char *checkpoint_name(const struct checkpoint *checkpoint);

enum checkpoint_found {
    CHECKPOINT_NONE,   /* read from the start; where there is one of no use, that was logged */
    CHECKPOINT_LOADED, /* the store and resets are as they were at *place, which is good as long as this */
    CHECKPOINT_FAILED, /* e says why: the system, or memory */
};

/* How far a snapshot may be, for a stream with sinks. */
struct checkpoint_bound {
    uint64_t sequence; /* messages; UINT64_MAX: as far as it likes */
    const char *sink;  /* which one says so */
};

/* Looks for what was kept, and puts it into the empty store. bound: NULL where there are no sinks. */
enum checkpoint_found checkpoint_load(struct checkpoint *checkpoint, const struct checkpoint_bound *bound,
                                      struct store *store, struct reset_history *resets, struct place *place,
                                      struct error *e);

/* Where reading failed before anything came, and the place that was loaded may be why: says so in e. */
void checkpoint_explain(const struct checkpoint *checkpoint, struct error *e);

/* due(user) will be called from a task whenever it is time: see to it that checkpoint_save is called. */
void checkpoint_watch(struct checkpoint *checkpoint, void (*due)(void *user), void *user);
bool checkpoint_is_due(const struct checkpoint *checkpoint);

/* Writes a snapshot, if anything has happened since the last one. Nothing is due then for a while. */
void checkpoint_save(struct checkpoint *checkpoint, const struct store *store,
                     const struct reset_history *resets, const struct place *place);

/* The same at the end: done when it returns. False with e: what was there is there still. */
bool checkpoint_finish(struct checkpoint *checkpoint, const struct store *store,
                       const struct reset_history *resets, const struct place *place, struct error *e);

/* NULL is fine. Its memory goes when libuv has closed its timer. */
void checkpoint_close(struct checkpoint *checkpoint);

#endif
