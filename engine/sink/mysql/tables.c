#include <stdlib.h>
#include <string.h>

#include "sink/mysql/inside.h"

static void drop_table(void *value) {
    struct my_table *table = value;
    if (table) {
        free(table->name);
        free(table);
    }
}

void my_tables_clear(struct my_tables *tables) {
    strmap_free(&tables->types, drop_table);
    strmap_init(&tables->types);
    free(tables->list);
    while (tables->taken) {
        struct my_taken *taken = tables->taken;
        tables->taken = taken->next;
        free(taken->stream);
        free(taken);
    }
    tables->list = NULL;
    tables->count = 0;
    tables->now = NULL;
}

struct my_table *my_tables_find(const struct my_tables *tables, struct slice type) {
    return strmap_get(&tables->types, type);
}

static struct slice own_key(const struct my_tables *tables, struct slice type) {
    size_t at = 0;
    for (const struct strmap_entry *entry; (entry = strmap_next(&tables->types, &at));) {
        if (slice_equal(entry->key, type)) {
            return entry->key;
        }
    }
    return type;
}

/* A table of the stream's; NULL: out of memory. */
static struct my_table *add_table(struct my_tables *tables, struct slice type, struct slice name, bool made) {
    struct my_table *table = calloc(1, sizeof *table);
    struct slice *list = realloc(tables->list, (tables->count + 1) * sizeof *list);
    tables->list = list ? list : tables->list;
    if (!table || !list || !(table->name = slice_copy(name)) || !strmap_put(&tables->types, type, table)) {
        drop_table(table);
        return NULL;
    }
    table->made = made;
    list[tables->count++] = own_key(tables, type);
    return table;
}

static bool add_taken(struct my_tables *tables, struct slice stream, struct slice name) {
    struct my_taken *taken = malloc(sizeof *taken + name.len + 1);
    if (!taken || !(taken->stream = slice_copy(stream))) {
        free(taken);
        return false;
    }
    memcpy(taken->name, name.ptr, name.len);
    taken->name[name.len] = '\0';
    taken->next = tables->taken;
    tables->taken = taken;
    return true;
}

bool my_tables_take(struct my_sink *sink, MYSQL_RES *result) {
    bool ok = true;
    for (MYSQL_ROW row; ok && result && (row = mysql_fetch_row(result));) {
        struct slice name = my_cell(result, row, 0);
        struct slice stream = my_cell(result, row, 1);
        bool made = row[3] && row[3][0] == '1';
        ok = slice_is(stream, sink->sink.stream)
                 ? add_table(&sink->tables, my_cell(result, row, 2), name, made) != NULL
                 : add_taken(&sink->tables, stream, name);
    }
    return ok || error_set(&sink->error, ERROR_MEMORY, "%s: out of memory for its tables", sink->sink.name);
}

/* Making one ready */

static void ready(struct my_sink *sink) {
    sink->tables.now->ready = true;
    sink->tables.then(sink);
}

static void on_made(struct my_sink *sink) {
    sink->tables.now->made = true;
    ready(sink);
}

static void on_created(struct my_sink *sink) {
    bool whole = buf_append_text(&sink->sql, "UPDATE _sync_tables SET made = 1 WHERE table_name = ") &&
                 my_sql_text(&sink->sql, slice_from(sink->tables.now->name));
    my_send(sink, whole, on_made);
}

/* DDL commits by itself, so that a table is announced first, made, and then said to be made. */
static void create(struct my_sink *sink) {
    my_send(sink, my_sql_create(&sink->sql, sink->tables.now->name, sink->tables.now->columns, sink->mariadb),
            on_created);
}

static void misfit(struct my_sink *sink, struct slice column, const char *what) {
    error_set(&sink->error, ERROR_CONFLICT,
              "%s: table \"%s\" does not fit: column \"%.*s\" %s; move the table away (and delete its row of "
              "_sync_tables), use another database, or change the schema",
              sink->sink.name, sink->tables.now->name, (int)column.len, column.ptr, what);
    my_failed(sink);
}

/* The kind that a column is to have, or a mistake. Index of the column: 0 the key, then the others. */
static const char *compare_column(const struct columns *columns, size_t i, struct slice comment,
                                  bool not_null, bool key) {
    if (i == 0 || !columns) {
        return key == (i == 0) ? NULL : i == 0 ? "is not the primary key" : "is of a key";
    }
    const struct column *column = &columns->list[i - 1];
    if (!slice_is(comment, my_sql_comment(column->kind))) {
        return "has another type";
    }
    return not_null && column->nullable ? "is NOT NULL, but may be missing now" : NULL;
}

/* *folded: its letters have another case there. */
static size_t find_column(const struct columns *columns, struct slice name, bool *folded) {
    static const struct slice plain[] = {SLICE_INIT(COLUMNS_KEY), SLICE_INIT("data"),
                                         SLICE_INIT("updated_at")};
    size_t count = columns ? columns->count + 1 : 3;
    for (size_t i = 0; i < count; i++) {
        struct slice wanted = !columns ? plain[i] : i == 0 ? columns->key : columns->list[i - 1].name;
        if (table_same(TABLE_SQLITE, wanted,
                       name)) { /* which folds the letters of ASCII, as MySQL does at least */
            *folded = !slice_equal(wanted, name);
            return i;
        }
    }
    return SIZE_MAX;
}

static void on_added(struct my_sink *sink) {
    ready(sink);
}

static void add_missing(struct my_sink *sink, const bool *found) {
    const struct columns *columns = sink->tables.now->columns;
    bool missing[SCHEMA_FIELDS_MAX] = {false};
    bool any = false;
    if (!found[0] || (!columns && (!found[1] || !found[2]))) {
        misfit(sink, !found[0] && columns ? columns->key : SLICE("id, data or updated_at"), "is missing");
        return;
    }
    for (size_t i = 0; columns && i < columns->count; i++) {
        missing[i] = !found[i + 1];
        any = any || missing[i];
        if (missing[i] && !columns->list[i].nullable) {
            misfit(sink, columns->list[i].name,
                   "is missing, and cannot be added to rows that have no value for it: let the property be "
                   "optional");
            return;
        }
    }
    if (!any) {
        ready(sink);
        return;
    }
    my_send(sink, my_sql_add(&sink->sql, sink->tables.now->name, columns, missing, sink->mariadb), on_added);
}

/* name, comment, is_nullable, has a default, column_key */
static void on_shape(struct my_sink *sink) {
    MYSQL_RES *result = sink->link.result;
    const struct columns *columns = sink->tables.now->columns;
    bool found[SCHEMA_FIELDS_MAX + 3] = {false};
    if (!result || mysql_num_rows(result) == 0) {
        if (sink->job == MY_VERIFY) {
            create(sink);
            return;
        }
        error_set(
            &sink->error, ERROR_CONFLICT,
            "%s: table \"%s\" is gone: somebody dropped it; delete the stream's rows of _sync_state and "
            "_sync_tables to have all filled anew, or let weir verify repair it",
            sink->sink.name, sink->tables.now->name);
        my_failed(sink);
        return;
    }
    for (MYSQL_ROW row; (row = mysql_fetch_row(result));) {
        struct slice name = my_cell(result, row, 0);
        bool not_null = row[2] && strcmp(row[2], "NO") == 0;
        bool filled = row[3] && row[3][0] == '1';
        bool key = row[4] && strcmp(row[4], "PRI") == 0;
        bool folded = false;
        size_t at = find_column(columns, name, &folded);
        const char *mistake = folded ? "differs from a property of the schema in nothing but case"
                              : at != SIZE_MAX
                                  ? compare_column(columns, at, my_cell(result, row, 1), not_null, key)
                              : (not_null && !filled) || key
                                  ? "is NOT NULL without a default, but nothing fills it"
                                  : NULL;
        if (mistake) {
            misfit(sink, name, mistake);
            return;
        }
        if (at != SIZE_MAX) {
            found[at] = true;
        }
    }
    add_missing(sink, found);
}

static void look_at_shape(struct my_sink *sink) {
    bool whole = buf_append_text(
                     &sink->sql,
                     "SELECT column_name, column_comment, is_nullable, column_default IS NOT NULL OR extra "
                     "<> '', column_key FROM information_schema.columns WHERE table_schema = DATABASE() AND "
                     "table_name = ") &&
                 my_sql_text(&sink->sql, slice_from(sink->tables.now->name));
    my_send(sink, whole, on_shape);
}

/* Choosing a name */

static void on_remembered(struct my_sink *sink) {
    create(sink);
}

static void remember(struct my_sink *sink) {
    bool whole = buf_append_text(&sink->sql,
                                 "INSERT INTO _sync_tables (table_name, stream_url, type, made) VALUES (") &&
                 my_sql_text(&sink->sql, slice_from(sink->tables.now->name)) &&
                 buf_append_text(&sink->sql, ", ") &&
                 my_sql_text(&sink->sql, slice_from(sink->sink.stream)) &&
                 buf_append_text(&sink->sql, ", ") && my_sql_text(&sink->sql, sink->tables.type) &&
                 buf_append_text(&sink->sql, ", 0)");
    my_send(sink, whole, on_remembered);
}

/* One row where there is such a table: whether somebody has announced it since the list of tables was read. */
static void on_free(struct my_sink *sink) {
    MYSQL_RES *result = sink->link.result;
    MYSQL_ROW row = result ? mysql_fetch_row(result) : NULL;
    if (row && row[0] && row[0][0] == '1') {
        error_set(&sink->error, ERROR_CONFLICT, "%s: another worker has made the table \"%s\" just now",
                  sink->sink.name, sink->tables.now->name);
        my_again(sink); /* whose the stream is, the next look at _sync_state tells */
        return;
    }
    if (row) {
        error_set(&sink->error, ERROR_CONFLICT,
                  "%s: there is a table \"%s\" already, which weir did not make: use another database, set a "
                  "prefix, or "
                  "move it away",
                  sink->sink.name, sink->tables.now->name);
        my_failed(sink);
        return;
    }
    remember(sink);
}

static void look_whether_free(struct my_sink *sink) {
    bool whole = buf_append_text(&sink->sql,
                                 "SELECT EXISTS (SELECT 1 FROM _sync_tables WHERE table_name = ") &&
                 my_sql_text(&sink->sql, slice_from(sink->tables.now->name)) &&
                 buf_append_text(&sink->sql, ") FROM information_schema.tables WHERE table_schema = "
                                             "DATABASE() AND table_name = ") &&
                 my_sql_text(&sink->sql, slice_from(sink->tables.now->name));
    my_send(sink, whole, on_free);
}

static bool is_mine(const struct my_tables *tables, struct slice name) {
    size_t at = 0;
    for (const struct strmap_entry *entry; (entry = strmap_next(&tables->types, &at));) {
        if (table_same(TABLE_MYSQL, slice_from(((const struct my_table *)entry->value)->name), name)) {
            return true;
        }
    }
    return false;
}

static const struct my_taken *find_taken(const struct my_tables *tables, struct slice name) {
    const struct my_taken *taken = tables->taken;
    while (taken && !table_same(TABLE_MYSQL, slice_from(taken->name), name)) {
        taken = taken->next;
    }
    return taken;
}

static void choose(struct my_sink *sink) {
    struct buf name;
    bool found = false;
    buf_init(&name, TABLE_NAME_MAX * 2);
    for (unsigned attempt = 0; attempt < TABLE_ATTEMPTS && !found; attempt++) {
        found = table_name(TABLE_MYSQL, sink->layout.prefix, sink->tables.type, attempt, &name) &&
                !is_mine(&sink->tables, buf_slice(&name));
    }
    const struct my_taken *taken = found ? find_taken(&sink->tables, buf_slice(&name)) : NULL;
    sink->tables.now = found && !taken ? add_table(&sink->tables, sink->tables.type, buf_slice(&name), false)
                                       : NULL;
    buf_free(&name);
    if (sink->tables.now) {
        sink->tables.now->columns = layout_columns(&sink->layout, sink->tables.type);
        look_whether_free(sink);
        return;
    }
    if (taken) {
        error_set(&sink->error, ERROR_CONFLICT,
                  "%s: table \"%s\" belongs to another stream (%s): use another database, or set a prefix",
                  sink->sink.name, taken->name, taken->stream);
    } else {
        error_set(&sink->error, ERROR_MEMORY, "%s: no name for a table is free, or memory is out",
                  sink->sink.name);
    }
    my_failed(sink);
}

void my_tables_ready(struct my_sink *sink, struct slice type, void (*then)(struct my_sink *sink)) {
    struct my_table *table = my_tables_find(&sink->tables, type);
    sink->tables.type = type;
    sink->tables.then = then;
    sink->tables.now = table;
    if (!table) {
        choose(sink);
        return;
    }
    table->columns = layout_columns(&sink->layout, type);
    if (table->made) {
        look_at_shape(sink);
    } else {
        create(sink);
    }
}
