/* A bare loop of prepared upserts over a file of one change a line, as bench/tools/generate writes them.
 *
 *     sqlite_upserts FILE DATABASE ROWS
 *
 * One table a type (id, data, updated_at), a transaction for every ROWS changes with the place in it, a write-ahead
 * log, synchronous = FULL: what weir's sink does. The clock runs from before the first byte is read to the last commit. */
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "batches.h"
#include "clock.h"

enum { SQL_MAX = 512, TIME_MAX = 32 };

struct table {
    sqlite3_stmt *put, *del, *count;
};

struct peer {
    sqlite3 *db;
    struct table tables[TYPES_MAX];
    sqlite3_stmt *begin, *commit, *place;
    char now[TIME_MAX];
};

static void check(const struct peer *peer, int rc) {
    if (rc != SQLITE_OK && rc != SQLITE_DONE && rc != SQLITE_ROW) {
        fprintf(stderr, "sqlite_upserts: %s\n", sqlite3_errmsg(peer->db));
        exit(EXIT_FAILURE);
    }
}

static void run(const struct peer *peer, const char *sql) {
    check(peer, sqlite3_exec(peer->db, sql, NULL, NULL, NULL));
}

static sqlite3_stmt *prepare(const struct peer *peer, const char *sql) {
    sqlite3_stmt *statement = NULL;
    check(peer, sqlite3_prepare_v3(peer->db, sql, -1, SQLITE_PREPARE_PERSISTENT, &statement, NULL));
    return statement;
}

static void step(const struct peer *peer, sqlite3_stmt *statement) {
    check(peer, sqlite3_step(statement));
    sqlite3_reset(statement);
}

static void make(void *of, size_t type, const char *name) {
    struct peer *peer = of;
    struct table *table = &peer->tables[type];
    char sql[SQL_MAX];
    snprintf(
        sql, sizeof sql,
        "CREATE TABLE \"%s\" (id TEXT NOT NULL PRIMARY KEY, data TEXT NOT NULL, updated_at TEXT NOT NULL)",
        name);
    run(peer, sql);
    snprintf(sql, sizeof sql,
             "INSERT INTO \"%s\" (id, data, updated_at) VALUES (?1, ?2, ?3) ON CONFLICT (id) DO UPDATE SET "
             "data = excluded.data, updated_at = excluded.updated_at",
             name);
    table->put = prepare(peer, sql);
    snprintf(sql, sizeof sql, "DELETE FROM \"%s\" WHERE id = ?1", name);
    table->del = prepare(peer, sql);
    snprintf(sql, sizeof sql, "SELECT count(*) FROM \"%s\"", name);
    table->count = prepare(peer, sql);
}

static void apply(void *of, size_t type, const struct change *change) {
    const struct peer *peer = of;
    const struct table *table = &peer->tables[type];
    sqlite3_stmt *statement = change->value ? table->put : table->del;
    sqlite3_bind_text(statement, 1, change->key, (int)change->key_len, SQLITE_STATIC);
    if (change->value) {
        sqlite3_bind_text(statement, 2, change->value, (int)change->value_len, SQLITE_STATIC);
        sqlite3_bind_text(statement, 3, peer->now, -1, SQLITE_STATIC);
    }
    step(peer, statement);
}

static void begin(void *of) {
    struct peer *peer = of;
    time_t now = time(NULL);
    struct tm parts;
    gmtime_r(&now, &parts);
    strftime(peer->now, sizeof peer->now, "%Y-%m-%dT%H:%M:%SZ", &parts);
    step(peer, peer->begin);
}

static void commit(void *of, const char *place) {
    const struct peer *peer = of;
    sqlite3_bind_text(peer->place, 1, place, -1, SQLITE_STATIC);
    sqlite3_bind_text(peer->place, 2, peer->now, -1, SQLITE_STATIC);
    step(peer, peer->place);
    step(peer, peer->commit);
}

static void set_up(struct peer *peer, const char *path) {
    check(peer, sqlite3_open(path, &peer->db));
    run(peer, "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA cache_size = -16384");
    run(peer, "CREATE TABLE _sync_state (stream_url TEXT NOT NULL PRIMARY KEY, \"offset\", synced_at TEXT)");
    peer->begin = prepare(peer, "BEGIN IMMEDIATE");
    peer->commit = prepare(peer, "COMMIT");
    peer->place = prepare(
        peer, "INSERT INTO _sync_state VALUES ('file', ?1, ?2) ON CONFLICT (stream_url) DO UPDATE "
              "SET \"offset\" = excluded.\"offset\", synced_at = excluded.synced_at");
}

static long long count(const struct peer *peer) {
    long long entities = 0;
    for (size_t i = 0; i < TYPES_MAX && peer->tables[i].count; i++) {
        check(peer, sqlite3_step(peer->tables[i].count));
        entities += sqlite3_column_int64(peer->tables[i].count, 0);
    }
    return entities;
}

static void tear_down(struct peer *peer) {
    for (size_t i = 0; i < TYPES_MAX; i++) {
        sqlite3_finalize(peer->tables[i].put);
        sqlite3_finalize(peer->tables[i].del);
        sqlite3_finalize(peer->tables[i].count);
    }
    sqlite3_finalize(peer->begin);
    sqlite3_finalize(peer->commit);
    sqlite3_finalize(peer->place);
    sqlite3_close(peer->db);
}

int main(int argc, char **argv) {
    struct changes changes;
    size_t rows = argc == 4 ? strtoul(argv[3], NULL, 10) : 0;
    struct peer peer = {0};
    if (rows == 0 || !changes_open(&changes, argv[1])) {
        fputs("usage: sqlite_upserts FILE DATABASE ROWS\n", stderr);
        return 2;
    }
    double start = clock_seconds();
    set_up(&peer, argv[2]);
    batches_apply(&changes, rows, &(struct steps){make, begin, apply, commit}, &peer);
    printf("seconds=%.6f entities=%lld\n", clock_seconds() - start, count(&peer));
    changes_close(&changes);
    tear_down(&peer);
    return EXIT_SUCCESS;
}
