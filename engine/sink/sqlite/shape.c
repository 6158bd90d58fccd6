#include "sink/sqlite/shape.h"

#include <stdlib.h>

/* Every name has TEXT in it where values are to stay as they are. */
static const char *type_of(enum schema_shape kind) {
    static const char *const types[] = {
        [SCHEMA_SHAPE_TEXT] = "TEXT",     [SCHEMA_SHAPE_INTEGER] = "INTEGER",
        [SCHEMA_SHAPE_REAL] = "REAL",     [SCHEMA_SHAPE_BOOLEAN] = "BOOLEAN",
        [SCHEMA_SHAPE_DATETIME] = "TEXT", [SCHEMA_SHAPE_JSON] = "JSON TEXT",
    };
    return types[kind];
}

static bool quote(struct buf *sql, struct slice name) {
    return table_quote(TABLE_SQLITE, name, sql);
}

static struct slice key_of(const struct columns *columns) {
    return columns ? columns->key : SLICE(COLUMNS_KEY);
}

static enum db_outcome out_of_memory(const struct sqlite_db *db, const char *table, struct error *e) {
    error_set(e, ERROR_MEMORY, "%s: table \"%s\": out of memory for its SQL", db->name, table);
    return DB_FAILED;
}

/* Runs what is in sql, which is freed. */
static enum db_outcome run(const struct sqlite_db *db, const char *table, struct buf *sql, bool whole,
                           struct error *e) {
    enum db_outcome outcome = DB_DONE;
    if (!whole || !buf_append_byte(sql, '\0')) {
        outcome = out_of_memory(db, table, e);
    } else {
        int rc = sqlite3_exec(db->handle, sql->ptr, NULL, NULL, NULL);
        outcome = rc == SQLITE_OK ? DB_DONE : sqlite_db_failed(db, rc, e, "table \"%s\"", table);
    }
    buf_free(sql);
    return outcome == DB_REFUSED ? DB_FAILED : outcome;
}

static bool describe_column(struct buf *sql, const struct column *column) {
    return quote(sql, column->name) &&
           buf_printf(sql, " %s%s", type_of(column->kind), column->nullable ? "" : " NOT NULL");
}

static enum db_outcome add_index(const struct sqlite_db *db, const char *table, const struct column *column,
                                 struct error *e) {
    struct buf sql;
    struct buf what;
    struct buf name;
    buf_init(&sql, SHAPE_SQL_MAX);
    buf_init(&what, SHAPE_SQL_MAX);
    buf_init(&name, TABLE_NAME_MAX);
    bool whole = buf_printf(&what, "%s.", table) && buf_append_slice(&what, column->name) &&
                 table_own_name(buf_slice(&what), 0, &name) &&
                 buf_append_text(&sql, "CREATE INDEX IF NOT EXISTS ") && quote(&sql, buf_slice(&name)) &&
                 buf_append_text(&sql, " ON ") && quote(&sql, slice_from(table)) &&
                 buf_append_text(&sql, " (") && quote(&sql, column->name) && buf_append_text(&sql, ")");
    buf_free(&what);
    buf_free(&name);
    return run(db, table, &sql, whole, e);
}

static enum db_outcome add_indexes(const struct sqlite_db *db, const char *table,
                                   const struct columns *columns, struct error *e) {
    enum db_outcome outcome = DB_DONE;
    for (size_t i = 0; columns && i < columns->count && outcome == DB_DONE; i++) {
        if (columns->list[i].index) {
            outcome = add_index(db, table, &columns->list[i], e);
        }
    }
    return outcome;
}

enum db_outcome sqlite_shape_create(const struct sqlite_db *db, const char *table,
                                    const struct columns *columns, struct error *e) {
    struct buf sql;
    buf_init(&sql, SHAPE_SQL_MAX);
    bool whole = buf_append_text(&sql, "CREATE TABLE ") && quote(&sql, slice_from(table)) &&
                 buf_append_text(&sql, " (") && quote(&sql, key_of(columns)) &&
                 buf_append_text(&sql, " TEXT NOT NULL PRIMARY KEY");
    if (!columns) {
        whole = whole && buf_append_text(&sql, ", data TEXT NOT NULL, updated_at TEXT NOT NULL");
    }
    for (size_t i = 0; columns && i < columns->count; i++) {
        whole = whole && buf_append_text(&sql, ", ") && describe_column(&sql, &columns->list[i]);
    }
    enum db_outcome outcome = run(db, table, &sql, whole && buf_append_text(&sql, ")"), e);
    return outcome == DB_DONE ? add_indexes(db, table, columns, e) : outcome;
}

/* Comparing */

/* What is wanted of a column, and what is there. */
struct want {
    struct slice name;
    const char *type;
    bool nullable, key, found;
};

static void want_columns(struct want *wants, const struct columns *columns, size_t count) {
    wants[0] = (struct want){.name = key_of(columns), .type = "TEXT", .key = true};
    if (!columns) {
        wants[1] = (struct want){.name = SLICE("data"), .type = "TEXT"};
        wants[2] = (struct want){.name = SLICE("updated_at"), .type = "TEXT"};
    }
    for (size_t i = 1; columns && i < count; i++) {
        const struct column *column = &columns->list[i - 1];
        wants[i] = (struct want){
            .name = column->name, .type = type_of(column->kind), .nullable = column->nullable};
    }
}

static enum db_outcome misfit(const struct sqlite_db *db, const char *table, struct slice column,
                              const char *what, const char *more, struct error *e) {
    error_set(
        e, ERROR_CONFLICT,
        "%s: table \"%s\" does not fit: column \"%.*s\" %s%s; move the table away (and delete its row of "
        "_sync_tables), use another file, or change the schema",
        db->name, table, (int)column.len, column.ptr, what, more);
    return DB_FAILED;
}

/* One row of table_info: name, type, notnull, dflt_value, pk. */
static enum db_outcome compare_column(const struct sqlite_db *db, const char *table, struct want *wants,
                                      size_t count, sqlite3_stmt *info, struct error *e) {
    struct slice name = sqlite_db_text(info, 0);
    const char *type = (const char *)sqlite3_column_text(info, 1);
    bool not_null = sqlite3_column_int(info, 2);
    bool filled = sqlite3_column_type(info, 3) != SQLITE_NULL;
    bool key = sqlite3_column_int(info, 4) > 0;
    for (size_t i = 0; i < count; i++) {
        struct want *want = &wants[i];
        if (want->found || !table_same(TABLE_SQLITE, want->name, name)) {
            continue;
        }
        want->found = true;
        if (!slice_equal(want->name, name)) { /* it has the values of that other property */
            return misfit(db, table, name, "differs from a property of the schema in nothing but case", "",
                          e);
        }
        if (sqlite3_stricmp(type ? type : "", want->type) != 0) {
            return misfit(db, table, name, "has another type, expected ", want->type, e);
        }
        if (key != want->key) {
            return misfit(db, table, name, want->key ? "is not the primary key" : "is of the primary key", "",
                          e);
        }
        return not_null && want->nullable
                   ? misfit(db, table, name, "is NOT NULL, but may be missing now", "", e)
                   : DB_DONE;
    }
    return (not_null && !filled) || key
               ? misfit(db, table, name, "is NOT NULL without a default, but nothing fills it", "", e)
               : DB_DONE;
}

static enum db_outcome compare(const struct sqlite_db *db, const char *table, struct want *wants,
                               size_t count, struct error *e) {
    static const char sql[] = "SELECT name, type, \"notnull\", dflt_value, pk FROM pragma_table_info(?1)";
    enum db_outcome outcome;
    bool there = false;
    sqlite3_stmt *info = sqlite_db_prepare(db, slice_from(sql), "the columns of a table", &outcome, e);
    if (!info) {
        return outcome;
    }
    sqlite_db_bind(info, 1, slice_from(table));
    int rc;
    while (outcome == DB_DONE && (rc = sqlite3_step(info)) != SQLITE_DONE) {
        there = true;
        outcome = rc == SQLITE_ROW ? compare_column(db, table, wants, count, info, e)
                                   : sqlite_db_failed(db, rc, e, "table \"%s\"", table);
    }
    sqlite3_finalize(info);
    if (outcome == DB_DONE && !there) {
        error_set(
            e, ERROR_CONFLICT,
            "%s: table \"%s\" is gone: somebody dropped it; delete the stream's rows of _sync_state and "
            "_sync_tables to have all filled anew, or let weir verify repair it",
            db->name, table);
        return DB_FAILED;
    }
    return outcome;
}

static enum db_outcome add_column(const struct sqlite_db *db, const char *table, const struct column *column,
                                  struct error *e) {
    struct buf sql;
    if (!column->nullable) {
        return misfit(
            db, table, column->name,
            "is missing, and cannot be added to rows that have no value for it: let the property be ",
            "optional", e);
    }
    buf_init(&sql, SHAPE_SQL_MAX);
    bool whole = buf_append_text(&sql, "ALTER TABLE ") && quote(&sql, slice_from(table)) &&
                 buf_append_text(&sql, " ADD COLUMN ") && describe_column(&sql, column);
    return run(db, table, &sql, whole, e);
}

static enum db_outcome add_missing(const struct sqlite_db *db, const char *table,
                                   const struct columns *columns, const struct want *wants, size_t count,
                                   struct error *e) {
    for (size_t i = 0; i < count; i++) {
        if (wants[i].found) {
            continue;
        }
        if (i == 0 || !columns) {
            return misfit(db, table, wants[i].name, "is missing", "", e);
        }
        enum db_outcome outcome = add_column(db, table, &columns->list[i - 1], e);
        if (outcome != DB_DONE) {
            return outcome;
        }
    }
    return add_indexes(db, table, columns, e);
}

enum db_outcome sqlite_shape_check(const struct sqlite_db *db, const char *table,
                                   const struct columns *columns, struct error *e) {
    size_t count = columns ? columns->count + 1 : 3;
    struct want *wants = calloc(count, sizeof *wants);
    if (!wants) {
        return out_of_memory(db, table, e);
    }
    want_columns(wants, columns, count);
    enum db_outcome outcome = compare(db, table, wants, count, e);
    if (outcome == DB_DONE && !db->read_only) {
        outcome = add_missing(db, table, columns, wants, count, e);
    }
    free(wants);
    return outcome;
}

/* Statements */

static bool list_columns(struct buf *sql, const struct columns *columns) {
    if (!columns) {
        return buf_append_text(sql, ", data, updated_at");
    }
    bool ok = true;
    for (size_t i = 0; i < columns->count && ok; i++) {
        ok = buf_append_text(sql, ", ") && quote(sql, columns->list[i].name);
    }
    return ok;
}

static bool list_updates(struct buf *sql, const struct columns *columns) {
    bool ok = true;
    for (size_t i = 0; i < columns->count && ok; i++) {
        struct slice name = columns->list[i].name;
        ok = buf_append_text(sql, i > 0 ? ", " : "") && quote(sql, name) &&
             buf_append_text(sql, " = excluded.") && quote(sql, name);
    }
    return ok;
}

bool sqlite_shape_put(const char *table, const struct columns *columns, struct buf *sql) {
    size_t count = columns ? columns->count : 2;
    buf_clear(sql);
    bool ok = buf_append_text(sql, "INSERT INTO ") && quote(sql, slice_from(table)) &&
              buf_append_text(sql, " (") && quote(sql, key_of(columns)) && list_columns(sql, columns) &&
              buf_append_text(sql, ") VALUES (?1");
    for (size_t i = 0; i < count && ok; i++) {
        ok = buf_printf(sql, ", ?%zu", i + 2);
    }
    ok = ok && buf_append_text(sql, ") ON CONFLICT (") && quote(sql, key_of(columns));
    if (!columns) {
        return ok &&
               buf_append_text(sql, ") DO UPDATE SET data = excluded.data, updated_at = excluded.updated_at");
    }
    return count == 0 ? ok && buf_append_text(sql, ") DO NOTHING")
                      : ok && buf_append_text(sql, ") DO UPDATE SET ") && list_updates(sql, columns);
}

bool sqlite_shape_delete(const char *table, const struct columns *columns, struct buf *sql) {
    buf_clear(sql);
    return buf_append_text(sql, "DELETE FROM ") && quote(sql, slice_from(table)) &&
           buf_append_text(sql, " WHERE ") && quote(sql, key_of(columns)) && buf_append_text(sql, " = ?1");
}

bool sqlite_shape_select(const char *table, const struct columns *columns, struct buf *sql) {
    buf_clear(sql);
    return buf_append_text(sql, "SELECT ") && quote(sql, key_of(columns)) && list_columns(sql, columns) &&
           buf_append_text(sql, " FROM ") && quote(sql, slice_from(table)) &&
           buf_append_text(sql, " ORDER BY ") && quote(sql, key_of(columns));
}
