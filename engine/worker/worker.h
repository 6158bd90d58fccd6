/* A worker: a Lua state, its streams' pipelines, the loop they share. It owns everything, and nothing of it
 * lies outside, so that several can live in one process, each on a thread of its own. */
#ifndef WORKER_WORKER_H
#define WORKER_WORKER_H

#include <lua.h>
#include <signal.h>
#include <stdbool.h>

#include "base/error.h"
#include "base/log.h"
#include "worker/config.h"
#include "worker/pipeline.h"

struct worker;

struct worker_options {
    struct config *config; /* borrowed; NULL: none */
    bool once;             /* streams end when they are up to date */
    const char *variant;   /* with no_handlers: what else the state depends on (worker/checkpoint.h) */
    const struct outlet_audit
        *audit;       /* borrowed; sinks are compared, not committed to, and snapshots unused */
    bool no_handlers; /* materialize only: schemas are checked, nothing else of the script runs */
    const volatile sig_atomic_t *interrupt; /* becomes true on Ctrl-C: call worker_wake then; NULL: never */
    bool
        alone; /* the process is this worker's alone: a signal may stop what runs too long (script/watch.h) */
    bool signals; /* worker_run watches signals by itself (worker/interrupt.h); interrupt is NULL then */
};

/* A worker with a Lua state of its own, the standard libraries and `weir` opened. NULL with e. */
struct worker *worker_new(const struct worker_options *options, struct error *e);

/* A worker for a Lua state that somebody else owns (the module in plain lua5.4): pushes the module table.
 * The worker is freed when that state is closed. Raises. */
int worker_open_module(lua_State *L, const struct worker_options *options);

/* Loads a script and runs its main chunk, which declares streams. */
bool worker_load(struct worker *worker, const char *path, struct error *e);

/* Declares a stream as weir.stream{url=, live=false} does. */
bool worker_declare(struct worker *worker, const char *url, struct error *e);

/* Runs until every stream has ended and no handler is under way. False: e says what stopped it
 * (ERROR_INTERRUPTED for Ctrl-C). May be called again when more streams were declared. */
bool worker_run(struct worker *worker, struct error *e);

/* From any thread or a signal handler: look at *interrupt. */
void worker_wake(struct worker *worker);

/* What it runs on. */
struct loop *worker_loop(const struct worker *worker);

/* The declared streams, the first declared first. */
const struct api_stream *worker_streams(const struct worker *worker);

/* Timers (weir.every, weir.after) that were declared and have not ended, or a producer that was made: there
 * was something to do, without a stream. */
bool worker_has_timers(const struct worker *worker);

/* The pipelines' counts added up. */
void worker_counts(const struct worker *worker, struct pipeline_counts *counts);

const struct log *worker_log(const struct worker *worker);

/* Closes everything. False: something was left open (a mistake in weir), named in e. */
bool worker_free(struct worker *worker, struct error *e);

#endif
