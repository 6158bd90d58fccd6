/* The sink "postgres": settings, what is under way, waiting and trying again, the end. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "sink/postgres/inside.h"

enum { OUTAGE_LIMIT_MS = 10 * 60 * 1000, PAUSE_FIRST_MS = 100, PAUSE_MAX_MS = 5000 };

/* ---- tables ---- */

struct pg_table_options pg_table_options_of(struct pg_sink *self) {
    return (struct pg_table_options){
        .schema = self->schema, .stream = self->sink.stream, .prefix = self->prefix};
}

/* The type's indexes, as an array that the caller frees. */
static struct slice *indexes_of(struct pg_sink *self, struct slice type, size_t *count) {
    struct slice field;
    size_t i = 0;
    while (self->index_of && self->index_of(self->schema_user, type, i, &field)) {
        i++;
    }
    struct slice *list = calloc(i + 1, sizeof *list);
    for (*count = 0; list && *count < i && self->index_of(self->schema_user, type, *count, &list[*count]);) {
        ++*count;
    }
    return list;
}

static bool columns_of(struct pg_sink *self, struct slice type, struct columns **columns, struct error *e) {
    const struct schema *schema = self->columns && self->schema_of ? self->schema_of(self->schema_user, type)
                                                                   : NULL;
    *columns = NULL;
    if (!schema || !schema_has_properties(schema)) {
        return true;
    }
    size_t count = 0;
    struct slice *indexes = indexes_of(self, type, &count);
    struct columns_options options = {
        .dialect = TABLE_POSTGRES, .key = self->key, .indexes = indexes, .index_count = count};
    *columns = indexes ? columns_new(schema, &options, e) : NULL;
    free(indexes);
    return *columns || error_set(e, ERROR_MEMORY, "out of memory for the columns of a type");
}

struct pg_table *pg_sink_table(struct pg_sink *self, struct slice type, struct error *e) {
    struct pg_table *table = strmap_get(&self->tables, type);
    if (table) {
        return table;
    }
    struct pg_table_options options = pg_table_options_of(self);
    if (!columns_of(self, type, &options.columns, e)) {
        return NULL;
    }
    table = pg_table_new(type, &options);
    if (!table || !strmap_put(&self->tables, type, table)) {
        pg_table_free(table);
        error_set(e, ERROR_MEMORY, "out of memory for the table of a type");
        return NULL;
    }
    return table;
}

bool pg_name_table(struct pg_sink *self, struct pg_table *table, const char *name, struct error *e) {
    struct pg_table_options options = pg_table_options_of(self);
    return pg_table_named(table, name, &options, e) &&
           (strmap_put(&self->names, slice_from(name), table) ||
            error_set(e, ERROR_MEMORY, "out of memory for the name of a table"));
}

/* ---- rounds of a script ---- */

static bool next_of_script(void *user, struct pg_link *link) {
    return pg_script_next(&((struct pg_sink *)user)->script, link);
}

void pg_run_script(struct pg_sink *self, void (*answer)(void *, size_t, const PGresult *),
                   void (*done)(void *, const struct pg_failure *)) {
    struct pg_round round = {.user = self, .next = next_of_script, .answer = answer, .done = done};
    if (self->script.failed) {
        struct error e;
        error_set(&e, ERROR_MEMORY, "out of memory for statements");
        pg_stop(self, &e);
        return;
    }
    pg_link_run(self->link, &round);
}

/* ---- the end of what is under way ---- */

void pg_end(struct pg_sink *self, const struct error *e) {
    enum pg_op op = self->op;
    struct sink *sink = &self->sink;
    uint64_t checked = self->verify.checked;
    if (!e && self->outage) {
        log_write(self->log, LOG_INFO, "%s: it goes on", sink->name);
    }
    self->op = PG_NOTHING;
    self->outage = self->mending = self->went_through = false;
    backoff_reset(&self->backoff);
    if (e) {
        pg_link_close(self->link); /* so that the server gives up what was not committed */
    }
    pg_commit_free(self);
    pg_verify_free(self);
    self->batch = NULL;
    switch (op) {
    case PG_OPEN:
        sink->host.opened(sink->host.user, sink, e || self->commits == 0 ? NULL : &self->place, e);
        break;
    case PG_COMMIT:
        sink->host.committed(sink->host.user, sink, e);
        break;
    case PG_VERIFY:
        sink->host.verified(sink->host.user, sink, checked, e);
        break;
    case PG_NOTHING:
        break;
    }
}

void pg_stop(struct pg_sink *self, struct error *e) {
    struct error final = *e;
    size_t len = strlen(self->sink.name);
    if (strncmp(final.message, self->sink.name, len) != 0 || final.message[len] != ':') {
        error_context(&final, "%s", self->sink.name);
    }
    pg_end(self, &final);
}

/* ---- waiting, and trying again ---- */

static void on_retry(struct loop_task *task) {
    struct pg_sink *self = task->owner;
    pg_link_open(self->link);
}

void pg_again(struct pg_sink *self, const struct pg_failure *failure) {
    uint64_t now = loop_now(self->loop);
    if (!self->outage) {
        self->outage = true;
        self->outage_since = now;
    }
    pg_link_close(self->link);
    uint64_t lasted = now - self->outage_since;
    struct error e;
    pg_fault_explain(failure, &e);
    if (lasted >= self->outage_limit_ms) {
        error_set(&e, failure->error.code == ERROR_TIMEOUT ? ERROR_TIMEOUT : ERROR_NETWORK,
                  "gave up after %.1f s (limits.outage): %s", (double)lasted / 1000, failure->error.message);
        pg_stop(self, &e);
        return;
    }
    uint64_t pause = backoff_next(&self->backoff, 0);
    uint64_t left = self->outage_limit_ms - lasted;
    pause = pause < left ? pause : left;
    log_write(self->log, LOG_WARN, "%s: %s; trying again in %.1f s, for at most %.0f s", self->sink.name,
              e.message, (double)pause / 1000, (double)left / 1000);
    loop_timer_start(&self->retry, pause);
}

void pg_fail(struct pg_sink *self, const struct pg_failure *failure, const char *what) {
    if (pg_fault_of(failure) == PG_FAULT_AGAIN) {
        pg_again(self, failure);
        return;
    }
    struct error e;
    pg_fault_explain(failure, &e);
    if (*what) {
        error_context(&e, "%s", what);
    }
    pg_stop(self, &e);
}

/* ---- what is under way ---- */

void pg_go(struct pg_sink *self) {
    switch (self->op) {
    case PG_OPEN:
        pg_end(self, NULL);
        break;
    case PG_COMMIT:
        pg_commit_begin(self);
        break;
    case PG_VERIFY:
        if (self->mending) {
            pg_commit_begin(self);
        } else {
            pg_verify_begin(self);
        }
        break;
    case PG_NOTHING:
        break;
    }
}

static void on_connected(void *user) {
    pg_session_begin(user);
}

static void on_broken(void *user, const struct pg_failure *failure) {
    pg_fail(user, failure, "");
}

static void on_start(struct loop_task *task) {
    struct pg_sink *self = task->owner;
    if (self->opened && pg_link_is_open(self->link)) {
        pg_go(self);
    } else {
        pg_link_open(self->link);
    }
}

static void sink_start(struct pg_sink *self, enum pg_op op) {
    self->op = op;
    self->outage = false;
    loop_defer(self->loop, &self->start);
}

/* ---- the kind ---- */

static bool check_settings(const struct sink_options *o, struct error *e) {
    const char *url = sink_setting(o, "url");
    const char *layout = sink_setting(o, "layout");
    if (!url || !*url || !pg_link_url_ok(url)) {
        return error_set(e, ERROR_ARGUMENT,
                         "setting url: expected a connection as libpq takes it, such as "
                         "postgresql://user:password@host:5432/database");
    }
    if (layout && strcmp(layout, "json") != 0 && strcmp(layout, "columns") != 0) {
        return error_set(e, ERROR_ARGUMENT, "setting layout: expected \"json\" or \"columns\", got \"%s\"",
                         layout);
    }
    return table_check_prefix(sink_setting(o, "prefix"), e);
}

static bool copy_setting(const struct sink_options *o, const char *name, char **to) {
    const char *value = sink_setting(o, name);
    *to = value ? strdup(value) : NULL;
    return !value || *to;
}

static void pg_sink_free(struct pg_sink *self) {
    pg_commit_free(self);
    pg_verify_free(self);
    strmap_free(&self->names, NULL);
    strmap_free(&self->tables, (void (*)(void *))pg_table_free);
    for (size_t i = 0; i < self->array_count; i++) {
        buf_free(&self->arrays[i]);
    }
    free(self->arrays);
    free(self->asked);
    pg_script_free(&self->script);
    pg_cells_free(&self->cells);
    buf_free(&self->sql);
    buf_free(&self->steps.piece);
    sink_place_free(&self->place);
    free(self->prefix);
    free(self->key);
    free(self->schema);
    free(self->state);
    free(self->tables_name);
    sink_release(&self->sink);
    free(self);
}

static void on_closed(struct loop_timer *timer) {
    pg_sink_free(timer->task.owner);
}

static void close_sink(struct sink *sink) {
    struct pg_sink *self = (struct pg_sink *)sink;
    loop_cancel(self->loop, &self->start);
    pg_link_free(self->link);
    self->link = NULL;
    loop_timer_close(&self->retry, on_closed);
}

static bool fill(struct pg_sink *self, const struct sink_options *o) {
    const char *layout = sink_setting(o, "layout");
    self->loop = o->loop;
    self->log = o->log;
    self->schema_of = o->schema;
    self->index_of = o->index;
    self->schema_user = o->schema_user;
    self->read_only = o->read_only;
    self->columns = layout && strcmp(layout, "columns") == 0;
    self->outage_limit_ms = o->outage_limit_ms ? o->outage_limit_ms : OUTAGE_LIMIT_MS;
    self->start = (struct loop_task){.run = on_start, .owner = self};
    backoff_init(&self->backoff, PAUSE_FIRST_MS, PAUSE_MAX_MS, (uint64_t)(uintptr_t)self ^ loop_now(o->loop));
    struct pg_link_options link = {
        .loop = o->loop,
        .url = sink_setting(o, "url"),
        .answer_max_ms = self->outage_limit_ms,
        .user = self,
        .connected = on_connected,
        .broken = on_broken,
    };
    self->link = pg_link_new(&link);
    return self->link && copy_setting(o, "prefix", &self->prefix) && copy_setting(o, "key", &self->key);
}

static struct sink *open_sink(const struct sink_kind *kind, const struct sink_options *o, struct error *e) {
    if (!check_settings(o, e)) {
        return NULL;
    }
    struct pg_sink *self = sink_new(sizeof *self, kind, o, e);
    if (!self) {
        return NULL;
    }
    strmap_init(&self->tables);
    strmap_init(&self->names);
    pg_script_init(&self->script);
    pg_cells_init(&self->cells, PG_BUFFER_MAX);
    buf_init(&self->sql, PG_BUFFER_MAX);
    buf_init(&self->steps.piece, PG_BUFFER_MAX);
    if (!fill(self, o)) {
        pg_link_free(self->link);
        pg_sink_free(self);
        error_set(e, ERROR_MEMORY, "out of memory for a sink");
        return NULL;
    }
    loop_timer_init(self->loop, &self->retry, on_retry, self);
    sink_start(self, PG_OPEN);
    return &self->sink;
}

static void commit_batch(struct sink *sink, const struct sink_batch *batch) {
    struct pg_sink *self = (struct pg_sink *)sink;
    self->batch = batch;
    sink_start(self, PG_COMMIT);
}

static void verify_state(struct sink *sink, const struct store *store, bool repair) {
    struct pg_sink *self = (struct pg_sink *)sink;
    self->verify = (struct pg_verify){.store = store, .repair = repair};
    sink_start(self, PG_VERIFY);
}

const struct sink_kind sink_postgres = {
    .name = "postgres",
    .exact = true,
    .open = open_sink,
    .commit = commit_batch,
    .verify = verify_state,
    .close = close_sink,
};
