/* One connection to a SQLite file: statements, transactions, and what its errors mean to a sink. For the files of
 * this folder. All of it runs on whichever thread has the sink's work in hand, one at a time; sqlite_db_cancel is the
 * exception. */
#ifndef SINK_SQLITE_DB_H
#define SINK_SQLITE_DB_H

#include <stdatomic.h>
#include <stdbool.h>

#include <sqlite3.h>

#include "base/error.h"
#include "base/slice.h"

enum db_outcome {
    DB_DONE,
    DB_REFUSED, /* the database takes everything but this row */
    DB_WAIT,    /* it may be that it works later: a lock, a full disk */
    DB_FAILED,
};

enum db_sync { DB_SYNC_OFF, DB_SYNC_NORMAL, DB_SYNC_FULL };

struct sqlite_db {
    sqlite3 *handle;    /* NULL: not open */
    const char *name;   /* of the sink, and */
    const char *stream; /* its stream: not owned, for messages */
    char *path;         /* owned */
    enum db_sync sync;
    bool rollback_journal; /* journal = "delete"; otherwise a write-ahead log */
    bool read_only;
    atomic_bool cancelled;
};

/* Opens the file, and makes it where there is none, but to read only. */
enum db_outcome sqlite_db_open(struct sqlite_db *db, struct error *e);
void sqlite_db_close(struct sqlite_db *db); /* every statement has been finalized; the path stays */

/* From any thread: what runs is given up, with DB_FAILED. */
void sqlite_db_cancel(struct sqlite_db *db);

/* Fills e from what SQLite says: "NAME: FORMAT: disk I/O error", and tells what to make of it. */
enum db_outcome sqlite_db_failed(const struct sqlite_db *db, int rc, struct error *e, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* NULL with *outcome and e. what: for the message, "table users". */
sqlite3_stmt *sqlite_db_prepare(const struct sqlite_db *db, struct slice sql, const char *what,
                                enum db_outcome *outcome, struct error *e);

enum db_outcome sqlite_db_exec(const struct sqlite_db *db, const char *sql, const char *what,
                               struct error *e);

/* A transaction that writes; fails by name where the file was removed or replaced. */
enum db_outcome sqlite_db_begin(const struct sqlite_db *db, struct error *e);
enum db_outcome sqlite_db_commit(const struct sqlite_db *db,
                                 struct error *e); /* after a failure: rolled back */
void sqlite_db_rollback(const struct sqlite_db *db);

/* Bind bytes that stay until the statement is run. */
static inline void sqlite_db_bind(sqlite3_stmt *statement, int place, struct slice text) {
    sqlite3_bind_text64(statement, place, text.ptr ? text.ptr : "", text.len, SQLITE_STATIC, SQLITE_UTF8);
}

static inline struct slice sqlite_db_text(sqlite3_stmt *statement, int column) {
    const char *text = (const char *)sqlite3_column_text(statement, column);
    return slice_of(text ? text : "", (size_t)sqlite3_column_bytes(statement, column));
}

#endif
