/* The streams of a worker: of each its pipeline and what is kept of it. */
#ifndef WORKER_STREAMS_H
#define WORKER_STREAMS_H

#include <stdbool.h>

#include "worker/checkpoint.h"
#include "worker/config.h"
#include "worker/datadir.h"
#include "worker/pipeline.h"

struct streams_entry {
    struct pipeline *pipeline;     /* NULL after streams_close */
    struct checkpoint *checkpoint; /* NULL: none is kept */
    struct outlet_sink *sinks;     /* NULL: there are none */
    struct streams_entry *next;
};

/* All zero: none. */
struct streams {
    struct streams_entry *first; /* the first declared first */
    struct loop *loop;
};

/* Borrowed, as long as the streams. */
struct streams_options {
    struct loop *loop;
    struct http *http;
    const struct log *log;
    const struct config *config;
    const struct datadir *data; /* NULL: no snapshots are kept */
    bool once;                  /* they end when they are up to date */
    bool no_handlers;           /* nor sinks */
    const char *variant;        /* see worker/checkpoint.h */
    struct pipeline_host host;
};

/* Opens what the stream is read from, and its sinks. False with e. */
bool streams_start(struct streams *streams, struct api_stream *stream, const struct streams_options *options,
                   struct error *e);

void streams_stop(struct streams *streams);
bool streams_ended(const struct streams *streams);

/* After streams_stop, when no Lua function is at work: runs the loop until what has been handled is in the sinks, or
 * limit_ms have passed. False with e: the latter. */
bool streams_settle(struct streams *streams, uint64_t limit_ms, struct error *e);

/* The pipelines' counts added up. */
void streams_counts(const struct streams *streams, struct pipeline_counts *counts);

/* Closes pipelines and sinks, while the script is still there; then the rest. */
void streams_close(struct streams *streams);
void streams_free(struct streams *streams);

#endif
