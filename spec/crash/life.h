/* What the test knows of each stream: what it asked for, what was acknowledged, and so what has to be there. */
#ifndef CRASH_LIFE_H
#define CRASH_LIFE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "random.h"

/* Each connection is a writer; those with odd numbers are idempotent producers. Two more write what a stream is
 * created with, and the message that it is closed with. */
enum { CONNECTIONS = 32, CREATOR = CONNECTIONS, CLOSER, WRITERS };

static inline bool is_producer(unsigned writer) {
    return writer % 2 == 1;
}

/* NO: not asked for, or known not to be. ASKED: nobody knows. YES: acknowledged, or seen. */
enum known { NO, ASKED, YES };

/* A writer's messages of one stream are numbered from 0. */
struct progress {
    uint32_t next;   /* what it sends next */
    uint32_t sent;   /* before this number, they may be there */
    uint32_t there;  /* before this number, they have to be there */
    uint32_t acked;  /* a producer's: from this number on they are sent again after a crash */
    uint32_t stored; /* a producer's: before this number, the server has to know them as stored already */
};

/* An offset that the server gave out with an append's answer. */
struct mark {
    char offset[64];
    unsigned writer;
    uint32_t count; /* so many messages of that writer are before it */
};

enum { MARKS = 8 };

/* One stream from its creation to its deletion. Another one may follow under the same path. */
struct life {
    uint32_t id; /* from 1; stands in its messages */
    char path[48];
    bool json;
    enum known created, closed, deleted;
    bool closed_by_producer;
    struct progress writers[WRITERS];
    struct mark marks[MARKS];
    unsigned mark_count;   /* ever */
    struct life *source;   /* NULL: no fork */
    struct mark fork;      /* where it leaves its source; an empty offset: at its start */
    unsigned forks;        /* that were asked for */
    unsigned under_way;    /* requests */
    uint64_t bytes;        /* about so long */
    int status;            /* of the last GET */
    unsigned quiet_rounds; /* since it was found deleted for good */
    bool needed;           /* world_tidy's */
};

/* A stream is looked at for so many rounds after its deletion. */
enum { SLOTS = 40, QUIET_ROUNDS = 5 };

struct totals {
    uint64_t acks, bytes, streams, forks, closes, deletes, duplicates, reads;
    uint64_t told; /* bytes, to live readers */
};

struct world {
    struct random random;
    struct life *slots[SLOTS]; /* those that are written to; NULL: none yet */
    struct life **lives;       /* all that are still looked at */
    size_t count, places;
    uint32_t last_id;
    struct totals totals;
};

/* A new one in a slot, not yet asked for. */
struct life *life_new(struct world *world, unsigned slot);

/* A mark of the stream, any; NULL: it has none. */
const struct mark *life_mark(struct life *life, struct random *random);
struct mark *life_add_mark(struct life *life);

/* Whether forks keep it, as far as their statuses say. */
bool life_is_held(const struct world *world, const struct life *life);

/* Forgets those that were seen deleted often enough. */
void world_tidy(struct world *world);
void world_free(struct world *world);

/* Says what is wrong with a stream, and ends the test. */
_Noreturn void life_fail(const struct life *life, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
_Noreturn void fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

static inline bool once_in(struct random *random, uint32_t n) {
    return random_below(random, n) == 0;
}

#endif
