#include <string.h>

#include "script/api_schema.h"
#include "worker/pipeline_parts.h"

static bool wants_rules(const struct pipeline *pipeline, const struct api_type *type) {
    return pipeline->handlers &&
           (pipeline->stream->all.rules || (type && (type->rules || type->foreign_schema)));
}

bool pipeline_wants_handlers(const struct pipeline *pipeline, const struct api_type *type) {
    return pipeline->handlers && (pipeline->stream->all.handlers || (type && type->handlers));
}

static void count_event(struct pipeline *pipeline) {
    pipeline->counts.events++;
    pipeline->news = true;
}

bool pipeline_refused(struct pipeline *pipeline, struct slice text, const struct event *event,
                      const struct schema_issues *issues, struct error *e, struct driver_item *item) {
    intake_locate(&pipeline->intake, e);
    if (pipeline_is_quiet(pipeline)) {
        pipeline->refusal.passed_over++;
        return false;
    }
    if (pipeline->handlers && pipeline->stream->on_invalid == POLICY_FUNCTION) {
        buf_clear(&pipeline->reason);
        buf_append(&pipeline->reason, e->message, strlen(e->message) + 1);
        *item = (struct driver_item){
            .event = event, .text = text, .reason = pipeline->reason.ptr, .issues = issues};
        return true;
    }
    if (!refusal_pass_over(&pipeline->refusal, pipeline->stream->on_invalid, text, e)) {
        pipeline_finish(pipeline, e);
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
        if (!store_merged(pipeline_store(pipeline), event, &pipeline->merged, e)) {
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
    if (!type || !type->schema || !value.ptr) {
        return true;
    }
    schema_issues_clear(&pipeline->issues);
    if (schema_check(type->schema, value, &pipeline->issues)) {
        return true;
    }
    buf_clear(&pipeline->reason);
    schema_issues_describe(&pipeline->issues, &pipeline->reason);
    return error_set(e, ERROR_SCHEMA, "value: %.*s", (int)pipeline->reason.len, pipeline->reason.ptr);
}

bool pipeline_store_change(struct pipeline *pipeline, const struct event *event, struct slice value,
                           const struct store_place *place, struct error *e) {
    struct store *store = pipeline_store(pipeline);
    struct event stored;
    if (value.ptr &&
        value.ptr != event->value.ptr) { /* a patch's result, or what a schema made of the value */
        stored = *event;
        stored.operation = event->operation == EVENT_PATCH ? EVENT_UPSERT : event->operation;
        stored.value = value;
        event = &stored;
    }
    if (!sinks_change(pipeline, event->type, event->key, value, e)) {
        return false;
    }
    if (!(place ? store_apply_at(store, place, event, e) : store_apply(store, event, e))) {
        return intake_locate(&pipeline->intake, e);
    }
    count_event(pipeline);
    if (event->txid.ptr && pipeline->handlers) {
        api_follow_applied(pipeline->stream, event, pipeline->rebuild.building != NULL);
    }
    return true;
}

/* For a change that no rule can refuse: its handlers are to be called. */
static enum driver_kind apply_for_lua(struct pipeline *pipeline, const struct store_place *place,
                                      struct driver_item *item) {
    struct error e;
    buf_clear(&pipeline->old);
    if (item->old.ptr && !buf_append_slice(&pipeline->old, item->old)) {
        buf_error(&pipeline->old, &e, "the value before", "raise limits.message");
        intake_locate(&pipeline->intake, &e);
        pipeline_finish(pipeline, &e);
        return DRIVER_NOTHING;
    }
    if (!pipeline_store_change(pipeline, item->event, item->new_value, place, &e)) {
        pipeline_finish(pipeline, &e);
        return DRIVER_NOTHING;
    }
    item->old = item->old.ptr ? buf_slice(&pipeline->old) : item->old;
    return DRIVER_APPLIED;
}

/* What Lua needs of a change. */
static struct driver_item item_of(const struct pipeline *pipeline, const struct event *event,
                                  struct slice value, const struct store_place *place) {
    const struct store *store = pipeline_store(pipeline);
    return (struct driver_item){
        .event = event,
        .text = event->text,
        .old = place ? store_get_at(store, place, event->key) : store_get(store, event->type, event->key),
        .new_value = value,
    };
}

/* A change with its key. */
static enum driver_kind take_keyed(struct pipeline *pipeline, const struct event *event,
                                   const struct api_type *type, const struct store_place *place,
                                   struct driver_item *item) {
    struct slice value;
    struct error e;
    bool valid = new_value(pipeline, event, &value, &e) && fits_schema(pipeline, type, value, &e);
    if (!valid) {
        const struct schema_issues *issues = e.code == ERROR_SCHEMA ? &pipeline->issues : NULL;
        refusal_name_entity(event, &e);
        bool ask = pipeline_refused(pipeline, event->text, event, issues, &e, item);
        item->new_value = value;
        return ask ? DRIVER_INVALID : DRIVER_NOTHING;
    }
    if (wants_rules(pipeline, type)) {
        *item = item_of(pipeline, event, value, place);
        return pipeline->rebuild.building || pipeline_is_quiet(pipeline) ? DRIVER_QUIET : DRIVER_CHANGE;
    }
    if (pipeline_wants_handlers(pipeline, type) && !pipeline->rebuild.building &&
        !pipeline_is_quiet(pipeline)) {
        *item = item_of(pipeline, event, value, place);
        return apply_for_lua(pipeline, place, item);
    }
    if (!pipeline_store_change(pipeline, event, value, place, &e)) {
        pipeline_finish(pipeline, &e);
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
    return pipeline_refused(pipeline, event->text, event, NULL, &e, item) ? DRIVER_INVALID : DRIVER_NOTHING;
}

enum driver_kind pipeline_take_change(struct pipeline *pipeline, const struct event *event,
                                      const struct api_type *type, const struct store_place *place,
                                      struct driver_item *item) {
    return event->key.ptr ? take_keyed(pipeline, event, type, place, item)
                          : take_keyless(pipeline, event, type, item);
}
