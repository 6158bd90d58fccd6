#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/list.h"
#include "sink/mysql/inside.h"

enum { ER_NO_SUCH_TABLE_NUMBER = 1146 };

static void drop_repairs(struct my_verify *v) {
    while (v->repair_count > 0) {
        free(v->repairs[--v->repair_count]);
    }
    v->repair_at = 0;
}

static void close_type(struct my_verify *v) {
    free(v->order);
    free(v->after);
    v->order = NULL;
    v->after = NULL;
    v->order_at = v->order_count = v->after_len = 0;
    v->last_page = false;
}

void my_verify_forget(struct my_verify *verify) {
    close_type(verify);
    drop_repairs(verify);
    free(verify->repairs);
    free(verify->types);
    *verify = (struct my_verify){0};
}

static void no_memory(struct my_sink *sink) {
    error_set(&sink->error, ERROR_MEMORY, "%s: out of memory while comparing it", sink->sink.name);
    my_failed(sink);
}

/* Rows */

static bool cell_is(const struct column *column, const struct column_cell *cell, struct slice text) {
    if (cell->null || !text.ptr) {
        return cell->null && !text.ptr;
    }
    switch (column->kind) {
    case SCHEMA_SHAPE_INTEGER:
        return strtoll(text.ptr, NULL, 10) == cell->is.integer;
    case SCHEMA_SHAPE_REAL:
        return strtod(text.ptr, NULL) == cell->is.real;
    case SCHEMA_SHAPE_BOOLEAN:
        return strtoll(text.ptr, NULL, 10) == cell->is.boolean;
    default:
        return slice_equal(text, cell->text);
    }
}

static bool is_same(struct my_sink *sink, const struct store_row *row, MYSQL_RES *result, MYSQL_ROW there) {
    const struct my_table *table = sink->verify.table;
    if (!table->columns) {
        return slice_equal(my_cell(result, there, 1), row->value);
    }
    bool same = my_batch_check(sink, table, row->key, row->value);
    for (size_t i = 0; same && i < table->columns->count; i++) {
        same = cell_is(&table->columns->list[i], &sink->cells[i], my_cell(result, there, (unsigned)i + 1));
    }
    return same;
}

/* Writes the statement that mends a row, to be run behind the page. */
static bool write_repair(struct my_sink *sink, enum sink_difference kind, const struct store_row *row) {
    const struct my_table *table = sink->verify.table;
    struct buf *sql = &sink->sql;
    buf_clear(sql);
    if (kind == SINK_EXTRA) {
        return my_sql_delete_begin(sql, table->name, table->columns) && my_sql_text(sql, row->key) &&
               buf_append_byte(sql, ')');
    }
    return my_sql_put_begin(sql, table->name, table->columns) &&
           my_sql_put_row(sql, table->columns, row->key, row->value, sink->cells, sink->stamp) &&
           my_sql_put_end(sql, table->columns);
}

static bool keep_repair(struct my_verify *v, struct buf *sql) {
    char **repairs = list_room(v->repairs, v->repair_count, &v->repair_room, 64, sizeof *repairs);
    if (!repairs) {
        return false;
    }
    v->repairs = repairs;
    char *text = slice_copy(buf_slice(sql));
    repairs[v->repair_count] = text;
    v->repair_count += text != NULL;
    return text;
}

static bool differs(struct my_sink *sink, enum sink_difference kind, const struct store_row *row) {
    struct my_verify *v = &sink->verify;
    v->told = true;
    sink->sink.host.difference(sink->sink.host.user, &sink->sink, kind, row, v->types[v->type]);
    /* What the database cannot take stays a difference. */
    if (!v->repair || !v->table ||
        (kind != SINK_EXTRA && !my_batch_check(sink, v->table, row->key, row->value))) {
        return true;
    }
    bool kept = write_repair(sink, kind, row) && keep_repair(v, &sink->sql);
    buf_clear(&sink->sql);
    return kept;
}

/* Compares as far as the page goes; without one, all that is left of the state is missing. */
static bool compare_page(struct my_sink *sink, MYSQL_RES *result) {
    struct my_verify *v = &sink->verify;
    MYSQL_ROW there = result ? mysql_fetch_row(result) : NULL;
    bool ok = true;
    while (ok && (there || (v->last_page && v->order_at < v->order_count))) {
        struct store_row row = {0};
        bool here = v->order_at < v->order_count;
        struct slice key = there ? my_cell(result, there, 0) : (struct slice){0};
        if (here) {
            store_row(v->store, v->order, v->order_count, v->order_at, &row);
        }
        int order = !there ? -1 : !here ? 1 : slice_compare(row.key, key);
        if (order > 0) {
            ok = differs(sink, SINK_EXTRA, &(struct store_row){.key = key, .value = SLICE("")});
        } else if (order < 0) {
            ok = differs(sink, SINK_MISSING, &row);
        } else if (!is_same(sink, &row, result, there)) {
            ok = differs(sink, SINK_OTHER, &row);
        }
        v->order_at += order <= 0;
        v->rows += order <= 0;
        there = order >= 0 ? mysql_fetch_row(result) : there;
    }
    return ok;
}

/* Pages */

static void open_type(struct my_sink *sink);
static void run_repairs(struct my_sink *sink);

static bool keep_last_key(struct my_verify *v, MYSQL_RES *result) {
    mysql_data_seek(result, mysql_num_rows(result) - 1);
    MYSQL_ROW row = mysql_fetch_row(result);
    struct slice key = my_cell(result, row, 0);
    free(v->after);
    v->after = slice_copy(key);
    v->after_len = key.len;
    mysql_data_seek(result, 0);
    return v->after;
}

static void on_page(struct my_sink *sink) {
    struct my_verify *v = &sink->verify;
    MYSQL_RES *result = sink->link.result;
    v->last_page = !result || mysql_num_rows(result) < MY_PAGE;
    if ((!v->last_page && !keep_last_key(v, result)) || !compare_page(sink, result)) {
        no_memory(sink);
        return;
    }
    run_repairs(sink);
}

static void next_page(struct my_sink *sink) {
    struct my_verify *v = &sink->verify;
    struct slice after = v->after ? slice_of(v->after, v->after_len) : (struct slice){0};
    my_send(sink, my_sql_select(&sink->sql, v->table->name, v->table->columns, after, MY_PAGE), on_page);
}

static void after_repairs(struct my_sink *sink) {
    struct my_verify *v = &sink->verify;
    drop_repairs(v);
    if (v->last_page) {
        close_type(v);
        v->type++;
        open_type(sink);
    } else {
        next_page(sink);
    }
}

static void run_repairs(struct my_sink *sink) {
    struct my_verify *v = &sink->verify;
    if (v->repair_at == v->repair_count) {
        after_repairs(sink);
        return;
    }
    const char *sql = v->repairs[v->repair_at++];
    my_send(sink, buf_append_text(&sink->sql, sql), run_repairs);
}

bool my_verify_copes(struct my_sink *sink, enum my_fault fault) {
    struct my_verify *v = &sink->verify;
    if (sink->answer == run_repairs && fault == MY_FAULT_ROW) {
        run_repairs(sink);
        return true;
    }
    if (sink->answer == on_page && sink->link.code == ER_NO_SUCH_TABLE_NUMBER && !v->repair) {
        on_page(sink); /* without rows: all of the state is missing */
        return true;
    }
    return false;
}

/* Types */

static void on_over(struct my_sink *sink) {
    my_done(sink);
}

static void open_type(struct my_sink *sink) {
    struct my_verify *v = &sink->verify;
    for (; v->type < v->type_count; v->type++) {
        v->order = store_order(v->store, v->types[v->type], &v->order_count);
        v->table = my_tables_find(&sink->tables, v->types[v->type]);
        if (v->order && v->table) {
            ((struct my_table *)v->table)->columns = layout_columns(&sink->layout, v->types[v->type]);
            next_page(sink);
            return;
        }
        v->last_page = true;
        if (!v->order || !compare_page(sink, NULL)) {
            no_memory(sink);
            return;
        }
        close_type(v);
    }
    my_send(sink, buf_append_text(&sink->sql, "COMMIT"), on_over);
}

static void on_epoch(struct my_sink *sink) {
    MYSQL_RES *result = sink->link.result;
    MYSQL_ROW row = result ? mysql_fetch_row(result) : NULL;
    sink->found_epoch = row && row[0] ? strtoull(row[0], NULL, 10) : 0;
    if (sink->found_epoch != sink->sink.epoch) {
        my_session_fenced(sink);
        return;
    }
    open_type(sink);
}

static void on_begun(struct my_sink *sink) {
    struct my_verify *v = &sink->verify;
    char stamp[LOG_STAMP];
    log_stamp(stamp);
    (void)snprintf(sink->stamp, sizeof sink->stamp, "'%.10s %.12s'", stamp, stamp + 11);
    v->type = 0;
    if (!v->repair) {
        open_type(sink);
        return;
    }
    bool whole = buf_append_text(&sink->sql, "SELECT epoch FROM _sync_state WHERE stream_url = ") &&
                 my_sql_text(&sink->sql, slice_from(sink->sink.stream)) &&
                 buf_append_text(&sink->sql, " FOR UPDATE");
    my_send(sink, whole, on_epoch);
}

/* Tables are made before the transaction, which they would end. */
static void make_tables(struct my_sink *sink) {
    struct my_verify *v = &sink->verify;
    while (v->repair && v->type < v->type_count) {
        struct slice type = v->types[v->type++];
        if (table_text_fits(type)) { /* whatever was known of it: it may have been dropped since */
            my_tables_ready(sink, type, make_tables);
            return;
        }
    }
    my_send(sink, buf_append_text(&sink->sql, "START TRANSACTION"), on_begun);
}

static bool has_type(const struct my_verify *v, struct slice type) {
    for (size_t i = 0; i < v->type_count; i++) {
        if (slice_equal(v->types[i], type)) {
            return true;
        }
    }
    return false;
}

void my_verify_begin(struct my_sink *sink) {
    struct my_verify *v = &sink->verify;
    size_t count;
    struct slice *types = store_types(v->store, &count);
    struct slice *all = types ? realloc(types, (count + sink->tables.count + 1) * sizeof *all) : NULL;
    close_type(v);
    drop_repairs(v);
    free(v->types);
    v->types = all;
    v->type_count = count;
    v->type = 0;
    v->rows = 0;
    if (!all) {
        free(types);
        no_memory(sink);
        return;
    }
    for (size_t i = 0; i < sink->tables.count; i++) {
        if (!layout_prepare_type(&sink->layout, sink->tables.list[i], &sink->error)) {
            my_failed(sink);
            return;
        }
        if (!has_type(v, sink->tables.list[i])) {
            all[v->type_count++] = sink->tables.list[i];
        }
    }
    make_tables(sink);
}
