/* What is said to the table of a type, and the cells of its rows. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sink/postgres/cells.h"
#include "sink/postgres/table.h"

static const char *const casts[] = {
    [SCHEMA_SHAPE_TEXT] = "",
    [SCHEMA_SHAPE_INTEGER] = "::bigint",
    [SCHEMA_SHAPE_REAL] = "::float8",
    [SCHEMA_SHAPE_BOOLEAN] = "::boolean",
    [SCHEMA_SHAPE_DATETIME] = "::timestamptz",
    [SCHEMA_SHAPE_JSON] = "::jsonb",
};

size_t pg_table_width(const struct pg_table *table) {
    return table->columns ? table->columns->count + 1 : 2;
}

static struct slice key_name(const struct pg_table *table) {
    return table->columns ? table->columns->key : (struct slice)SLICE_INIT("id");
}

static struct slice column_name(const struct pg_table *table, size_t i) {
    return table->columns ? table->columns->list[i].name : (struct slice)SLICE_INIT("data");
}

static const char *column_cast(const struct pg_table *table, size_t i) {
    return table->columns ? casts[table->columns->list[i].kind] : "";
}

/* "id", "a", "b" with something before each. */
static bool append_names(const struct pg_table *table, const char *before, bool with_key, struct buf *sql) {
    bool ok = !with_key || (buf_append_text(sql, before) && pg_quote(sql, NULL, key_name(table)));
    for (size_t i = 0; ok && i + 1 < pg_table_width(table); i++) {
        ok = (!(with_key || i > 0) || buf_append_text(sql, ", ")) && buf_append_text(sql, before) &&
             pg_quote(sql, NULL, column_name(table, i));
    }
    return ok;
}

/* v.c1::bigint, v.c2 */
static bool append_values(const struct pg_table *table, struct buf *sql) {
    bool ok = true;
    for (size_t i = 0; ok && i + 1 < pg_table_width(table); i++) {
        ok = buf_printf(sql, "%sv.c%zu%s", i > 0 ? ", " : "", i + 1, column_cast(table, i));
    }
    return ok;
}

/* (SELECT unnest($1) AS c0, unnest($2) AS c1) AS v: side by side, and without a copy of all of them as a function in FROM
 * would make. */
static bool append_arrays(const struct pg_table *table, struct buf *sql) {
    bool ok = buf_append_text(sql, "(SELECT ");
    for (size_t i = 0; ok && i < pg_table_width(table); i++) {
        ok = buf_printf(sql, "%spg_catalog.unnest($%zu::%s[]) AS c%zu", i > 0 ? ", " : "", i + 1,
                        i == 1 && !table->columns ? "jsonb" : "text", i);
    }
    return ok && buf_append_text(sql, ") AS v");
}

bool pg_table_sql_put(const struct pg_table *table, struct buf *sql) {
    bool json = !table->columns;
    bool only_key = pg_table_width(table) == 1;
    bool ok = buf_printf(sql, "INSERT INTO %s AS t (", table->quoted) && append_names(table, "", true, sql) &&
              buf_printf(sql, "%s) SELECT v.c0%s", json ? ", updated_at" : "", only_key ? "" : ", ") &&
              append_values(table, sql) && buf_printf(sql, "%s FROM ", json ? ", now()" : "") &&
              append_arrays(table, sql) && buf_append_text(sql, " ON CONFLICT (") &&
              pg_quote(sql, NULL, key_name(table)) &&
              buf_append_text(sql, only_key ? ") DO NOTHING" : ") DO UPDATE SET ");
    for (size_t i = 0; ok && i + 1 < pg_table_width(table); i++) {
        ok = buf_append_text(sql, i > 0 ? ", " : "") && pg_quote(sql, NULL, column_name(table, i)) &&
             buf_append_text(sql, " = excluded.") && pg_quote(sql, NULL, column_name(table, i));
    }
    return ok && buf_append_text(sql, json ? ", updated_at = excluded.updated_at" : "") &&
           buf_append_byte(sql, '\0');
}

bool pg_table_sql_remove(const struct pg_table *table, struct buf *sql) {
    return buf_printf(sql, "DELETE FROM %s WHERE ", table->quoted) && pg_quote(sql, NULL, key_name(table)) &&
           buf_append_text(sql, " = ANY($1::text[])") && buf_append_byte(sql, '\0');
}

bool pg_table_sql_copy(const struct pg_table *table, struct buf *sql) {
    return buf_printf(sql, "COPY %s (", table->quoted) && append_names(table, "", true, sql) &&
           buf_append_text(sql, ") FROM STDIN") && buf_append_byte(sql, '\0');
}

static bool append_bound(const struct pg_table *table, const char *word, const char *compared,
                         const char *with, struct buf *sql) {
    return buf_printf(sql, " %s ", word) && pg_quote(sql, NULL, key_name(table)) &&
           buf_printf(sql, " COLLATE \"C\" %s %s", compared, with);
}

bool pg_table_sql_compare(const struct pg_table *table, const char *from, const char *to, struct buf *sql) {
    bool only_key = pg_table_width(table) == 1;
    bool ok = buf_append_text(sql,
                              "SELECT coalesce(t.k, v.c0), CASE WHEN v.c0 IS NULL THEN 'x' WHEN t.k IS NULL"
                              " THEN 'm' ELSE 'o' END FROM (SELECT ") &&
              pg_quote(sql, NULL, key_name(table)) && buf_printf(sql, " AS k%s", only_key ? "" : ", ROW(") &&
              append_names(table, "", false, sql) &&
              buf_printf(sql, "%s FROM %s", only_key ? "" : ") AS r", table->quoted) &&
              (!from || append_bound(table, "WHERE", ">", from, sql)) &&
              (!to || append_bound(table, from ? "AND" : "WHERE", "<=", to, sql)) &&
              buf_append_text(sql, ") t FULL JOIN ") && append_arrays(table, sql) &&
              buf_append_text(sql, " ON t.k = v.c0 COLLATE \"C\" WHERE t.k IS NULL OR v.c0 IS NULL");
    if (ok && !only_key) {
        ok = buf_append_text(sql, " OR t.r IS DISTINCT FROM ROW(") && append_values(table, sql) &&
             buf_append_byte(sql, ')');
    }
    return ok && buf_append_text(sql, " ORDER BY coalesce(t.k, v.c0) COLLATE \"C\"") &&
           buf_append_byte(sql, '\0');
}

bool pg_table_sql_extra(const struct pg_table *table, bool from, unsigned limit, struct buf *sql) {
    return buf_append_text(sql, "SELECT ") && pg_quote(sql, NULL, key_name(table)) &&
           buf_printf(sql, " FROM %s", table->quoted) &&
           (!from || append_bound(table, "WHERE", ">", "$1", sql)) && buf_append_text(sql, " ORDER BY ") &&
           pg_quote(sql, NULL, key_name(table)) && buf_printf(sql, " COLLATE \"C\" LIMIT %u", limit) &&
           buf_append_byte(sql, '\0');
}

/* ---- cells ---- */

void pg_cells_init(struct pg_cells *cells, size_t max) {
    *cells = (struct pg_cells){0};
    buf_init(&cells->scratch, max);
}

void pg_cells_free(struct pg_cells *cells) {
    free(cells->texts);
    free(cells->cells);
    free(cells->numbers);
    buf_free(&cells->scratch);
    *cells = (struct pg_cells){0};
}

static bool reserve(struct pg_cells *cells, size_t width, struct error *e) {
    if (cells->room >= width) {
        return true;
    }
    void *texts = realloc(cells->texts, width * sizeof *cells->texts);
    cells->texts = texts ? texts : cells->texts;
    void *list = realloc(cells->cells, width * sizeof *cells->cells);
    cells->cells = list ? list : cells->cells;
    void *numbers = realloc(cells->numbers, width * sizeof *cells->numbers);
    cells->numbers = numbers ? numbers : cells->numbers;
    if (!texts || !list || !numbers) {
        return error_set(e, ERROR_MEMORY, "out of memory for a row's columns");
    }
    cells->room = width;
    return true;
}

static struct slice cell_text(const struct column *column, const struct column_cell *cell, char number[32]) {
    if (cell->null) {
        return (struct slice){0};
    }
    switch (column->kind) {
    case SCHEMA_SHAPE_INTEGER:
        return slice_of(number, (size_t)snprintf(number, 32, "%" PRId64, cell->is.integer));
    case SCHEMA_SHAPE_REAL:
        return slice_of(number, (size_t)snprintf(number, 32, "%.17g", cell->is.real));
    case SCHEMA_SHAPE_BOOLEAN:
        return cell->is.boolean ? SLICE("t") : SLICE("f");
    default:
        return cell->text;
    }
}

bool pg_table_cells(const struct pg_table *table, struct slice key, struct slice value,
                    struct pg_cells *cells, struct error *e) {
    if (!reserve(cells, pg_table_width(table), e)) {
        return false;
    }
    cells->texts[0] = key;
    if (!table->columns) {
        cells->texts[1] = value;
        return true;
    }
    if (!columns_cells(table->columns, key, value, cells->cells, &cells->scratch, e)) {
        return false;
    }
    for (size_t i = 0; i < table->columns->count; i++) {
        const struct column *column = &table->columns->list[i];
        cells->texts[i + 1] = cell_text(column, &cells->cells[i], cells->numbers[i]);
    }
    return true;
}
