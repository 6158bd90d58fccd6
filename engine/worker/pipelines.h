/* The streams of a worker: of each its pipeline and what is kept of it. */
#ifndef WORKER_PIPELINES_H
#define WORKER_PIPELINES_H

#include <stdbool.h>

#include "worker/checkpoint.h"
#include "worker/config.h"
#include "worker/datadir.h"
#include "worker/pipeline.h"

struct pipelines_entry {
    struct pipeline *pipeline;     /* NULL after pipelines_close */
    struct checkpoint *checkpoint; /* NULL: none is kept */
    struct outlet_sink *sinks;     /* NULL: there are none */
    struct pipelines_entry *next;
};

/* All zero: none. */
struct pipelines {
    struct pipelines_entry *first; /* the first declared first */
    struct loop *loop;
};

/* Borrowed, as long as the streams. */
struct pipelines_options {
    struct loop *loop;
    struct http *http;
    const struct log *log;
    const struct config *config;
    const struct datadir *data;       /* NULL: no snapshots are kept */
    bool once;                        /* they end when they are up to date */
    bool no_handlers;                 /* nor sinks */
    const char *variant;              /* see worker/checkpoint.h */
    const struct outlet_audit *audit; /* NULL: none. Streams without sinks are not read then */
    struct pipeline_host host;
};

/* Opens what the stream is read from, and its sinks. False with e. */
bool pipelines_start(struct pipelines *pipelines, struct api_stream *stream,
                     const struct pipelines_options *options, struct error *e);

void pipelines_stop(struct pipelines *pipelines);
bool pipelines_ended(const struct pipelines *pipelines);

/* After pipelines_stop, when no Lua function is at work: runs the loop until what has been handled is in the sinks, or
 * limit_ms have passed. False with e: the latter. */
bool pipelines_settle(struct pipelines *pipelines, uint64_t limit_ms, struct error *e);

/* The pipelines' counts added up. */
void pipelines_counts(const struct pipelines *pipelines, struct pipeline_counts *counts);

/* Closes pipelines and sinks, while the script is still there; then the rest. */
void pipelines_close(struct pipelines *pipelines);
void pipelines_free(struct pipelines *pipelines);

#endif
