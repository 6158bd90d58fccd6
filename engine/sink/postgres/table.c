#include "sink/postgres/table.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SQL_MAX = 1 << 20 };

static const char *const type_names[] = {
    [SCHEMA_SHAPE_TEXT] = "text",
    [SCHEMA_SHAPE_INTEGER] = "bigint",
    [SCHEMA_SHAPE_REAL] = "double precision",
    [SCHEMA_SHAPE_BOOLEAN] = "boolean",
    [SCHEMA_SHAPE_DATETIME] = "timestamp with time zone",
    [SCHEMA_SHAPE_JSON] = "jsonb",
};

bool pg_quote(struct buf *out, const char *schema, struct slice name) {
    if (schema && (!table_quote(TABLE_POSTGRES, slice_from(schema), out) || !buf_append_byte(out, '.'))) {
        return false;
    }
    return table_quote(TABLE_POSTGRES, name, out);
}

static char *text_of(struct buf *b, bool ok) {
    char *copy = ok && buf_append_byte(b, '\0') ? strdup(b->ptr) : NULL;
    buf_free(b);
    return copy;
}

/* ---- life ---- */

struct pg_table *pg_table_new(struct slice type, const struct pg_table_options *options) {
    struct pg_table *table = calloc(1, sizeof *table);
    char *copy = malloc(type.len + 1);
    if (!table || !copy) {
        free(table);
        free(copy);
        columns_free(options->columns);
        return NULL;
    }
    memcpy(copy, type.len ? type.ptr : "", type.len);
    copy[type.len] = '\0';
    table->type = slice_of(copy, type.len);
    table->columns = options->columns;
    return table;
}

static void drop_changes(struct pg_table *table) {
    for (size_t i = 0; i < table->change_count; i++) {
        free(table->changes[i]);
    }
    free(table->changes);
    table->changes = NULL;
    table->change_count = 0;
}

void pg_table_forget(struct pg_table *table) {
    drop_changes(table);
    free(table->name);
    free(table->quoted);
    table->name = table->quoted = NULL;
    table->attempt = 0;
    table->registered = table->ready = table->create = table->gone = table->fresh = false;
}

void pg_table_settled(struct pg_table *table) {
    drop_changes(table);
    table->ready = table->registered = true;
    table->create = table->gone = table->fresh = false;
}

void pg_table_free(struct pg_table *table) {
    if (table) {
        pg_table_forget(table);
        columns_free(table->columns);
        free((char *)table->type.ptr);
        free(table);
    }
}

/* ---- names ---- */

bool pg_table_named(struct pg_table *table, const char *name, const struct pg_table_options *options,
                    struct error *e) {
    struct buf quoted;
    buf_init(&quoted, SQL_MAX);
    bool ok = pg_quote(&quoted, options->schema, slice_from(name));
    free(table->name);
    free(table->quoted);
    table->name = strdup(name);
    table->quoted = text_of(&quoted, ok);
    return (table->name && table->quoted) ||
           error_set(e, ERROR_MEMORY, "out of memory for the name of a table");
}

bool pg_table_next_name(struct pg_table *table, const struct pg_table_options *options, struct error *e) {
    struct buf name;
    bool found = false;
    buf_init(&name, TABLE_NAME_MAX * 2);
    if (table->name) {
        table->attempt++;
    }
    for (; table->attempt < TABLE_ATTEMPTS && !found; table->attempt += !found) {
        found = table_name(TABLE_POSTGRES, options->prefix, table->type, table->attempt, &name);
    }
    found = found && buf_append_byte(&name, '\0');
    bool ok = found
                  ? pg_table_named(table, name.ptr, options, e)
                  : error_set(e, ERROR_CONFLICT, "type %.*s: all the names that its table may have are taken",
                              (int)(table->type.len < 64 ? table->type.len : 64), table->type.ptr);
    buf_free(&name);
    return ok;
}

/* ---- shape ---- */

bool pg_table_question(struct buf *sql, const char *tables) {
    return buf_printf(
        sql,
        "SELECT c.relkind, a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod), a.attnotnull,"
        " a.atthasdef, i.indrelid IS NOT NULL, s.stream_url, s.type"
        " FROM (SELECT $1::text AS name) n"
        " LEFT JOIN pg_catalog.pg_class c ON c.relname = n.name AND c.relnamespace ="
        " (SELECT oid FROM pg_catalog.pg_namespace WHERE nspname = $2)"
        " LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT "
        "a.attisdropped"
        " LEFT JOIN pg_catalog.pg_index i ON i.indrelid = c.oid AND i.indisunique AND i.indnkeyatts = 1"
        " AND i.indpred IS NULL AND i.indimmediate AND i.indkey[0] = a.attnum"
        " LEFT JOIN %s s ON s.table_name = n.name",
        tables);
}

enum answer { IS_KIND, IS_COLUMN, IS_TYPE, IS_NOT_NULL, HAS_DEFAULT, IS_KEY, HAS_STREAM, HAS_TYPE };

static bool is_true(const PGresult *answer, int row, enum answer column) {
    return PQgetvalue(answer, row, (int)column)[0] == 't';
}

static bool add_change(struct pg_table *table, struct buf *sql, bool ok, struct error *e) {
    char *text = text_of(sql, ok);
    char **changes = text ? realloc(table->changes, (table->change_count + 1) * sizeof *changes) : NULL;
    if (!changes) {
        free(text);
        return error_set(e, ERROR_MEMORY, "out of memory for the table of a type");
    }
    table->changes = changes;
    table->changes[table->change_count++] = text;
    return true;
}

static int find_column(const PGresult *answer, struct slice name) {
    for (int row = 0; row < PQntuples(answer); row++) {
        if (slice_is(name, PQgetvalue(answer, row, IS_COLUMN))) {
            return row;
        }
    }
    return -1;
}

static bool refuse(const struct pg_table *table, struct error *e, const char *column, const char *expected,
                   const char *got) {
    return error_set(e, ERROR_CONFLICT,
                     "table %s, column %s: expected %s, got %s: rename that table, or set `prefix`",
                     table->quoted, column, expected, got);
}

/* A column that every table has. */
static bool check_column(const struct pg_table *table, const PGresult *answer, struct slice name,
                         const char *type, bool key, struct error *e) {
    int row = find_column(answer, name);
    if (row < 0) {
        return refuse(table, e, name.ptr, type, "no such column");
    }
    const char *found = PQgetvalue(answer, row, IS_TYPE);
    if (strcmp(found, type) != 0) {
        return refuse(table, e, name.ptr, type, found);
    }
    return !key || is_true(answer, row, IS_KEY) ||
           refuse(table, e, name.ptr, "a primary key", "a column without one");
}

static bool add_index(struct pg_table *table, const struct column *column, struct error *e) {
    struct buf name, what, sql;
    buf_init(&name, TABLE_NAME_MAX * 2);
    buf_init(&what, SQL_MAX);
    buf_init(&sql, SQL_MAX);
    bool ok = buf_printf(&what, "%s.", table->name) && buf_append_slice(&what, column->property) &&
              table_own_name(buf_slice(&what), 0, &name) &&
              buf_append_text(&sql, "CREATE INDEX IF NOT EXISTS ") &&
              pg_quote(&sql, NULL, buf_slice(&name)) && buf_printf(&sql, " ON %s (", table->quoted) &&
              pg_quote(&sql, NULL, column->name) && buf_append_byte(&sql, ')');
    buf_free(&name);
    buf_free(&what);
    return add_change(table, &sql, ok, e);
}

static bool alter(struct pg_table *table, struct slice column, const char *verb, const char *rest,
                  struct error *e) {
    struct buf sql;
    buf_init(&sql, SQL_MAX);
    bool ok = buf_printf(&sql, "ALTER TABLE %s %s COLUMN ", table->quoted, verb) &&
              pg_quote(&sql, NULL, column) && buf_append_text(&sql, rest);
    return add_change(table, &sql, ok, e);
}

static bool adapt_column(struct pg_table *table, const PGresult *answer, const struct column *column,
                         struct error *e) {
    const char *type = type_names[column->kind];
    int row = find_column(answer, column->name);
    if (row < 0) {
        char rest[64];
        (void)snprintf(rest, sizeof rest, " %s%s", type, column->nullable ? "" : " NOT NULL");
        return alter(table, column->name, "ADD", rest, e);
    }
    const char *found = PQgetvalue(answer, row, IS_TYPE);
    if (strcmp(found, type) != 0) {
        return error_set(
            e, ERROR_CONFLICT,
            "table %s, column %s: the schema needs %s, the table has %s: change the column by hand, or "
            "the schema back",
            table->quoted, column->name.ptr, type, found);
    }
    return !column->nullable || !is_true(answer, row, IS_NOT_NULL) ||
           alter(table, column->name, "ALTER", " DROP NOT NULL", e);
}

static const struct column *column_named(const struct columns *columns, const char *name) {
    for (size_t i = 0; i < columns->count; i++) {
        if (slice_is(columns->list[i].name, name)) {
            return &columns->list[i];
        }
    }
    return NULL;
}

/* Columns of properties that the schema has no longer get no values. */
static bool adapt_columns(struct pg_table *table, const PGresult *answer, struct error *e) {
    for (size_t i = 0; i < table->columns->count; i++) {
        const struct column *column = &table->columns->list[i];
        if (!adapt_column(table, answer, column, e) || (column->index && !add_index(table, column, e))) {
            return false;
        }
    }
    for (int row = 0; row < PQntuples(answer); row++) {
        const char *name = PQgetvalue(answer, row, IS_COLUMN);
        if (is_true(answer, row, IS_NOT_NULL) && !is_true(answer, row, HAS_DEFAULT) &&
            !slice_is(table->columns->key, name) && !column_named(table->columns, name) &&
            !alter(table, slice_from(name), "ALTER", " DROP NOT NULL", e)) {
            return false;
        }
    }
    return true;
}

static bool adapt(struct pg_table *table, const PGresult *answer, struct error *e) {
    drop_changes(table);
    if (table->columns) {
        return check_column(table, answer, table->columns->key, "text", true, e) &&
               adapt_columns(table, answer, e);
    }
    return check_column(table, answer, (struct slice)SLICE_INIT("id"), "text", true, e) &&
           check_column(table, answer, (struct slice)SLICE_INIT("data"), "jsonb", false, e) &&
           check_column(table, answer, (struct slice)SLICE_INIT("updated_at"), "timestamp with time zone",
                        false, e);
}

/* ---- making it ---- */

/* The key's column. By itself PostgreSQL would call its index "users_pkey", which may be another type's table. */
static bool append_key(const struct pg_table *table, struct buf *sql) {
    struct buf name, what;
    buf_init(&name, TABLE_NAME_MAX * 2);
    buf_init(&what, SQL_MAX);
    struct slice key = table->columns ? table->columns->key : (struct slice)SLICE_INIT("id");
    bool ok = buf_printf(&what, "%s.", table->name) && buf_append_slice(&what, key) &&
              table_own_name(buf_slice(&what), 1, &name) && pg_quote(sql, NULL, key) &&
              buf_append_text(sql, " text COLLATE \"C\" CONSTRAINT ") &&
              pg_quote(sql, NULL, buf_slice(&name)) && buf_append_text(sql, " PRIMARY KEY");
    buf_free(&name);
    buf_free(&what);
    return ok;
}

static bool append_create(const struct pg_table *table, struct buf *sql) {
    bool ok = buf_printf(sql, "CREATE TABLE %s (", table->quoted) && append_key(table, sql);
    if (!table->columns) {
        return ok &&
               buf_append_text(sql, ", data jsonb NOT NULL, updated_at timestamptz NOT NULL DEFAULT now())");
    }
    for (size_t i = 0; ok && i < table->columns->count; i++) {
        const struct column *column = &table->columns->list[i];
        ok = buf_append_text(sql, ", ") && pg_quote(sql, NULL, column->name) &&
             buf_printf(sql, " %s%s", type_names[column->kind], column->nullable ? "" : " NOT NULL");
    }
    return ok && buf_append_byte(sql, ')');
}

static bool make(struct pg_table *table, struct error *e) {
    struct buf sql;
    buf_init(&sql, SQL_MAX);
    drop_changes(table);
    table->create = true;
    if (!add_change(table, &sql, append_create(table, &sql), e)) {
        return false;
    }
    for (size_t i = 0; table->columns && i < table->columns->count; i++) {
        if (table->columns->list[i].index && !add_index(table, &table->columns->list[i], e)) {
            return false;
        }
    }
    return true;
}

bool pg_table_examine(struct pg_table *table, const PGresult *answer, const struct pg_table_options *options,
                      bool *taken, struct error *e) {
    *taken = false;
    bool owned = !PQgetisnull(answer, 0, HAS_STREAM);
    const char *stream = PQgetvalue(answer, 0, HAS_STREAM);
    if (owned && strcmp(stream, options->stream) != 0) {
        return error_set(
            e, ERROR_CONFLICT,
            "table %s belongs to stream %s (_sync_tables says so): give one of the two sinks a `prefix`",
            table->quoted, stream);
    }
    if (owned && !slice_is(table->type, PQgetvalue(answer, 0, HAS_TYPE))) {
        *taken = true;
        return true;
    }
    if (PQgetisnull(answer, 0, IS_KIND)) {
        table->gone = table->registered;
        return make(table, e);
    }
    char kind = PQgetvalue(answer, 0, IS_KIND)[0];
    if (kind != 'r' && kind != 'p') {
        *taken = !table->registered;
        return *taken || error_set(e, ERROR_CONFLICT, "%s is no table", table->quoted);
    }
    table->ready = adapt(table, answer, e);
    return table->ready;
}
