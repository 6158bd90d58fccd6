/* A loop of single upserts over a file of one change a line, as bench/tools/generate writes them.
 *
 *     mysql_upserts FILE SOCKET DATABASE ROWS
 *
 * One table a type (id, data, updated_at) of the shape that weir's have, a prepared statement for each change, one after
 * the other, a transaction for every ROWS of them with the place in it. */
#include <mysql.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "changes.h"

enum { TABLES_MAX = 16, NAME_MAX = 64, SQL_MAX = 512 };

#define TEXT "CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin"

struct table {
    char name[NAME_MAX];
    MYSQL_STMT *put, *del;
};

struct peer {
    MYSQL *mysql;
    MYSQL_STMT *place;
    struct table tables[TABLES_MAX];
    size_t count;
};

static void fail(const char *message) {
    fprintf(stderr, "mysql_upserts: %s\n", message);
    exit(EXIT_FAILURE);
}

static void run(const struct peer *peer, const char *sql) {
    if (mysql_query(peer->mysql, sql) != 0) {
        fail(mysql_error(peer->mysql));
    }
}

static MYSQL_STMT *prepare(const struct peer *peer, const char *sql) {
    MYSQL_STMT *statement = mysql_stmt_init(peer->mysql);
    if (mysql_stmt_prepare(statement, sql, strlen(sql)) != 0) {
        fail(mysql_stmt_error(statement));
    }
    return statement;
}

static MYSQL_BIND text_of(char *text, size_t len) {
    return (MYSQL_BIND){.buffer_type = MYSQL_TYPE_STRING, .buffer = text, .buffer_length = len};
}

static void execute(MYSQL_STMT *statement, MYSQL_BIND *values) {
    if (mysql_stmt_bind_param(statement, values) != 0 || mysql_stmt_execute(statement) != 0) {
        fail(mysql_stmt_error(statement));
    }
}

static struct table *table_of(struct peer *peer, const char *name) {
    char sql[SQL_MAX];
    for (size_t i = 0; i < peer->count; i++) {
        if (strcmp(peer->tables[i].name, name) == 0) {
            return &peer->tables[i];
        }
    }
    if (peer->count == TABLES_MAX || strlen(name) >= NAME_MAX) {
        fail("more types than generate has");
    }
    struct table *table = &peer->tables[peer->count++];
    snprintf(table->name, sizeof table->name, "%s", name);
    snprintf(sql, sizeof sql,
             "CREATE TABLE `%s` (id VARCHAR(768) " TEXT " PRIMARY KEY, data LONGTEXT " TEXT
             " NOT NULL, updated_at DATETIME(3) NOT NULL) ENGINE = InnoDB",
             name);
    run(peer, sql);
    run(peer, "START TRANSACTION"); /* which that has ended */
    snprintf(sql, sizeof sql,
             "INSERT INTO `%s` (id, data, updated_at) VALUES (?, ?, now(3)) ON DUPLICATE KEY UPDATE "
             "data = VALUES(data), updated_at = VALUES(updated_at)",
             name);
    table->put = prepare(peer, sql);
    snprintf(sql, sizeof sql, "DELETE FROM `%s` WHERE id = ?", name);
    table->del = prepare(peer, sql);
    return table;
}

static void apply(struct peer *peer, const struct change *change) {
    const struct table *table = table_of(peer, change->type);
    MYSQL_BIND values[] = {text_of(change->key, change->key_len), text_of(change->value, change->value_len)};
    execute(change->value ? table->put : table->del, values);
}

static void commit(const struct peer *peer, size_t rows) {
    char place[32];
    int len = snprintf(place, sizeof place, "%zu", rows);
    MYSQL_BIND values[] = {text_of(place, (size_t)len)};
    execute(peer->place, values);
    run(peer, "COMMIT");
}

static void set_up(struct peer *peer, const char *socket, const char *database) {
    peer->mysql = mysql_init(NULL);
    mysql_options(peer->mysql, MYSQL_SET_CHARSET_NAME, "utf8mb4");
    if (!mysql_real_connect(peer->mysql, NULL, "root", NULL, database, 0, socket, 0)) {
        fail(mysql_error(peer->mysql));
    }
    run(peer, "CREATE TABLE _sync_state (stream_url VARCHAR(768) " TEXT
              " PRIMARY KEY, `offset` TEXT, synced_at DATETIME(3)) ENGINE = InnoDB");
    peer->place = prepare(peer, "INSERT INTO _sync_state VALUES ('file', ?, now(3)) ON DUPLICATE KEY UPDATE "
                                "`offset` = VALUES(`offset`), synced_at = VALUES(synced_at)");
}

static void tear_down(struct peer *peer) {
    for (size_t i = 0; i < peer->count; i++) {
        mysql_stmt_close(peer->tables[i].put);
        mysql_stmt_close(peer->tables[i].del);
    }
    mysql_stmt_close(peer->place);
    mysql_close(peer->mysql);
}

int main(int argc, char **argv) {
    struct changes changes;
    struct change change;
    size_t every = argc == 5 ? strtoul(argv[4], NULL, 10) : 0;
    struct peer peer = {0};
    size_t rows = 0;
    if (every == 0 || !changes_open(&changes, argv[1])) {
        fputs("usage: mysql_upserts FILE SOCKET DATABASE ROWS\n", stderr);
        return 2;
    }
    set_up(&peer, argv[2], argv[3]);
    while (changes_next(&changes, &change)) {
        if (rows % every == 0) {
            run(&peer, "START TRANSACTION");
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
    tear_down(&peer);
    return EXIT_SUCCESS;
}
