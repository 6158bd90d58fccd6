#include "sink/sqlite/write.h"

#include <stdlib.h>
#include <string.h>

#include "sink/sqlite/place.h"

/* As much as SQLite takes for one text. */
enum { SCRATCH_MAX = 1000000000, SCRATCH_KEPT = 1 << 20 };

void sqlite_writer_init(struct sqlite_writer *writer, struct sqlite_db *db, const struct layout *layout) {
    *writer = (struct sqlite_writer){.db = db};
    sqlite_tables_init(&writer->tables, db, layout);
    buf_init(&writer->scratch, SCRATCH_MAX);
}

static void drop_refusals(struct sqlite_writer *writer) {
    while (writer->refusal_count > 0) {
        free(writer->refusals[--writer->refusal_count].message);
    }
}

void sqlite_writer_reset(struct sqlite_writer *writer) {
    sqlite_tables_clear(&writer->tables);
    sqlite3_finalize(writer->mover);
    writer->mover = NULL;
}

void sqlite_writer_free(struct sqlite_writer *writer) {
    sqlite_writer_reset(writer);
    drop_refusals(writer);
    last_free(&writer->last);
    free(writer->skip);
    free(writer->cells);
    buf_free(&writer->scratch);
}

void sqlite_writer_next(struct sqlite_writer *writer) {
    drop_refusals(writer);
    free(writer->skip);
    writer->skip = NULL;
    writer->skip_words = 0;
    writer->each = false;
    buf_clear(&writer->scratch);
    buf_shrink(&writer->scratch, SCRATCH_KEPT);
}

/* Rows */

static enum db_outcome refused(const struct sqlite_writer *writer, const struct sqlite_table *table,
                               struct error *e) {
    enum db_outcome outcome = e->code == ERROR_MEMORY ? DB_FAILED : DB_REFUSED;
    error_context(e, "%s: table \"%s\"", writer->db->name, table->name);
    return outcome;
}

enum db_outcome sqlite_writer_cells(struct sqlite_writer *writer, const struct sqlite_table *table,
                                    struct slice key, struct slice value, struct error *e) {
    size_t count = table->columns->count;
    if (count > writer->cell_room) {
        struct column_cell *cells = realloc(writer->cells, count * sizeof *cells);
        if (!cells) {
            error_set(e, ERROR_MEMORY, "%s: out of memory for the cells of a row", writer->db->name);
            return DB_FAILED;
        }
        writer->cells = cells;
        writer->cell_room = count;
    }
    return columns_cells(table->columns, key, value, writer->cells, &writer->scratch, e)
               ? DB_DONE
               : refused(writer, table, e);
}

static void bind_cell(sqlite3_stmt *statement, int at, const struct column *column,
                      const struct column_cell *cell) {
    if (cell->null) {
        sqlite3_bind_null(statement, at);
        return;
    }
    switch (column->kind) {
    case SCHEMA_SHAPE_INTEGER:
        sqlite3_bind_int64(statement, at, cell->is.integer);
        break;
    case SCHEMA_SHAPE_REAL:
        sqlite3_bind_double(statement, at, cell->is.real);
        break;
    case SCHEMA_SHAPE_BOOLEAN:
        sqlite3_bind_int(statement, at, cell->is.boolean);
        break;
    default:
        sqlite_db_bind(statement, at, cell->text);
    }
}

static enum db_outcome run(const struct sqlite_writer *writer, const struct sqlite_table *table,
                           sqlite3_stmt *statement, struct error *e) {
    int rc = sqlite3_step(statement);
    if (rc == SQLITE_DONE) {
        sqlite3_reset(statement);
        return DB_DONE;
    }
    const char *more = rc == SQLITE_ERROR ? " was dropped or altered by another program" : "";
    enum db_outcome outcome = sqlite_db_failed(writer->db, rc, e, "table \"%s\"%s", table->name, more);
    sqlite3_reset(statement);
    return outcome;
}

enum db_outcome sqlite_writer_put(struct sqlite_writer *writer, struct sqlite_table *table, struct slice key,
                                  struct slice value, struct error *e) {
    if (!table_check_text(key, "the key", e)) {
        return refused(writer, table, e);
    }
    sqlite_db_bind(table->put, 1, key);
    if (!table->columns) {
        sqlite_db_bind(table->put, 2, value);
        sqlite_db_bind(table->put, 3, slice_from(writer->stamp));
        return run(writer, table, table->put, e);
    }
    enum db_outcome outcome = sqlite_writer_cells(writer, table, key, value, e);
    for (size_t i = 0; outcome == DB_DONE && i < table->columns->count; i++) {
        bind_cell(table->put, (int)i + 2, &table->columns->list[i], &writer->cells[i]);
    }
    return outcome == DB_DONE ? run(writer, table, table->put, e) : outcome;
}

enum db_outcome sqlite_writer_delete(struct sqlite_writer *writer, struct sqlite_table *table,
                                     struct slice key, struct error *e) {
    /* What is no text was never stored. */
    if (!table_text_fits(key)) {
        return DB_DONE;
    }
    sqlite_db_bind(table->del, 1, key);
    return run(writer, table, table->del, e);
}

/* Batches */

static bool is_skipped(const struct sqlite_writer *writer, size_t row) {
    return row / 64 < writer->skip_words && writer->skip[row / 64] >> (row % 64) & 1;
}

bool sqlite_writer_skip(struct sqlite_writer *writer, const struct sink_batch *batch) {
    if (!writer->skip) {
        size_t words = sink_batch_count(batch) / 64 + 1;
        writer->skip = calloc(words, sizeof *writer->skip);
        if (!writer->skip) {
            return false;
        }
        writer->skip_words = words;
    }
    for (size_t i = 0; i < writer->refusal_count; i++) {
        size_t row = writer->refusals[i].row;
        writer->skip[row / 64] |= UINT64_C(1) << (row % 64);
    }
    drop_refusals(writer);
    return true;
}

static bool note_refusal(struct sqlite_writer *writer, size_t row, const struct error *e) {
    char *message = strdup(e->message);
    if (message) {
        writer->refusals[writer->refusal_count++] = (struct sqlite_refusal){
            .row = row, .code = e->code, .message = message};
    }
    return message;
}

static enum db_outcome write_row(struct sqlite_writer *writer, const struct sink_row *row, struct slice *type,
                                 struct sqlite_table **table, struct error *e) {
    if (!*table || !slice_equal(*type, row->type)) {
        enum db_outcome outcome = sqlite_table_of(&writer->tables, row->type, row->op == SINK_PUT, table, e);
        if (outcome != DB_DONE || !*table) {
            return outcome;
        }
        *type = row->type;
    }
    return row->op == SINK_PUT ? sqlite_writer_put(writer, *table, row->key, row->value, e)
                               : sqlite_writer_delete(writer, *table, row->key, e);
}

/* Asked now and then: SQLite itself asks only within long statements. */
static bool is_cancelled(const struct sqlite_writer *writer, size_t i) {
    return i % 256 == 0 && atomic_load_explicit(&writer->db->cancelled, memory_order_relaxed);
}

static enum db_outcome write_rows(struct sqlite_writer *writer, const struct sink_batch *batch,
                                  struct error *e) {
    struct sqlite_table *table = NULL;
    struct slice type = {0};
    for (size_t i = 0; i < writer->last.count; i++) {
        size_t at = writer->last.rows[i];
        struct sink_row row = sink_batch_row(batch, at);
        if (is_cancelled(writer, i)) {
            error_set(e, ERROR_INTERRUPTED, "%s: closed", writer->db->name);
            return DB_FAILED;
        }
        if (is_skipped(writer, at)) {
            continue;
        }
        enum db_outcome outcome = write_row(writer, &row, &type, &table, e);
        if (outcome == DB_REFUSED && !note_refusal(writer, at, e)) {
            error_set(e, ERROR_MEMORY, "%s: out of memory for a row that is refused", writer->db->name);
            outcome = DB_FAILED;
        }
        if (outcome != DB_DONE && outcome != DB_REFUSED) {
            return outcome;
        }
        /* A trigger may end the transaction, too. */
        if (writer->refusal_count == WRITE_REFUSALS_MAX || sqlite3_get_autocommit(writer->db->handle)) {
            break;
        }
    }
    return writer->refusal_count > 0 ? DB_REFUSED : DB_DONE;
}

/* Why the place could not be moved. */
static enum db_outcome find_epoch(const struct sqlite_writer *writer, uint64_t *epoch, bool *fenced,
                                  struct error *e) {
    struct sqlite_place place = {0};
    enum db_outcome outcome = sqlite_place_read(writer->db, &place, e);
    if (outcome == DB_DONE && place.epoch == 0) {
        error_set(
            e, ERROR_CONFLICT,
            "%s: the row of stream %s in _sync_state was deleted by another program: start again, and all "
            "is filled anew",
            writer->db->name, writer->db->stream);
    } else if (outcome == DB_DONE) {
        *fenced = true;
        *epoch = place.epoch;
    }
    sqlite_place_free(&place);
    return outcome == DB_DONE ? DB_FAILED : outcome;
}

/* Of one try: what is to be the same whichever way it ends is done by the caller. */
static enum db_outcome write_all(struct sqlite_writer *writer, const struct sink_batch *batch,
                                 uint64_t *epoch, bool *fenced, struct error *e) {
    enum db_outcome outcome = DB_DONE;
    bool moved = false;
    if (!writer->mover) {
        writer->mover = sqlite_place_mover(writer->db, &outcome, e);
    }
    if (outcome == DB_DONE) {
        outcome = sqlite_place_move(writer->db, writer->mover, *epoch, sink_batch_place(batch), writer->stamp,
                                    &moved, e);
    }
    if (outcome == DB_DONE && !moved) {
        outcome = find_epoch(writer, epoch, fenced, e);
    }
    if (outcome == DB_DONE && writer->last.clear) {
        outcome = sqlite_table_clear_all(writer->db, e);
    }
    if (outcome != DB_DONE) {
        return outcome == DB_REFUSED ? DB_FAILED : outcome;
    }
    return write_rows(writer, batch, e);
}

static enum db_outcome try_batch(struct sqlite_writer *writer, const struct sink_batch *batch,
                                 uint64_t *epoch, bool *fenced, struct error *e) {
    drop_refusals(writer);
    log_stamp(writer->stamp);
    if (!last_find(&writer->last, batch, writer->each)) {
        error_set(e, ERROR_MEMORY, "%s: out of memory for a batch of rows", writer->db->name);
        return DB_FAILED;
    }
    enum db_outcome outcome = sqlite_db_begin(writer->db, e);
    if (outcome != DB_DONE) {
        return outcome;
    }
    outcome = write_all(writer, batch, epoch, fenced, e);
    if (outcome == DB_DONE) {
        outcome = sqlite_db_commit(writer->db, e);
    } else {
        sqlite_db_rollback(writer->db);
    }
    sqlite_tables_settle(&writer->tables, outcome == DB_DONE);
    return outcome;
}

enum db_outcome sqlite_writer_batch(struct sqlite_writer *writer, const struct sink_batch *batch,
                                    uint64_t *epoch, bool *fenced, struct error *e) {
    *fenced = false;
    enum db_outcome outcome = try_batch(writer, batch, epoch, fenced, e);
    if (outcome == DB_REFUSED && !writer->each) {
        /* The row before the one that is refused counts, which was left out. */
        writer->each = true;
        outcome = try_batch(writer, batch, epoch, fenced, e);
    }
    return outcome;
}
