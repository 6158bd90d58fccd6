#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sink/mysql/inside.h"

enum { SCRATCH_KEPT = 1 << 20 };

void my_batch_forget(struct my_batch *batch) {
    while (batch->refusal_count > 0) {
        free(batch->refusals[--batch->refusal_count].message);
    }
    free(batch->skip);
    batch->skip = NULL;
    batch->skip_words = 0;
    batch->batch = NULL;
    batch->each = batch->doubtful = false;
}

static bool is_skipped(const struct my_batch *batch, size_t row) {
    return row / 64 < batch->skip_words && batch->skip[row / 64] >> (row % 64) & 1;
}

/* Rows */

static size_t count_characters(struct slice text) {
    size_t count = 0;
    for (size_t i = 0; i < text.len; i++) {
        count += (text.ptr[i] & 0xC0) != 0x80;
    }
    return count;
}

static bool check_row(struct my_sink *sink, const struct my_table *table, struct slice key,
                      struct slice value) {
    struct error *e = &sink->error;
    if (!table_check_text(key, "the key", e)) {
        return false;
    }
    if (key.len > MY_KEY_MAX && count_characters(key) > MY_KEY_MAX) {
        return error_set(e, ERROR_SCHEMA, "the key has more than %d characters", MY_KEY_MAX);
    }
    /* Every quote may be doubled. */
    if (key.len + value.len > sink->packet_max / 2) {
        return error_set(e, ERROR_SCHEMA,
                         "the value has %zu bytes, too many for the server's max_allowed_packet (%zu)",
                         value.len, sink->packet_max);
    }
    if (!table->columns) {
        return true;
    }
    size_t count = table->columns->count + 1;
    if (count > sink->cell_room) {
        struct column_cell *cells = realloc(sink->cells, count * sizeof *cells);
        if (!cells) {
            return error_set(e, ERROR_MEMORY, "out of memory for the cells of a row");
        }
        sink->cells = cells;
        sink->cell_room = count;
    }
    return columns_cells(table->columns, key, value, sink->cells, &sink->scratch, e);
}

bool my_batch_check(struct my_sink *sink, const struct my_table *table, struct slice key,
                    struct slice value) {
    return check_row(sink, table, key, value) ||
           error_context(&sink->error, "%s: table \"%s\"", sink->sink.name, table->name);
}

static bool note_refusal(struct my_sink *sink, size_t row) {
    struct my_batch *batch = &sink->batch;
    char *message = strdup(sink->error.message);
    if (!message) {
        return error_set(&sink->error, ERROR_MEMORY, "%s: out of memory for a row that is refused",
                         sink->sink.name);
    }
    batch->refusals[batch->refusal_count++] = (struct my_refusal){
        .row = row, .code = sink->error.code, .message = message};
    return true;
}

/* Items */

static int item_order(const void *a, const void *b) {
    const struct my_item *one = a;
    const struct my_item *other = b;
    if (one->table != other->table) {
        return one->table < other->table ? -1 : 1;
    }
    if (one->put != other->put) {
        return one->put ? 1 : -1;
    }
    return (one->row > other->row) - (one->row < other->row);
}

static bool reserve_items(struct my_batch *batch) {
    if (batch->last.count <= batch->item_room) {
        return true;
    }
    struct my_item *items = realloc(batch->items, batch->last.count * sizeof *items);
    if (items) {
        batch->items = items;
        batch->item_room = batch->last.count;
    }
    return items;
}

static void refuse_in_pieces(struct my_sink *sink);

/* The rows with their tables. False: a table is missing, and is being made; or it has failed. */
static bool find_items(struct my_sink *sink) {
    struct my_batch *batch = &sink->batch;
    struct my_table *table = NULL;
    struct slice type = {0};
    batch->item_count = 0;
    for (size_t i = 0; i < batch->last.count; i++) {
        uint32_t at = batch->last.rows[i];
        struct sink_row row = sink_batch_row(batch->batch, at);
        if (is_skipped(batch, at)) {
            continue;
        }
        if (!type.ptr || !slice_equal(type, row.type)) {
            type = row.type;
            table = my_tables_find(&sink->tables, type);
        }
        if (!table && row.op == SINK_DELETE) {
            continue;
        }
        if ((!table || !table->ready) && table_text_fits(type)) {
            my_tables_ready(sink, type, my_batch_next);
            return false;
        }
        if (!table && !batch->each) {
            refuse_in_pieces(sink);
            return false;
        }
        batch->items[batch->item_count++] = (struct my_item){
            .table = table, .row = at, .put = row.op == SINK_PUT};
    }
    if (!batch->each && batch->item_count > 0) {
        qsort(batch->items, batch->item_count, sizeof *batch->items, item_order);
    }
    return true;
}

/* Statements */

static void on_committed(struct my_sink *sink) {
    sink->committed = sink_batch_place(sink->batch.batch)->sequence;
    my_done(sink);
}

static void on_rolled_back(struct my_sink *sink) {
    my_batch_refused(sink);
}

static void on_back_to_rows(struct my_sink *sink) {
    my_batch_next(sink);
}

/* The row before the one that is refused counts, which was left out: once more, row by row. */
static void refuse_in_pieces(struct my_sink *sink) {
    sink->batch.each = true;
    my_send(sink, buf_append_text(&sink->sql, "ROLLBACK"), on_back_to_rows);
}

static void next_statement(struct my_sink *sink);

static void on_statement(struct my_sink *sink) {
    next_statement(sink);
}

static bool add_put(struct my_sink *sink, const struct my_item *item, const struct sink_row *row,
                    bool first) {
    const struct my_table *table = item->table;
    return (first ? my_sql_put_begin(&sink->sql, table->name, table->columns)
                  : buf_append_byte(&sink->sql, ',')) &&
           my_sql_put_row(&sink->sql, table->columns, row->key, row->value, sink->cells, sink->stamp);
}

static bool add_delete(struct my_sink *sink, const struct my_item *item, const struct sink_row *row,
                       bool first) {
    const struct my_table *table = item->table;
    return (first ? my_sql_delete_begin(&sink->sql, table->name, table->columns)
                  : buf_append_byte(&sink->sql, ',')) &&
           my_sql_text(&sink->sql, row->key);
}

/* What one row needs before it can be written. False with sink->error: it is refused. */
static bool check_item(struct my_sink *sink, const struct my_item *item, const struct sink_row *row) {
    if (!item->table) {
        return table_check_text(row->type, "the type", &sink->error);
    }
    return !item->put || my_batch_check(sink, item->table, row->key, row->value);
}

enum added { ADDED, ADDED_NOTHING, ADD_FAILED, ADD_REFUSED };

static enum added add_item(struct my_sink *sink, const struct my_item *item, bool first) {
    struct sink_row row = sink_batch_row(sink->batch.batch, item->row);
    if (!item->put && !table_text_fits(row.key)) {
        return ADDED_NOTHING; /* it was never stored */
    }
    if (!check_item(sink, item, &row)) {
        return sink->error.code == ERROR_SCHEMA ? ADD_REFUSED : ADD_FAILED;
    }
    bool added = item->put ? add_put(sink, item, &row, first) : add_delete(sink, item, &row, first);
    if (!added) {
        error_set(&sink->error, ERROR_MEMORY, "%s: out of memory for a statement", sink->sink.name);
    }
    return added ? ADDED : ADD_FAILED;
}

static size_t statement_max(const struct my_sink *sink) {
    size_t half = sink->packet_max / 2;
    return half < MY_STATEMENT_BYTES ? half : MY_STATEMENT_BYTES;
}

/* Rows of one table, as many as fit. False: it ended otherwise. */
static bool build(struct my_sink *sink, bool *any) {
    struct my_batch *batch = &sink->batch;
    const struct my_item *begin = &batch->items[batch->next];
    batch->from = batch->next;
    *any = false;
    while (batch->next < batch->item_count && sink->sql.len < statement_max(sink) && !(batch->each && *any)) {
        const struct my_item *item = &batch->items[batch->next];
        if (item->table != begin->table || item->put != begin->put) {
            break;
        }
        switch (add_item(sink, item, !*any)) {
        case ADDED:
            *any = true;
            break;
        case ADDED_NOTHING:
            break;
        case ADD_FAILED:
            my_failed(sink);
            return false;
        default:
            if (!batch->each) {
                buf_clear(&sink->sql);
                refuse_in_pieces(sink);
                return false;
            }
            if (!note_refusal(sink, item->row)) {
                my_failed(sink);
                return false;
            }
            batch->next++;
            return true;
        }
        batch->next++;
    }
    return !*any ||
           (begin->put ? my_sql_put_end(&sink->sql, begin->table->columns)
                       : buf_append_byte(&sink->sql, ')')) ||
           (error_set(&sink->error, ERROR_MEMORY, "%s: out of memory for a statement", sink->sink.name),
            my_failed(sink), false);
}

static void end_batch(struct my_sink *sink) {
    if (sink->batch.refusal_count > 0) {
        my_send(sink, buf_append_text(&sink->sql, "ROLLBACK"), on_rolled_back);
        return;
    }
    sink->batch.doubtful = true;
    my_send(sink, buf_append_text(&sink->sql, "COMMIT"), on_committed);
}

static void next_statement(struct my_sink *sink) {
    struct my_batch *batch = &sink->batch;
    while (batch->next < batch->item_count && batch->refusal_count < MY_REFUSALS_MAX) {
        bool any;
        if (!build(sink, &any)) {
            return;
        }
        if (any) {
            my_send(sink, true, on_statement);
            return;
        }
    }
    end_batch(sink);
}

static void start_again(struct sink *sink) {
    my_batch_next((struct my_sink *)(void *)sink);
}

/* The statement under way has a row that the database does not take. */
void my_batch_refused(struct my_sink *sink) {
    struct my_batch *batch = &sink->batch;
    if (sink->link.code) {
        if (!batch->each) {
            refuse_in_pieces(sink);
        } else if (note_refusal(sink, batch->items[batch->next - 1].row)) {
            next_statement(sink);
        } else {
            my_failed(sink);
        }
        return;
    }
    /* All was rolled back: whether the rest may be stored without them. */
    if (!batch->skip) {
        batch->skip_words = sink_batch_count(batch->batch) / 64 + 1;
        batch->skip = calloc(batch->skip_words, sizeof *batch->skip);
    }
    for (size_t i = 0; i < batch->refusal_count; i++) {
        const struct my_refusal *refusal = &batch->refusals[i];
        struct sink_row row = sink_batch_row(batch->batch, refusal->row);
        error_set(&sink->error, batch->skip ? refusal->code : ERROR_MEMORY, "%s", refusal->message);
        if (!batch->skip || !sink->sink.host.refused(sink->sink.host.user, &sink->sink, &row, &sink->error)) {
            my_failed(sink);
            return;
        }
        batch->skip[refusal->row / 64] |= UINT64_C(1) << (refusal->row % 64);
    }
    while (batch->refusal_count > 0) {
        free(batch->refusals[--batch->refusal_count].message);
    }
    if (sink_may_commit(&sink->sink, start_again)) {
        my_batch_next(sink);
    }
}

/* Clearing */

static void clear_next(struct my_sink *sink) {
    struct my_batch *batch = &sink->batch;
    while (batch->clear_at < sink->tables.count) {
        const struct my_table *table = my_tables_find(&sink->tables, sink->tables.list[batch->clear_at++]);
        if (table && table->made) {
            bool whole = buf_append_text(&sink->sql, "DELETE FROM ") &&
                         my_sql_name(&sink->sql, slice_from(table->name));
            my_send(sink, whole, clear_next);
            return;
        }
    }
    next_statement(sink);
}

static void on_epoch(struct my_sink *sink) {
    MYSQL_RES *result = sink->link.result;
    MYSQL_ROW row = result ? mysql_fetch_row(result) : NULL;
    sink->found_epoch = row && row[0] ? strtoull(row[0], NULL, 10) : 0;
    my_session_fenced(sink);
}

static void on_moved(struct my_sink *sink) {
    if (sink->link.affected == 0) {
        bool whole = buf_append_text(&sink->sql, "SELECT epoch FROM _sync_state WHERE stream_url = ") &&
                     my_sql_text(&sink->sql, slice_from(sink->sink.stream));
        my_send(sink, whole, on_epoch);
        return;
    }
    sink->batch.next = 0;
    sink->batch.clear_at = sink->batch.last.clear ? 0 : SIZE_MAX;
    clear_next(sink);
}

static void on_begun(struct my_sink *sink) {
    const struct sink_place *place = sink_batch_place(sink->batch.batch);
    struct buf *sql = &sink->sql;
    bool whole = buf_append_text(sql, "UPDATE _sync_state SET `offset` = ") &&
                 my_sql_text_or_null(sql, place->offset) &&
                 buf_printf(sql, ", synced_at = %s, skip = %" PRIu64 ", sequence = %" PRIu64 ", notes = ",
                            sink->stamp, place->skip, place->sequence) &&
                 my_sql_text_or_null(sql, place->notes) && buf_append_text(sql, " WHERE stream_url = ") &&
                 my_sql_text(sql, slice_from(sink->sink.stream)) &&
                 buf_printf(sql, " AND epoch = %" PRIu64, sink->sink.epoch);
    my_send(sink, whole, on_moved);
}

void my_batch_next(struct my_sink *sink) {
    struct my_batch *batch = &sink->batch;
    char stamp[LOG_STAMP];
    batch->next = 0;
    if (!last_find(&batch->last, batch->batch, batch->each) || !reserve_items(batch)) {
        error_set(&sink->error, ERROR_MEMORY, "%s: out of memory for a batch of rows", sink->sink.name);
        my_failed(sink);
        return;
    }
    if (!find_items(sink)) {
        return;
    }
    log_stamp(stamp); /* 2025-01-15T10:30:00.000Z */
    (void)snprintf(sink->stamp, sizeof sink->stamp, "'%.10s %.12s'", stamp, stamp + 11);
    my_send(sink, buf_append_text(&sink->sql, "START TRANSACTION"), on_begun);
}

void my_batch_begin(struct my_sink *sink) {
    struct my_batch *batch = &sink->batch;
    while (batch->refusal_count > 0) {
        free(batch->refusals[--batch->refusal_count].message);
    }
    batch->doubtful = false;
    my_batch_next(sink);
    buf_shrink(&sink->scratch, SCRATCH_KEPT);
}
