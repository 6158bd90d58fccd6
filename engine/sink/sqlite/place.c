#include "sink/sqlite/place.h"

#include <stdlib.h>
#include <string.h>

#define CREATE_STATE                                                                                         \
    "CREATE TABLE IF NOT EXISTS _sync_state (stream_url TEXT NOT NULL PRIMARY KEY, \"offset\" TEXT, "        \
    "synced_at TEXT, skip INTEGER NOT NULL DEFAULT 0, sequence INTEGER NOT NULL DEFAULT 0, "                 \
    "epoch INTEGER NOT NULL DEFAULT 0, notes TEXT)"
#define CREATE_TABLES                                                                                        \
    "CREATE TABLE IF NOT EXISTS _sync_tables (stream_url TEXT NOT NULL, type TEXT NOT NULL, "                \
    "table_name TEXT NOT NULL COLLATE NOCASE UNIQUE, PRIMARY KEY (stream_url, type))"
#define SELECT_STATE                                                                                         \
    "SELECT \"offset\", synced_at, skip, sequence, epoch, notes FROM _sync_state WHERE stream_url = ?1"
#define PROBE_TABLES "SELECT stream_url, type, table_name FROM _sync_tables LIMIT 0"
#define RAISE_STATE                                                                                          \
    "INSERT INTO _sync_state (stream_url, epoch) VALUES (?1, ?2) "                                           \
    "ON CONFLICT (stream_url) DO UPDATE SET epoch = excluded.epoch"
#define MOVE_STATE                                                                                           \
    "UPDATE _sync_state SET \"offset\" = ?1, synced_at = ?2, skip = ?3, sequence = ?4, notes = ?5 "          \
    "WHERE stream_url = ?6 AND epoch = ?7"

void sqlite_place_free(struct sqlite_place *place) {
    sink_place_free(&place->place);
}

static enum db_outcome probe(const struct sqlite_db *db, const char *sql, const char *table,
                             struct error *e) {
    sqlite3_stmt *statement = NULL;
    int rc = sqlite3_prepare_v2(db->handle, sql, -1, &statement, NULL);
    sqlite3_finalize(statement);
    if (rc == SQLITE_ERROR) {
        error_set(e, ERROR_CONFLICT,
                  "%s: its table %s was not made by weir (%s): use another file, or move that table away",
                  db->name, table, sqlite3_errmsg(db->handle));
        return DB_FAILED;
    }
    return rc == SQLITE_OK ? DB_DONE : sqlite_db_failed(db, rc, e, "table %s", table);
}

enum db_outcome sqlite_place_prepare(const struct sqlite_db *db, struct error *e) {
    enum db_outcome outcome = sqlite_db_exec(db, CREATE_STATE, "table _sync_state", e);
    if (outcome == DB_DONE) {
        outcome = sqlite_db_exec(db, CREATE_TABLES, "table _sync_tables", e);
    }
    if (outcome == DB_DONE) {
        outcome = probe(db, SELECT_STATE, "_sync_state", e);
    }
    return outcome == DB_DONE ? probe(db, PROBE_TABLES, "_sync_tables", e) : outcome;
}

/* *there: the file has a table of that name. */
static enum db_outcome look_for_table(const struct sqlite_db *db, bool *there, struct error *e) {
    static const char sql[] = "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = '_sync_state'";
    enum db_outcome outcome;
    sqlite3_stmt *statement = sqlite_db_prepare(db, slice_from(sql), "table _sync_state", &outcome, e);
    if (!statement) {
        return outcome;
    }
    int rc = sqlite3_step(statement);
    *there = rc == SQLITE_ROW;
    outcome = rc == SQLITE_ROW || rc == SQLITE_DONE ? DB_DONE
                                                    : sqlite_db_failed(db, rc, e, "table _sync_state");
    sqlite3_finalize(statement);
    return outcome;
}

static bool take_place(sqlite3_stmt *statement, struct sqlite_place *place) {
    const struct sink_place found = {
        .offset = (char *)sqlite3_column_text(statement, 0),
        .skip = (uint64_t)sqlite3_column_int64(statement, 2),
        .sequence = (uint64_t)sqlite3_column_int64(statement, 3),
        .notes = (char *)sqlite3_column_text(statement, 5),
    };
    place->known = sqlite3_column_type(statement, 1) != SQLITE_NULL;
    place->epoch = (uint64_t)sqlite3_column_int64(statement, 4);
    return sink_place_set(&place->place, &found);
}

static enum db_outcome read_row(const struct sqlite_db *db, struct sqlite_place *place, struct error *e) {
    enum db_outcome outcome;
    sqlite3_stmt *statement = sqlite_db_prepare(db, SLICE(SELECT_STATE), "table _sync_state", &outcome, e);
    if (!statement) {
        return outcome;
    }
    sqlite_db_bind(statement, 1, slice_from(db->stream));
    int rc = sqlite3_step(statement);
    if (rc == SQLITE_ROW && !take_place(statement, place)) {
        error_set(e, ERROR_MEMORY, "%s: out of memory for a place in the stream", db->name);
        outcome = DB_FAILED;
    } else if (rc != SQLITE_ROW && rc != SQLITE_DONE) {
        outcome = sqlite_db_failed(db, rc, e, "table _sync_state");
    }
    sqlite3_finalize(statement);
    return outcome;
}

enum db_outcome sqlite_place_read(const struct sqlite_db *db, struct sqlite_place *place, struct error *e) {
    bool there = false;
    enum db_outcome outcome = look_for_table(db, &there, e);
    return outcome == DB_DONE && there ? read_row(db, place, e) : outcome;
}

enum db_outcome sqlite_place_raise(const struct sqlite_db *db, uint64_t epoch, struct error *e) {
    enum db_outcome outcome;
    sqlite3_stmt *statement = sqlite_db_prepare(db, SLICE(RAISE_STATE), "table _sync_state", &outcome, e);
    if (!statement) {
        return outcome;
    }
    sqlite_db_bind(statement, 1, slice_from(db->stream));
    sqlite3_bind_int64(statement, 2, (sqlite3_int64)epoch);
    int rc = sqlite3_step(statement);
    outcome = rc == SQLITE_DONE ? DB_DONE : sqlite_db_failed(db, rc, e, "table _sync_state");
    sqlite3_finalize(statement);
    return outcome;
}

sqlite3_stmt *sqlite_place_mover(const struct sqlite_db *db, enum db_outcome *outcome, struct error *e) {
    return sqlite_db_prepare(db, SLICE(MOVE_STATE), "table _sync_state", outcome, e);
}

static void bind_or_null(sqlite3_stmt *statement, int at, const char *text) {
    if (text) {
        sqlite_db_bind(statement, at, slice_from(text));
    } else {
        sqlite3_bind_null(statement, at);
    }
}

enum db_outcome sqlite_place_move(const struct sqlite_db *db, sqlite3_stmt *mover, uint64_t epoch,
                                  const struct sink_place *place, const char *stamp, bool *moved,
                                  struct error *e) {
    bind_or_null(mover, 1, place->offset);
    bind_or_null(mover, 2, stamp);
    sqlite3_bind_int64(mover, 3, (sqlite3_int64)place->skip);
    sqlite3_bind_int64(mover, 4, (sqlite3_int64)place->sequence);
    bind_or_null(mover, 5, place->notes);
    bind_or_null(mover, 6, db->stream);
    sqlite3_bind_int64(mover, 7, (sqlite3_int64)epoch);
    int rc = sqlite3_step(mover);
    *moved = rc == SQLITE_DONE && sqlite3_changes(db->handle) == 1;
    enum db_outcome outcome = rc == SQLITE_DONE ? DB_DONE : sqlite_db_failed(db, rc, e, "table _sync_state");
    sqlite3_reset(mover);
    return outcome;
}
