/* A pipeline: one stream's way from its source to its handlers.
 *
 *     intake --event--> schema --> [rules in Lua] --> store --> [handlers in Lua]
 *
 * It is the driver of the stream's lane (script/driver.h): the lane pulls, so nothing runs ahead of a
 * handler. Events that no Lua function wants are applied here and never reach Lua. */
#ifndef WORKER_PIPELINE_H
#define WORKER_PIPELINE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/strmap.h"
#include "script/api_stream.h"
#include "sink/deadletter.h"
#include "worker/checkpoint.h"
#include "worker/intake.h"
#include "worker/outlet.h"

struct pipeline;

/* How it ended. */
enum pipeline_end { PIPELINE_RUNNING, PIPELINE_DONE, PIPELINE_FAILED };

struct pipeline_host {
    void *user;
    /* It is done, or e says why it failed. Called once, at the drain point. */
    void (*ended)(void *user, struct pipeline *pipeline, const struct error *e);
};

struct pipeline_counts {
    uint64_t events; /* changes applied */
    uint64_t controls;
    uint64_t rejected;          /* refused by form, schema or rule, and passed over */
    uint64_t bytes;             /* read from the source */
    uint64_t first_ns, last_ns; /* uv_hrtime of the first byte and of the last event applied; 0: none */
};

struct pipeline_options {
    struct api_stream *stream;       /* borrowed; outlives the pipeline */
    struct source_options source;    /* loop, http, log, and what the stream says; sink is filled in */
    bool handlers;                   /* false: schemas only, no Lua function of the script is called */
    struct checkpoint *checkpoint;   /* borrowed, outlives the pipeline; NULL: none is kept */
    const struct outlet_sink *sinks; /* likewise */
    size_t sink_count;
    struct outlet_limits limits; /* of the sinks */
    struct pipeline_host host;
};

/* Opens the sinks, if there are any; and, when they are, the source, where the checkpoint says, if there is one. NULL
 * with e where that cannot be done; after this has returned, the host is told. */
struct pipeline *pipeline_new(const struct pipeline_options *options, struct error *e);

/* Stops reading; the handler under way may end. Afterwards it counts as done. */
void pipeline_stop(struct pipeline *pipeline);

/* After pipeline_stop or its end, when no handler is at work: commits to the sinks what has been handled. True: there
 * is nothing more to commit, or it cannot be done. Otherwise the loop has to go on, and this is asked again. */
bool pipeline_settled(struct pipeline *pipeline);

/* Keeps in the checkpoint how far it has come, after pipeline_stop or its end. A change whose handlers have not
 * returned is taken back: it will come again. Where there is no checkpoint, no place to go on from, or a sink that
 * is not there yet, nothing happens. False with e: it could not be kept. */
bool pipeline_keep(struct pipeline *pipeline, struct error *e);

void pipeline_free(struct pipeline *pipeline);

enum pipeline_end pipeline_ended(const struct pipeline *pipeline);
const struct pipeline_counts *pipeline_counts(struct pipeline *pipeline);

#endif
