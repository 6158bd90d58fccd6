/* A batch in one round: the fence with the place, new tables, resets, then the rows, a statement for as many as fit.
 * What is not of one accord is done in steps (steps.c). */
#include <stdlib.h>
#include <string.h>

#include "base/list.h"
#include "sink/postgres/inside.h"

/* ---- which rows ---- */

bool pg_commit_check_row(struct pg_sink *self, const struct sink_row *row, struct error *e) {
    if (!table_check_text(row->type, "the type", e) || !table_check_text(row->key, "the key", e)) {
        return false;
    }
    struct pg_table *table = pg_sink_table(self, row->type, e);
    if (!table) {
        return false;
    }
    if (!table->columns) {
        return pg_check_json(row->value, e);
    }
    if (!pg_table_cells(table, row->key, row->value, &self->cells, e)) {
        return false;
    }
    for (size_t i = 0; i < table->columns->count; i++) {
        bool json = table->columns->list[i].kind == SCHEMA_SHAPE_JSON && self->cells.texts[i + 1].ptr;
        if (json && !pg_check_json(self->cells.texts[i + 1], e)) {
            return error_context(e, "property %.*s", (int)table->columns->list[i].property.len,
                                 table->columns->list[i].property.ptr);
        }
    }
    return true;
}

/* Those that no database of text takes are refused before anything is sent, each once. */
static bool check_rows(struct pg_sink *self, struct error *e) {
    size_t count = sink_batch_count(self->batch);
    self->skip = calloc(count + 1, 1);
    if (!self->skip) {
        return error_set(e, ERROR_MEMORY, "out of memory for a batch");
    }
    for (size_t i = 0; i < count; i++) {
        struct sink_row row = sink_batch_row(self->batch, i);
        if (row.op == SINK_DELETE) {
            self->skip[i] = !table_text_fits(row.type) || !table_text_fits(row.key);
        } else if (row.op == SINK_PUT && !pg_commit_check_row(self, &row, e)) {
            if (e->code == ERROR_MEMORY ||
                !self->sink.host.refused(self->sink.host.user, &self->sink, &row, e)) {
                return false;
            }
            self->skip[i] = 1;
        }
    }
    return true;
}

static void prepare_later(struct sink *sink) {
    pg_prepare((struct pg_sink *)(void *)sink);
}

void pg_commit_begin(struct pg_sink *self) {
    struct error e;
    if (!self->planned) {
        if (!check_rows(self, &e)) {
            pg_stop(self, &e);
            return;
        }
        if (!pg_plan_make(&self->plan, self->batch, self->skip)) {
            error_set(&e, ERROR_MEMORY, "out of memory for a batch");
            pg_stop(self, &e);
            return;
        }
        self->planned = true;
        self->slow = 0;
    }
    if (sink_may_commit(&self->sink, prepare_later)) {
        pg_prepare(self);
    }
}

void pg_commit_free(struct pg_sink *self) {
    pg_plan_free(&self->plan);
    free(self->skip);
    free(self->cursor.types);
    self->skip = NULL;
    self->cursor = (struct pg_cursor){0};
    self->planned = false;
    self->slow = 0;
}

/* ---- what comes before the rows ---- */

static void add_fence(struct pg_sink *self) {
    const struct sink_place *place = sink_batch_place(self->batch);
    buf_clear(&self->sql);
    /* The condition and the row's lock are what fences; where it does not hold, a division by zero undoes all. */
    bool ok =
        buf_printf(
            &self->sql,
            "WITH moved AS (UPDATE %s SET \"offset\" = $3, skip = $4::bigint, sequence = $5::bigint,"
            " notes = $6, synced_at = now(), commits = commits + 1 WHERE stream_url = $1"
            " AND epoch = $2::bigint AND commits = $7::bigint RETURNING 1) SELECT 1 / count(*) FROM moved",
            self->state) &&
        buf_append_byte(&self->sql, '\0');
    self->script.failed = self->script.failed || !ok;
    if (ok) {
        pg_script_add(&self->script, PG_TAG_FENCE, self->sql.ptr);
        pg_script_text(&self->script, self->sink.stream);
        pg_script_number(&self->script, self->sink.epoch);
        pg_script_text(&self->script, place->offset);
        pg_script_number(&self->script, place->skip);
        pg_script_number(&self->script, place->sequence);
        pg_script_text(&self->script, place->notes);
        pg_script_number(&self->script, self->commits);
    }
}

static void add_registration(struct pg_sink *self, const struct pg_table *table) {
    buf_clear(&self->sql);
    bool ok = buf_printf(&self->sql,
                         "INSERT INTO %s (stream_url, type, table_name) VALUES ($1, $2, $3)"
                         " ON CONFLICT (stream_url, type) DO NOTHING",
                         self->tables_name) &&
              buf_append_byte(&self->sql, '\0');
    self->script.failed = self->script.failed || !ok;
    if (ok) {
        pg_script_add(&self->script, PG_TAG_TABLE, self->sql.ptr);
        pg_script_text(&self->script, self->sink.stream);
        pg_script_slice(&self->script, table->type);
        pg_script_text(&self->script, table->name);
    }
}

static void add_table(struct pg_sink *self, struct pg_table *table) {
    for (size_t i = 0; i < table->change_count; i++) {
        pg_script_add(&self->script, PG_TAG_TABLE, table->changes[i]);
    }
    if (!table->registered) {
        add_registration(self, table);
    }
}

static void add_clear(struct pg_sink *self) {
    size_t at = 0;
    const struct strmap_entry *entry;
    while ((entry = strmap_next(&self->tables, &at))) {
        const struct pg_table *table = entry->value;
        if (!table->registered || table->create) {
            continue;
        }
        buf_clear(&self->sql);
        bool ok = buf_printf(&self->sql, "DELETE FROM %s", table->quoted) &&
                  buf_append_byte(&self->sql, '\0');
        self->script.failed = self->script.failed || !ok;
        if (ok) {
            pg_script_add(&self->script, PG_TAG_CLEAR, self->sql.ptr);
        }
    }
}

void pg_commit_script(struct pg_sink *self) {
    add_fence(self);
    for (size_t i = 0; i < self->plan.type_count; i++) {
        struct pg_table *table = strmap_get(&self->tables, self->plan.types[i].type);
        if (table && (table->create || table->ready)) {
            add_table(self, table);
        }
    }
    if (self->plan.clear) {
        add_clear(self);
    }
}

/* ---- the rows ---- */

static bool cursor_fails(struct pg_sink *self, struct error *e) {
    self->cursor.failed = true;
    if (e) {
        self->cursor.error = *e;
    } else {
        error_set(&self->cursor.error, ERROR_MEMORY, "out of memory for a statement of %d MB",
                  PG_STATEMENT_BYTES >> 20);
    }
    return false;
}

bool pg_commit_reserve(struct pg_sink *self, size_t width) {
    if (self->array_count >= width) {
        return true;
    }
    struct buf *arrays = realloc(self->arrays, width * sizeof *arrays);
    if (!arrays) {
        return false;
    }
    self->arrays = arrays;
    while (self->array_count < width) {
        buf_init(&arrays[self->array_count++], PG_BUFFER_MAX);
    }
    return true;
}

static bool fill_arrays(struct pg_sink *self, struct pg_table *table, enum sink_op op, const uint32_t *rows,
                        size_t count, size_t width, struct pg_array *arrays) {
    struct error e;
    bool ok = true;
    for (size_t c = 0; ok && c < width; c++) {
        ok = pg_array_begin(&arrays[c], &self->arrays[c], c == 1 && !table->columns ? PG_JSONB : PG_TEXT);
    }
    for (size_t i = 0; ok && i < count; i++) {
        struct sink_row row = sink_batch_row(self->batch, rows[i]);
        if (op == SINK_PUT && !pg_table_cells(table, row.key, row.value, &self->cells, &e)) {
            return cursor_fails(self, &e);
        }
        for (size_t c = 0; ok && c < width; c++) {
            ok = pg_array_add(&arrays[c], op == SINK_PUT ? self->cells.texts[c] : row.key);
        }
    }
    for (size_t c = 0; ok && c < width; c++) {
        pg_array_end(&arrays[c]);
    }
    return ok || cursor_fails(self, NULL);
}

bool pg_commit_send_rows(struct pg_sink *self, struct pg_link *link, struct pg_table *table, enum sink_op op,
                         const uint32_t *rows, size_t count) {
    size_t width = op == SINK_PUT ? pg_table_width(table) : 1;
    buf_clear(&self->sql);
    bool ok = op == SINK_PUT ? pg_table_sql_put(table, &self->sql) : pg_table_sql_remove(table, &self->sql);
    struct pg_array *arrays = calloc(width, sizeof *arrays);
    struct pg_param *params = calloc(width, sizeof *params);
    if (!ok || !arrays || !params || !pg_commit_reserve(self, width)) {
        ok = cursor_fails(self, NULL);
    } else if ((ok = fill_arrays(self, table, op, rows, count, width, arrays))) {
        for (size_t c = 0; c < width; c++) {
            params[c] = (struct pg_param){
                .type = arrays[c].element == PG_JSONB ? PG_JSONB_ARRAY : PG_TEXT_ARRAY,
                .value = self->arrays[c].ptr,
                .length = self->arrays[c].len,
                .binary = true,
            };
        }
        pg_link_send(link, self->sql.ptr, params, width);
    }
    free(arrays);
    free(params);
    return ok;
}

size_t pg_commit_take(const struct pg_sink *self, const uint32_t *rows, size_t count) {
    size_t bytes = 0;
    size_t taken = 0;
    while (taken < count && taken < PG_STATEMENT_ROWS) {
        struct sink_row row = sink_batch_row(self->batch, rows[taken]);
        bytes += row.key.len + row.value.len;
        if (taken > 0 && bytes > PG_STATEMENT_BYTES) {
            break;
        }
        taken++;
    }
    return taken;
}

static bool note_type(struct pg_cursor *cursor, size_t type) {
    uint32_t *types = list_room(cursor->types, cursor->count, &cursor->room, 64, sizeof *types);
    if (!types) {
        return false;
    }
    cursor->types = types;
    types[cursor->count++] = (uint32_t)type;
    return true;
}

/* Removes before it puts: nothing of a batch is in both, but a constraint of somebody's may be of several rows. */
bool pg_commit_next(struct pg_sink *self, struct pg_link *link) {
    struct pg_cursor *cursor = &self->cursor;
    for (; cursor->type < self->plan.type_count && !cursor->failed; cursor->type++, cursor->row = 0) {
        const struct pg_plan_type *type = &self->plan.types[cursor->type];
        struct pg_table *table = strmap_get(&self->tables, type->type);
        bool there = table && (table->ready || table->create);
        if (!there || (cursor->copied && table->fresh)) {
            continue;
        }
        /* One number for both lists: first the deletes. */
        bool deletes = cursor->row < type->delete_count;
        size_t at = deletes ? cursor->row : cursor->row - type->delete_count;
        size_t left = (deletes ? type->delete_count : type->put_count) - at;
        if (left == 0) {
            continue;
        }
        const uint32_t *rows = (deletes ? type->deletes : type->puts) + at;
        size_t count = pg_commit_take(self, rows, left);
        cursor->row += count;
        bool sent = (note_type(cursor, cursor->type) || cursor_fails(self, NULL)) &&
                    pg_commit_send_rows(self, link, table, deletes ? SINK_DELETE : SINK_PUT, rows, count);
        if (!sent) {
            pg_link_give_up(link);
        }
        return sent;
    }
    return false;
}

static bool next_statement(void *user, struct pg_link *link) {
    struct pg_sink *self = user;
    return pg_script_next(&self->script, link) || pg_commit_next(self, link);
}

void pg_commit_unbuilt(struct pg_sink *self) {
    struct error e = self->cursor.error;
    pg_stop(self, &e);
}

/* ---- how it went ---- */

void pg_commit_where(const struct pg_sink *self, size_t statement, char *out, size_t size) {
    const struct pg_cursor *cursor = &self->cursor;
    out[0] = '\0';
    if (statement == PG_NO_STATEMENT || statement < self->script.count ||
        statement - self->script.count >= cursor->count) {
        return;
    }
    const struct pg_plan_type *type = &self->plan.types[cursor->types[statement - self->script.count]];
    const struct pg_table *table = strmap_get(&self->tables, type->type);
    (void)snprintf(out, size, "table %s (type %.*s)", table ? table->quoted : "?",
                   (int)(type->type.len < 64 ? type->type.len : 64), type->type.ptr);
}

bool pg_commit_failed_early(struct pg_sink *self, const struct pg_failure *failure) {
    if (failure->cut || failure->statement == PG_NO_STATEMENT || failure->statement >= self->script.count) {
        return false;
    }
    int tag = self->script.items[failure->statement].tag;
    if (tag == PG_TAG_FENCE && pg_fault_is_condition(failure)) {
        pg_session_look(self);
        return true;
    }
    if (tag == PG_TAG_TABLE && pg_fault_of(failure) == PG_FAULT_ROW) {
        struct error e;
        pg_fault_explain(failure, &e);
        e.code = ERROR_CONFLICT;
        pg_stop(self, &e);
        return true;
    }
    return false;
}

static void on_done(void *user, const struct pg_failure *failure) {
    struct pg_sink *self = user;
    char where[256];
    if (self->cursor.failed) {
        pg_commit_unbuilt(self);
    } else if (!failure) {
        pg_commit_done(self);
    } else if (pg_commit_failed_early(self, failure)) {
        return;
    } else if (!failure->cut && pg_fault_of(failure) == PG_FAULT_ROW) {
        self->slow = 1;
        pg_steps_begin(self);
    } else {
        pg_commit_where(self, failure->statement, where, sizeof where);
        pg_fail(self, failure, where);
    }
}

/* A new table with many rows. */
static bool wants_copy(const struct pg_sink *self) {
    for (size_t i = 0; i < self->plan.type_count; i++) {
        const struct pg_table *table = strmap_get(&self->tables, self->plan.types[i].type);
        if (table && table->create && self->plan.types[i].put_count >= PG_COPY_ROWS) {
            return true;
        }
    }
    return false;
}

void pg_commit_write(struct pg_sink *self) {
    free(self->cursor.types);
    self->cursor = (struct pg_cursor){0};
    if (self->slow || wants_copy(self)) {
        pg_steps_begin(self);
        return;
    }
    pg_script_clear(&self->script);
    pg_commit_script(self);
    struct pg_round round = {.user = self, .next = next_statement, .done = on_done};
    if (self->script.failed) {
        struct error e;
        error_set(&e, ERROR_MEMORY, "out of memory for a batch's statements");
        pg_stop(self, &e);
        return;
    }
    pg_link_run(self->link, &round);
}

void pg_commit_done(struct pg_sink *self) {
    size_t at = 0;
    const struct strmap_entry *entry;
    if (!self->went_through) {
        self->commits++;
    }
    while (!self->went_through && (entry = strmap_next(&self->tables, &at))) {
        struct pg_table *table = entry->value;
        if (table->create || table->change_count > 0) {
            pg_table_settled(table);
        } else if (table->ready) {
            table->registered = true;
        }
    }
    self->went_through = false;
    pg_commit_free(self);
    if (self->mending) {
        pg_verify_mended(self);
    } else {
        pg_end(self, NULL);
    }
}
