#include <string.h>

#include "worker/pipeline_parts.h"

enum { BATCH_EVENTS_MAX = 10000 }; /* a longer chunk comes as several batches */

static enum driver_kind tell(const char *list, struct driver_item *item) {
    *item = (struct driver_item){.list = list, .value = DRIVER_NO_VALUE};
    return DRIVER_TOLD;
}

static bool is_same_transaction(const struct bounds *bounds, const struct event *event) {
    return event->kind == EVENT_CHANGE && event->txid.ptr &&
           slice_equal(event->txid, buf_slice(&bounds->txid));
}

static enum driver_kind end_transaction(struct pipeline *pipeline, struct driver_item *item) {
    pipeline->bounds.in_transaction = false;
    return tell("transaction", item);
}

static enum driver_kind end_batch(struct pipeline *pipeline, bool chunk, struct driver_item *item) {
    const struct intake *intake = &pipeline->intake;
    pipeline->bounds.in_batch = false;
    enum driver_kind kind = tell("batch", item);
    if (chunk) {
        item->text = slice_from(intake->offset);
        item->up_to_date = intake->up_to_date;
    }
    return kind;
}

/* A transaction whose id cannot be kept for want of memory counts as over with each of its changes. */
static void note_transaction(struct bounds *bounds, const struct event *event) {
    buf_clear(&bounds->txid);
    bounds->in_transaction = event->kind == EVENT_CHANGE && event->txid.ptr &&
                             buf_append_slice(&bounds->txid, event->txid);
}

static enum driver_kind before_message(struct pipeline *pipeline, const struct event *event,
                                       struct driver_item *item) {
    struct bounds *bounds = &pipeline->bounds;
    if (!bounds->in_batch) {
        bounds->in_batch = true;
        bounds->events = 0;
        enum driver_kind kind = tell("beforeBatch", item);
        item->text = slice_from(pipeline->intake.offset);
        return kind;
    }
    if (bounds->in_transaction && event && !is_same_transaction(bounds, event)) {
        return end_transaction(pipeline, item);
    }
    if (bounds->events >= BATCH_EVENTS_MAX) {
        return bounds->in_transaction ? end_transaction(pipeline, item) : end_batch(pipeline, false, item);
    }
    bounds->events++;
    if (event && !bounds->in_transaction) {
        note_transaction(bounds, event);
    }
    return DRIVER_NOTHING;
}

enum driver_kind bounds_before(struct pipeline *pipeline, enum intake_status status,
                               struct driver_item *item) {
    struct bounds *bounds = &pipeline->bounds;
    switch (status) {
    case INTAKE_EVENT:
        return before_message(pipeline, pipeline->intake.event, item);
    case INTAKE_REFUSED:
        return before_message(pipeline, NULL, item);
    case INTAKE_CHUNK:
    case INTAKE_EOF:
        return bounds->in_transaction ? end_transaction(pipeline, item)
               : bounds->in_batch     ? end_batch(pipeline, true, item)
                                      : DRIVER_NOTHING;
    case INTAKE_EMPTY:
    case INTAKE_FAILED:
        break;
    }
    return DRIVER_NOTHING;
}
