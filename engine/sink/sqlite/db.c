#include "sink/sqlite/db.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* How long one call waits for another process's lock: what is longer is waited for with pauses (sqlite.c), since a
 * thread of the pool stands still meanwhile. */
enum { BUSY_MS = 100 };

/* Statements and pages of so many KB stay in memory. */
#define CACHE_KB "16384"

static enum db_outcome outcome_of(int rc) {
    switch (rc & 0xFF) {
    case SQLITE_OK:
    case SQLITE_ROW:
    case SQLITE_DONE:
        return DB_DONE;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_PROTOCOL:
    case SQLITE_FULL:
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
        return DB_WAIT;
    case SQLITE_CONSTRAINT:
    case SQLITE_MISMATCH:
    case SQLITE_TOOBIG:
        return DB_REFUSED;
    default:
        return DB_FAILED;
    }
}

static enum error_code code_of(int rc) {
    switch (rc & 0xFF) {
    case SQLITE_NOMEM:
        return ERROR_MEMORY;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return ERROR_TIMEOUT;
    case SQLITE_CONSTRAINT:
    case SQLITE_MISMATCH:
    case SQLITE_TOOBIG:
        return ERROR_SCHEMA;
    default:
        return ERROR_SYSTEM;
    }
}

static const char *advice(int rc) {
    switch (rc & 0xFF) {
    case SQLITE_READONLY:
        return rc == SQLITE_READONLY_DBMOVED ? "; the file was moved or removed: start again"
                                             : "; the file and its folder have to be writable";
    case SQLITE_CANTOPEN:
        return "; its folder has to be there, and the file to be readable";
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return "; move the file away, and it is filled anew";
    default:
        return "";
    }
}

enum db_outcome sqlite_db_failed(const struct sqlite_db *db, int rc, struct error *e, const char *format,
                                 ...) {
    char what[512];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(what, sizeof what, format, args);
    va_end(args);
    /* The handle's own text says more (which table, which column) where it is of this very failure. */
    int known = db->handle ? sqlite3_extended_errcode(db->handle) : SQLITE_OK;
    const char *text = db->handle && (known & 0xFF) == (rc & 0xFF) ? sqlite3_errmsg(db->handle)
                                                                   : sqlite3_errstr(rc);
    error_set(e, code_of(rc), "%s: %s: %s%s", db->name, what, text, advice(rc));
    return outcome_of(rc);
}

void sqlite_db_close(struct sqlite_db *db) {
    sqlite3_close_v2(db->handle);
    db->handle = NULL;
}

void sqlite_db_cancel(struct sqlite_db *db) {
    atomic_store(&db->cancelled, true);
}

/* Asked by SQLite every thousand or so steps of its machine. */
static int on_progress(void *user) {
    struct sqlite_db *db = user;
    return atomic_load_explicit(&db->cancelled, memory_order_relaxed);
}

sqlite3_stmt *sqlite_db_prepare(const struct sqlite_db *db, struct slice sql, const char *what,
                                enum db_outcome *outcome, struct error *e) {
    sqlite3_stmt *statement = NULL;
    int rc = sqlite3_prepare_v3(db->handle, sql.ptr, (int)sql.len, SQLITE_PREPARE_PERSISTENT, &statement,
                                NULL);
    *outcome = rc == SQLITE_OK ? DB_DONE : sqlite_db_failed(db, rc, e, "%s", what);
    return statement;
}

enum db_outcome sqlite_db_exec(const struct sqlite_db *db, const char *sql, const char *what,
                               struct error *e) {
    int rc = sqlite3_exec(db->handle, sql, NULL, NULL, NULL);
    return rc == SQLITE_OK ? DB_DONE : sqlite_db_failed(db, rc, e, "%s", what);
}

static enum db_outcome set_up(struct sqlite_db *db, struct error *e) {
    static const char *const sync[] = {
        [DB_SYNC_OFF] = "PRAGMA synchronous = OFF",
        [DB_SYNC_NORMAL] = "PRAGMA synchronous = NORMAL",
        [DB_SYNC_FULL] = "PRAGMA synchronous = FULL",
    };
    const char *journal = db->rollback_journal ? "PRAGMA journal_mode = DELETE" : "PRAGMA journal_mode = WAL";
    sqlite3_extended_result_codes(db->handle, 1);
    sqlite3_busy_timeout(db->handle, BUSY_MS);
    sqlite3_progress_handler(db->handle, 1000, on_progress, db);
    enum db_outcome outcome = sqlite_db_exec(db, "PRAGMA cache_size = -" CACHE_KB, "opening it", e);
    if (outcome == DB_DONE && !db->read_only) {
        outcome = sqlite_db_exec(db, journal, "choosing its journal", e);
    }
    return outcome == DB_DONE ? sqlite_db_exec(db, sync[db->sync], "opening it", e) : outcome;
}

enum db_outcome sqlite_db_open(struct sqlite_db *db, struct error *e) {
    int flags = SQLITE_OPEN_NOMUTEX |
                (db->read_only ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE);
    int rc = sqlite3_open_v2(db->path, &db->handle, flags, NULL);
    enum db_outcome outcome = rc == SQLITE_OK ? set_up(db, e)
                                              : sqlite_db_failed(db, rc, e, "opening %s", db->path);
    if (outcome != DB_DONE) {
        sqlite_db_close(db);
        /* A folder that is not there does not come by waiting. */
        outcome = outcome == DB_REFUSED || (rc & 0xFF) == SQLITE_CANTOPEN ? DB_FAILED : outcome;
    }
    return outcome;
}

/* A file that was removed goes on to exist for who has it open; what is written then is lost. */
static enum db_outcome check_file(const struct sqlite_db *db, struct error *e) {
    int moved = 0;
    if (sqlite3_file_control(db->handle, "main", SQLITE_FCNTL_HAS_MOVED, &moved) == SQLITE_OK && moved) {
        error_set(e, ERROR_SYSTEM,
                  "%s: the file %s was removed or replaced while it was open: start again, and it is filled "
                  "from the place it is at then",
                  db->name, db->path);
        return DB_FAILED;
    }
    return DB_DONE;
}

enum db_outcome sqlite_db_begin(const struct sqlite_db *db, struct error *e) {
    enum db_outcome outcome = check_file(db, e);
    return outcome == DB_DONE ? sqlite_db_exec(db, "BEGIN IMMEDIATE", "beginning a transaction", e) : outcome;
}

enum db_outcome sqlite_db_commit(const struct sqlite_db *db, struct error *e) {
    enum db_outcome outcome = sqlite_db_exec(db, "COMMIT", "committing", e);
    if (outcome != DB_DONE) {
        sqlite_db_rollback(db);
    }
    /* It is of no row that could be left out. */
    return outcome == DB_REFUSED ? DB_FAILED : outcome;
}

void sqlite_db_rollback(const struct sqlite_db *db) {
    if (db->handle && !sqlite3_get_autocommit(db->handle)) {
        (void)sqlite3_exec(db->handle, "ROLLBACK", NULL, NULL, NULL);
    }
}
