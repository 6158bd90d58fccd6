#include "worker/handled.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { NAME_KEEP = 4096, OLD_KEEP = 1 << 20 };

void handled_init(struct handled *handled, bool wanted, size_t message_max) {
    *handled = (struct handled){.wanted = wanted};
    buf_init(&handled->name, 2 * message_max);
    buf_init(&handled->old, message_max);
}

void handled_free(struct handled *handled) {
    buf_free(&handled->name);
    buf_free(&handled->old);
}

void handled_applied(struct handled *handled, const struct event *change, struct slice old) {
    if (!handled->wanted) {
        return;
    }
    buf_clear(&handled->name);
    buf_clear(&handled->old);
    buf_shrink(&handled->name, NAME_KEEP);
    buf_shrink(&handled->old, OLD_KEEP);
    handled->had = old.ptr != NULL;
    handled->type_len = change->type.len;
    bool kept = buf_append_slice(&handled->name, change->type) &&
                buf_append_slice(&handled->name, change->key) &&
                (!handled->had || buf_append_slice(&handled->old, old));
    handled->state = kept ? HANDLED_APPLIED : HANDLED_LOST;
}

void handled_item(struct handled *handled, enum driver_kind kind, const struct driver_item *item) {
    switch (kind) {
    case DRIVER_CHANGE:
    case DRIVER_QUIET:
    case DRIVER_KEYLESS:
    case DRIVER_INVALID:
        handled->state = HANDLED_BEFORE;
        break;
    case DRIVER_APPLIED:
        handled->state = HANDLED_BEFORE;
        handled_applied(handled, item->event, item->old);
        break;
    case DRIVER_CONTROL: /* a reset has cleared the store, and may have sent the reading elsewhere */
        handled->state = item->event->control == EVENT_RESET ? HANDLED_LOST : HANDLED_BEFORE;
        break;
    case DRIVER_UP_TO_DATE:
    case DRIVER_TOLD:
    case DRIVER_NOTHING:
        break;
    }
}

bool handled_undo(struct handled *handled, struct store *store) {
    struct error e;
    if (handled->state != HANDLED_APPLIED) {
        return handled->state != HANDLED_LOST;
    }
    struct event change = {
        .kind = EVENT_CHANGE,
        .operation = handled->had ? EVENT_UPSERT : EVENT_DELETE,
        .type = slice_of(handled->name.ptr, handled->type_len),
        .key = slice_of(handled->name.ptr + handled->type_len, handled->name.len - handled->type_len),
        .value = buf_slice(&handled->old),
    };
    bool ok = store_apply(store, &change, &e);
    handled->state = ok ? HANDLED_BEFORE : HANDLED_LOST;
    return ok;
}

/* Lines can be read from the middle of a file on. What comes behind the message given last has been decoded
 * ahead, so that its own start is the last place that is known. */
static void place_in_file(const struct intake *intake, uint64_t back, struct place *place) {
    uint64_t start = place->offset && place->offset[0] != '-' ? strtoull(place->offset, NULL, 10) : 0;
    place->format = intake->format;
    place->reached = start;
    if (intake->taken <= intake->skip) {
        return; /* nothing was given of this chunk */
    }
    place->reached += intake->position;
    if (place->format == SLICER_LINES) {
        snprintf(place->text, sizeof place->text, "%" PRIu64, place->reached);
        place->offset = place->text;
        place->skip = 1 - back;
    }
}

bool handled_place(const struct handled *handled, const struct intake *intake, struct place *place) {
    uint64_t back = handled->state == HANDLED_ALL ? 0 : 1;
    if (handled->state == HANDLED_APPLIED || handled->state == HANDLED_LOST) {
        return false;
    }
    *place = (struct place){
        .offset = intake->offset,
        .skip = intake_index(intake) - back,
        .sequence = intake_sequence(intake) - back,
        .uncounted = intake->uncounted,
    };
    if (!source_is_url(intake->location)) {
        place_in_file(intake, back, place);
    }
    bool known = source_is_url(intake->location) ? place->offset != NULL
                                                 : place->format != SLICER_AUTO && place->reached > 0;
    return known || place->skip > 0;
}
