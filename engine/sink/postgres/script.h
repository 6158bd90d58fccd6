/* A list of statements with texts as parameters, to be sent as a round or as the beginning of one. Owns copies of
 * everything. */
#ifndef SINK_POSTGRES_SCRIPT_H
#define SINK_POSTGRES_SCRIPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "sink/postgres/link.h"

enum { PG_SCRIPT_PARAMS = 8, PG_SCRIPT_MAX = 64 << 20 };

struct pg_script_item {
    size_t sql;                      /* in text */
    size_t params[PG_SCRIPT_PARAMS]; /* SIZE_MAX: null */
    size_t count;
    int tag;
};

struct pg_script {
    struct buf text;
    struct pg_script_item *items;
    size_t count, room, sent;
    bool failed; /* out of memory: what was added since is not there */
};

void pg_script_init(struct pg_script *script);
void pg_script_free(struct pg_script *script);
void pg_script_clear(struct pg_script *script);

/* Adds a statement; tag is the caller's. Running out of memory is told by `failed`, once, at the end. */
void pg_script_add(struct pg_script *script, int tag, const char *sql);

/* A parameter of the statement added last: a text (copied; NULL: null), or a number. */
void pg_script_text(struct pg_script *script, const char *text);
void pg_script_slice(struct pg_script *script, struct slice text);
void pg_script_number(struct pg_script *script, uint64_t number);

/* Sends the next one; false: all have been sent. */
bool pg_script_next(struct pg_script *script, struct pg_link *link);

#endif
