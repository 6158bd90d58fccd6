#include "worker/pipeline.h"

#include <stdlib.h>
#include <string.h>

#include "script/lane.h"
#include "worker/pipeline_parts.h"

enum {
    TURN_MS = 20, /* handlers may be slow: the time after which the loop gets its turn */
    REASON_MAX = 1 << 16,
};

void pipeline_finish(struct pipeline *pipeline, const struct error *e) {
    if (pipeline->end != PIPELINE_RUNNING) {
        return;
    }
    pipeline->end = e ? PIPELINE_FAILED : PIPELINE_DONE;
    if (e) {
        handled_not(&pipeline->handled); /* the message given last, but for what `take` says */
    }
    api_follow_over(pipeline->stream, e);
    pipeline->host.ended(pipeline->host.user, pipeline, e);
}

static bool has_any_lua(const struct pipeline *pipeline) {
    const struct api_stream *stream = pipeline->stream;
    if (stream->get_keys) {
        return true;
    }
    return pipeline->handlers &&
           (stream->types.count > 0 || stream->all.handlers || stream->all.rules || stream->controls ||
            stream->up_to_dates || stream->others || stream->on_invalid == POLICY_FUNCTION);
}

/* A state is being built, or what it changed is being told of: where that began is the place to go on from. */
static bool is_replacing(const struct pipeline *pipeline) {
    return pipeline->rebuild.building || pipeline->told_last;
}

/* Between two events; while a handler is at work it stays due. */
static void save(struct pipeline *pipeline) {
    struct place place;
    if (!pipeline->begun || lane_is_busy(pipeline->stream) || is_replacing(pipeline)) {
        return;
    }
    if (handled_place(&pipeline->handled, &pipeline->intake, &place) && sinks_have(pipeline, &place)) {
        checkpoint_save(pipeline->checkpoint, pipeline->stream->store, &pipeline->resets, &place);
    }
}

static void drain(struct loop_task *task) {
    struct pipeline *pipeline = task->owner;
    pipeline->turn = 0;
    pipeline->turn_until = uv_hrtime() + TURN_MS * UINT64_C(1000000);
    if (pipeline->checkpoint && checkpoint_is_due(pipeline->checkpoint)) {
        save(pipeline);
    }
    if (pipeline->end != PIPELINE_RUNNING) {
        return;
    }
    struct error e;
    if (!refusal_holds(&pipeline->refusal, &e)) {
        pipeline_finish(pipeline, &e);
        return;
    }
    if (has_any_lua(pipeline)) {
        lane_wake(pipeline->stream);
        return;
    }
    struct driver_item item;
    pipeline_next(pipeline, &item);
}

static void ready(void *user) {
    struct pipeline *pipeline = user;
    if (!pipeline->counts.first_ns) {
        pipeline->counts.first_ns = uv_hrtime();
    }
    loop_defer(pipeline->loop, &pipeline->drain);
}

static void save_due(void *user) {
    struct pipeline *pipeline = user;
    loop_defer(pipeline->loop, &pipeline->drain);
}

static void letters_settled(void *user) {
    struct pipeline *pipeline = user;
    struct error e;
    bool holds = refusal_holds(&pipeline->refusal, &e);
    if (pipeline->outlet && !(holds && refusal_waits(&pipeline->refusal))) {
        outlet_letters_settled(pipeline->outlet, holds ? NULL : &e);
    }
    loop_defer(pipeline->loop, &pipeline->drain);
}

/* Goes on from the checkpoint, if there is one. */
static bool restore(struct pipeline *pipeline, struct source_options *source, struct place *place,
                    struct error *e) {
    static const enum source_format formats[] = {
        [SLICER_ARRAY] = SOURCE_ARRAY, [SLICER_LINES] = SOURCE_LINES, [SLICER_AUTO] = SOURCE_AUTO};
    struct checkpoint_bound bound;
    uint64_t now = uv_hrtime();
    if (pipeline->outlet && !sinks_bound(pipeline, &bound, e)) {
        return false;
    }
    if (!pipeline->checkpoint) {
        return true;
    }
    checkpoint_watch(pipeline->checkpoint, save_due, pipeline);
    switch (checkpoint_load(pipeline->checkpoint, pipeline->outlet ? &bound : NULL, pipeline->stream->store,
                            &pipeline->resets, place, e)) {
    case CHECKPOINT_NONE:
        return true;
    case CHECKPOINT_FAILED:
        return false;
    case CHECKPOINT_LOADED:
        break;
    }
    source->offset = place->offset;
    source->format = source_is_url(source->location) ? source->format : formats[place->format];
    pipeline->intake.skip = place->skip;
    pipeline->intake.base = place->uncounted ? 0 : place->sequence - place->skip;
    pipeline->intake.uncounted = place->uncounted;
    pipeline->restored = true;
    pipeline->counts.first_ns = now;
    return true;
}

bool pipeline_begin(struct pipeline *pipeline, struct error *e) {
    struct place place = {0};
    if (!restore(pipeline, &pipeline->source, &place, e) ||
        !intake_open(&pipeline->intake, &pipeline->source, e)) {
        return false;
    }
    pipeline->begun = true;
    return !pipeline->outlet || sinks_start(pipeline, &place, e);
}

struct pipeline *pipeline_new(const struct pipeline_options *options, struct error *e) {
    struct api_stream *stream = options->stream;
    struct pipeline *pipeline = calloc(1, sizeof *pipeline);
    if (!pipeline) {
        error_set(e, ERROR_MEMORY, "%s: out of memory", stream->name);
        return NULL;
    }
    *pipeline = (struct pipeline){
        .stream = stream,
        .loop = options->source.loop,
        .log = options->source.log,
        .host = options->host,
        .checkpoint = options->checkpoint,
        .handlers = options->handlers,
        .news = true,
        .drain = {.run = drain, .owner = pipeline},
    };
    refusal_init(&pipeline->refusal, stream, &pipeline->intake, pipeline->log, letters_settled, pipeline);
    pipeline->refusal.may_ask = options->handlers;
    reset_init(&pipeline->resets);
    rebuild_init(&pipeline->rebuild, stream->message_max);
    handled_init(&pipeline->handled, options->checkpoint != NULL, stream->message_max);
    schema_issues_init(&pipeline->issues);
    buf_init(&pipeline->merged, stream->message_max);
    buf_init(&pipeline->old, stream->message_max);
    buf_init(&pipeline->reason, REASON_MAX);
    buf_init(&pipeline->bounds.txid, stream->message_max);
    pipeline_drive(pipeline);
    pipeline->source = options->source;
    if (!intake_init(&pipeline->intake, stream->message_max, ready, pipeline)) {
        error_set(e, ERROR_MEMORY, "%s: out of memory", stream->name);
        pipeline_free(pipeline);
        return NULL;
    }
    intake_use_beside(&pipeline->intake, pipeline->loop);
    pipeline->intake.cutter.decoder.strict = stream->strict;
    pipeline->intake.cutter.decoder.key_optional = stream->get_keys;
    if (stream->default_type) {
        pipeline->intake.cutter.decoder.default_type = slice_from(stream->default_type);
    }
    if (!(options->sink_count > 0 ? sinks_open(pipeline, options, e) : pipeline_begin(pipeline, e))) {
        pipeline_free(pipeline);
        return NULL;
    }
    return pipeline;
}

void pipeline_stop(struct pipeline *pipeline) {
    if (pipeline->intake.source) {
        source_close(pipeline->intake.source);
        pipeline->intake.source = NULL;
    }
    if (pipeline->end == PIPELINE_RUNNING) {
        struct error e;
        error_set(&e, ERROR_INTERRUPTED, "the worker is stopping");
        pipeline->end = PIPELINE_DONE;
        api_follow_over(pipeline->stream, &e);
    }
    if (refusal_end(&pipeline->refusal)) {
        struct error e;
        error_set(&e, ERROR_INTERRUPTED,
                  "%s: the worker is stopping: a row that a sink refuses is refused again",
                  pipeline->stream->name);
        outlet_letters_settled(pipeline->outlet, &e);
    }
    loop_cancel(pipeline->loop, &pipeline->drain);
}

bool pipeline_settled(struct pipeline *pipeline) {
    sinks_stop(pipeline);
    /* A letter that is under way would be written again next time. */
    return !pipeline->outlet ||
           (outlet_settled(pipeline->outlet) && !deadletter_waits(pipeline->refusal.letters));
}

bool pipeline_keep(struct pipeline *pipeline, struct error *e) {
    struct place place;
    if (!pipeline->checkpoint || !pipeline->begun || is_replacing(pipeline) ||
        !handled_undo(&pipeline->handled, pipeline->stream->store) ||
        !handled_place(&pipeline->handled, &pipeline->intake, &place) || !sinks_have(pipeline, &place)) {
        return true;
    }
    return checkpoint_finish(pipeline->checkpoint, pipeline->stream->store, &pipeline->resets, &place, e);
}

void pipeline_free(struct pipeline *pipeline) {
    if (!pipeline) {
        return;
    }
    pipeline_stop(pipeline);
    if (pipeline->checkpoint) {
        checkpoint_watch(pipeline->checkpoint, NULL, NULL);
    }
    outlet_free(pipeline->outlet);
    handled_free(&pipeline->handled);
    intake_close(&pipeline->intake);
    refusal_free(&pipeline->refusal);
    reset_free(&pipeline->resets);
    rebuild_free(&pipeline->rebuild);
    pipeline->stream->building = NULL;
    schema_issues_free(&pipeline->issues);
    buf_free(&pipeline->merged);
    buf_free(&pipeline->old);
    buf_free(&pipeline->reason);
    buf_free(&pipeline->bounds.txid);
    ahead_free(&pipeline->ahead);
    free(pipeline);
}

enum pipeline_end pipeline_ended(const struct pipeline *pipeline) {
    return pipeline->end;
}

const struct pipeline_counts *pipeline_counts(struct pipeline *pipeline) {
    pipeline->counts.rejected = pipeline->refusal.passed_over;
    pipeline->counts.bytes = intake_bytes(&pipeline->intake);
    return &pipeline->counts;
}
