/* The tables that a batch needs: which name each has, whether it is there, and of the right shape. */
#include <stdlib.h>
#include <string.h>

#include "sink/postgres/inside.h"

static void ask(struct pg_sink *self);

static bool next_question(void *user, struct pg_link *link) {
    struct pg_sink *self = user;
    if (self->asked_sent == self->asked_count) {
        return false;
    }
    struct pg_param params[] = {pg_param_text(self->asked[self->asked_sent++]->name),
                                pg_param_text(self->schema)};
    pg_link_send(link, self->sql.ptr, params, 2);
    return true;
}

static void fail_table(struct pg_sink *self, const struct pg_table *table) {
    error_context(&self->error, "type %.*s", (int)(table->type.len < 64 ? table->type.len : 64),
                  table->type.ptr);
    self->lacking = true;
}

/* The next name that no other type of this stream has. */
static bool choose_name(struct pg_sink *self, struct pg_table *table) {
    struct pg_table_options options = pg_table_options_of(self);
    for (;;) {
        if (!pg_table_next_name(table, &options, &self->error)) {
            return false;
        }
        struct pg_table *other = strmap_get(&self->names, slice_from(table->name));
        if (other == table) {
            return true;
        }
        if (!other) {
            return strmap_put(&self->names, slice_from(table->name), table) ||
                   error_set(&self->error, ERROR_MEMORY, "out of memory for the name of a table");
        }
    }
}

static void on_answer(void *user, size_t n, const PGresult *result) {
    struct pg_sink *self = user;
    struct pg_table *table = self->asked[n];
    struct pg_table_options options = pg_table_options_of(self);
    bool taken = false;
    if (self->lacking) {
        return;
    }
    if (!pg_table_examine(table, result, &options, &taken, &self->error)) {
        fail_table(self, table);
    } else if (taken) {
        strmap_remove(&self->names, slice_from(table->name));
        self->asked_again = true;
        if (!choose_name(self, table)) {
            fail_table(self, table);
        }
    } else if (table->gone && self->op == PG_COMMIT) {
        error_set(&self->error, ERROR_NOT_FOUND,
                  "table %s is gone: restore it, or mend it with weir verify --repair", table->quoted);
        fail_table(self, table);
    }
}

static void free_asked(struct pg_sink *self) {
    free(self->asked);
    self->asked = NULL;
    self->asked_count = 0;
}

static void on_asked(void *user, const struct pg_failure *failure) {
    struct pg_sink *self = user;
    if (failure) {
        free_asked(self);
        pg_fail(self, failure, "");
    } else if (self->lacking) {
        free_asked(self);
        pg_stop(self, &self->error);
    } else if (self->asked_again) {
        size_t count = 0;
        for (size_t i = 0; i < self->asked_count; i++) {
            if (!self->asked[i]->ready && !self->asked[i]->create) {
                self->asked[count++] = self->asked[i];
            }
        }
        self->asked_count = count;
        ask(self);
    } else if (self->op == PG_VERIFY && !self->mending) {
        struct pg_table *table = self->asked[0];
        free_asked(self);
        pg_verify_table(self, table);
    } else {
        free_asked(self);
        pg_commit_write(self);
    }
}

static void ask(struct pg_sink *self) {
    struct pg_round round = {.user = self, .next = next_question, .answer = on_answer, .done = on_asked};
    self->asked_sent = 0;
    self->asked_again = self->lacking = false;
    buf_clear(&self->sql);
    if (!pg_table_question(&self->sql, self->tables_name) || !buf_append_byte(&self->sql, '\0')) {
        struct error e;
        free_asked(self);
        error_set(&e, ERROR_MEMORY, "out of memory for a statement");
        pg_stop(self, &e);
        return;
    }
    pg_link_run(self->link, &round);
}

/* False: out of memory, or all of its names are taken. */
static bool want(struct pg_sink *self, const struct pg_plan_type *type, struct error *e) {
    struct pg_table *table = pg_sink_table(self, type->type, e);
    if (!table) {
        return false;
    }
    /* Nothing has ever been put there. */
    bool nothing = !type->wanted && !table->registered;
    if (table->ready || table->create || nothing) {
        return true;
    }
    self->asked[self->asked_count++] = table;
    if (table->name || choose_name(self, table)) {
        return true;
    }
    fail_table(self, table);
    *e = self->error;
    return false;
}

static bool reserve(struct pg_sink *self, size_t count, struct error *e) {
    free(self->asked);
    self->asked_count = 0;
    self->asked = calloc(count + 1, sizeof(struct pg_table *));
    return self->asked || error_set(e, ERROR_MEMORY, "out of memory for the tables of a batch");
}

void pg_prepare(struct pg_sink *self) {
    struct error e;
    bool ok = reserve(self, self->plan.type_count, &e);
    for (size_t i = 0; ok && i < self->plan.type_count; i++) {
        ok = want(self, &self->plan.types[i], &e);
    }
    if (!ok) {
        free_asked(self);
        pg_stop(self, &e);
    } else if (self->asked_count > 0) {
        ask(self);
    } else {
        free_asked(self);
        pg_commit_write(self);
    }
}

void pg_prepare_table(struct pg_sink *self, struct pg_table *table) {
    struct error e;
    if (!reserve(self, 1, &e)) {
        pg_stop(self, &e);
        return;
    }
    self->asked[self->asked_count++] = table;
    ask(self);
}
