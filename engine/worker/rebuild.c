#include "worker/rebuild.h"

#include <stdlib.h>

#include "json/text.h"

enum {
    ENVELOPE_MAX = 4 << 20, /* bytes of an event beside its value: type and key, escaped */
    TEXT_KEEP = 1 << 20,    /* bytes for an event's text that stay allocated */
};

void rebuild_init(struct rebuild *rebuild, size_t message_max) {
    *rebuild = (struct rebuild){0};
    buf_init(&rebuild->text, message_max + ENVELOPE_MAX);
    event_decoder_init(&rebuild->decoder);
}

static void free_rows(struct rebuild *rebuild) {
    free(rebuild->old_rows);
    free(rebuild->new_rows);
    rebuild->old_rows = rebuild->new_rows = NULL;
    rebuild->old_row_count = rebuild->new_row_count = rebuild->old_row = rebuild->new_row = 0;
}

static void forget_before(struct rebuild *rebuild) {
    free_rows(rebuild);
    free(rebuild->old_types);
    free(rebuild->new_types);
    rebuild->old_types = rebuild->new_types = NULL;
    rebuild->old_type_count = rebuild->new_type_count = rebuild->old_type = rebuild->new_type = 0;
    store_free(rebuild->before);
    rebuild->before = NULL;
}

void rebuild_free(struct rebuild *rebuild) {
    forget_before(rebuild);
    store_free(rebuild->building);
    rebuild->building = NULL;
    buf_free(&rebuild->text);
    event_decoder_free(&rebuild->decoder);
}

static bool out_of_memory(struct error *e) {
    return error_set(e, ERROR_MEMORY, "out of memory for a state that is built anew");
}

bool rebuild_begin(struct rebuild *rebuild, const struct store *like, bool snapshot, struct error *e) {
    struct store *store = store_like(like);
    if (!store) {
        return out_of_memory(e);
    }
    store_free(rebuild->building);
    rebuild->building = store;
    rebuild->snapshot = snapshot;
    return true;
}

bool rebuild_end(struct rebuild *rebuild, struct store **live, struct error *e) {
    struct slice *new_types = store_types(rebuild->building, &rebuild->new_type_count);
    struct slice *old_types = store_types(*live, &rebuild->old_type_count);
    if (!new_types || !old_types) {
        free(new_types);
        free(old_types);
        return out_of_memory(e);
    }
    rebuild->new_types = new_types;
    rebuild->old_types = old_types;
    rebuild->before = *live;
    rebuild->after = *live = rebuild->building;
    rebuild->building = NULL;
    return true;
}

/* Opens the next type of either store. False: there is none, or e says that memory is. */
static bool next_type(struct rebuild *rebuild, struct error *e) {
    bool old = rebuild->old_type < rebuild->old_type_count;
    bool new = rebuild->new_type < rebuild->new_type_count;
    free_rows(rebuild);
    if (!old && !new) {
        return false;
    }
    int order = !old   ? 1
                : !new ? -1
                       : slice_compare(rebuild->old_types[rebuild->old_type],
                                       rebuild->new_types[rebuild->new_type]);
    rebuild->type = order <= 0 ? rebuild->old_types[rebuild->old_type]
                               : rebuild->new_types[rebuild->new_type];
    rebuild->old_type += order <= 0;
    rebuild->new_type += order >= 0;
    rebuild->old_rows = store_rows(rebuild->before, rebuild->type, &rebuild->old_row_count);
    rebuild->new_rows = store_rows(rebuild->after, rebuild->type, &rebuild->new_row_count);
    return (rebuild->old_rows && rebuild->new_rows) || out_of_memory(e);
}

/* Moves past the next key of the type. False: the type is done. */
static bool next_key(struct rebuild *rebuild, struct rebuild_difference *difference) {
    bool old = rebuild->old_row < rebuild->old_row_count;
    bool new = rebuild->new_row < rebuild->new_row_count;
    if (!old && !new) {
        return false;
    }
    const struct store_row *a = old ? &rebuild->old_rows[rebuild->old_row] : NULL;
    const struct store_row *b = new ? &rebuild->new_rows[rebuild->new_row] : NULL;
    int order = !old ? 1 : !new ? -1 : slice_compare(a->key, b->key);
    *difference = (struct rebuild_difference){.type = rebuild->type, .key = order <= 0 ? a->key : b->key};
    if (order <= 0) {
        difference->old = a->value;
        rebuild->old_row++;
    }
    if (order >= 0) {
        difference->value = b->value;
        rebuild->new_row++;
    }
    return true;
}

bool rebuild_next(struct rebuild *rebuild, struct rebuild_difference *difference, struct error *e) {
    error_clear(e);
    while (rebuild->before) {
        while (next_key(rebuild, difference)) {
            bool both = difference->old.ptr && difference->value.ptr;
            if (!both || !slice_equal(difference->old, difference->value)) {
                return true;
            }
        }
        if (!next_type(rebuild, e)) {
            if (e->code != ERROR_NONE) {
                return false;
            }
            forget_before(rebuild);
        }
    }
    return false;
}

static bool put_member(struct buf *text, const char *name, struct slice raw) {
    return buf_append_text(text, name) && buf_append_slice(text, raw);
}

static bool write_event(struct rebuild *rebuild, const struct rebuild_difference *difference,
                        struct error *e) {
    struct buf *text = &rebuild->text;
    enum event_operation operation = !difference->value.ptr ? EVENT_DELETE
                                     : difference->old.ptr  ? EVENT_UPDATE
                                                            : EVENT_INSERT;
    buf_clear(text);
    buf_shrink(text, TEXT_KEEP);
    bool ok = buf_append_text(text, "{\"type\":") && json_quote(text, difference->type, e) &&
              buf_append_text(text, ",\"key\":") && json_quote(text, difference->key, e) &&
              (!difference->value.ptr || put_member(text, ",\"value\":", difference->value)) &&
              buf_append_text(text, ",\"headers\":{\"operation\":\"") &&
              buf_append_text(text, event_operation_name(operation)) && buf_append_text(text, "\"}}");
    return ok || buf_error(text, e, "an event of a state built anew", "raise limits.message");
}

const struct event *rebuild_event(struct rebuild *rebuild, const struct rebuild_difference *difference,
                                  struct error *e) {
    if (!write_event(rebuild, difference, e)) {
        return NULL;
    }
    const char *at = rebuild->text.ptr;
    enum message_status status = event_decode(&rebuild->decoder, &at, at + rebuild->text.len, e);
    return status == MESSAGE_OK ? rebuild->decoder.event : NULL;
}
