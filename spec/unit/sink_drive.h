/* A sink driven without a worker: opened, given batches, compared with a state and closed, one thing after the other;
 * what it reports is kept. For unit tests only. */
#ifndef UNIT_SINK_DRIVE_H
#define UNIT_SINK_DRIVE_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "io/http.h"
#include "io/loop.h"
#include "message/event.h"
#include "sink/sink.h"
#include "state/store.h"

enum { DRIVE_SETTINGS = 8, DRIVE_BATCH = 256 << 20 };

struct drive {
    struct loop *loop;
    struct http *http;
    struct log log;
    struct sink *sink;
    /* How it is opened; what is pointed to is borrowed. */
    struct sink_setting settings[DRIVE_SETTINGS];
    size_t setting_count;
    const char *stream;
    uint64_t outage_limit_ms;
    bool read_only;
    const struct schema *schema; /* of every type; or NULL */
    const char *index;           /* the one field with an index; or NULL */
    bool pass_refused;
    /* What it has reported since the last thing it was told. */
    struct error error;
    unsigned opened, committed, verified, refused;
    unsigned missing, extra, other;
    uint64_t rows;
    struct buf refusals;      /* "type/key: message" a line, of all commits */
    struct buf differences;   /* "missing type/key" a line */
    bool has_place;           /* there was one at opening */
    struct sink_place place;  /* found at opening, and then what the next batch of its own reaches */
    struct sink_batch *batch; /* its own: see drive_add */
};

static inline void drive_note(struct drive *d, const struct error *e) {
    if (e) {
        d->error = *e;
    }
}

static inline void drive_on_opened(void *user, struct sink *sink, const struct sink_place *place,
                                   const struct error *e) {
    struct drive *d = user;
    (void)sink;
    d->opened++;
    d->has_place = place != NULL;
    sink_place_free(&d->place);
    if (place) {
        (void)sink_place_set(&d->place, place);
    }
    drive_note(d, e);
}

static inline void drive_on_committed(void *user, struct sink *sink, const struct error *e) {
    struct drive *d = user;
    (void)sink;
    d->committed++;
    drive_note(d, e);
}

static inline bool drive_on_refused(void *user, struct sink *sink, const struct sink_row *row,
                                    struct error *e) {
    struct drive *d = user;
    (void)sink;
    d->refused++;
    buf_printf(&d->refusals, "%.*s/%.*s: %s\n", (int)row->type.len, row->type.ptr, (int)row->key.len,
               row->key.ptr, e->message);
    return d->pass_refused;
}

static inline void drive_on_difference(void *user, struct sink *sink, enum sink_difference difference,
                                       const struct store_row *row, struct slice type) {
    static const char *const names[] = {"missing", "extra", "other"};
    struct drive *d = user;
    (void)sink;
    d->missing += difference == SINK_MISSING;
    d->extra += difference == SINK_EXTRA;
    d->other += difference == SINK_OTHER;
    buf_printf(&d->differences, "%s %.*s/%.*s\n", names[difference], (int)type.len, type.ptr,
               (int)row->key.len, row->key.ptr);
}

static inline void drive_on_verified(void *user, struct sink *sink, uint64_t rows, const struct error *e) {
    struct drive *d = user;
    (void)sink;
    d->verified++;
    d->rows = rows;
    drive_note(d, e);
}

static inline const struct schema *drive_schema(void *user, struct slice type) {
    struct drive *d = user;
    (void)type;
    return d->schema;
}

static inline bool drive_index(void *user, struct slice type, size_t i, struct slice *field) {
    struct drive *d = user;
    (void)type;
    *field = slice_from(d->index);
    return d->index && i == 0;
}

static inline void drive_init(struct drive *d, const char *stream) {
    struct error e;
    *d = (struct drive){.stream = stream, .pass_refused = true};
    d->loop = loop_new(&e);
    d->http = http_new(d->loop, &e);
    d->batch = sink_batch_new(DRIVE_BATCH);
    buf_init(&d->refusals, 1 << 20);
    buf_init(&d->differences, 1 << 20);
    log_init(&d->log, stderr, getenv("WEIR_TEST_LOG") ? LOG_DEBUG : LOG_OFF);
}

static inline void drive_set(struct drive *d, const char *name, const char *value) {
    d->settings[d->setting_count++] = (struct sink_setting){name, value};
}

static inline const char *drive_text(struct buf *b) {
    if (!buf_append_byte(b, '\0')) {
        return "";
    }
    b->len--;
    return b->ptr;
}

static inline bool drive_is_opened(void *arg) {
    return ((struct drive *)arg)->opened > 0;
}

static inline bool drive_is_committed(void *arg) {
    return ((struct drive *)arg)->committed > 0;
}

static inline bool drive_is_verified(void *arg) {
    return ((struct drive *)arg)->verified > 0;
}

static inline void drive_fresh(struct drive *d) {
    error_clear(&d->error);
    d->opened = d->committed = d->verified = d->refused = 0;
    d->missing = d->extra = d->other = 0;
    buf_clear(&d->differences);
}

/* Starts opening. False with d->error: a setting is wrong. */
static inline bool drive_start(struct drive *d, const char *kind) {
    drive_fresh(d);
    const struct sink_kind *k = sink_kind_named(kind, &d->error);
    struct sink_options options = {
        .loop = d->loop,
        .http = d->http,
        .log = &d->log,
        .stream = d->stream,
        .name = "the sink",
        .settings = d->settings,
        .setting_count = d->setting_count,
        .schema = drive_schema,
        .index = drive_index,
        .schema_user = d,
        .outage_limit_ms = d->outage_limit_ms,
        .read_only = d->read_only,
        .host = {d, drive_on_opened, drive_on_committed, drive_on_refused, drive_on_difference,
                 drive_on_verified},
    };
    d->sink = k ? k->open(k, &options, &d->error) : NULL;
    return d->sink != NULL;
}

/* Opens, and waits for it. False with d->error. */
static inline bool drive_open(struct drive *d, const char *kind) {
    return drive_start(d, kind) && loop_run_until(d->loop, drive_is_opened, d) && d->error.code == ERROR_NONE;
}

static inline bool drive_commit(struct drive *d, const struct sink_batch *batch) {
    drive_fresh(d);
    sink_commit(d->sink, batch);
    return loop_run_until(d->loop, drive_is_committed, d) && d->error.code == ERROR_NONE;
}

static inline bool drive_verify(struct drive *d, const struct store *store, bool repair) {
    drive_fresh(d);
    sink_verify(d->sink, store, repair);
    return loop_run_until(d->loop, drive_is_verified, d) && d->error.code == ERROR_NONE;
}

static inline void drive_close(struct drive *d) {
    if (d->sink) {
        sink_close(d->sink);
        d->sink = NULL;
    }
    sink_batch_clear(d->batch);
}

/* False: something has not been let go of. */
static inline bool drive_free(struct drive *d) {
    struct error e = {0};
    drive_close(d);
    http_free(d->http);
    sink_batch_free(d->batch);
    sink_place_free(&d->place);
    buf_free(&d->refusals);
    buf_free(&d->differences);
    bool ok = loop_free(d->loop, &e);
    if (!ok) {
        fprintf(stderr, "%s\n", e.message);
    }
    return ok;
}

/* ---- its own batch ---- */

/* One more row, of the next message. */
static inline void drive_add(struct drive *d, enum sink_op op, struct slice type, struct slice key,
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

static inline void drive_put(struct drive *d, const char *type, const char *key, const char *value) {
    drive_add(d, SINK_PUT, slice_from(type), slice_from(key), slice_from(value));
}

static inline void drive_delete(struct drive *d, const char *type, const char *key) {
    drive_add(d, SINK_DELETE, slice_from(type), slice_from(key), SLICE(""));
}

static inline void drive_clear(struct drive *d) {
    drive_add(d, SINK_CLEAR, SLICE(""), SLICE(""), SLICE(""));
}

/* Places it behind its last row. */
static inline const struct sink_batch *drive_reach(struct drive *d) {
    struct sink_place place = d->place;
    char first[] = "0_0";
    place.offset = place.offset ? place.offset : first;
    if (!sink_batch_reach(d->batch, &place)) {
        abort();
    }
    return d->batch;
}

/* Commits it, after which it is empty again. */
static inline bool drive_flush(struct drive *d) {
    bool done = drive_commit(d, drive_reach(d));
    sink_batch_clear(d->batch);
    return done;
}

/* ---- a state to compare with ---- */

static inline void drive_apply(struct store *store, enum event_operation operation, struct slice type,
                               struct slice key, struct slice value) {
    struct error e;
    const struct event event = {
        .kind = EVENT_CHANGE, .operation = operation, .type = type, .key = key, .value = value};
    if (!store_apply(store, &event, &e)) {
        abort();
    }
}

/* The same row in its own batch and in the state. */
static inline void drive_put_both(struct drive *d, struct store *store, const char *type, const char *key,
                                  const char *value) {
    drive_put(d, type, key, value);
    drive_apply(store, EVENT_UPSERT, slice_from(type), slice_from(key), slice_from(value));
}

static inline void drive_expect(const struct drive *d, enum error_code code, const char *text) {
    if (d->error.code != code || !strstr(d->error.message, text)) {
        fail_msg("expected \"%s\", found %d: %s", text, (int)d->error.code, d->error.message);
    }
}

#endif
