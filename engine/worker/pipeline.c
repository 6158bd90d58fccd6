#include "worker/pipeline.h"

#include <stdlib.h>
#include <string.h>

#include "script/api_schema.h"
#include "script/lane.h"
#include "worker/ahead.h"
#include "worker/handled.h"
#include "worker/refusal.h"
#include "worker/reset.h"

enum {
    TURN_EVENTS = 2000, /* events handed over before the loop gets its turn, or */
    TURN_MS = 20,       /* the time after which it does */
    OFFSET_MAX = 4096,
    REASON_MAX = 1 << 16,
};

struct pipeline {
    struct api_stream *stream;
    struct intake intake;
    struct loop *loop;
    const struct log *log;
    struct loop_task drain;
    struct pipeline_host host;
    struct pipeline_counts counts;
    struct refusal refusal;
    struct reset_history resets;
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
    bool news; /* something was applied since up-to-date was told */
    enum pipeline_end end;
};

static void finish(struct pipeline *pipeline, const struct error *e) {
    if (pipeline->end != PIPELINE_RUNNING) {
        return;
    }
    pipeline->end = e ? PIPELINE_FAILED : PIPELINE_DONE;
    if (e) {
        handled_not(&pipeline->handled); /* the message given last, but for what `take` says */
    }
    pipeline->host.ended(pipeline->host.user, pipeline, e);
}

static bool wants_rules(const struct pipeline *pipeline, const struct api_type *type) {
    return pipeline->stream->all.rules || (type && (type->rules || type->foreign_schema));
}

static bool wants_lua(const struct pipeline *pipeline, const struct api_type *type) {
    const struct api_type *all = &pipeline->stream->all;
    return pipeline->handlers &&
           (all->handlers || all->rules || (type && (type->handlers || type->rules || type->foreign_schema)));
}

static bool has_any_lua(const struct pipeline *pipeline) {
    const struct api_stream *stream = pipeline->stream;
    if (stream->get_keys) {
        return true;
    }
    return pipeline->handlers &&
           (stream->types.count > 0 || stream->all.handlers || stream->all.rules || stream->controls ||
            stream->up_to_dates || stream->on_invalid == POLICY_FUNCTION);
}

static void count_event(struct pipeline *pipeline) {
    pipeline->counts.events++;
    pipeline->news = true;
}

/* A message that was refused before Lua saw it. True: item is for onInvalid, the function; false: it has
 * been dealt with (the pipeline may have ended). */
static bool refused(struct pipeline *pipeline, struct slice text, const struct event *event,
                    const struct schema_issues *issues, struct error *e, struct driver_item *item) {
    intake_locate(&pipeline->intake, e);
    if (pipeline->handlers && pipeline->stream->on_invalid == POLICY_FUNCTION) {
        buf_clear(&pipeline->reason);
        buf_append(&pipeline->reason, e->message, strlen(e->message) + 1);
        *item = (struct driver_item){
            .event = event, .text = text, .reason = pipeline->reason.ptr, .issues = issues};
        return true;
    }
    if (!refusal_pass_over(&pipeline->refusal, pipeline->stream->on_invalid, text, e)) {
        finish(pipeline, e);
    }
    return false;
}

/* What the change will leave: its value, a patch's result, or nothing. */
static bool new_value(struct pipeline *pipeline, const struct event *event, struct slice *value,
                      struct error *e) {
    switch (event->operation) {
    case EVENT_DELETE:
        *value = (struct slice){0};
        return true;
    case EVENT_PATCH:
        if (!store_merged(pipeline->stream->store, event, &pipeline->merged, e)) {
            return false;
        }
        *value = buf_slice(&pipeline->merged);
        return true;
    default:
        *value = event->value;
        return true;
    }
}

static bool fits_schema(struct pipeline *pipeline, const struct api_type *type, struct slice value,
                        struct error *e) {
    struct schema_hooks hooks = {pipeline->stream->script->L, api_schema_pattern};
    if (!type || !type->schema || !value.ptr) {
        return true;
    }
    schema_issues_clear(&pipeline->issues);
    if (schema_check(type->schema, value, &hooks, &pipeline->issues)) {
        return true;
    }
    buf_clear(&pipeline->reason);
    schema_issues_describe(&pipeline->issues, &pipeline->reason);
    return error_set(e, ERROR_SCHEMA, "value: %.*s", (int)pipeline->reason.len, pipeline->reason.ptr);
}

/* The stored form of a change whose new value is known. place may be NULL. */
static bool store_change(struct pipeline *pipeline, const struct event *event, struct slice value,
                         const struct store_place *place, struct error *e) {
    struct store *store = pipeline->stream->store;
    struct event stored;
    if (event->operation == EVENT_PATCH) {
        stored = *event;
        stored.operation = EVENT_UPSERT;
        stored.value = value;
        event = &stored;
    }
    if (!(place ? store_apply_at(store, place, event, e) : store_apply(store, event, e))) {
        return intake_locate(&pipeline->intake, e);
    }
    count_event(pipeline);
    return true;
}

/* For a change that no rule can refuse: its handlers are to be called. */
static enum driver_kind apply_for_lua(struct pipeline *pipeline, const struct store_place *place,
                                      struct driver_item *item) {
    struct error e;
    buf_clear(&pipeline->old);
    if (item->old.ptr && !buf_append_slice(&pipeline->old, item->old)) {
        buf_error(&pipeline->old, &e, "the value before", "limits.message");
        intake_locate(&pipeline->intake, &e);
        finish(pipeline, &e);
        return DRIVER_NOTHING;
    }
    if (!store_change(pipeline, item->event, item->new_value, place, &e)) {
        finish(pipeline, &e);
        return DRIVER_NOTHING;
    }
    item->old = item->old.ptr ? buf_slice(&pipeline->old) : item->old;
    return DRIVER_APPLIED;
}

/* A change with its key. place: where it goes, or NULL. DRIVER_NOTHING: it has been dealt with. */
static enum driver_kind take_change(struct pipeline *pipeline, const struct event *event,
                                    const struct api_type *type, const struct store_place *place,
                                    struct driver_item *item) {
    const struct store *store = pipeline->stream->store;
    struct slice value;
    struct error e;
    bool valid = new_value(pipeline, event, &value, &e) && fits_schema(pipeline, type, value, &e);
    if (!valid) {
        const struct schema_issues *issues = e.code == ERROR_SCHEMA ? &pipeline->issues : NULL;
        refusal_name_entity(event, &e);
        bool ask = refused(pipeline, event->text, event, issues, &e, item);
        item->new_value = value;
        return ask ? DRIVER_INVALID : DRIVER_NOTHING;
    }
    if (wants_lua(pipeline, type)) {
        *item = (struct driver_item){
            .event = event,
            .text = event->text,
            .old = place ? store_get_at(store, place, event->key) : store_get(store, event->type, event->key),
            .new_value = value,
        };
        return wants_rules(pipeline, type) ? DRIVER_CHANGE : apply_for_lua(pipeline, place, item);
    }
    if (!store_change(pipeline, event, value, place, &e)) {
        finish(pipeline, &e);
    }
    return DRIVER_NOTHING;
}

/* A change that has no key: one of a type with getKey gets it from Lua. */
static enum driver_kind take_keyless(struct pipeline *pipeline, const struct event *event,
                                     const struct api_type *type, struct driver_item *item) {
    struct error e;
    *item = (struct driver_item){.event = event, .text = event->text};
    if (type && type->get_key) {
        return DRIVER_KEYLESS;
    }
    error_set(&e, ERROR_EVENT, "key is missing: a change needs a non-empty string");
    return refused(pipeline, event->text, event, NULL, &e, item) ? DRIVER_INVALID : DRIVER_NOTHING;
}

static enum driver_kind pipeline_resolve(void *user, const struct event *event, struct driver_item *item) {
    struct pipeline *pipeline = user;
    enum driver_kind kind = take_change(pipeline, event, api_stream_type(pipeline->stream, event->type), NULL,
                                        item);
    handled_item(&pipeline->handled, kind, item);
    return kind;
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
    if (course == RESET_FAILED) {
        finish(pipeline, &e);
    } else if (course != RESET_PASS) {
        store_clear(pipeline->stream->store);
    }
    buf_free(&offset);
    return course == RESET_GO_ON || course == RESET_FOLLOW;
}

/* True: item is for Lua. */
static bool take_control(struct pipeline *pipeline, struct driver_item *item) {
    const struct event *event = pipeline->intake.event;
    *item = (struct driver_item){.event = event, .text = event->text};
    pipeline->counts.controls++;
    pipeline->news = true;
    if (event->control == EVENT_RESET && !apply_reset(pipeline, event)) {
        return false;
    }
    return pipeline->handlers && pipeline->stream->controls;
}

/* True: Lua is to be told that everything has been handled. */
static bool take_chunk(struct pipeline *pipeline) {
    if (!pipeline->intake.up_to_date || !pipeline->news) {
        return false;
    }
    pipeline->news = false;
    return pipeline->handlers && pipeline->stream->up_to_dates;
}

static enum driver_kind take_event(struct pipeline *pipeline, struct driver_item *item) {
    const struct event *event = pipeline->intake.event;
    if (event->kind == EVENT_CONTROL) {
        return take_control(pipeline, item) ? DRIVER_CONTROL : DRIVER_NOTHING;
    }
    const struct api_type *type = api_stream_type(pipeline->stream, event->type);
    reset_note(&pipeline->resets, event);
    const struct store_place *place = ahead_place(&pipeline->ahead, pipeline->stream->store,
                                                  &pipeline->intake);
    return event->key.ptr ? take_change(pipeline, event, type, place, item)
                          : take_keyless(pipeline, event, type, item);
}

static enum driver_kind take(struct pipeline *pipeline, struct driver_item *item, bool *empty) {
    struct error e;
    switch (intake_next(&pipeline->intake, &e)) {
    case INTAKE_EMPTY:
        *empty = true;
        return DRIVER_NOTHING;
    case INTAKE_EVENT:
        return take_event(pipeline, item);
    case INTAKE_REFUSED:
        return refused(pipeline, pipeline->intake.slicer.message, NULL, NULL, &e, item) ? DRIVER_INVALID
                                                                                        : DRIVER_NOTHING;
    case INTAKE_CHUNK:
        pipeline->restored = false;
        return take_chunk(pipeline) ? DRIVER_UP_TO_DATE : DRIVER_NOTHING;
    case INTAKE_EOF:
        finish(pipeline, NULL);
        return DRIVER_NOTHING;
    case INTAKE_FAILED:
        if (pipeline->restored) {
            checkpoint_explain(pipeline->checkpoint, &e);
        }
        finish(pipeline, &e);
        handled_all(&pipeline->handled);
        return DRIVER_NOTHING;
    }
    return DRIVER_NOTHING;
}

static enum driver_kind yield_turn(struct pipeline *pipeline) {
    loop_defer(pipeline->loop, &pipeline->drain);
    return DRIVER_NOTHING;
}

static enum driver_kind pipeline_next(void *user, struct driver_item *item) {
    struct pipeline *pipeline = user;
    bool empty = false;
    handled_all(&pipeline->handled);
    /* Asked once for each handler: handlers may be slow, and the loop must have its turn all the same. */
    if (pipeline->turn > 0 && uv_hrtime() > pipeline->turn_until) {
        return yield_turn(pipeline);
    }
    while (!empty && pipeline->end == PIPELINE_RUNNING) {
        if (pipeline->turn++ >= TURN_EVENTS) {
            return yield_turn(pipeline);
        }
        *item = (struct driver_item){0};
        enum driver_kind kind = take(pipeline, item, &empty);
        if (kind != DRIVER_NOTHING) {
            handled_item(&pipeline->handled, kind, item);
            return kind;
        }
    }
    pipeline->counts.last_ns = uv_hrtime();
    return DRIVER_NOTHING;
}

static bool pipeline_apply(void *user, const struct driver_item *item, struct error *e) {
    struct pipeline *pipeline = user;
    bool ok = store_change(pipeline, item->event, item->new_value, NULL, e);
    if (ok) {
        handled_applied(&pipeline->handled, item->event, item->old);
    }
    return ok;
}

static bool pipeline_refuse(void *user, const struct driver_item *item, const char *decision,
                            const char *reason, bool located, struct error *e) {
    struct pipeline *pipeline = user;
    error_set(e, ERROR_SCHEMA, "%s", reason);
    if (!located) {
        refusal_name_entity(item->event, e);
        intake_locate(&pipeline->intake, e);
    }
    return refusal_pass_over(&pipeline->refusal, refusal_policy(&pipeline->refusal, decision), item->text, e);
}

static bool pipeline_give_up(void *user, const struct driver_item *item, const char *decision,
                             const char *reason, struct error *e) {
    struct pipeline *pipeline = user;
    error_set(e, ERROR_SCRIPT, "a handler failed: %s", reason);
    intake_locate(&pipeline->intake, e);
    if (item && strcmp(decision, "deadletter") == 0) {
        struct error failure;
        if (!refusal_keep(&pipeline->refusal, item->text, e->message, &failure)) {
            *e = failure;
            return false;
        }
    }
    log_write(pipeline->log, LOG_ERROR, "%s: %s", decision, e->message);
    return true;
}

static void pipeline_locate(void *user, struct error *e) {
    const struct pipeline *pipeline = user;
    refusal_name_entity(pipeline->intake.event, e);
    intake_locate(&pipeline->intake, e);
}

/* Between two events; while a handler is at work it stays due. */
static void save(struct pipeline *pipeline) {
    struct place place;
    if (lane_is_busy(pipeline->stream)) {
        return;
    }
    if (handled_place(&pipeline->handled, &pipeline->intake, &place)) {
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

/* Goes on from the checkpoint, if there is one. */
static bool restore(struct pipeline *pipeline, struct source_options *source, struct place *place,
                    struct error *e) {
    static const enum source_format formats[] = {
        [SLICER_ARRAY] = SOURCE_ARRAY, [SLICER_LINES] = SOURCE_LINES, [SLICER_AUTO] = SOURCE_AUTO};
    uint64_t now = uv_hrtime();
    if (!pipeline->checkpoint) {
        return true;
    }
    checkpoint_watch(pipeline->checkpoint, save_due, pipeline);
    switch (checkpoint_load(pipeline->checkpoint, pipeline->stream->store, &pipeline->resets, place, e)) {
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
    pipeline->restored = true;
    pipeline->counts.first_ns = now;
    return true;
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
    refusal_init(&pipeline->refusal, stream, &pipeline->intake, pipeline->log);
    reset_init(&pipeline->resets);
    handled_init(&pipeline->handled, options->checkpoint != NULL, stream->message_max);
    schema_issues_init(&pipeline->issues);
    buf_init(&pipeline->merged, stream->message_max);
    buf_init(&pipeline->old, stream->message_max);
    buf_init(&pipeline->reason, REASON_MAX);
    stream->driver = (struct driver){
        .user = pipeline,
        .next = pipeline_next,
        .resolve = pipeline_resolve,
        .apply = pipeline_apply,
        .refuse = pipeline_refuse,
        .give_up = pipeline_give_up,
        .locate = pipeline_locate,
    };
    struct source_options source = options->source;
    struct place place;
    if (!intake_init(&pipeline->intake, stream->message_max, ready, pipeline)) {
        error_set(e, ERROR_MEMORY, "%s: out of memory", stream->name);
        pipeline_free(pipeline);
        return NULL;
    }
    pipeline->intake.decoder.strict = stream->strict;
    pipeline->intake.decoder.key_optional = stream->get_keys;
    if (stream->default_type) {
        pipeline->intake.decoder.default_type = slice_from(stream->default_type);
    }
    if (!restore(pipeline, &source, &place, e) || !intake_open(&pipeline->intake, &source, e)) {
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
        pipeline->end = PIPELINE_DONE;
    }
    loop_cancel(pipeline->loop, &pipeline->drain);
}

bool pipeline_keep(struct pipeline *pipeline, struct error *e) {
    struct place place;
    if (!pipeline->checkpoint || !handled_undo(&pipeline->handled, pipeline->stream->store) ||
        !handled_place(&pipeline->handled, &pipeline->intake, &place)) {
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
    handled_free(&pipeline->handled);
    intake_close(&pipeline->intake);
    refusal_free(&pipeline->refusal);
    reset_free(&pipeline->resets);
    schema_issues_free(&pipeline->issues);
    buf_free(&pipeline->merged);
    buf_free(&pipeline->old);
    buf_free(&pipeline->reason);
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
