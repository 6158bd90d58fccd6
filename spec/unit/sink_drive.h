/* A sink driven without a worker: opened, given batches and asked, one thing after the other. And a stream that is
 * the same each time: batch i of a seed, with types and keys of the worst kind, and the state it adds up to. For
 * unit tests only. */
#ifndef UNIT_SINK_DRIVE_H
#define UNIT_SINK_DRIVE_H

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "io/http.h"
#include "io/loop.h"
#include "message/event.h"
#include "sink/sink.h"
#include "state/store.h"

enum { DRIVE_PATH = 80, DRIVE_SETTINGS = 8, DRIVE_ROWS = 40, DRIVE_BATCH = 256 << 20 };

struct drive {
    struct loop *loop;
    struct http *http;
    struct log log;
    struct sink *sink;
    struct sink_setting settings[DRIVE_SETTINGS];
    size_t setting_count;
    const char *stream;
    uint64_t outage_limit_ms;
    bool read_only;
    struct error error;
    unsigned opened, committed, verified, refused;
    bool has_place, pass_refused;
    struct sink_place place;
    unsigned missing, extra, other;
    uint64_t rows;
};

static inline void drive_on_opened(void *user, struct sink *sink, const struct sink_place *place,
                                   const struct error *e) {
    struct drive *d = user;
    (void)sink;
    d->opened++;
    d->has_place = place != NULL;
    if (place) {
        sink_place_set(&d->place, place);
    }
    if (e) {
        d->error = *e;
    }
}

static inline void drive_on_committed(void *user, struct sink *sink, const struct error *e) {
    struct drive *d = user;
    (void)sink;
    d->committed++;
    if (e) {
        d->error = *e;
    }
}

static inline bool drive_on_refused(void *user, struct sink *sink, const struct sink_row *row,
                                    struct error *e) {
    struct drive *d = user;
    (void)sink;
    (void)row;
    d->refused++;
    d->error = *e;
    return d->pass_refused;
}

static inline void drive_on_difference(void *user, struct sink *sink, enum sink_difference difference,
                                       const struct store_row *row, struct slice type) {
    struct drive *d = user;
    (void)sink;
    (void)row;
    (void)type;
    d->missing += difference == SINK_MISSING;
    d->extra += difference == SINK_EXTRA;
    d->other += difference == SINK_OTHER;
}

static inline void drive_on_verified(void *user, struct sink *sink, uint64_t rows, const struct error *e) {
    struct drive *d = user;
    (void)sink;
    d->verified++;
    d->rows = rows;
    if (e) {
        d->error = *e;
    }
}

static inline void drive_init(struct drive *d, const char *stream) {
    struct error e;
    memset(d, 0, sizeof *d);
    d->loop = loop_new(&e);
    d->http = http_new(d->loop, &e);
    d->stream = stream;
    log_init(&d->log, stderr, getenv("WEIR_TEST_LOG") ? LOG_DEBUG : LOG_OFF);
}

static inline void drive_set(struct drive *d, const char *name, const char *value) {
    d->settings[d->setting_count++] = (struct sink_setting){name, value};
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

static inline bool drive_fresh(struct drive *d) {
    error_clear(&d->error);
    d->opened = d->committed = d->verified = d->refused = 0;
    d->missing = d->extra = d->other = 0;
    return true;
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
        .name = kind,
        .settings = d->settings,
        .setting_count = d->setting_count,
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
    return loop_run_until(d->loop, drive_is_committed, d) && (d->error.code == ERROR_NONE || d->pass_refused);
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
}

/* False: something has not been let go of. */
static inline bool drive_free(struct drive *d) {
    struct error e = {0};
    drive_close(d);
    http_free(d->http);
    sink_place_free(&d->place);
    bool ok = loop_free(d->loop, &e);
    if (!ok) {
        fprintf(stderr, "%s\n", e.message);
    }
    return ok;
}

/* ---- batches ---- */

static inline uint64_t drive_random(uint64_t *state) {
    uint64_t x = *state += 0x9e3779b97f4a7c15ULL;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
    return x ^ (x >> 31);
}

static const char *const drive_types[] = {
    "users",
    "Users",
    "a{b}c",
    "}{",
    "tab\tnew\nline",
    "'; DROP TABLE users; --",
    "\xc3\xbcml\xc3\xa4ut",
    "%7Bx%7D",
    "../etc/x",
    "t:",
    "types",
    "_sync_state",
    "a,b*c?\"<>|\\#",
    "users--1",
};

static const char *const drive_keys[] = {
    "k",     "}",        "{users}",          "\r\n$3\r\nFLUSHALL\r\n",
    "'\"\\", "\x01\x7f", "id/../_all?x=y#z", "\xf0\x9f\x8c\xa0",
};

static inline size_t drive_key(char *out, size_t size, uint64_t random) {
    size_t count = sizeof drive_keys / sizeof *drive_keys;
    return (size_t)snprintf(out, size, "%s%u", drive_keys[random % count], (unsigned)(random / count % 12));
}

/* One row of the stream, to the batch (may be NULL) and to the state (may be NULL). */
static inline void drive_row(struct sink_batch *batch, struct store *store, enum sink_op op,
                             struct slice type, struct slice key, struct slice value, uint64_t sequence) {
    struct error e = {0};
    struct sink_row row = {
        .op = op, .type = type, .key = key, .value = value, .sequence = sequence, .offset = SLICE("chunk")};
    if (batch && !sink_batch_add(batch, &row, &e)) {
        fprintf(stderr, "%s\n", e.message);
        abort();
    }
    if (store && op == SINK_CLEAR) {
        store_clear(store);
    } else if (store && op != SINK_EMIT) {
        struct event event = {.kind = EVENT_CHANGE,
                              .operation = op == SINK_PUT ? EVENT_UPSERT : EVENT_DELETE,
                              .type = type,
                              .key = key,
                              .value = value};
        if (!store_apply(store, &event, &e)) {
            abort();
        }
    }
}

/* Batch number i of a seed: DRIVE_ROWS messages. */
static inline void drive_batch(struct sink_batch *batch, struct store *store, uint64_t seed, uint64_t i) {
    uint64_t state = seed * 1000003 + i;
    if (batch) {
        sink_batch_clear(batch);
    }
    for (uint64_t r = 0; r < DRIVE_ROWS; r++) {
        char key[64];
        char value[128];
        uint64_t random = drive_random(&state);
        size_t key_len = drive_key(key, sizeof key, drive_random(&state));
        const char *type = drive_types[random % (sizeof drive_types / sizeof *drive_types)];
        unsigned kind = (unsigned)(random >> 32) % 1000;
        enum sink_op op = kind < 2     ? SINK_CLEAR
                          : kind < 250 ? SINK_DELETE
                          : kind < 260 ? SINK_EMIT
                                       : SINK_PUT;
        int len = snprintf(value, sizeof value, "{\"n\":%u,\n \"s\":\"}%u{\\\"\\u00e4\",\"id\":\"own\"}",
                           (unsigned)(random >> 40), (unsigned)i);
        if (op == SINK_CLEAR) {
            drive_row(batch, store, op, SLICE(""), SLICE(""), SLICE(""), i * DRIVE_ROWS + r);
        } else {
            drive_row(batch, store, op, slice_from(type), slice_of(key, key_len),
                      op == SINK_DELETE ? SLICE("") : slice_of(value, (size_t)len), i * DRIVE_ROWS + r);
        }
    }
    if (batch) {
        char offset[32];
        char notes[64];
        snprintf(offset, sizeof offset, "off-%u", (unsigned)i);
        snprintf(notes, sizeof notes, "{\"note\":%u}", (unsigned)i);
        struct sink_place place = {
            .offset = offset, .skip = i % 3, .sequence = (i + 1) * DRIVE_ROWS, .notes = i % 2 ? notes : NULL};
        sink_batch_reach(batch, &place);
    }
}

/* The state behind batch number `count` - 1. */
static inline struct store *drive_state(uint64_t seed, uint64_t count) {
    struct store *store = store_new(1 << 20);
    for (uint64_t i = 0; i < count; i++) {
        drive_batch(NULL, store, seed, i);
    }
    return store;
}

/* Opens the sink and commits from its place on, up to batch `count` - 1. False with d->error. */
static inline bool drive_run(struct drive *d, const char *kind, uint64_t seed, uint64_t count) {
    struct sink_batch *batch = sink_batch_new(DRIVE_BATCH);
    bool ok = drive_open(d, kind);
    for (uint64_t i = ok && d->has_place ? d->place.sequence / DRIVE_ROWS : 0; ok && i < count; i++) {
        drive_batch(batch, NULL, seed, i);
        ok = drive_commit(d, batch);
    }
    sink_batch_free(batch);
    return ok;
}

/* ---- processes ---- */

static inline unsigned drive_kills(unsigned usual) {
    const char *kills = getenv("WEIR_KILLS");
    return kills ? (unsigned)strtoul(kills, NULL, 10) : usual;
}

/* A new folder, to be removed by drive_remove. */
static inline void drive_folder(char out[DRIVE_PATH]) {
    const char *parent = getenv("WEIR_TEST_TMP");
    snprintf(out, DRIVE_PATH, "%.60s/weir-unit.XXXXXX", parent ? parent : "/tmp");
    if (!mkdtemp(out)) {
        abort();
    }
}

static inline void drive_remove(const char *folder) {
    char command[DRIVE_PATH + 16];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    if (system(command) != 0) { /* NOLINT(cert-env33-c): a folder of mkdtemp's */
        abort();
    }
}

static inline void drive_pause(unsigned ms) {
    usleep(ms * 1000U);
}

static inline pid_t drive_spawn(const char *const *argv) {
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL); /* a test that fails leaves nothing behind */
        for (int fd = 3; fd < 64; fd++) {
            close(fd);
        }
        execvp(argv[0], (char *const *)argv);
        _exit(127);
    }
    return pid;
}

static inline void drive_kill(pid_t pid, int number) {
    kill(pid, number);
    waitpid(pid, NULL, 0);
}

#endif
