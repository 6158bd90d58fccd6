#include "sink/sqlite/verify.h"

#include <stdlib.h>
#include <string.h>

#include "sink/sqlite/place.h"
#include "sink/sqlite/shape.h"

void sqlite_verifier_init(struct sqlite_verifier *verifier, struct sqlite_writer *writer,
                          const struct store *store, bool repair, uint64_t epoch) {
    *verifier = (struct sqlite_verifier){.writer = writer, .store = store, .repair = repair, .epoch = epoch};
}

void sqlite_verifier_told(struct sqlite_verifier *verifier) {
    while (verifier->difference_count > 0) {
        free(verifier->differences[--verifier->difference_count].key);
    }
}

static void close_type(struct sqlite_verifier *v) {
    sqlite3_finalize(v->there);
    free(v->now.name);
    free(v->order);
    v->there = NULL;
    v->order = NULL;
    v->to = NULL;
    v->now = (struct sqlite_table){0};
    v->open = false;
}

void sqlite_verifier_free(struct sqlite_verifier *verifier) {
    close_type(verifier);
    if (verifier->begun && !verifier->over) {
        sqlite_db_rollback(verifier->writer->db);
        sqlite_tables_settle(&verifier->writer->tables, false);
    }
    sqlite_verifier_told(verifier);
    for (size_t i = 0; i < verifier->type_count; i++) {
        free(verifier->types[i].owned);
    }
    free(verifier->types);
    verifier->types = NULL;
    verifier->type_count = 0;
}

static enum db_outcome out_of_memory(const struct sqlite_verifier *v, struct error *e) {
    error_set(e, ERROR_MEMORY, "%s: out of memory while comparing it", v->writer->db->name);
    return DB_FAILED;
}

/* Types */

static bool has_type(const struct sqlite_verifier *v, struct slice name) {
    for (size_t i = 0; i < v->type_count; i++) {
        if (slice_equal(v->types[i].name, name)) {
            return true;
        }
    }
    return false;
}

static bool add_type(struct sqlite_verifier *v, struct slice name, bool own) {
    struct verify_type *types = realloc(v->types, (v->type_count + 1) * sizeof *types);
    if (!types) {
        return false;
    }
    v->types = types;
    char *owned = own ? malloc(name.len + 1) : NULL;
    if (own && !owned) {
        return false;
    }
    if (own) {
        memcpy(owned, name.ptr, name.len);
        name.ptr = owned;
    }
    types[v->type_count++] = (struct verify_type){.name = name, .owned = owned};
    return true;
}

static bool add_types_of_state(struct sqlite_verifier *v) {
    size_t count;
    struct slice *names = store_types(v->store, &count);
    bool ok = names;
    for (size_t i = 0; ok && i < count; i++) {
        ok = add_type(v, names[i], false);
    }
    free(names);
    return ok;
}

static bool add_type_of_file(void *user, struct slice name) {
    struct sqlite_verifier *v = user;
    return has_type(v, name) || add_type(v, name, true);
}

/* Nobody else may write to the stream's rows while they are repaired. */
static enum db_outcome check_epoch(const struct sqlite_verifier *v, struct error *e) {
    const struct sqlite_db *db = v->writer->db;
    struct sqlite_place place = {0};
    enum db_outcome outcome = sqlite_place_read(db, &place, e);
    if (outcome == DB_DONE && place.epoch != v->epoch) {
        error_set(e, ERROR_CONFLICT, "%s: another worker has taken over stream %s: nothing was repaired",
                  db->name, db->stream);
        outcome = DB_FAILED;
    }
    sqlite_place_free(&place);
    return outcome;
}

static enum db_outcome begin(struct sqlite_verifier *v, struct error *e) {
    const struct sqlite_db *db = v->writer->db;
    enum db_outcome outcome = v->repair ? sqlite_db_begin(db, e)
                                        : sqlite_db_exec(db, "BEGIN", "reading it", e);
    v->begun = outcome == DB_DONE;
    log_stamp(v->writer->stamp);
    if (outcome == DB_DONE && v->repair) {
        outcome = check_epoch(v, e);
    }
    if (outcome == DB_DONE && !add_types_of_state(v)) {
        outcome = out_of_memory(v, e);
    }
    return outcome == DB_DONE ? sqlite_table_types(db, add_type_of_file, v, e) : outcome;
}

/* One type */

static enum db_outcome is_there(const struct sqlite_verifier *v, const char *table, bool *there,
                                struct error *e) {
    static const char sql[] = "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?1 COLLATE NOCASE";
    enum db_outcome outcome;
    sqlite3_stmt *found = sqlite_db_prepare(v->writer->db, slice_from(sql), "its tables", &outcome, e);
    if (found) {
        sqlite_db_bind(found, 1, slice_from(table));
        *there = sqlite3_step(found) == SQLITE_ROW;
        sqlite3_finalize(found);
    }
    return outcome;
}

static enum db_outcome select_rows(struct sqlite_verifier *v, struct error *e) {
    enum db_outcome outcome;
    struct buf sql;
    buf_init(&sql, SHAPE_SQL_MAX);
    if (!sqlite_shape_select(v->now.name, v->now.columns, &sql)) {
        buf_free(&sql);
        return out_of_memory(v, e);
    }
    v->there = sqlite_db_prepare(v->writer->db, buf_slice(&sql), v->now.name, &outcome, e);
    v->there_ready = false;
    buf_free(&sql);
    return outcome;
}

static enum db_outcome open_table(struct sqlite_verifier *v, struct slice type, struct error *e) {
    const struct sqlite_db *db = v->writer->db;
    bool there = false;
    v->now.columns = layout_columns(v->writer->tables.layout, type);
    enum db_outcome outcome = sqlite_table_name(db, type, &v->now.name, e);
    if (outcome == DB_DONE && v->now.name) {
        outcome = is_there(v, v->now.name, &there, e);
    }
    if (outcome == DB_DONE && v->repair && v->now.name && !there) {
        outcome = sqlite_shape_create(db, v->now.name, v->now.columns, e);
        there = true;
    }
    if (outcome == DB_DONE && v->repair) {
        outcome = sqlite_table_of(&v->writer->tables, type, v->order_count > 0, &v->to, e);
        outcome = outcome == DB_REFUSED ? DB_DONE : outcome;
    }
    return outcome == DB_DONE && there ? select_rows(v, e) : outcome;
}

static enum db_outcome open_type(struct sqlite_verifier *v, struct error *e) {
    struct slice type = v->types[v->type_at].name;
    v->order = store_order(v->store, type, &v->order_count);
    if (!v->order) {
        return out_of_memory(v, e);
    }
    v->order_at = 0;
    v->open = true;
    return open_table(v, type, e);
}

/* Rows */

static bool cell_is(const struct column *column, const struct column_cell *cell, sqlite3_stmt *row, int at) {
    int type = sqlite3_column_type(row, at);
    if (cell->null || type == SQLITE_NULL) {
        return cell->null && type == SQLITE_NULL;
    }
    switch (column->kind) {
    case SCHEMA_SHAPE_INTEGER:
        return type == SQLITE_INTEGER && sqlite3_column_int64(row, at) == cell->is.integer;
    case SCHEMA_SHAPE_BOOLEAN:
        return type == SQLITE_INTEGER && sqlite3_column_int64(row, at) == cell->is.boolean;
    case SCHEMA_SHAPE_REAL:
        return type == SQLITE_FLOAT && sqlite3_column_double(row, at) == cell->is.real;
    default:
        return type == SQLITE_TEXT && slice_equal(sqlite_db_text(row, at), cell->text);
    }
}

/* A value that does not fit its columns is like none. */
static enum db_outcome is_same(struct sqlite_verifier *v, const struct store_row *row, bool *same,
                               struct error *e) {
    if (!v->now.columns) {
        *same = slice_equal(sqlite_db_text(v->there, 1), row->value);
        return DB_DONE;
    }
    enum db_outcome outcome = sqlite_writer_cells(v->writer, &v->now, row->key, row->value, e);
    *same = outcome == DB_DONE;
    for (size_t i = 0; *same && i < v->now.columns->count; i++) {
        *same = cell_is(&v->now.columns->list[i], &v->writer->cells[i], v->there, (int)i + 1);
    }
    return outcome == DB_REFUSED ? DB_DONE : outcome;
}

static enum db_outcome repair(struct sqlite_verifier *v, enum sink_difference kind,
                              const struct store_row *row, struct error *e) {
    if (!v->repair || !v->to) {
        return DB_DONE;
    }
    enum db_outcome outcome = kind == SINK_EXTRA
                                  ? sqlite_writer_delete(v->writer, v->to, row->key, e)
                                  : sqlite_writer_put(v->writer, v->to, row->key, row->value, e);
    /* What the file does not take stays a difference. */
    return outcome == DB_REFUSED ? DB_DONE : outcome;
}

static enum db_outcome note(struct sqlite_verifier *v, enum sink_difference kind, struct store_row row,
                            struct error *e) {
    char *key = NULL;
    if (kind == SINK_EXTRA) {
        key = malloc(row.key.len + 1);
        if (!key) {
            return out_of_memory(v, e);
        }
        memcpy(key, row.key.ptr, row.key.len);
        row.key.ptr = key;
    }
    v->differences[v->difference_count++] = (struct sqlite_difference){
        .kind = kind, .type = v->types[v->type_at].name, .row = row, .key = key};
    return repair(v, kind, &row, e);
}

static enum db_outcome next_there(struct sqlite_verifier *v, struct error *e) {
    if (!v->there || v->there_ready) {
        return DB_DONE;
    }
    int rc = sqlite3_step(v->there);
    v->there_ready = rc == SQLITE_ROW;
    if (v->there_ready) {
        return DB_DONE;
    }
    enum db_outcome outcome = rc == SQLITE_DONE
                                  ? DB_DONE
                                  : sqlite_db_failed(v->writer->db, rc, e, "table \"%s\"", v->now.name);
    sqlite3_finalize(v->there);
    v->there = NULL;
    return outcome;
}

/* The two in step: both are in the order of the keys' bytes. False at the end of both. */
static bool compare_one(struct sqlite_verifier *v, enum db_outcome *outcome, struct error *e) {
    struct store_row row = {0};
    bool here = v->order_at < v->order_count;
    *outcome = next_there(v, e);
    if (*outcome != DB_DONE || (!here && !v->there)) {
        return false;
    }
    if (here) {
        store_row(v->store, v->order, v->order_count, v->order_at, &row);
    }
    struct slice key = v->there ? sqlite_db_text(v->there, 0) : (struct slice){0};
    int order = !v->there ? -1 : !here ? 1 : slice_compare(row.key, key);
    bool same = false;
    if (order > 0) {
        *outcome = note(v, SINK_EXTRA, (struct store_row){.key = key, .value = SLICE("")}, e);
    } else if (order < 0) {
        *outcome = note(v, SINK_MISSING, row, e);
    } else {
        *outcome = is_same(v, &row, &same, e);
        if (*outcome == DB_DONE && !same) {
            *outcome = note(v, SINK_OTHER, row, e);
        }
    }
    v->there_ready = v->there_ready && order < 0;
    v->order_at += order <= 0;
    v->rows += order <= 0;
    return *outcome == DB_DONE;
}

static enum db_outcome finish(struct sqlite_verifier *v, struct error *e) {
    enum db_outcome outcome = sqlite_db_commit(v->writer->db, e);
    sqlite_tables_settle(&v->writer->tables, outcome == DB_DONE);
    v->over = true;
    return outcome;
}

enum db_outcome sqlite_verifier_step(struct sqlite_verifier *v, struct error *e) {
    enum db_outcome outcome = v->begun ? DB_DONE : begin(v, e);
    while (outcome == DB_DONE && v->type_at < v->type_count) {
        if (!v->open) {
            outcome = open_type(v, e);
        }
        while (outcome == DB_DONE && v->difference_count < VERIFY_DIFFERENCES &&
               compare_one(v, &outcome, e)) {
        }
        if (outcome != DB_DONE || v->difference_count == VERIFY_DIFFERENCES) {
            return outcome;
        }
        close_type(v);
        v->type_at++;
    }
    return outcome == DB_DONE ? finish(v, e) : outcome;
}
