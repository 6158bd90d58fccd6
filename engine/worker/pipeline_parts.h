/* What the files of the pipeline share. Private to them. */
#ifndef WORKER_PIPELINE_PARTS_H
#define WORKER_PIPELINE_PARTS_H

#include "worker/ahead.h"
#include "worker/checkpoint.h"
#include "worker/handled.h"
#include "worker/outlet.h"
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
    bool snapshot_waits; /* one begins behind the differences that are being told */
    bool told_last;      /* the end of a state built anew is told of last, its differences come first */
    bool chunk_over;     /* the intake's last word was the end of a chunk */
    struct checkpoint *checkpoint; /* NULL: none is kept */
    struct handled handled;
    struct source_options source; /* of it, until it is opened */
    bool begun;                   /* it is: what is kept was found, the sinks are open */
    struct outlet *outlet;        /* owned; NULL: the stream has no sinks */
    uint64_t quiet_until;         /* messages before were handled by a worker before this one */
    uint64_t rebuild_from; /* messages before the first of the states that are being built: a reset's, which a
                                     snapshot may take the place of */
    bool live;             /* everything that existed when it began has been read */
    bool restored;         /* it goes on from a checkpoint, and nothing has come yet */
    struct schema_issues issues;
    struct ahead ahead;
    struct buf merged; /* what a patch leaves */
    struct buf old;    /* what a change replaced */
    struct buf reason;
    unsigned turn;       /* events handed over since the loop had its turn */
    uint64_t turn_until; /* on uv_hrtime's clock */
    bool handlers;
    bool local;  /* what was handed over last is not of the stream: script/api_local.h */
    bool asking; /* it is a row that a sink refuses */
    bool again;  /* the state is to be read again from the start */
    bool news;   /* something was applied since up-to-date was told */
    enum pipeline_end end;
};

/* The store that changes go into: the one that readers see, but while another is being built. */
static inline struct store *pipeline_store(const struct pipeline *pipeline) {
    return pipeline->rebuild.building ? pipeline->rebuild.building : pipeline->stream->store;
}

/* The message given last was handled before: only the state is to be made of it. */
static inline bool pipeline_is_quiet(const struct pipeline *pipeline) {
    return pipeline->quiet_until > 0 && intake_sequence(&pipeline->intake) <= pipeline->quiet_until;
}

/* Everything that was handled before has come. */
static inline bool pipeline_is_level(const struct pipeline *pipeline) {
    return intake_sequence(&pipeline->intake) >= pipeline->quiet_until;
}

/* Finds what was kept, and opens the source. */
bool pipeline_begin(struct pipeline *pipeline, struct error *e);

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

/* ---- sinks (pipeline_sinks.c) ---- */

/* Starts opening them: pipeline_begin follows. */
bool sinks_open(struct pipeline *pipeline, const struct pipeline_options *options, struct error *e);

/* How far a snapshot may be; and the state is there, the intake is open. place: the snapshot's, zero where there is none. */
bool sinks_bound(struct pipeline *pipeline, struct checkpoint_bound *bound, struct error *e);
bool sinks_start(struct pipeline *pipeline, const struct place *place, struct error *e);

/* Before the intake is asked. False: nothing more before the pipeline is woken. */
bool sinks_go_on(struct pipeline *pipeline);

/* The intake has said this. */
void sinks_note(struct pipeline *pipeline, enum intake_status status);

/* Commits what was handled. True: that is done. */
bool sinks_settle(struct pipeline *pipeline);

/* All of them have been committed to up to exactly this place, which gets their digest; or there are none. */
bool sinks_have(const struct pipeline *pipeline, struct place *place);

/* What becomes of the state, to be called before the store is changed. False with e, located. */
bool sinks_put(struct pipeline *pipeline, enum sink_op op, struct slice type, struct slice key,
               struct slice value, struct error *e);
bool sinks_change(struct pipeline *pipeline, struct slice type, struct slice key, struct slice value,
                  struct error *e);
bool sinks_clear(struct pipeline *pipeline, struct error *e);
bool sinks_emit(struct pipeline *pipeline, const char *sink, struct slice event, struct error *e);

/* The stream is up to date; last: it ends. False with e: there must have been more of it. */
bool sinks_check_end(struct pipeline *pipeline, bool last, struct error *e);

/* Nothing is handled any more. */
void sinks_stop(struct pipeline *pipeline);

/* ---- bounds (pipeline_bounds.c) ---- */

/* DRIVER_TOLD: something begins or ends before what the intake gave last, which is to be held; ask again then.
 * Otherwise DRIVER_NOTHING. */
enum driver_kind bounds_before(struct pipeline *pipeline, enum intake_status status,
                               struct driver_item *item);

/* ---- what comes next (pipeline_next.c) ---- */

/* Makes the pipeline the driver of its stream's lane. */
void pipeline_drive(struct pipeline *pipeline);

/* The driver's `next`. */
enum driver_kind pipeline_next(void *user, struct driver_item *item);

#endif
