/* A loop of single upserts over a file of one change a line, as bench/tools/generate writes them.
 *
 *     postgres_upserts FILE URL ROWS
 *
 * One table a type (id, data, updated_at), a prepared statement for each change, one after the other, a transaction for
 * every ROWS of them with the place in it. */
#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "changes.h"

enum { TABLES_MAX = 16, NAME_MAX = 64, SQL_MAX = 512 };

struct table {
    char name[NAME_MAX];
    char put[NAME_MAX], del[NAME_MAX]; /* names of prepared statements */
};

struct peer {
    PGconn *conn;
    struct table tables[TABLES_MAX];
    size_t count;
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

static struct table *table_of(struct peer *peer, const char *name, size_t len) {
    char sql[SQL_MAX];
    for (size_t i = 0; i < peer->count; i++) {
        if (strncmp(peer->tables[i].name, name, len) == 0 && !peer->tables[i].name[len]) {
            return &peer->tables[i];
        }
    }
    if (peer->count == TABLES_MAX || len >= NAME_MAX) {
        fputs("postgres_upserts: more types than generate has\n", stderr);
        exit(EXIT_FAILURE);
    }
    struct table *table = &peer->tables[peer->count];
    memcpy(table->name, name, len);
    table->name[len] = '\0';
    snprintf(table->put, sizeof table->put, "put%zu", peer->count);
    snprintf(table->del, sizeof table->del, "del%zu", peer->count);
    peer->count++;
    snprintf(
        sql, sizeof sql,
        "CREATE TABLE \"%s\" (id text PRIMARY KEY, data jsonb NOT NULL, updated_at timestamptz NOT NULL)",
        table->name);
    run(peer, sql);
    snprintf(
        sql, sizeof sql,
        "INSERT INTO \"%s\" (id, data, updated_at) VALUES ($1, $2, now()) ON CONFLICT (id) DO UPDATE SET "
        "data = excluded.data, updated_at = excluded.updated_at",
        table->name);
    check(peer, PQprepare(peer->conn, table->put, sql, 2, NULL));
    snprintf(sql, sizeof sql, "DELETE FROM \"%s\" WHERE id = $1", table->name);
    check(peer, PQprepare(peer->conn, table->del, sql, 1, NULL));
    return table;
}

static void apply(struct peer *peer, const struct change *change) {
    const struct table *table = table_of(peer, change->type, change->type_len);
    const char *const values[] = {change->key, change->value};
    check(peer, PQexecPrepared(peer->conn, change->value ? table->put : table->del, change->value ? 2 : 1,
                               values, NULL, NULL, 0));
}

static void commit(struct peer *peer, size_t rows) {
    char place[32];
    snprintf(place, sizeof place, "%zu", rows);
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
    struct change change;
    size_t every = argc == 4 ? strtoul(argv[3], NULL, 10) : 0;
    struct peer peer = {0};
    size_t rows = 0;
    if (every == 0 || !changes_open(&changes, argv[1])) {
        fputs("usage: postgres_upserts FILE URL ROWS\n", stderr);
        return 2;
    }
    set_up(&peer, argv[2]);
    while (changes_next(&changes, &change)) {
        if (rows % every == 0) {
            run(&peer, "BEGIN");
        }
        apply(&peer, &change);
        if (++rows % every == 0) {
            commit(&peer, rows);
        }
    }
    if (rows % every != 0) {
        commit(&peer, rows);
    }
    changes_close(&changes);
    PQfinish(peer.conn);
    return EXIT_SUCCESS;
}
