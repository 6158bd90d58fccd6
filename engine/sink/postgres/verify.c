/* Comparing what the database holds with the state, and mending it: a page of keys at a time, in byte order. The server
 * compares: what it would store for a value is what counts, whatever jsonb makes of it. */
#include <stdlib.h>
#include <string.h>

#include "sink/postgres/inside.h"

enum { PAGE_ROWS = 4096, EXTRA_ROWS = 4096, MEND_ROWS = 16384, MEND_BYTES = 8 << 20 };

static void go_on(struct pg_sink *self);

static struct slice current(const struct pg_sink *self) {
    return self->verify.types[self->verify.type];
}

/* ---- which types ---- */

static int compare_types(const void *a, const void *b) {
    return slice_compare(*(const struct slice *)a, *(const struct slice *)b);
}

static bool add_type(struct pg_verify *verify, struct slice type) {
    char *copy = malloc(type.len + 1);
    if (copy) {
        memcpy(copy, type.len ? type.ptr : "", type.len);
        verify->types[verify->type_count++] = slice_of(copy, type.len);
    }
    return copy;
}

static bool collect_types(struct pg_sink *self) {
    struct pg_verify *verify = &self->verify;
    size_t count = 0;
    struct slice *types = store_types(verify->store, &count);
    verify->types = types ? calloc(count + self->tables.count + 1, sizeof *verify->types) : NULL;
    bool ok = verify->types;
    for (size_t i = 0; ok && i < count; i++) {
        ok = add_type(verify, types[i]);
    }
    free(types);
    size_t at = 0;
    const struct strmap_entry *entry;
    while (ok && (entry = strmap_next(&self->tables, &at))) {
        const struct pg_table *table = entry->value;
        if (table->registered && store_count(verify->store, table->type) == 0) {
            ok = add_type(verify, table->type);
        }
    }
    if (ok) {
        qsort(verify->types, verify->type_count, sizeof *verify->types, compare_types);
    }
    return ok;
}

void pg_verify_free(struct pg_sink *self) {
    struct pg_verify *verify = &self->verify;
    for (size_t i = 0; i < verify->type_count; i++) {
        free((char *)verify->types[i].ptr);
    }
    free(verify->types);
    free(verify->order);
    free(verify->from);
    free(verify->to);
    sink_batch_free(verify->mend);
    *verify = (struct pg_verify){0};
}

static void stop_for_memory(struct pg_sink *self) {
    struct error e;
    error_set(&e, ERROR_MEMORY, "out of memory for comparing it with the state");
    pg_stop(self, &e);
}

/* ---- a difference ---- */

static bool note(struct pg_sink *self, enum sink_difference difference, struct slice key) {
    struct pg_verify *verify = &self->verify;
    struct slice type = current(self);
    struct store_row row = {.key = key, .value = SLICE("")};
    if (difference != SINK_EXTRA) {
        row.value = store_get(verify->store, type, key);
    }
    verify->differences++;
    self->sink.host.difference(self->sink.host.user, &self->sink, difference, &row, type);
    if (!verify->repair) {
        return true;
    }
    struct sink_row change = {
        .op = difference == SINK_EXTRA ? SINK_DELETE : SINK_PUT,
        .type = type,
        .key = key,
        .value = row.value,
        .sequence = self->place.sequence,
        .offset = slice_from(self->place.offset ? self->place.offset : ""),
    };
    return sink_batch_add(verify->mend, &change, &self->error);
}

/* ---- mending ---- */

static bool wants_mending(const struct pg_verify *verify, bool all) {
    return verify->mend && sink_batch_count(verify->mend) > 0 &&
           (all || sink_batch_count(verify->mend) >= MEND_ROWS ||
            sink_batch_bytes(verify->mend) >= MEND_BYTES);
}

static void mend(struct pg_sink *self) {
    if (!sink_batch_reach(self->verify.mend, &self->place)) {
        stop_for_memory(self);
        return;
    }
    self->mending = true;
    self->batch = self->verify.mend;
    pg_commit_begin(self);
}

void pg_verify_mended(struct pg_sink *self) {
    self->mending = false;
    self->batch = NULL;
    sink_batch_clear(self->verify.mend);
    self->verify.begun = false; /* its table may have been made */
    go_on(self);
}

/* ---- the end ---- */

static void end(struct pg_sink *self) {
    if (wants_mending(&self->verify, true)) {
        mend(self);
        return;
    }
    pg_end(self, NULL);
}

/* ---- a page ---- */

static struct store_row row_at(const struct pg_verify *verify, size_t i) {
    struct store_row row;
    store_row(verify->store, verify->order, verify->row_count, i, &row);
    return row;
}

static bool keep_key(char **to, struct slice key) {
    free(*to);
    *to = malloc(key.len + 1);
    if (*to) {
        memcpy(*to, key.len ? key.ptr : "", key.len);
        (*to)[key.len] = '\0'; /* a key that is compared holds no NUL */
    }
    return *to;
}

static void page_done(struct pg_sink *self) {
    struct pg_verify *verify = &self->verify;
    verify->checked += verify->end - verify->row;
    verify->row = verify->end;
    verify->page_rows = verify->page_rows * 2 < PAGE_ROWS ? verify->page_rows * 2 : PAGE_ROWS;
    if (verify->to) {
        free(verify->from);
        verify->from = verify->to;
        verify->to = NULL;
    }
    go_on(self);
}

static void on_differences(void *user, size_t n, const PGresult *result) {
    (void)n;
    struct pg_sink *self = user;
    for (int i = 0; i < PQntuples(result) && !self->lacking; i++) {
        struct slice key = slice_of(PQgetvalue(result, i, 0), (size_t)PQgetlength(result, i, 0));
        char kind = PQgetvalue(result, i, 1)[0];
        self->lacking = !note(self, kind == 'x' ? SINK_EXTRA : kind == 'm' ? SINK_MISSING : SINK_OTHER, key);
    }
}

/* A value that the database does not take fails the page: fewer at once, until it is alone. */
static void on_compared(void *user, const struct pg_failure *failure) {
    struct pg_sink *self = user;
    struct pg_verify *verify = &self->verify;
    if (failure && !failure->cut && pg_fault_of(failure) == PG_FAULT_ROW) {
        if (verify->page_rows > 1) {
            verify->page_rows = 1 + verify->page_rows / 4;
            verify->page_rows -= verify->page_rows == 2;
            go_on(self);
            return;
        }
        self->lacking = !note(self, SINK_MISSING, row_at(verify, verify->row).key);
        free(verify->to); /* what is extra up to here is found with the next page */
        verify->to = NULL;
    } else if (failure) {
        pg_fail(self, failure, "");
        return;
    }
    if (self->lacking) {
        pg_stop(self, &self->error);
        return;
    }
    page_done(self);
}

/* Fills the arrays with the page's rows; those that no database takes are missing. */
static bool fill_page(struct pg_sink *self, struct pg_table *table, struct pg_array *arrays, size_t width) {
    struct pg_verify *verify = &self->verify;
    struct error e;
    bool ok = true;
    size_t bytes = 0;
    for (size_t c = 0; ok && c < width; c++) {
        ok = pg_array_begin(&arrays[c], &self->arrays[c], c == 1 && !table->columns ? PG_JSONB : PG_TEXT);
    }
    for (verify->end = verify->row; ok && verify->end < verify->row_count; verify->end++) {
        struct store_row row = row_at(verify, verify->end);
        struct sink_row as = {.op = SINK_PUT, .type = current(self), .key = row.key, .value = row.value};
        bytes += row.key.len + row.value.len;
        bool enough = verify->end - verify->row >= verify->page_rows;
        if (verify->end > verify->row && (enough || bytes > PG_STATEMENT_BYTES)) {
            break;
        }
        if (!pg_commit_check_row(self, &as, &e)) {
            ok = e.code != ERROR_MEMORY && note(self, SINK_MISSING, row.key);
            continue;
        }
        ok = pg_table_cells(table, row.key, row.value, &self->cells, &e) && keep_key(&verify->to, row.key);
        for (size_t c = 0; ok && c < width; c++) {
            ok = pg_array_add(&arrays[c], self->cells.texts[c]);
        }
    }
    for (size_t c = 0; ok && c < width; c++) {
        pg_array_end(&arrays[c]);
    }
    return ok;
}

static bool next_page(void *user, struct pg_link *link) {
    struct pg_sink *self = user;
    struct pg_verify *verify = &self->verify;
    struct pg_table *table = strmap_get(&self->tables, current(self));
    size_t width = pg_table_width(table);
    char from[16];
    char to[16];
    if (verify->page > 0) {
        return false;
    }
    verify->page = 1;
    (void)snprintf(from, sizeof from, "$%zu", width + 1);
    (void)snprintf(to, sizeof to, "$%zu", width + (verify->from ? 2 : 1));
    struct pg_param *params = calloc(width + 2, sizeof *params);
    buf_clear(&self->sql);
    if (!params || !pg_table_sql_compare(table, verify->from ? from : NULL, to, &self->sql)) {
        free(params);
        pg_link_give_up(link);
        return false;
    }
    size_t count = width;
    for (size_t c = 0; c < width; c++) {
        params[c] = (struct pg_param){
            .type = c == 1 && !table->columns ? PG_JSONB_ARRAY : PG_TEXT_ARRAY,
            .value = self->arrays[c].ptr,
            .length = self->arrays[c].len,
            .binary = true,
        };
    }
    if (verify->from) {
        params[count++] = pg_param_text(verify->from);
    }
    params[count++] = pg_param_text(verify->to);
    pg_link_send(link, self->sql.ptr, params, count);
    free(params);
    return true;
}

static void compare_page(struct pg_sink *self, struct pg_table *table) {
    struct pg_verify *verify = &self->verify;
    size_t width = pg_table_width(table);
    struct pg_array *arrays = calloc(width, sizeof *arrays);
    self->lacking = false;
    self->error.code = ERROR_NONE;
    free(verify->to);
    verify->to = NULL;
    bool ok = arrays && pg_commit_reserve(self, width) && fill_page(self, table, arrays, width);
    free(arrays);
    if (!ok) {
        stop_for_memory(self);
    } else if (verify->to) {
        struct pg_round round = {
            .user = self, .next = next_page, .answer = on_differences, .done = on_compared};
        verify->page = 0;
        pg_link_run(self->link, &round);
    } else {
        page_done(self);
    }
}

/* ---- what is behind the state's last key ---- */

static void on_extra(void *user, size_t n, const PGresult *result) {
    (void)n;
    struct pg_sink *self = user;
    self->verify.last_extra = (uint64_t)PQntuples(result);
    for (int i = 0; i < PQntuples(result) && !self->lacking; i++) {
        struct slice key = slice_of(PQgetvalue(result, i, 0), (size_t)PQgetlength(result, i, 0));
        self->lacking = !note(self, SINK_EXTRA, key) || !keep_key(&self->verify.from, key);
    }
}

static void on_extras(void *user, const struct pg_failure *failure) {
    struct pg_sink *self = user;
    if (failure) {
        pg_fail(self, failure, "");
    } else if (self->lacking) {
        pg_stop(self, &self->error);
    } else {
        self->verify.compared = self->verify.last_extra < EXTRA_ROWS;
        go_on(self);
    }
}

static void find_extra(struct pg_sink *self, const struct pg_table *table) {
    self->lacking = false;
    buf_clear(&self->sql);
    pg_script_clear(&self->script);
    if (!pg_table_sql_extra(table, self->verify.from != NULL, EXTRA_ROWS, &self->sql)) {
        stop_for_memory(self);
        return;
    }
    pg_script_add(&self->script, PG_TAG_NONE, self->sql.ptr);
    if (self->verify.from) {
        pg_script_text(&self->script, self->verify.from);
    }
    pg_run_script(self, on_extra, on_extras);
}

/* ---- type after type ---- */

/* There is no table: all of the type is missing. False: it could not be noted. */
static bool all_missing(struct pg_sink *self) {
    struct pg_verify *verify = &self->verify;
    for (; verify->row < verify->row_count && !wants_mending(verify, false); verify->row++) {
        verify->checked++;
        if (!note(self, SINK_MISSING, row_at(verify, verify->row).key)) {
            return false;
        }
    }
    verify->compared = verify->row == verify->row_count;
    return true;
}

static bool begin_type(struct pg_sink *self) {
    struct pg_verify *verify = &self->verify;
    if (!verify->order) {
        verify->order = store_order(verify->store, current(self), &verify->row_count);
        verify->row = 0;
        verify->page_rows = PAGE_ROWS;
        verify->compared = false;
    }
    return verify->order;
}

static void end_type(struct pg_sink *self) {
    struct pg_verify *verify = &self->verify;
    free(verify->order);
    free(verify->from);
    verify->order = NULL;
    verify->from = NULL;
    verify->begun = false;
    verify->type++;
}

void pg_verify_table(struct pg_sink *self, struct pg_table *table) {
    (void)table;
    self->verify.begun = true;
    go_on(self);
}

static void go_on(struct pg_sink *self) {
    struct pg_verify *verify = &self->verify;
    while (verify->type < verify->type_count) {
        if (wants_mending(verify, false)) {
            mend(self);
            return;
        }
        if (!begin_type(self)) {
            stop_for_memory(self);
            return;
        }
        struct pg_table *table = strmap_get(&self->tables, current(self));
        bool known = table && table->registered;
        if (verify->compared) {
            end_type(self);
        } else if (known && !verify->begun) {
            pg_prepare_table(self, table);
            return;
        } else if (!known || !table->ready) {
            if (!all_missing(self)) {
                pg_stop(self, &self->error);
                return;
            }
        } else if (verify->row < verify->row_count) {
            compare_page(self, table);
            return;
        } else {
            find_extra(self, table);
            return;
        }
    }
    end(self);
}

void pg_verify_begin(struct pg_sink *self) {
    struct pg_verify *verify = &self->verify;
    verify->begun = false;
    if (verify->repair && !verify->mend && !(verify->mend = sink_batch_new(PG_BUFFER_MAX))) {
        stop_for_memory(self);
        return;
    }
    if (!verify->types && !collect_types(self)) {
        stop_for_memory(self);
        return;
    }
    go_on(self);
}
