/* What the files of the pipeline share. Private to them. */
#ifndef WORKER_PIPELINE_PARTS_H
#define WORKER_PIPELINE_PARTS_H

#include "worker/ahead.h"
#include "worker/checkpoint.h"
#include "worker/handled.h"
#include "worker/pipeline.h"
#include "worker/rebuild.h"
#include "worker/refusal.h"
#include "worker/reset.h"

/* Where chunks and transactions begin and end, for streams whose script wants to know. */
struct bounds {
    bool held; /* what the intake gave last waits until the handlers of a bound have returned */
    enum intake_status status;
    struct error error; /* of that */
    bool in_batch, in_transaction;
    unsigned events; /* of the batch */
    struct buf txid; /* of the transaction, as JSON */
};

struct pipeline {
    struct api_stream *stream;
    struct intake intake;
    struct loop *loop;
    const struct log *log;
    struct loop_task drain;
    struct pipeline_host host;
    struct pipeline_counts counts;
    struct bounds bounds;
    struct refusal refusal;
    struct reset_history resets;
    struct rebuild rebuild;
    bool told_last;  /* the end of a state built anew is told of last, its differences come first */
    bool chunk_over; /* the intake's last word was the end of a chunk */
    struct checkpoint *checkpoint; /* NULL: none is kept */
    struct handled handled;
    bool restored; /* it goes on from a checkpoint, and nothing has come yet */
    struct schema_issues issues;
    struct ahead ahead;
    struct buf merged; /* what a patch leaves */
    struct buf old;    /* what a change replaced */
    struct buf reason;
    unsigned turn;       /* events handed over since the loop had its turn */
    uint64_t turn_until; /* on uv_hrtime's clock */
    bool handlers;
    bool local; /* what was handed over last is not of the stream: script/api_local.h */
    bool again; /* the state is to be read again from the start */
    bool news;  /* something was applied since up-to-date was told */
    enum pipeline_end end;
};

/* The store that changes go into: the one that readers see, but while another is being built. */
static inline struct store *pipeline_store(const struct pipeline *pipeline) {
    return pipeline->rebuild.building ? pipeline->rebuild.building : pipeline->stream->store;
}

/* The end: done, or failed for what e says. The first one counts. */
void pipeline_finish(struct pipeline *pipeline, const struct error *e);

/* ---- changes (pipeline_change.c) ---- */

/* True where the handlers or rules for a type want its changes. type may be NULL. */
bool pipeline_wants_handlers(const struct pipeline *pipeline, const struct api_type *type);

/* A message that was refused before Lua saw it. True: item is for onInvalid, the function; false: it has
 * been dealt with (the pipeline may have ended). */
bool pipeline_refused(struct pipeline *pipeline, struct slice text, const struct event *event,
                      const struct schema_issues *issues, struct error *e, struct driver_item *item);

/* A change: checks it and, where no rule has to be asked, applies it. place: where it goes, or NULL.
 * DRIVER_NOTHING: it has been dealt with. */
enum driver_kind pipeline_take_change(struct pipeline *pipeline, const struct event *event,
                                      const struct api_type *type, const struct store_place *place,
                                      struct driver_item *item);

/* Stores a change whose new value is known. place may be NULL. */
bool pipeline_store_change(struct pipeline *pipeline, const struct event *event, struct slice value,
                           const struct store_place *place, struct error *e);

/* ---- bounds (pipeline_bounds.c) ---- */

/* DRIVER_TOLD: something begins or ends before what the intake gave last, which is to be held; ask again then.
 * Otherwise DRIVER_NOTHING. */
enum driver_kind bounds_before(struct pipeline *pipeline, enum intake_status status,
                               struct driver_item *item);

/* ---- what comes next (pipeline_next.c) ---- */

/* Makes the pipeline the driver of its stream's lane. */
void pipeline_drive(struct pipeline *pipeline);

/* The driver's `next`. */
enum driver_kind pipeline_next(void *pipeline, struct driver_item *item);

#endif
