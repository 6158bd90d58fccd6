/* The parts of the PostgreSQL sink, which share its struct.
 *
 *     postgres.c   settings, what is under way, waiting and trying again, the end
 *     session.c    connecting, _sync_state and _sync_tables, the epoch, what became of a commit
 *     prepare.c    the tables that a batch needs
 *     commit.c     a batch in one round
 *     steps.c      a batch in a transaction of several rounds: COPY into new tables, finding rows that are refused
 *     verify.c     comparing and mending */
#ifndef SINK_POSTGRES_INSIDE_H
#define SINK_POSTGRES_INSIDE_H

#include "base/strmap.h"
#include "sink/kinds.h"
#include "sink/postgres/cells.h"
#include "sink/postgres/fault.h"
#include "sink/postgres/link.h"
#include "sink/postgres/plan.h"
#include "sink/postgres/script.h"
#include "sink/postgres/table.h"
#include "sink/sink.h"
#include "stream/backoff.h"

struct pg_sink;

enum pg_op { PG_NOTHING, PG_OPEN, PG_COMMIT, PG_VERIFY };

/* What a statement of a script is, for who has to make sense of its failure. */
enum pg_tag {
    PG_TAG_NONE,
    PG_TAG_FENCE,
    PG_TAG_TABLE,
    PG_TAG_CLEAR,
    PG_TAG_RAISE,
    PG_TAG_LOOK,
    PG_TAG_TABLES
};

enum {
    PG_STATEMENT_BYTES = 1 << 20, /* of the values of one statement */
    PG_STATEMENT_ROWS = 16384,
    PG_COPY_ROWS = 256,      /* fewer are not worth another round */
    PG_BUFFER_MAX = 1 << 30, /* a parameter: what the server takes at most */
};

/* How far the statements of a batch have been built. */
struct pg_cursor {
    size_t type;     /* of the plan */
    size_t row;      /* of its deletes, and then of its puts */
    bool copied;     /* rows of new tables have been copied already */
    uint32_t *types; /* for each data statement that was sent, the type it is for */
    size_t count, room;
    bool failed; /* it could not be built: why is in error */
    struct error error;
};

struct pg_steps {
    int stage;
    size_t type; /* COPY: of the plan */
    size_t row;  /* COPY: of its puts; otherwise of the batch: what comes next */
    size_t end;  /* behind the rows under way */
    size_t step; /* how many rows at once */
    bool back;   /* the savepoint has to be gone back to first */
    struct buf piece;
};

struct pg_verify {
    const struct store *store;
    bool repair;
    struct slice *types; /* copied: of the store and of _sync_tables */
    size_t type_count, type;
    uint32_t *order; /* of the present type's rows */
    size_t row_count, row;
    size_t page, page_rows; /* how many rows the present page has; at most */
    char *from;             /* the last key of the page before; NULL: none */
    char *to;               /* the last key of this one */
    size_t end;             /* behind the present page */
    bool begun;             /* the present type's table has been looked at */
    bool compared;          /* all rows of the store were: what is left is extra */
    uint64_t differences, checked;
    uint64_t last_extra; /* keys of the last page without rows of the store */
    struct sink_batch *mend;
};

struct pg_sink {
    struct sink sink; /* first */
    struct loop *loop;
    const struct log *log;
    struct pg_link *link;
    struct loop_task start;
    struct loop_timer retry;
    struct backoff backoff;
    uint64_t outage_limit_ms, outage_since;
    bool outage;
    const struct schema *(*schema_of)(void *user, struct slice type);
    bool (*index_of)(void *user, struct slice type, size_t i, struct slice *field);
    void *schema_user;
    char *prefix, *key; /* settings; may be NULL */
    bool columns, read_only;
    char *schema;              /* of the database */
    char *state, *tables_name; /* _sync_state and _sync_tables, quoted, with the schema */
    bool have_state;           /* both are there */
    bool lacking;              /* columns of theirs are not */
    bool opened;
    bool went_through; /* the commit whose answer was lost */
    uint64_t commits;  /* of _sync_state: how often it has been committed to */
    struct sink_place place;
    struct strmap tables; /* type -> struct pg_table */
    struct strmap names;  /* table name -> struct pg_table */
    struct pg_script script;
    enum pg_op op;

    /* A commit under way; it stays over a reconnect. */
    const struct sink_batch *batch;
    unsigned char *skip;
    struct pg_plan plan;
    bool planned;
    int slow;     /* 1: row by row where needed; 2: with constraints checked at once */
    bool mending; /* the batch is what verify found */
    struct pg_table **asked;
    size_t asked_count, asked_sent;
    bool asked_again;
    struct pg_cursor cursor;
    struct pg_steps steps;
    struct buf *arrays; /* one a column */
    size_t array_count;
    struct buf sql;
    struct pg_cells cells;
    struct pg_failure failure; /* kept while something is done about it */
    struct error error;

    struct pg_verify verify;
};

/* ---- postgres.c ---- */

/* Ends what is under way: e NULL: it is done. The last thing to be done in a turn: the sink may be gone behind it. */
void pg_end(struct pg_sink *self, const struct error *e);

/* Ends it with an error which already says all but whose it is. */
void pg_stop(struct pg_sink *self, struct error *e);

/* Does what the failure asks for: waits and goes on, or stops. what: "table x", or "". Like pg_end. */
void pg_fail(struct pg_sink *self, const struct pg_failure *failure, const char *what);

/* Connects anew after a pause, without a look at what it was. */
void pg_again(struct pg_sink *self, const struct pg_failure *failure);

/* The connection is there, and everything about it has been found out. */
void pg_go(struct pg_sink *self);

/* The type's table, made where it is not known; NULL with e. */
struct pg_table *pg_sink_table(struct pg_sink *self, struct slice type, struct error *e);
struct pg_table_options pg_table_options_of(struct pg_sink *self);
bool pg_name_table(struct pg_sink *self, struct pg_table *table, const char *name, struct error *e);

/* Runs the script as a round. */
void pg_run_script(struct pg_sink *self, void (*answer)(void *, size_t, const PGresult *),
                   void (*done)(void *, const struct pg_failure *));

/* ---- session.c ---- */
void pg_session_begin(struct pg_sink *self);
/* What has become of a commit: goes on with it, or ends it. */
void pg_session_look(struct pg_sink *self);

/* ---- prepare.c ---- */
/* Sees to the tables of the plan, then calls pg_commit_write. */
void pg_prepare(struct pg_sink *self);
/* The same for one table, without making it: calls pg_verify_table. */
void pg_prepare_table(struct pg_sink *self, struct pg_table *table);

/* ---- commit.c ---- */
void pg_commit_begin(struct pg_sink *self);
void pg_commit_write(struct pg_sink *self);
void pg_commit_done(struct pg_sink *self);
void pg_commit_free(struct pg_sink *self);
/* Puts what comes before the rows into the script: the fence, tables, resets. */
void pg_commit_script(struct pg_sink *self);
/* The failure of a statement of that script, or of a commit: true where it has been dealt with. */
bool pg_commit_failed_early(struct pg_sink *self, const struct pg_failure *failure);
/* Sends the next statement with rows; false: there is none, or it could not be built, which gives the round up. */
bool pg_commit_next(struct pg_sink *self, struct pg_link *link);
/* The statement for these rows, all of one type and op. False: it could not be built (cursor.error). */
bool pg_commit_send_rows(struct pg_sink *self, struct pg_link *link, struct pg_table *table, enum sink_op op,
                         const uint32_t *rows, size_t count);
/* As many of the rows as fit into one statement, at least 1. */
size_t pg_commit_take(const struct pg_sink *self, const uint32_t *rows, size_t count);
/* Makes so many buffers for arrays. False: out of memory. */
bool pg_commit_reserve(struct pg_sink *self, size_t width);
/* Stops with cursor.error. */
void pg_commit_unbuilt(struct pg_sink *self);
void pg_commit_where(const struct pg_sink *self, size_t statement, char *out, size_t size);
bool pg_commit_check_row(struct pg_sink *self, const struct sink_row *row, struct error *e);

/* ---- steps.c ---- */
void pg_steps_begin(struct pg_sink *self);

/* ---- verify.c ---- */
void pg_verify_begin(struct pg_sink *self);
void pg_verify_table(struct pg_sink *self, struct pg_table *table);
void pg_verify_mended(struct pg_sink *self);
void pg_verify_free(struct pg_sink *self);

#endif
