/* A batch in a transaction of several rounds, for what one round cannot do:
 *
 *   - COPY into tables that the transaction has just made, which is the initial load;
 *   - a row that is refused: in the order of the stream, behind savepoints, half as many rows at once after each
 *     refusal, until it is one row, which is told and passed over.
 *
 * Constraints that somebody has added are met as the stream meets them: rows are not drawn together here. */
#include <stdlib.h>
#include <string.h>

#include "sink/postgres/inside.h"

enum { PIECE = 256 << 10, ROWS_AT_ONCE = 4096 };

static void copy_tables(struct pg_sink *self);
static void write_rest(struct pg_sink *self);
static void find_rows(struct pg_sink *self);

/* What fails in the middle leaves a transaction behind that the next attempt, or a new connection, ends. */
static void fail_step(struct pg_sink *self, const struct pg_failure *failure, size_t statement) {
    char where[256];
    if (self->cursor.failed) {
        pg_commit_unbuilt(self);
    } else if (!failure->cut && pg_fault_of(failure) == PG_FAULT_ROW && self->slow < 2) {
        self->slow++;
        pg_steps_begin(self);
    } else {
        pg_commit_where(self, statement, where, sizeof where);
        pg_fail(self, failure, where);
    }
}

/* ---- the beginning ---- */

static void on_begun(void *user, const struct pg_failure *failure) {
    struct pg_sink *self = user;
    if (!failure) {
        if (self->slow) {
            find_rows(self);
        } else {
            copy_tables(self);
        }
    } else if (!pg_commit_failed_early(self, failure)) {
        fail_step(self, failure, failure->statement);
    }
}

static void settle_cursor(struct pg_sink *self) {
    free(self->cursor.types);
    self->cursor = (struct pg_cursor){0};
}

/* Behind the last reset: what was before it is cleared at the beginning. */
static size_t first_row(const struct pg_sink *self) {
    size_t i = self->plan.clear ? sink_batch_count(self->batch) : 0;
    while (i > 0 && sink_batch_row(self->batch, i - 1).op != SINK_CLEAR) {
        i--;
    }
    return i;
}

void pg_steps_begin(struct pg_sink *self) {
    buf_free(&self->steps.piece);
    self->steps = (struct pg_steps){.step = ROWS_AT_ONCE, .row = self->slow ? first_row(self) : 0};
    buf_init(&self->steps.piece, PG_BUFFER_MAX);
    settle_cursor(self);
    pg_script_clear(&self->script);
    pg_script_add(&self->script, PG_TAG_NONE, "ROLLBACK"); /* of an attempt before, if there was one */
    pg_script_add(&self->script, PG_TAG_NONE, "BEGIN");
    if (self->slow > 1) {
        pg_script_add(&self->script, PG_TAG_NONE, "SET CONSTRAINTS ALL IMMEDIATE");
    }
    pg_commit_script(self);
    if (self->script.failed) {
        struct error e;
        error_set(&e, ERROR_MEMORY, "out of memory for a batch's statements");
        pg_stop(self, &e);
        return;
    }
    pg_run_script(self, NULL, on_begun);
}

/* ---- COPY ---- */

static struct pg_table *table_at(const struct pg_sink *self, size_t type) {
    return strmap_get(&self->tables, self->plan.types[type].type);
}

static bool next_copy(void *user, struct pg_link *link) {
    struct pg_sink *self = user;
    pg_link_send(link, self->sql.ptr, NULL, 0);
    return true;
}

static bool append_line(struct pg_sink *self, const struct pg_table *table, struct sink_row *row) {
    struct buf *piece = &self->steps.piece;
    if (!pg_table_cells(table, row->key, row->value, &self->cells, &self->cursor.error)) {
        return false;
    }
    bool ok = true;
    for (size_t c = 0; ok && c < pg_table_width(table); c++) {
        ok = (c == 0 || buf_append_byte(piece, '\t')) && pg_copy_cell(piece, self->cells.texts[c]);
    }
    return (ok && buf_append_byte(piece, '\n')) ||
           buf_error(piece, &self->cursor.error, "rows on their way to PostgreSQL", "raise limits.sinkBatch");
}

static bool copy_piece(void *user, const char **bytes, size_t *length) {
    struct pg_sink *self = user;
    struct pg_steps *steps = &self->steps;
    const struct pg_plan_type *type = &self->plan.types[steps->type];
    const struct pg_table *table = table_at(self, steps->type);
    buf_clear(&steps->piece);
    while (steps->row < type->put_count && steps->piece.len < PIECE) {
        struct sink_row row = sink_batch_row(self->batch, type->puts[steps->row++]);
        if (!append_line(self, table, &row)) {
            self->cursor.failed = true;
            pg_link_give_up(self->link);
            return false;
        }
    }
    *bytes = steps->piece.ptr;
    *length = steps->piece.len;
    return steps->piece.len > 0;
}

static void on_copied(void *user, const struct pg_failure *failure) {
    struct pg_sink *self = user;
    if (failure) {
        fail_step(self, failure, PG_NO_STATEMENT);
        return;
    }
    table_at(self, self->steps.type)->fresh = true;
    self->steps.type++;
    copy_tables(self);
}

/* The next table that is worth it. */
static void copy_tables(struct pg_sink *self) {
    struct pg_steps *steps = &self->steps;
    for (; steps->type < self->plan.type_count; steps->type++) {
        struct pg_table *table = table_at(self, steps->type);
        if (!table || !table->create || self->plan.types[steps->type].put_count < PG_COPY_ROWS) {
            continue;
        }
        struct pg_round round = {.user = self, .next = next_copy, .copy = copy_piece, .done = on_copied};
        steps->row = 0;
        buf_clear(&self->sql);
        if (!pg_table_sql_copy(table, &self->sql)) {
            error_set(&self->cursor.error, ERROR_MEMORY, "out of memory for a statement");
            pg_commit_unbuilt(self);
            return;
        }
        pg_link_run(self->link, &round);
        return;
    }
    self->cursor.copied = true;
    write_rest(self);
}

/* ---- the rows that were not copied, and the end ---- */

static bool next_rest(void *user, struct pg_link *link) {
    struct pg_sink *self = user;
    if (pg_commit_next(self, link)) {
        return true;
    }
    return !self->cursor.failed && pg_script_next(&self->script, link);
}

/* Whatever fails while the transaction is committed undoes it; row by row more will be known. */
static void on_written(void *user, const struct pg_failure *failure) {
    struct pg_sink *self = user;
    if (failure) {
        fail_step(self, failure, PG_NO_STATEMENT);
    } else {
        pg_commit_done(self);
    }
}

static void write_rest(struct pg_sink *self) {
    struct pg_round round = {.user = self, .next = next_rest, .done = on_written};
    pg_script_clear(&self->script);
    pg_script_add(&self->script, PG_TAG_NONE, "COMMIT");
    pg_link_run(self->link, &round);
}

/* ---- row by row, as far as it has to be ---- */

static bool concerns(const struct pg_sink *self, size_t i) {
    struct sink_row row = sink_batch_row(self->batch, i);
    if (self->skip[i] || (row.op != SINK_PUT && row.op != SINK_DELETE)) {
        return false;
    }
    const struct pg_table *table = strmap_get(&self->tables, row.type);
    return table && (table->ready || table->create);
}

static bool same_kind(const struct pg_sink *self, size_t a, size_t b) {
    struct sink_row one = sink_batch_row(self->batch, a);
    struct sink_row other = sink_batch_row(self->batch, b);
    return one.op == other.op && slice_equal(one.type, other.type);
}

/* The rows from steps->row that one statement can take: of one type and op, no key twice, at most steps->step. */
static size_t take_run(struct pg_sink *self, uint32_t *rows) {
    struct pg_steps *steps = &self->steps;
    struct strmap keys;
    size_t taken = 0;
    size_t bytes = 0;
    size_t count = sink_batch_count(self->batch);
    strmap_init(&keys);
    for (steps->end = steps->row; steps->end < count && taken < steps->step; steps->end++) {
        if (!concerns(self, steps->end)) {
            continue;
        }
        struct sink_row row = sink_batch_row(self->batch, steps->end);
        bytes += row.key.len + row.value.len;
        if (taken > 0 && (bytes > PG_STATEMENT_BYTES || !same_kind(self, rows[0], steps->end) ||
                          strmap_get(&keys, row.key))) {
            break;
        }
        if (!strmap_put(&keys, row.key, rows)) {
            break;
        }
        rows[taken++] = (uint32_t)steps->end;
    }
    strmap_free(&keys, NULL);
    return taken;
}

static bool send_run(struct pg_sink *self, struct pg_link *link, const uint32_t *rows, size_t count) {
    struct sink_row row = sink_batch_row(self->batch, rows[0]);
    struct pg_table *table = strmap_get(&self->tables, row.type);
    return pg_commit_send_rows(self, link, table, row.op, rows, count);
}

/* Its statements: (ROLLBACK TO), SAVEPOINT, the rows, RELEASE. */
static bool next_find(void *user, struct pg_link *link) {
    struct pg_sink *self = user;
    struct pg_steps *steps = &self->steps;
    uint32_t rows[ROWS_AT_ONCE];
    if (steps->stage == 0) {
        steps->stage = 1;
        pg_link_send(link, steps->back ? "ROLLBACK TO SAVEPOINT weir_row" : "SAVEPOINT weir_row", NULL, 0);
    } else if (steps->stage == 1) {
        steps->stage = 2;
        size_t count = take_run(self, rows);
        if (count == 0 || !send_run(self, link, rows, count)) {
            self->cursor.failed = true;
            pg_link_give_up(link);
            return false;
        }
    } else if (steps->stage == 2) {
        steps->stage = 3;
        pg_link_send(link, "RELEASE SAVEPOINT weir_row", NULL, 0);
    } else {
        return false;
    }
    return true;
}

static bool next_back(void *user, struct pg_link *link) {
    return pg_script_next(&((struct pg_sink *)user)->script, link);
}

/* One row that the database does not take. False: the host wants it to stop. */
static bool refuse_row(struct pg_sink *self, const struct pg_failure *failure, struct error *e) {
    struct sink_row row = sink_batch_row(self->batch, self->steps.row);
    const struct pg_table *table = strmap_get(&self->tables, row.type);
    pg_fault_explain(failure, e);
    e->code = ERROR_SCHEMA;
    error_context(e, "table %s", table->quoted);
    if (!self->sink.host.refused(self->sink.host.user, &self->sink, &row, e)) {
        return false;
    }
    self->skip[self->steps.row] = 1;
    return true;
}

static void on_found(void *user, const struct pg_failure *failure) {
    struct pg_sink *self = user;
    struct pg_steps *steps = &self->steps;
    steps->back = failure != NULL;
    if (!failure) {
        steps->row = steps->end;
        steps->step = steps->step * 2 < ROWS_AT_ONCE ? steps->step * 2 : ROWS_AT_ONCE;
    } else if (self->cursor.failed) {
        pg_commit_unbuilt(self);
        return;
    } else if (failure->cut || pg_fault_of(failure) != PG_FAULT_ROW) {
        pg_fail(self, failure, "");
        return;
    } else if (steps->step > 1) {
        steps->step /= 2;
    } else if (!refuse_row(self, failure, &self->error)) {
        pg_stop(self, &self->error);
        return;
    }
    find_rows(self);
}

static void start_again(struct sink *sink) {
    pg_steps_begin((struct pg_sink *)(void *)sink);
}

static void on_left(void *user, const struct pg_failure *failure) {
    struct pg_sink *self = user;
    if (failure) {
        pg_fail(self, failure, "");
    } else if (sink_may_commit(&self->sink, start_again)) {
        pg_steps_begin(self);
    }
}

/* The rows that are refused are known, and not kept yet: no transaction waits for that. */
static void leave(struct pg_sink *self) {
    struct pg_round round = {.user = self, .next = next_back, .done = on_left};
    pg_script_clear(&self->script);
    pg_script_add(&self->script, PG_TAG_NONE, "ROLLBACK");
    pg_link_run(self->link, &round);
}

static void find_rows(struct pg_sink *self) {
    struct pg_steps *steps = &self->steps;
    size_t count = sink_batch_count(self->batch);
    while (steps->row < count && !concerns(self, steps->row)) {
        steps->row++;
    }
    struct pg_round round = {.user = self, .next = next_find, .done = on_found};
    steps->stage = 0;
    if (steps->row < count) {
        pg_link_run(self->link, &round);
        return;
    }
    if (!sink_may_commit(&self->sink, NULL)) {
        leave(self);
        return;
    }
    pg_script_clear(&self->script);
    if (steps->back) {
        pg_script_add(&self->script, PG_TAG_NONE, "ROLLBACK TO SAVEPOINT weir_row");
    }
    pg_script_add(&self->script, PG_TAG_NONE, "COMMIT");
    round = (struct pg_round){.user = self, .next = next_back, .done = on_written};
    pg_link_run(self->link, &round);
}
