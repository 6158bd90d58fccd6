/* A sink driven by hand: opened, given batches, compared with a store, closed; what it reports is kept. For unit
 * tests only. */
#ifndef UNIT_SINK_DRIVER_H
#define UNIT_SINK_DRIVER_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "io/loop.h"
#include "sink/sink.h"
#include "state/store.h"

struct driver {
    struct loop *loop;
    struct log log;
    struct sink *sink;
    struct sink_batch *batch;
    struct sink_place place; /* found at opening, and then what the next batch reaches */
    bool found;              /* there was one */
    unsigned opened, committed, verified;
    bool takes_refusals;
    struct buf refusals;    /* "type/key: message" a line */
    struct buf differences; /* "missing type/key" a line */
    uint64_t rows;
    struct error error;
    const struct schema *schema; /* of every type; or NULL */
    const char *index;           /* the one field with an index; or NULL */
};

static inline void driver_note(struct driver *d, const struct error *e) {
    if (e) {
        d->error = *e;
    } else {
        error_clear(&d->error);
    }
}

static inline void driver_on_opened(void *user, struct sink *sink, const struct sink_place *place,
                                    const struct error *e) {
    struct driver *d = user;
    (void)sink;
    d->opened++;
    d->found = place;
    sink_place_free(&d->place);
    if (place) {
        (void)sink_place_set(&d->place, place);
    }
    driver_note(d, e);
}

static inline void driver_on_committed(void *user, struct sink *sink, const struct error *e) {
    struct driver *d = user;
    (void)sink;
    d->committed++;
    driver_note(d, e);
}

static inline bool driver_on_refused(void *user, struct sink *sink, const struct sink_row *row,
                                     struct error *e) {
    struct driver *d = user;
    (void)sink;
    buf_printf(&d->refusals, "%.*s/%.*s: %s\n", (int)row->type.len, row->type.ptr, (int)row->key.len,
               row->key.ptr, e->message);
    return d->takes_refusals;
}

static inline void driver_on_difference(void *user, struct sink *sink, enum sink_difference difference,
                                        const struct store_row *row, struct slice type) {
    static const char *const names[] = {"missing", "extra", "other"};
    struct driver *d = user;
    (void)sink;
    buf_printf(&d->differences, "%s %.*s/%.*s\n", names[difference], (int)type.len, type.ptr,
               (int)row->key.len, row->key.ptr);
}

static inline void driver_on_verified(void *user, struct sink *sink, uint64_t rows, const struct error *e) {
    struct driver *d = user;
    (void)sink;
    d->verified++;
    d->rows = rows;
    driver_note(d, e);
}

static inline const struct schema *driver_schema(void *user, struct slice type) {
    struct driver *d = user;
    (void)type;
    return d->schema;
}

static inline bool driver_index(void *user, struct slice type, size_t i, struct slice *field) {
    struct driver *d = user;
    (void)type;
    *field = slice_from(d->index);
    return d->index && i == 0;
}

static inline void driver_init(struct driver *d) {
    struct error e;
    *d = (struct driver){.takes_refusals = true};
    d->loop = loop_new(&e);
    log_init(&d->log, stderr, LOG_OFF);
    d->batch = sink_batch_new(64 << 20);
    buf_init(&d->refusals, 1 << 20);
    buf_init(&d->differences, 1 << 20);
}

static inline const char *driver_text(struct buf *b) {
    if (!buf_append_byte(b, '\0')) {
        return "";
    }
    b->len--;
    return b->ptr;
}

static inline bool driver_is_opened(void *arg) {
    return ((struct driver *)arg)->opened > 0;
}

static inline bool driver_is_committed(void *arg) {
    return ((struct driver *)arg)->committed > 0;
}

static inline bool driver_is_verified(void *arg) {
    return ((struct driver *)arg)->verified > 0;
}

/* Settings: names and values by turns, then NULL. False: it could not be opened; error says why. */
static inline bool driver_start(struct driver *d, const char *kind_name, const char *stream, bool read_only,
                                uint64_t outage_ms, const char *const *settings) {
    struct sink_setting list[16];
    size_t count = 0;
    for (; settings[count * 2]; count++) {
        list[count] = (struct sink_setting){settings[count * 2], settings[count * 2 + 1]};
    }
    const struct sink_options options = {
        .loop = d->loop,
        .log = &d->log,
        .stream = stream,
        .name = "the sink",
        .settings = list,
        .setting_count = count,
        .schema = driver_schema,
        .index = driver_index,
        .schema_user = d,
        .outage_limit_ms = outage_ms,
        .read_only = read_only,
        .host = {.user = d,
                 .opened = driver_on_opened,
                 .committed = driver_on_committed,
                 .refused = driver_on_refused,
                 .difference = driver_on_difference,
                 .verified = driver_on_verified},
    };
    const struct sink_kind *kind = sink_kind_named(kind_name, &d->error);
    d->opened = 0;
    d->sink = kind ? kind->open(kind, &options, &d->error) : NULL;
    return d->sink;
}

static inline bool driver_opens(struct driver *d) {
    return d->sink && loop_run_until(d->loop, driver_is_opened, d) && d->error.code == ERROR_NONE;
}

static inline void driver_add(struct driver *d, enum sink_op op, struct slice type, struct slice key,
                              struct slice value) {
    struct error e;
    const struct sink_row row = {.op = op,
                                 .type = type,
                                 .key = key,
                                 .value = value,
                                 .sequence = d->place.sequence++,
                                 .offset = SLICE("0_0"),
                                 .index = d->place.skip++};
    if (!sink_batch_add(d->batch, &row, &e)) {
        abort();
    }
}

static inline void driver_put(struct driver *d, const char *type, const char *key, const char *value) {
    driver_add(d, SINK_PUT, slice_from(type), slice_from(key), slice_from(value));
}

static inline void driver_delete(struct driver *d, const char *type, const char *key) {
    driver_add(d, SINK_DELETE, slice_from(type), slice_from(key), SLICE(""));
}

static inline void driver_clear(struct driver *d) {
    driver_add(d, SINK_CLEAR, SLICE(""), SLICE(""), SLICE(""));
}

static inline void driver_begin_commit(struct driver *d) {
    struct sink_place place = d->place;
    char first[] = "0_0";
    place.offset = place.offset ? place.offset : first;
    if (!sink_batch_reach(d->batch, &place)) {
        abort();
    }
    d->committed = 0;
    sink_commit(d->sink, d->batch);
}

/* True: stored, and the batch is empty again. */
static inline bool driver_commits(struct driver *d) {
    driver_begin_commit(d);
    bool done = loop_run_until(d->loop, driver_is_committed, d) && d->error.code == ERROR_NONE;
    sink_batch_clear(d->batch);
    return done;
}

static inline bool driver_verifies(struct driver *d, const struct store *store, bool repair) {
    buf_clear(&d->differences);
    d->verified = 0;
    sink_verify(d->sink, store, repair);
    return loop_run_until(d->loop, driver_is_verified, d) && d->error.code == ERROR_NONE;
}

static inline void driver_stop(struct driver *d) {
    if (d->sink) {
        sink_close(d->sink);
        d->sink = NULL;
    }
    sink_batch_clear(d->batch);
}

static inline bool driver_free(struct driver *d) {
    struct error e;
    driver_stop(d);
    sink_batch_free(d->batch);
    sink_place_free(&d->place);
    buf_free(&d->refusals);
    buf_free(&d->differences);
    return loop_free(d->loop, &e);
}

#endif
