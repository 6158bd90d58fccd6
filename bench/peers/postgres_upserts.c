/* A loop of single upserts over a file of one change a line, as bench/tools/generate writes them.
 *
 *     postgres_upserts FILE URL ROWS
 *
 * One table a type (id, data, updated_at), a prepared statement for each change, one after the other, a transaction for
 * every ROWS of them with the place in it. */
#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>

#include "batches.h"

enum { STATEMENT_MAX = 32, SQL_MAX = 512 };

struct table {
    char put[STATEMENT_MAX], del[STATEMENT_MAX]; /* names of prepared statements */
};

struct peer {
    PGconn *conn;
    struct table tables[TYPES_MAX];
};

static void check(const struct peer *peer, PGresult *result) {
    ExecStatusType status = PQresultStatus(result);
    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK) {
        fprintf(stderr, "postgres_upserts: %s\n", PQerrorMessage(peer->conn));
        exit(EXIT_FAILURE);
    }
    PQclear(result);
}

static void run(const struct peer *peer, const char *sql) {
    check(peer, PQexec(peer->conn, sql));
}

static void begin(void *of) {
    run(of, "BEGIN");
}

static void make(void *of, size_t type, const char *name) {
    struct peer *peer = of;
    struct table *table = &peer->tables[type];
    char sql[SQL_MAX];
    snprintf(table->put, sizeof table->put, "put%zu", type);
    snprintf(table->del, sizeof table->del, "del%zu", type);
    snprintf(
        sql, sizeof sql,
        "CREATE TABLE \"%s\" (id text PRIMARY KEY, data jsonb NOT NULL, updated_at timestamptz NOT NULL)",
        name);
    run(peer, sql);
    snprintf(
        sql, sizeof sql,
        "INSERT INTO \"%s\" (id, data, updated_at) VALUES ($1, $2, now()) ON CONFLICT (id) DO UPDATE SET "
        "data = excluded.data, updated_at = excluded.updated_at",
        name);
    check(peer, PQprepare(peer->conn, table->put, sql, 2, NULL));
    snprintf(sql, sizeof sql, "DELETE FROM \"%s\" WHERE id = $1", name);
    check(peer, PQprepare(peer->conn, table->del, sql, 1, NULL));
}

static void apply(void *of, size_t type, const struct change *change) {
    const struct peer *peer = of;
    const struct table *table = &peer->tables[type];
    const char *const values[] = {change->key, change->value};
    check(peer, PQexecPrepared(peer->conn, change->value ? table->put : table->del, change->value ? 2 : 1,
                               values, NULL, NULL, 0));
}

static void commit(void *of, const char *place) {
    const struct peer *peer = of;
    const char *const values[] = {place};
    check(peer, PQexecPrepared(peer->conn, "place", 1, values, NULL, NULL, 0));
    run(peer, "COMMIT");
}

static void set_up(struct peer *peer, const char *url) {
    peer->conn = PQconnectdb(url);
    if (PQstatus(peer->conn) != CONNECTION_OK) {
        fprintf(stderr, "postgres_upserts: %s\n", PQerrorMessage(peer->conn));
        exit(EXIT_FAILURE);
    }
    run(peer,
        "CREATE TABLE _sync_state (stream_url text PRIMARY KEY, \"offset\" text, synced_at timestamptz)");
    check(peer,
          PQprepare(peer->conn, "place",
                    "INSERT INTO _sync_state VALUES ('file', $1, now()) ON CONFLICT (stream_url) DO UPDATE "
                    "SET \"offset\" = excluded.\"offset\", synced_at = excluded.synced_at",
                    1, NULL));
}

int main(int argc, char **argv) {
    struct changes changes;
    size_t rows = argc == 4 ? strtoul(argv[3], NULL, 10) : 0;
    struct peer peer = {0};
    if (rows == 0 || !changes_open(&changes, argv[1])) {
        fputs("usage: postgres_upserts FILE URL ROWS\n", stderr);
        return 2;
    }
    set_up(&peer, argv[2]);
    batches_apply(&changes, rows, &(struct steps){make, begin, apply, commit}, &peer);
    changes_close(&changes);
    PQfinish(peer.conn);
    return EXIT_SUCCESS;
}
