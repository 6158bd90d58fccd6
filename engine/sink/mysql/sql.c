#include "sink/mysql/sql.h"

#include <inttypes.h>
#include <string.h>

bool my_sql_text(struct buf *sql, struct slice text) {
    const char *at = text.ptr;
    const char *end = text.ptr + text.len;
    bool ok = buf_append_byte(sql, '\'');
    while (ok && at < end) {
        const char *quote = memchr(at, '\'', (size_t)(end - at));
        const char *stop = quote ? quote + 1 : end;
        ok = buf_append(sql, at, (size_t)(stop - at)) && (!quote || buf_append_byte(sql, '\''));
        at = stop;
    }
    return ok && buf_append_byte(sql, '\'');
}

bool my_sql_name(struct buf *sql, struct slice name) {
    return table_quote(TABLE_MYSQL, name, sql);
}

bool my_sql_text_or_null(struct buf *sql, const char *text) {
    return text ? my_sql_text(sql, slice_from(text)) : buf_append_text(sql, "NULL");
}

const char *my_sql_collation(bool mariadb) {
    return mariadb ? "utf8mb4_nopad_bin" : "utf8mb4_0900_bin";
}

/* What text columns are, behind their type. */
static bool append_text_type(struct buf *sql, const char *type, bool mariadb) {
    return buf_printf(sql, "%s CHARACTER SET utf8mb4 COLLATE %s", type, my_sql_collation(mariadb));
}

static bool append_key_type(struct buf *sql, bool mariadb) {
    return buf_printf(sql, "VARCHAR(%d) CHARACTER SET utf8mb4 COLLATE %s NOT NULL", MY_KEY_MAX,
                      my_sql_collation(mariadb));
}

bool my_sql_create_state(struct buf *sql, bool mariadb) {
    return buf_append_text(sql, "CREATE TABLE IF NOT EXISTS _sync_state (stream_url ") &&
           append_key_type(sql, mariadb) && buf_append_text(sql, " PRIMARY KEY, `offset` ") &&
           append_text_type(sql, "TEXT", mariadb) &&
           buf_append_text(
               sql, ", synced_at DATETIME(3), skip BIGINT UNSIGNED NOT NULL DEFAULT 0, sequence BIGINT "
                    "UNSIGNED NOT NULL DEFAULT 0, epoch BIGINT UNSIGNED NOT NULL DEFAULT 0, notes ") &&
           append_text_type(sql, "LONGTEXT", mariadb) && buf_append_text(sql, ") ENGINE = InnoDB");
}

bool my_sql_create_tables(struct buf *sql, bool mariadb) {
    return buf_append_text(
               sql, "CREATE TABLE IF NOT EXISTS _sync_tables (table_name VARCHAR(64) CHARACTER SET utf8mb4 "
                    "COLLATE ") &&
           buf_append_text(sql, my_sql_collation(mariadb)) &&
           buf_append_text(sql, " NOT NULL PRIMARY KEY, stream_url ") &&
           append_text_type(sql, "TEXT", mariadb) && buf_append_text(sql, " NOT NULL, type ") &&
           append_text_type(sql, "LONGTEXT", mariadb) &&
           buf_append_text(sql, " NOT NULL, made BOOLEAN NOT NULL) ENGINE = InnoDB");
}

static struct slice key_of(const struct columns *columns) {
    return columns ? columns->key : SLICE(COLUMNS_KEY);
}

const char *my_sql_comment(enum schema_shape kind) {
    static const char *const comments[] = {
        [SCHEMA_SHAPE_TEXT] = "weir text",         [SCHEMA_SHAPE_INTEGER] = "weir integer",
        [SCHEMA_SHAPE_REAL] = "weir real",         [SCHEMA_SHAPE_BOOLEAN] = "weir boolean",
        [SCHEMA_SHAPE_DATETIME] = "weir datetime", [SCHEMA_SHAPE_JSON] = "weir json",
    };
    return comments[kind];
}

static bool describe_column(struct buf *sql, const struct column *column, bool mariadb) {
    bool ok = my_sql_name(sql, column->name) && buf_append_byte(sql, ' ');
    switch (column->kind) {
    case SCHEMA_SHAPE_INTEGER:
        ok = ok && buf_append_text(sql, "BIGINT");
        break;
    case SCHEMA_SHAPE_REAL:
        ok = ok && buf_append_text(sql, "DOUBLE");
        break;
    case SCHEMA_SHAPE_BOOLEAN:
        ok = ok && buf_append_text(sql, "BOOLEAN");
        break;
    case SCHEMA_SHAPE_DATETIME:
        ok = ok && append_text_type(sql, "VARCHAR(100)", mariadb);
        break;
    default:
        ok = ok && append_text_type(sql, "LONGTEXT", mariadb);
    }
    return ok && buf_printf(sql, "%s COMMENT '%s'", column->nullable ? " NULL" : " NOT NULL",
                            my_sql_comment(column->kind));
}

/* Long texts are found by what they begin with. */
static bool describe_index(struct buf *sql, const struct column *column) {
    bool text = column->kind == SCHEMA_SHAPE_TEXT || column->kind == SCHEMA_SHAPE_JSON;
    return buf_append_text(sql, "INDEX (") && my_sql_name(sql, column->name) &&
           buf_append_text(sql, text ? "(191))" : ")");
}

bool my_sql_create(struct buf *sql, const char *table, const struct columns *columns, bool mariadb) {
    bool ok = buf_append_text(sql, "CREATE TABLE IF NOT EXISTS ") && my_sql_name(sql, slice_from(table)) &&
              buf_append_text(sql, " (") && my_sql_name(sql, key_of(columns)) && buf_append_byte(sql, ' ') &&
              append_key_type(sql, mariadb) && buf_append_text(sql, " PRIMARY KEY");
    if (!columns) {
        ok = ok && buf_append_text(sql, ", data ") && append_text_type(sql, "LONGTEXT", mariadb) &&
             buf_append_text(sql, " NOT NULL, updated_at DATETIME(3) NOT NULL");
    }
    for (size_t i = 0; columns && i < columns->count; i++) {
        ok = ok && buf_append_text(sql, ", ") && describe_column(sql, &columns->list[i], mariadb);
    }
    for (size_t i = 0; columns && i < columns->count; i++) {
        if (columns->list[i].index) {
            ok = ok && buf_append_text(sql, ", ") && describe_index(sql, &columns->list[i]);
        }
    }
    return ok && buf_append_text(sql, ") ENGINE = InnoDB");
}

bool my_sql_add(struct buf *sql, const char *table, const struct columns *columns, const bool *missing,
                bool mariadb) {
    bool ok = buf_append_text(sql, "ALTER TABLE ") && my_sql_name(sql, slice_from(table));
    const char *between = " ADD COLUMN ";
    for (size_t i = 0; i < columns->count; i++) {
        if (missing[i]) {
            ok = ok && buf_append_text(sql, between) && describe_column(sql, &columns->list[i], mariadb);
            between = ", ADD COLUMN ";
            if (columns->list[i].index) {
                ok = ok && buf_append_text(sql, ", ADD ") && describe_index(sql, &columns->list[i]);
            }
        }
    }
    return ok;
}

static bool list_columns(struct buf *sql, const struct columns *columns) {
    bool ok = my_sql_name(sql, key_of(columns));
    if (!columns) {
        return ok && buf_append_text(sql, ", data, updated_at");
    }
    for (size_t i = 0; i < columns->count && ok; i++) {
        ok = buf_append_text(sql, ", ") && my_sql_name(sql, columns->list[i].name);
    }
    return ok;
}

bool my_sql_put_begin(struct buf *sql, const char *table, const struct columns *columns) {
    return buf_append_text(sql, "INSERT INTO ") && my_sql_name(sql, slice_from(table)) &&
           buf_append_text(sql, " (") && list_columns(sql, columns) && buf_append_text(sql, ") VALUES ");
}

static bool append_cell(struct buf *sql, const struct column *column, const struct column_cell *cell) {
    if (cell->null) {
        return buf_append_text(sql, "NULL");
    }
    switch (column->kind) {
    case SCHEMA_SHAPE_INTEGER:
        return buf_printf(sql, "%" PRId64, cell->is.integer);
    case SCHEMA_SHAPE_REAL:
        return buf_printf(sql, "%.17e", cell->is.real);
    case SCHEMA_SHAPE_BOOLEAN:
        return buf_append_byte(sql, cell->is.boolean ? '1' : '0');
    default:
        return my_sql_text(sql, cell->text);
    }
}

bool my_sql_put_row(struct buf *sql, const struct columns *columns, struct slice key, struct slice value,
                    const struct column_cell *cells, const char *stamp) {
    bool ok = buf_append_byte(sql, '(') && my_sql_text(sql, key) && buf_append_text(sql, ", ");
    if (!columns) {
        return ok && my_sql_text(sql, value) && buf_printf(sql, ", %s)", stamp);
    }
    sql->len -= 2;
    for (size_t i = 0; i < columns->count && ok; i++) {
        ok = buf_append_text(sql, ", ") && append_cell(sql, &columns->list[i], &cells[i]);
    }
    return ok && buf_append_byte(sql, ')');
}

/* VALUES() is what both servers know. */
bool my_sql_put_end(struct buf *sql, const struct columns *columns) {
    bool ok = buf_append_text(sql, " ON DUPLICATE KEY UPDATE ");
    if (!columns) {
        return ok && buf_append_text(sql, "data = VALUES(data), updated_at = VALUES(updated_at)");
    }
    if (columns->count == 0) {
        return ok && my_sql_name(sql, columns->key) && buf_append_text(sql, " = ") &&
               my_sql_name(sql, columns->key);
    }
    for (size_t i = 0; i < columns->count && ok; i++) {
        struct slice name = columns->list[i].name;
        ok = buf_append_text(sql, i > 0 ? ", " : "") && my_sql_name(sql, name) &&
             buf_append_text(sql, " = VALUES(") && my_sql_name(sql, name) && buf_append_byte(sql, ')');
    }
    return ok;
}

bool my_sql_delete_begin(struct buf *sql, const char *table, const struct columns *columns) {
    return buf_append_text(sql, "DELETE FROM ") && my_sql_name(sql, slice_from(table)) &&
           buf_append_text(sql, " WHERE ") && my_sql_name(sql, key_of(columns)) &&
           buf_append_text(sql, " IN (");
}

bool my_sql_select(struct buf *sql, const char *table, const struct columns *columns, struct slice after,
                   unsigned rows) {
    bool ok = buf_append_text(sql, "SELECT ") && list_columns(sql, columns) &&
              buf_append_text(sql, " FROM ") && my_sql_name(sql, slice_from(table));
    if (after.ptr) {
        ok = ok && buf_append_text(sql, " WHERE ") && my_sql_name(sql, key_of(columns)) &&
             buf_append_text(sql, " > ") && my_sql_text(sql, after);
    }
    return ok && buf_append_text(sql, " ORDER BY ") && my_sql_name(sql, key_of(columns)) &&
           buf_printf(sql, " LIMIT %u", rows);
}
