/* For sinks that are driven (sink_drive.h): a stream that is the same each time, batch i of a seed, with types and keys
 * of the worst kind, and the state it adds up to; and servers and workers as processes, to be killed. For unit tests
 * only. */
#ifndef UNIT_SINK_SEEDED_H
#define UNIT_SINK_SEEDED_H

#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sink_drive.h"

enum { DRIVE_PATH = 80, DRIVE_ROWS = 40 };

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
        drive_apply(store, op == SINK_PUT ? EVENT_UPSERT : EVENT_DELETE, type, key, value);
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
