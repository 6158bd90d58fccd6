/* SQL for MySQL and MariaDB, as text. Pure.
 *
 * The session has sql_mode NO_BACKSLASH_ESCAPES and the character set utf8mb4, so that in a text nothing but the single
 * quote means anything: it is doubled. What is written has been checked to be UTF-8 without NUL.
 *
 * Each function appends; false: out of memory, or the cap. */
#ifndef SINK_MYSQL_SQL_H
#define SINK_MYSQL_SQL_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/slice.h"
#include "sink/batch.h"
#include "sink/columns.h"

enum { MY_KEY_MAX = 768, MY_URL_MAX = 768 }; /* characters of a key, of a stream's URL */

bool my_sql_text(struct buf *sql, struct slice text); /* 'text' */
bool my_sql_name(struct buf *sql, struct slice name); /* `name` */
bool my_sql_text_or_null(struct buf *sql, const char *text);

/* The collation in which texts are equal where their bytes are: that of MariaDB, or of MySQL 8. */
const char *my_sql_collation(bool mariadb);

bool my_sql_create_state(struct buf *sql, bool mariadb);
bool my_sql_create_tables(struct buf *sql, bool mariadb);

/* columns NULL: id, data, updated_at. */
bool my_sql_create(struct buf *sql, const char *table, const struct columns *columns, bool mariadb);

/* ALTER TABLE with the columns whose `missing` is set, of columns->count. */
bool my_sql_add(struct buf *sql, const char *table, const struct columns *columns, const bool *missing,
                bool mariadb);

/* What a column's COMMENT says, by which it is known again: "weir integer". */
const char *my_sql_comment(enum schema_shape kind);

/* INSERT INTO table (...) VALUES, then rows with a comma between, then what follows them. stamp: '...' of now. */
bool my_sql_put_begin(struct buf *sql, const char *table, const struct columns *columns);
bool my_sql_put_row(struct buf *sql, const struct columns *columns, struct slice key, struct slice value,
                    const struct column_cell *cells, const char *stamp);
bool my_sql_put_end(struct buf *sql, const struct columns *columns);

/* DELETE FROM table WHERE id IN (, then my_sql_text with a comma between, then ")". */
bool my_sql_delete_begin(struct buf *sql, const char *table, const struct columns *columns);

/* A page of rows in the order of their keys, behind `after` (ptr NULL: from the first). */
bool my_sql_select(struct buf *sql, const char *table, const struct columns *columns, struct slice after,
                   unsigned rows);

#endif
