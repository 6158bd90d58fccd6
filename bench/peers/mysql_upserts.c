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

#include "batches.h"

enum { SQL_MAX = 512 };

#define TEXT "CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin"

struct table {
    MYSQL_STMT *put, *del;
};

struct peer {
    MYSQL *mysql;
    MYSQL_STMT *place;
    struct table tables[TYPES_MAX];
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

static void begin(void *of) {
    run(of, "START TRANSACTION");
}

static void make(void *of, size_t type, const char *name) {
    struct peer *peer = of;
    struct table *table = &peer->tables[type];
    char sql[SQL_MAX];
    snprintf(sql, sizeof sql,
             "CREATE TABLE `%s` (id VARCHAR(768) " TEXT " PRIMARY KEY, data LONGTEXT " TEXT
             " NOT NULL, updated_at DATETIME(3) NOT NULL) ENGINE = InnoDB",
             name);
    run(peer, sql);
    begin(peer); /* that has ended the transaction */
    snprintf(sql, sizeof sql,
             "INSERT INTO `%s` (id, data, updated_at) VALUES (?, ?, now(3)) ON DUPLICATE KEY UPDATE "
             "data = VALUES(data), updated_at = VALUES(updated_at)",
             name);
    table->put = prepare(peer, sql);
    snprintf(sql, sizeof sql, "DELETE FROM `%s` WHERE id = ?", name);
    table->del = prepare(peer, sql);
}

static void apply(void *of, size_t type, const struct change *change) {
    const struct peer *peer = of;
    const struct table *table = &peer->tables[type];
    MYSQL_BIND values[] = {text_of(change->key, change->key_len), text_of(change->value, change->value_len)};
    execute(change->value ? table->put : table->del, values);
}

static void commit(void *of, const char *place) {
    const struct peer *peer = of;
    MYSQL_BIND values[] = {text_of((char *)place, strlen(place))};
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
    for (size_t i = 0; i < TYPES_MAX && peer->tables[i].put; i++) {
        mysql_stmt_close(peer->tables[i].put);
        mysql_stmt_close(peer->tables[i].del);
    }
    mysql_stmt_close(peer->place);
    mysql_close(peer->mysql);
}

int main(int argc, char **argv) {
    struct changes changes;
    size_t rows = argc == 5 ? strtoul(argv[4], NULL, 10) : 0;
    struct peer peer = {0};
    if (rows == 0 || !changes_open(&changes, argv[1])) {
        fputs("usage: mysql_upserts FILE SOCKET DATABASE ROWS\n", stderr);
        return 2;
    }
    set_up(&peer, argv[2], argv[3]);
    batches_apply(&changes, rows, &(struct steps){make, begin, apply, commit}, &peer);
    changes_close(&changes);
    tear_down(&peer);
    return EXIT_SUCCESS;
}
