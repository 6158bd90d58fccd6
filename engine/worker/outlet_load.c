/* A sink that lacks the state gets the whole of it, a batch at a time. Until the last one it notes that it is not
 * complete: whoever finds that begins again. */
#include <stdlib.h>

#include "worker/outlet_parts.h"

bool outlet_load_begin(struct outlet *outlet, const struct store *store, struct error *e) {
    struct outlet_load *load = &outlet->load;
    outlet_load_end(outlet);
    load->types = store_types(store, &load->type_count);
    if (!load->types) {
        return error_set(e, ERROR_MEMORY, "%s: out of memory for the state that a sink lacks",
                         outlet->options.name);
    }
    load->store = store;
    return true;
}

void outlet_load_end(struct outlet *outlet) {
    free(outlet->load.types);
    outlet->load = (struct outlet_load){0};
}

static bool is_enough(const struct outlet *outlet) {
    const struct outlet_limits *limits = &outlet->options.limits;
    return sink_batch_count(outlet->filling) >= limits->rows ||
           sink_batch_bytes(outlet->filling) >= limits->bytes;
}

static bool put(struct outlet *outlet, enum sink_op op, struct slice type, const struct store_row *from) {
    const struct sink_place *place = &outlet->mark.place;
    struct error e;
    struct sink_row row = {
        .op = op,
        .type = type,
        .key = from->key,
        .value = from->value,
        .sequence = place->sequence ? place->sequence - 1 : 0,
        .offset = slice_from(place->offset ? place->offset : "-1"),
    };
    if (!sink_batch_add(outlet->filling, &row, &e)) {
        outlet_fail(outlet, &e);
        return false;
    }
    return true;
}

/* False: the outlet has failed. */
static bool fill(struct outlet *outlet) {
    struct outlet_load *load = &outlet->load;
    struct store_row row;
    bool only_emits = true;
    for (size_t i = 0; i < outlet->target_count; i++) {
        only_emits = only_emits && (outlet->targets[i].is->emits || !outlet->targets[i].load);
    }
    for (; !only_emits && load->type < load->type_count; load->type++, load->cursor = 0) {
        while (!is_enough(outlet) && store_next(load->store, load->types[load->type], &load->cursor, &row)) {
            if (!put(outlet, SINK_PUT, load->types[load->type], &row)) {
                return false;
            }
        }
        if (is_enough(outlet)) {
            return true;
        }
    }
    load->last = true;
    return true;
}

static void end(struct outlet *outlet) {
    for (size_t i = 0; i < outlet->target_count; i++) {
        outlet->targets[i].load = false;
    }
    outlet_load_end(outlet);
}

void outlet_load_next(struct outlet *outlet) {
    struct outlet_load *load = &outlet->load;
    static const struct store_row none;
    if (load->last) {
        end(outlet);
        return;
    }
    if ((!load->begun && !put(outlet, SINK_CLEAR, (struct slice){0}, &none)) || !fill(outlet)) {
        return;
    }
    load->begun = true;
    struct sink_place place = load->last ? outlet->mark.place : (struct sink_place){0};
    place.notes = outlet_notes(outlet, !load->last);
    if (!place.notes) {
        struct error e;
        error_set(&e, ERROR_MEMORY, "%s: out of memory for a place", outlet->options.name);
        outlet_fail(outlet, &e);
        return;
    }
    outlet_commit(outlet, &place, true);
}
