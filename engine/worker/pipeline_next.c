#include <string.h>

#include "worker/pipeline_parts.h"

enum {
    TURN_EVENTS = 1000, /* events handed over before the loop gets its turn */
    OFFSET_MAX = 4096,
};

/* What follows is everything that there is. */
static bool begin_state(struct pipeline *pipeline, bool snapshot, struct error *e) {
    struct api_stream *stream = pipeline->stream;
    bool again = pipeline->rebuild.building;
    if (!rebuild_begin(&pipeline->rebuild, stream->store, snapshot, e)) {
        return error_context(e, "%s", stream->name);
    }
    stream->building = pipeline->rebuild.building;
    if (!again) {
        pipeline->rebuild_from = intake_sequence(&pipeline->intake);
    }
    api_follow_built(stream, false);
    return true;
}

static bool forget_state(struct pipeline *pipeline, struct error *e) {
    if (pipeline->stream->replace) {
        return begin_state(pipeline, false, e);
    }
    if (!sinks_clear(pipeline, e)) {
        return false;
    }
    store_clear(pipeline->stream->store);
    return true;
}

/* False: there is nothing to tell of it. The event's text stays where it is until the next bytes come. */
static bool apply_reset(struct pipeline *pipeline, const struct event *event) {
    struct buf offset;
    struct error e;
    buf_init(&offset, OFFSET_MAX);
    enum reset_course course = RESET_GO_ON;
    if (source_is_url(pipeline->stream->url)) {
        course = reset_decide(&pipeline->resets, event, pipeline->intake.offset, &offset, &e);
    }
    if (course == RESET_FAILED) {
        error_context(&e, "%s", pipeline->stream->name);
    }
    if (course == RESET_FOLLOW && !intake_seek(&pipeline->intake, offset.ptr, &e)) {
        course = RESET_FAILED;
    }
    if (course == RESET_FAILED || (course != RESET_PASS && !forget_state(pipeline, &e))) {
        pipeline_finish(pipeline, &e);
        course = RESET_FAILED;
    }
    buf_free(&offset);
    return course == RESET_GO_ON || course == RESET_FOLLOW;
}

/* The state that was built takes the place of the one before. */
static bool replace_state(struct pipeline *pipeline) {
    struct error e;
    if (!rebuild_end(&pipeline->rebuild, &pipeline->stream->store, &e)) {
        error_context(&e, "%s", pipeline->stream->name);
        pipeline_finish(pipeline, &e);
        return false;
    }
    pipeline->stream->building = NULL;
    if (pipeline->outlet) {
        outlet_replaced(pipeline->outlet, pipeline->stream->store, pipeline->rebuild_from);
    }
    api_follow_built(pipeline->stream, true);
    pipeline->told_last = true;
    return true;
}

/* Where the state is replaced by snapshots. False: the pipeline has ended, or differences come first. */
static bool take_snapshot(struct pipeline *pipeline, const struct event *event) {
    struct error e;
    const struct rebuild *rebuild = &pipeline->rebuild;
    if (!pipeline->stream->replace) {
        return true;
    }
    if (event->control == EVENT_SNAPSHOT_START && rebuild->building && !rebuild->snapshot) {
        /* What has come since a reset is the state before the snapshot, whenever this is read. */
        pipeline->snapshot_waits = replace_state(pipeline);
        return false;
    }
    if (event->control == EVENT_SNAPSHOT_START && !begin_state(pipeline, true, &e)) {
        pipeline_finish(pipeline, &e);
        return false;
    }
    if (event->control == EVENT_SNAPSHOT_END && rebuild->building && rebuild->snapshot) {
        replace_state(pipeline);
        return false;
    }
    return true;
}

static enum driver_kind tell_control(const struct pipeline *pipeline, struct driver_item *item) {
    const struct event *event = pipeline->intake.event;
    *item = (struct driver_item){.event = event, .text = event->text};
    return pipeline->handlers && pipeline->stream->controls && !pipeline_is_quiet(pipeline) ? DRIVER_CONTROL
                                                                                            : DRIVER_NOTHING;
}

static enum driver_kind take_control(struct pipeline *pipeline, struct driver_item *item) {
    const struct event *event = pipeline->intake.event;
    pipeline->counts.controls++;
    pipeline->news = true;
    bool told = event->control == EVENT_RESET ? apply_reset(pipeline, event) : take_snapshot(pipeline, event);
    return told ? tell_control(pipeline, item) : DRIVER_NOTHING;
}

/* Everything that exists has been read, where that is news. */
static enum driver_kind tell_up_to_date(struct pipeline *pipeline) {
    if (!pipeline->intake.up_to_date || !pipeline_is_level(pipeline)) {
        return DRIVER_NOTHING;
    }
    pipeline->live = true;
    if (!pipeline->news) {
        return DRIVER_NOTHING;
    }
    pipeline->news = false;
    return pipeline->handlers && pipeline->stream->up_to_dates ? DRIVER_UP_TO_DATE : DRIVER_NOTHING;
}

static enum driver_kind take_chunk(struct pipeline *pipeline) {
    const struct rebuild *rebuild = &pipeline->rebuild;
    pipeline->restored = false;
    pipeline->chunk_over = true;
    if (rebuild->building && !rebuild->snapshot && pipeline->intake.up_to_date) {
        if (!replace_state(pipeline)) {
            return DRIVER_NOTHING;
        }
    }
    if (pipeline->intake.up_to_date) {
        struct error e;
        if (!sinks_check_end(pipeline, false, &e)) {
            pipeline_finish(pipeline, &e);
            return DRIVER_NOTHING;
        }
        api_follow_up_to_date(pipeline->stream);
    }
    if (pipeline->told_last) {
        return DRIVER_NOTHING;
    }
    return tell_up_to_date(pipeline);
}

/* The next difference between a state that was replaced and its successor, and at last what ended it. */
static enum driver_kind take_difference(struct pipeline *pipeline, struct driver_item *item) {
    struct rebuild_difference difference;
    struct error e;
    while (rebuild_next(&pipeline->rebuild, &difference, &e)) {
        if (!sinks_change(pipeline, difference.type, difference.key, difference.value, &e)) {
            break;
        }
        if (pipeline_is_quiet(pipeline) ||
            !pipeline_wants_handlers(pipeline, api_stream_type(pipeline->stream, difference.type))) {
            continue;
        }
        const struct event *event = rebuild_event(&pipeline->rebuild, &difference, &e);
        if (!event) {
            break;
        }
        *item = (struct driver_item){
            .event = event, .text = event->text, .old = difference.old, .new_value = difference.value};
        return DRIVER_APPLIED;
    }
    if (e.code != ERROR_NONE) {
        pipeline_finish(pipeline, &e);
        return DRIVER_NOTHING;
    }
    pipeline->told_last = false;
    if (pipeline->snapshot_waits) {
        pipeline->snapshot_waits = false;
        if (!begin_state(pipeline, true, &e)) {
            pipeline_finish(pipeline, &e);
            return DRIVER_NOTHING;
        }
    }
    return pipeline->chunk_over ? tell_up_to_date(pipeline) : tell_control(pipeline, item);
}

static enum driver_kind take_event(struct pipeline *pipeline, struct driver_item *item) {
    const struct event *event = pipeline->intake.event;
    if (event->kind == EVENT_CONTROL) {
        return take_control(pipeline, item);
    }
    const struct api_type *type = api_stream_type(pipeline->stream, event->type);
    reset_note(&pipeline->resets, event);
    const struct store_place *place = ahead_place(&pipeline->ahead, pipeline_store(pipeline),
                                                  &pipeline->intake);
    return pipeline_take_change(pipeline, event, type, place, item);
}

/* What the intake gives, or gave when it had to wait. */
static enum intake_status take_status(struct pipeline *pipeline, struct error *e) {
    struct bounds *bounds = &pipeline->bounds;
    if (!bounds->held) {
        enum intake_status status = intake_next(&pipeline->intake, e);
        sinks_note(pipeline, status);
        return status;
    }
    bounds->held = false;
    handled_all(&pipeline->handled);
    *e = bounds->error;
    return bounds->status;
}

/* It waits: where it is a message, that has not been handled. */
static void hold(struct pipeline *pipeline, enum intake_status status, const struct error *e) {
    struct bounds *bounds = &pipeline->bounds;
    bounds->held = true;
    bounds->status = status;
    if (status == INTAKE_REFUSED) {
        bounds->error = *e;
    }
    if (status == INTAKE_EVENT || status == INTAKE_REFUSED) {
        handled_not(&pipeline->handled);
    }
}

/* False: there is still something to commit; the intake will say it again. */
static bool end_stream(struct pipeline *pipeline) {
    struct error e;
    if (!sinks_check_end(pipeline, true, &e)) {
        pipeline_finish(pipeline, &e);
        return true;
    }
    if (pipeline->outlet && !sinks_settle(pipeline)) {
        return false;
    }
    if (pipeline->rebuild.building) {
        log_write(pipeline->log, LOG_WARN, "%s: ended within a snapshot: the state is the one before it",
                  pipeline->stream->name);
    }
    pipeline_finish(pipeline, NULL);
    return true;
}

static enum driver_kind take(struct pipeline *pipeline, struct driver_item *item, bool *empty) {
    struct error e;
    if (pipeline->told_last) {
        return take_difference(pipeline, item);
    }
    pipeline->chunk_over = false;
    enum intake_status status = take_status(pipeline, &e);
    if (pipeline->stream->bounds && pipeline->handlers && !pipeline_is_quiet(pipeline)) {
        enum driver_kind kind = bounds_before(pipeline, status, item);
        if (kind != DRIVER_NOTHING) {
            hold(pipeline, status, &e);
            return kind;
        }
    }
    switch (status) {
    case INTAKE_EMPTY:
        *empty = true;
        return DRIVER_NOTHING;
    case INTAKE_EVENT:
        return take_event(pipeline, item);
    case INTAKE_REFUSED:
        return pipeline_refused(pipeline, pipeline->intake.refused, NULL, NULL, &e, item) ? DRIVER_INVALID
                                                                                          : DRIVER_NOTHING;
    case INTAKE_CHUNK:
        return take_chunk(pipeline);
    case INTAKE_EOF:
        *empty = !end_stream(pipeline);
        return DRIVER_NOTHING;
    case INTAKE_FAILED:
        if (pipeline->restored) {
            checkpoint_explain(pipeline->checkpoint, &e);
        }
        pipeline_finish(pipeline, &e);
        handled_all(&pipeline->handled);
        return DRIVER_NOTHING;
    }
    return DRIVER_NOTHING;
}

static enum driver_kind resolve(void *user, const struct event *event, struct driver_item *item) {
    struct pipeline *pipeline = user;
    enum driver_kind kind = pipeline_take_change(pipeline, event,
                                                 api_stream_type(pipeline->stream, event->type), NULL, item);
    handled_item(&pipeline->handled, kind, item);
    item->live = pipeline->live;
    return kind;
}

static enum driver_kind yield_turn(struct pipeline *pipeline) {
    loop_defer(pipeline->loop, &pipeline->drain);
    return DRIVER_NOTHING;
}

/* The script wants everything from the start. */
static void read_again(struct pipeline *pipeline) {
    const struct api_stream *stream = pipeline->stream;
    const char *start = stream->offset ? stream->offset : source_is_url(stream->url) ? "-1" : "0";
    struct error e;
    if (pipeline->outlet && (!sinks_go_on(pipeline) || !sinks_settle(pipeline))) {
        return;
    }
    if (pipeline->outlet) {
        outlet_again(pipeline->outlet);
    }
    pipeline->again = false;
    pipeline->bounds.held = pipeline->bounds.in_batch = pipeline->bounds.in_transaction = false;
    reset_free(&pipeline->resets);
    reset_init(&pipeline->resets);
    if (!forget_state(pipeline, &e) || !intake_seek(&pipeline->intake, start, &e)) {
        pipeline_finish(pipeline, &e);
        return;
    }
    pipeline->intake.base = pipeline->quiet_until = 0;
    pipeline->intake.uncounted = false;
    pipeline->news = true;
    api_follow_again(pipeline->stream);
}

enum driver_kind pipeline_next(void *user, struct driver_item *item) {
    struct pipeline *pipeline = user;
    bool empty = false;
    pipeline->asking = refusal_ask(&pipeline->refusal, item);
    if (pipeline->asking) {
        item->live = pipeline->live;
        return DRIVER_INVALID;
    }
    if (refusal_waits(&pipeline->refusal)) {
        return DRIVER_NOTHING;
    }
    if (!pipeline->bounds.held) {
        handled_all(&pipeline->handled);
    }
    if (pipeline->again && !pipeline->told_last && pipeline->end == PIPELINE_RUNNING) {
        read_again(pipeline);
    }
    /* Asked once for each handler: handlers may be slow, and the loop must have its turn all the same. */
    if (pipeline->turn > 0 && uv_hrtime() > pipeline->turn_until) {
        return yield_turn(pipeline);
    }
    pipeline->local = api_local_waits(&pipeline->stream->local) && pipeline->end == PIPELINE_RUNNING;
    if (pipeline->local) {
        enum driver_kind kind = api_local_next(pipeline->stream, item);
        pipeline->turn++;
        item->live = true;
        return kind;
    }
    while (!empty && pipeline->end == PIPELINE_RUNNING && !refusal_waits(&pipeline->refusal)) {
        if (pipeline->turn++ >= TURN_EVENTS) {
            return yield_turn(pipeline);
        }
        if (pipeline->outlet && ((pipeline->again && !pipeline->told_last) || !sinks_go_on(pipeline))) {
            return DRIVER_NOTHING; /* it will be woken */
        }
        *item = (struct driver_item){0};
        enum driver_kind kind = take(pipeline, item, &empty);
        if (kind != DRIVER_NOTHING) {
            handled_item(&pipeline->handled, kind, item);
            item->live = pipeline->live;
            return kind;
        }
    }
    if (refusal_waits(&pipeline->refusal)) {
        handled_not(&pipeline->handled);
    }
    pipeline->counts.last_ns = uv_hrtime();
    return DRIVER_NOTHING;
}

static bool apply(void *user, const struct driver_item *item, struct error *e) {
    struct pipeline *pipeline = user;
    bool ok = pipeline_store_change(pipeline, item->event, item->new_value, NULL, e);
    if (ok) {
        handled_applied(&pipeline->handled, item->event, item->old);
    }
    return ok;
}

static bool refuse(void *user, const struct driver_item *item, const char *decision, const char *reason,
                   bool located, struct error *e) {
    struct pipeline *pipeline = user;
    if (pipeline->asking) {
        return refusal_answer(&pipeline->refusal, decision, e);
    }
    error_set(e, ERROR_SCHEMA, "%s", reason);
    if (pipeline_is_quiet(pipeline)) {
        pipeline->refusal.passed_over++;
        return true;
    }
    if (!located) {
        refusal_name_entity(item->event, e);
        intake_locate(&pipeline->intake, e);
    }
    return refusal_pass_over(&pipeline->refusal, refusal_policy(&pipeline->refusal, decision), item->text, e);
}

static void locate(void *user, bool of_item, struct error *e) {
    const struct pipeline *pipeline = user;
    if (pipeline->asking) {
        refusal_locate(&pipeline->refusal, e);
        return;
    }
    if (!of_item) {
        error_context(e, "%s", pipeline->intake.name);
        return;
    }
    if (pipeline->local) {
        error_context(e, "%s: a write of its own", pipeline->stream->name);
        return;
    }
    refusal_name_entity(pipeline->intake.event, e);
    intake_locate(&pipeline->intake, e);
}

static bool give_up(void *user, const struct driver_item *item, const char *decision, const char *reason,
                    struct error *e) {
    struct pipeline *pipeline = user;
    error_set(e, ERROR_SCRIPT, "a handler failed: %s", reason);
    if (!item || pipeline->local) {
        locate(pipeline, item != NULL, e);
    } else {
        intake_locate(&pipeline->intake, e);
    }
    if (item && !pipeline->local && strcmp(decision, "deadletter") == 0) {
        struct error failure;
        if (!refusal_keep(&pipeline->refusal, item->text, e->message, &failure)) {
            *e = failure;
            return false;
        }
    }
    log_write(pipeline->log, LOG_ERROR, "%s: %s", decision, e->message);
    return true;
}

static bool emit(void *user, const char *sink, struct slice event, struct error *e) {
    return sinks_emit(user, sink, event, e);
}

static void wake(void *user) {
    struct pipeline *pipeline = user;
    loop_defer(pipeline->loop, &pipeline->drain);
}

static void again(void *user) {
    struct pipeline *pipeline = user;
    pipeline->again = true;
    wake(pipeline);
}

void pipeline_drive(struct pipeline *pipeline) {
    pipeline->stream->driver = (struct driver){
        .user = pipeline,
        .next = pipeline_next,
        .resolve = resolve,
        .apply = apply,
        .refuse = refuse,
        .give_up = give_up,
        .emit = emit,
        .wake = wake,
        .again = again,
        .locate = locate,
    };
}
