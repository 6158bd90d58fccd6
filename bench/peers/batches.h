/* A file of changes, applied by a peer in batches: the loop that those have in common which fill a database. */
#ifndef BENCH_BATCHES_H
#define BENCH_BATCHES_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "changes.h"

enum { TYPES_MAX = 16, TYPE_MAX = 64 }; /* more than generate has */

/* What a peer does; `peer` is its own. */
struct steps {
    void (*make)(void *peer, size_t type, const char *name); /* a table, before its first change; or NULL */
    void (*begin)(void *peer);                               /* a batch */
    void (*apply)(void *peer, size_t type, const struct change *change);
    void (*commit)(void *peer, const char *place); /* the batch; place: how many changes there were so far */
};

struct types {
    char names[TYPES_MAX][TYPE_MAX];
    size_t count;
};

static inline size_t type_number(struct types *types, const char *name, const struct steps *steps,
                                 void *peer) {
    for (size_t i = 0; i < types->count; i++) {
        if (strcmp(types->names[i], name) == 0) {
            return i;
        }
    }
    if (types->count == TYPES_MAX || strlen(name) >= TYPE_MAX) {
        fputs("more types than generate has\n", stderr);
        exit(EXIT_FAILURE);
    }
    size_t type = types->count++;
    snprintf(types->names[type], TYPE_MAX, "%s", name);
    if (steps->make) {
        steps->make(peer, type, name);
    }
    return type;
}

static inline void batch_commit(size_t applied, const struct steps *steps, void *peer) {
    char place[32];
    snprintf(place, sizeof place, "%zu", applied);
    steps->commit(peer, place);
}

/* All of them, so many in a batch. Types are numbered as they come, from 0. */
static inline void batches_apply(struct changes *from, size_t rows, const struct steps *steps, void *peer) {
    struct types types = {.count = 0};
    struct change change;
    size_t applied = 0;
    while (changes_next(from, &change)) {
        if (applied % rows == 0) {
            steps->begin(peer);
        }
        steps->apply(peer, type_number(&types, change.type, steps, peer), &change);
        if (++applied % rows == 0) {
            batch_commit(applied, steps, peer);
        }
    }
    if (applied % rows != 0) {
        batch_commit(applied, steps, peer);
    }
}

#endif
