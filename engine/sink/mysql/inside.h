/* The parts of the sink "mysql", which share its struct. Private to this folder.
 *
 *     mysql.c     settings, which job is under way, waiting and trying again, the end
 *     session.c   connecting, _sync_state and _sync_tables, the epoch, what became of a commit
 *     tables.c    the tables that a job needs: found, made, held to their shape
 *     batch.c     a batch in a transaction
 *     verify.c    comparing and mending
 *
 * Everything is one query after the other: a part sends one with my_send and says which function gets the answer.
 * Whatever fails but a row drops the connection; after a pause the job begins anew with another one. */
#ifndef SINK_MYSQL_INSIDE_H
#define SINK_MYSQL_INSIDE_H

#include "base/strmap.h"
#include "sink/kinds.h"
#include "sink/last.h"
#include "sink/layout.h"
#include "sink/mysql/fault.h"
#include "sink/mysql/link.h"
#include "sink/mysql/sql.h"
#include "sink/outage.h"
#include "state/schema_build.h"
#include "state/store.h"

struct my_sink;

enum my_job { MY_NOTHING, MY_OPEN, MY_COMMIT, MY_VERIFY };

enum {
    MY_SQL_MAX = 1 << 30,
    MY_STATEMENT_BYTES = 1 << 20,
    MY_STAMP = 40,
    MY_REFUSALS_MAX = 256,
    MY_PAGE = 500
};

struct my_table {
    char *name;              /* owned */
    struct columns *columns; /* of the layout; NULL: id, data, updated_at */
    bool made;               /* _sync_tables says so */
    bool ready;              /* it was looked at, and fits */
};

/* A row of _sync_tables that is another stream's. */
struct my_taken {
    struct my_taken *next;
    char *stream;
    char name[];
};

/* One row of a batch and its table. */
struct my_item {
    struct my_table *table;
    uint32_t row;
    bool put;
};

struct my_refusal {
    size_t row;
    enum error_code code;
    char *message; /* owned */
};

struct my_batch {
    const struct sink_batch *batch;
    struct last last;
    struct my_item *items;
    size_t item_count, item_room;
    size_t from, next; /* of the statement under way; of the one behind it */
    bool each;         /* row by row, since one is refused */
    bool doubtful;     /* COMMIT was sent */
    uint64_t *skip;    /* a bit for each row that is left out */
    size_t skip_words;
    struct my_refusal refusals[MY_REFUSALS_MAX];
    size_t refusal_count;
    const struct my_table *clear; /* the table that is being cleared */
    size_t clear_at;              /* in tables.list */
};

struct my_verify {
    const struct store *store;
    bool repair;
    struct slice *types; /* of the store, and those that only the database has */
    size_t type_count, type;
    const struct my_table *table; /* of the type; NULL: there is none */
    uint32_t *order;
    size_t order_count, order_at;
    char *after; /* the last key of the page before; NULL: none */
    size_t after_len;
    bool last_page;
    bool told;      /* a difference has been reported */
    char **repairs; /* statements that the page needs; owned */
    size_t repair_count, repair_room, repair_at;
    uint64_t rows;
};

/* The stream's tables, in the order in which they came. */
struct my_tables {
    struct strmap types; /* to struct my_table */
    struct slice *list;  /* the types; owned by the map */
    size_t count;
    struct my_taken *taken;
    struct slice type; /* the one that is made ready */
    struct my_table *now;
    unsigned attempt;
    void (*then)(struct my_sink *sink);
};

struct my_sink {
    struct sink sink; /* first */
    struct loop *loop;
    struct my_address address;
    struct layout layout;
    struct outage outage;
    struct my_link link;
    struct loop_timer timer;
    struct loop_task task; /* begins a job by the next turn */
    unsigned closing;      /* timers that are being closed */
    bool closed;

    enum my_job job;
    void (*answer)(struct my_sink *sink);
    struct buf sql;
    bool read_only, mariadb, opened;
    size_t packet_max;
    struct sink_place place; /* found in the database */
    bool known;
    uint64_t found_epoch;
    uint64_t committed; /* the sequence of the last batch */
    struct my_tables tables;
    struct my_batch batch;
    struct my_verify verify;
    struct column_cell *cells;
    size_t cell_room;
    struct buf scratch;
    char stamp[MY_STAMP]; /* 'now', in quotes */
    struct error error;
};

/* ---- mysql.c ---- */

/* Sends what is in sink->sql; answer is called when it worked. whole: it could be written. */
void my_send(struct my_sink *sink, bool whole, void (*answer)(struct my_sink *sink));

/* The job is done, or has failed for good with sink->error, or may be tried again later. */
void my_done(struct my_sink *sink);
void my_failed(struct my_sink *sink);
void my_again(struct my_sink *sink);

/* A column of the row: its text, ptr NULL where it is NULL. */
struct slice my_cell(MYSQL_RES *result, MYSQL_ROW row, unsigned column);

/* ---- session.c: connects, then goes on with the job ---- */

void my_session_begin(struct my_sink *sink);
void my_session_fenced(struct my_sink *sink);

/* ---- tables.c ---- */

void my_tables_clear(struct my_tables *tables);
bool my_tables_take(struct my_sink *sink, MYSQL_RES *result); /* the rows of _sync_tables */
struct my_table *my_tables_find(const struct my_tables *tables, struct slice type);

/* Makes the table of a type ready to be written to, and makes it where there is none; then calls `then`. */
void my_tables_ready(struct my_sink *sink, struct slice type, void (*then)(struct my_sink *sink));

/* ---- batch.c ---- */

void my_batch_begin(struct my_sink *sink); /* the session is there */
void my_batch_next(struct my_sink *sink);  /* the tables that were missing are there */
void my_batch_refused(struct my_sink *sink);
void my_batch_forget(struct my_batch *batch);

/* A row's values, checked. False with sink->error: it is refused (ERROR_SCHEMA), or it has failed. */
bool my_batch_check(struct my_sink *sink, const struct my_table *table, struct slice key, struct slice value);

/* ---- verify.c ---- */

void my_verify_begin(struct my_sink *sink);

/* A query failed: true where that is no matter, and it goes on. */
bool my_verify_copes(struct my_sink *sink, enum my_fault fault);
void my_verify_forget(struct my_verify *verify);

#endif
