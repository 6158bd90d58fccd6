/* Connecting: what a session is told, the tables of weir's own, the epoch, and what has become of a commit. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "sink/postgres/inside.h"

/* Two workers that begin at once make these tables one after the other. */
#define LOCK_TABLES "SELECT pg_catalog.pg_advisory_xact_lock(8534995788960)"

#define DEFAULT_OF(name, value)                                                                              \
    "pg_catalog.set_config('" name "', CASE pg_catalog.current_setting('" name "') WHEN '0' THEN '" value    \
    "' ELSE pg_catalog.current_setting('" name "') END, false)"

static void failed(struct pg_sink *self, const struct pg_failure *failure);

/* ---- what a session is told ---- */

static void on_told(void *user, size_t n, const PGresult *result) {
    (void)n;
    struct pg_sink *self = user;
    if (!self->schema && !PQgetisnull(result, 0, 0)) {
        self->schema = strdup(PQgetvalue(result, 0, 0));
    }
}

static void on_told_all(void *user, const struct pg_failure *failure);

void pg_session_begin(struct pg_sink *self) {
    struct error e;
    const char *encoding = pg_link_setting(self->link, "server_encoding");
    if (!encoding || strcmp(encoding, "UTF8") != 0) {
        error_set(&e, ERROR_ARGUMENT,
                  "the database's encoding is %s, expected UTF8: create it with ENCODING 'UTF8'",
                  encoding ? encoding : "not known");
        pg_stop(self, &e);
        return;
    }
    pg_script_clear(&self->script);
    pg_script_add(
        &self->script, PG_TAG_NONE,
        "SELECT pg_catalog.current_schema(), " DEFAULT_OF("lock_timeout", "10s") ", " DEFAULT_OF(
            "idle_in_transaction_session_timeout",
            "60s") ", pg_catalog.set_config('default_transaction_isolation', 'read committed', false),"
                   " pg_catalog.set_config('TimeZone', 'UTC', false)");
    pg_run_script(self, on_told, on_told_all);
}

/* ---- the tables of weir's own ---- */

static const char *const state_columns[] = {"stream_url", "offset",  "synced_at", "skip",    "sequence",
                                            "epoch",      "commits", "notes",     "backend", "backend_start"};
static const char *const tables_columns[] = {"stream_url", "type", "table_name"};

static bool has(const PGresult *result, const char *table, const char *column) {
    for (int row = 0; row < PQntuples(result); row++) {
        if (strcmp(PQgetvalue(result, row, 0), table) == 0 &&
            (!column || strcmp(PQgetvalue(result, row, 1), column) == 0)) {
            return true;
        }
    }
    return false;
}

static bool has_all(struct pg_sink *self, const PGresult *result, const char *table,
                    const char *const *columns, size_t count) {
    if (!has(result, table, NULL)) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        if (!has(result, table, columns[i])) {
            self->lacking = true;
            error_set(&self->error, ERROR_CONFLICT,
                      "table %s of schema %s has no column %s, so another program made it: rename it, or "
                      "give the sink a "
                      "schema of its own (url: ?options=-csearch_path%%3DNAME)",
                      table, self->schema, columns[i]);
        }
    }
    return true;
}

static void on_columns(void *user, size_t n, const PGresult *result) {
    (void)n;
    struct pg_sink *self = user;
    bool state = has_all(self, result, "_sync_state", state_columns,
                         sizeof state_columns / sizeof *state_columns);
    bool tables = has_all(self, result, "_sync_tables", tables_columns,
                          sizeof tables_columns / sizeof *tables_columns);
    self->have_state = state && tables;
}

static bool set_names(struct pg_sink *self) {
    struct buf text;
    buf_init(&text, 4096);
    bool ok = pg_quote(&text, self->schema, slice_from("_sync_state")) && buf_append_byte(&text, '\0');
    self->state = ok ? strdup(text.ptr) : NULL;
    buf_clear(&text);
    ok = pg_quote(&text, self->schema, slice_from("_sync_tables")) && buf_append_byte(&text, '\0');
    self->tables_name = ok ? strdup(text.ptr) : NULL;
    buf_free(&text);
    return self->state && self->tables_name;
}

static void on_known(void *user, const struct pg_failure *failure);

static void ask_columns(struct pg_sink *self) {
    self->lacking = false;
    pg_script_clear(&self->script);
    pg_script_add(
        &self->script, PG_TAG_NONE,
        "SELECT c.relname, a.attname FROM pg_catalog.pg_class c"
        " JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
        " JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped"
        " WHERE n.nspname = $1 AND c.relname IN ('_sync_state', '_sync_tables')");
    pg_script_text(&self->script, self->schema);
    pg_run_script(self, on_columns, on_known);
}

static void on_told_all(void *user, const struct pg_failure *failure) {
    struct pg_sink *self = user;
    struct error e;
    if (failure) {
        failed(self, failure);
    } else if (!self->schema) {
        error_set(&e, ERROR_ARGUMENT,
                  "no schema of the search_path exists, so that there is none to make tables in");
        pg_stop(self, &e);
    } else if (!self->state && !set_names(self)) {
        error_set(&e, ERROR_MEMORY, "out of memory for the names of tables");
        pg_stop(self, &e);
    } else if (self->opened) {
        pg_session_look(self);
    } else {
        ask_columns(self);
    }
}

/* ---- opening: a higher epoch ---- */

/* A statement with the name of a table in it. */
static void add(struct pg_sink *self, int tag, const char *before, const char *name, const char *after) {
    buf_clear(&self->sql);
    if (!buf_printf(&self->sql, "%s%s%s", before, name, after) || !buf_append_byte(&self->sql, '\0')) {
        self->script.failed = true;
        return;
    }
    pg_script_add(&self->script, tag, self->sql.ptr);
}

static void add_make(struct pg_sink *self) {
    pg_script_add(&self->script, PG_TAG_TABLE, LOCK_TABLES);
    add(self, PG_TAG_TABLE, "CREATE TABLE IF NOT EXISTS ", self->state,
        " (stream_url text PRIMARY KEY, \"offset\" text, synced_at timestamptz,"
        " skip bigint NOT NULL DEFAULT 0, sequence bigint NOT NULL DEFAULT 0, epoch bigint NOT NULL,"
        " commits bigint NOT NULL DEFAULT 0, notes text, backend integer, backend_start timestamptz)");
    add(self, PG_TAG_TABLE, "CREATE TABLE IF NOT EXISTS ", self->tables_name,
        " (stream_url text, type text, table_name text NOT NULL UNIQUE,"
        " PRIMARY KEY (stream_url, type))");
}

/* Who is connected, so that a newer worker can end what keeps it waiting. */
#define BACKEND                                                                                              \
    "pg_catalog.pg_backend_pid(), (SELECT a.backend_start FROM pg_catalog.pg_stat_activity a WHERE a.pid ="  \
    " pg_catalog.pg_backend_pid())"
#define PLACE "s.epoch, s.commits, s.\"offset\", s.skip, s.sequence, s.notes"

static void add_raise(struct pg_sink *self) {
    add(self, PG_TAG_RAISE, "INSERT INTO ", self->state,
        " AS s (stream_url, epoch, backend, backend_start) SELECT $1, 1, " BACKEND
        " ON CONFLICT (stream_url) DO UPDATE SET epoch = s.epoch + 1, backend = excluded.backend,"
        " backend_start = excluded.backend_start RETURNING " PLACE);
    pg_script_text(&self->script, self->sink.stream);
}

static void add_look(struct pg_sink *self) {
    add(self, PG_TAG_LOOK, "SELECT " PLACE " FROM ", self->state, " s WHERE s.stream_url = $1");
    pg_script_text(&self->script, self->sink.stream);
}

static void add_tables(struct pg_sink *self) {
    add(self, PG_TAG_TABLES, "SELECT type, table_name FROM ", self->tables_name, " WHERE stream_url = $1");
    pg_script_text(&self->script, self->sink.stream);
}

static uint64_t number_at(const PGresult *result, int column) {
    return strtoull(PQgetvalue(result, 0, column), NULL, 10);
}

static char *text_at(const PGresult *result, int column) {
    return PQgetisnull(result, 0, column) ? NULL : PQgetvalue(result, 0, column);
}

/* Everything that is known about the tables is as of now. */
static bool take_tables(struct pg_sink *self, const PGresult *result) {
    size_t at = 0;
    const struct strmap_entry *entry;
    while ((entry = strmap_next(&self->tables, &at))) {
        pg_table_forget(entry->value);
    }
    strmap_free(&self->names, NULL);
    strmap_init(&self->names);
    for (int row = 0; row < PQntuples(result); row++) {
        struct slice type = slice_of(PQgetvalue(result, row, 0), (size_t)PQgetlength(result, row, 0));
        struct pg_table *table = pg_sink_table(self, type, &self->error);
        if (!table || !pg_name_table(self, table, PQgetvalue(result, row, 1), &self->error)) {
            return false;
        }
        table->registered = true;
    }
    return true;
}

static void on_state(void *user, size_t n, const PGresult *result) {
    struct pg_sink *self = user;
    int tag = self->script.items[n].tag;
    if (tag == PG_TAG_TABLES && !take_tables(self, result)) {
        self->lacking = true;
    }
    if ((tag != PG_TAG_RAISE && tag != PG_TAG_LOOK) || PQntuples(result) == 0) {
        return;
    }
    self->sink.epoch = number_at(result, 0);
    self->commits = number_at(result, 1);
    struct sink_place place = {.offset = text_at(result, 2),
                               .skip = number_at(result, 3),
                               .sequence = number_at(result, 4),
                               .notes = text_at(result, 5)};
    if (!sink_place_set(&self->place, &place)) {
        self->lacking = true;
        error_set(&self->error, ERROR_MEMORY, "out of memory for a place");
    }
}

static void on_opened(void *user, const struct pg_failure *failure) {
    struct pg_sink *self = user;
    if (failure) {
        failed(self, failure);
    } else if (self->lacking) {
        pg_stop(self, &self->error);
    } else {
        self->opened = true;
        pg_go(self);
    }
}

static void on_known(void *user, const struct pg_failure *failure) {
    struct pg_sink *self = user;
    if (failure) {
        failed(self, failure);
        return;
    }
    if (self->lacking) {
        pg_stop(self, &self->error);
        return;
    }
    pg_script_clear(&self->script);
    if (!self->read_only) {
        if (!self->have_state) {
            add_make(self);
        }
        add_raise(self);
    } else if (self->have_state) {
        add_look(self);
    }
    if (!self->read_only || self->have_state) {
        add_tables(self);
    }
    pg_run_script(self, on_state, on_opened);
}

/* ---- connected again: what has become of it ---- */

static void on_look(void *user, size_t n, const PGresult *result) {
    struct pg_sink *self = user;
    int tag = self->script.items[n].tag;
    if (tag == PG_TAG_TABLES) {
        self->lacking = self->lacking || !take_tables(self, result);
        return;
    }
    if (tag != PG_TAG_LOOK || self->lacking) {
        return;
    }
    bool found = PQntuples(result) > 0;
    uint64_t epoch = found ? number_at(result, 0) : 0;
    uint64_t commits = found ? number_at(result, 1) : 0;
    if (!found) {
        self->lacking = true;
        error_set(&self->error, ERROR_NOT_FOUND,
                  "the stream's row has gone from %s: restore it, or load everything again as "
                  "docs/sinks/postgres.md "
                  "says",
                  self->state);
    } else if (epoch != self->sink.epoch) {
        self->lacking = true;
        sink_fenced(&self->sink, epoch, &self->error);
    } else if (commits == self->commits + 1 && self->planned) {
        self->commits = commits;
        self->went_through = true; /* and the answer was lost */
    } else if (commits != self->commits) {
        self->lacking = true;
        error_set(&self->error, ERROR_CONFLICT,
                  "the stream's row of %s has changed (commits %" PRIu64 ", expected %" PRIu64
                  "): somebody else has written it",
                  self->state, commits, self->commits);
    }
}

static void on_looked(void *user, const struct pg_failure *failure) {
    struct pg_sink *self = user;
    if (failure) {
        failed(self, failure);
    } else if (self->lacking && self->error.code == ERROR_CONFLICT && self->read_only) {
        error_set(&self->error, ERROR_CONFLICT,
                  "a worker has committed while it was verified: stop it, or try again");
        pg_stop(self, &self->error);
    } else if (self->lacking) {
        pg_stop(self, &self->error);
    } else if (self->went_through) {
        pg_commit_done(self);
    } else {
        pg_go(self);
    }
}

void pg_session_look(struct pg_sink *self) {
    self->lacking = self->went_through = false;
    pg_script_clear(&self->script);
    if (!self->read_only) {
        add(self, PG_TAG_NONE, "UPDATE ", self->state,
            " SET (backend, backend_start) = (SELECT " BACKEND
            ") WHERE stream_url = $1 AND epoch = $2::bigint");
        pg_script_text(&self->script, self->sink.stream);
        pg_script_number(&self->script, self->sink.epoch);
    }
    if (self->have_state || !self->read_only) {
        add_look(self);
        add_tables(self);
    }
    pg_run_script(self, on_look, on_looked);
}

/* ---- a lock that somebody holds ---- */

static void on_killed(void *user, const struct pg_failure *failure) {
    struct pg_sink *self = user;
    (void)failure;
    pg_again(self, &self->failure);
}

/* The row is locked for longer than a commit takes: by a connection of an older worker that is stuck in the middle of
 * one. It is the one that _sync_state names. Its transaction is undone, and who it was finds a higher epoch. */
static void kill_holder(struct pg_sink *self, const struct pg_failure *failure) {
    self->failure = *failure;
    log_write(self->log, LOG_WARN,
              "%s: stream %s: the checkpoint is locked: ending the connection that holds it", self->sink.name,
              self->sink.stream);
    pg_script_clear(&self->script);
    add(self, PG_TAG_NONE, "SELECT pg_catalog.pg_terminate_backend(a.pid) FROM ", self->state,
        " s JOIN pg_catalog.pg_stat_activity a"
        " ON a.pid = s.backend AND a.backend_start = s.backend_start WHERE s.stream_url = $1"
        " AND a.pid <> pg_catalog.pg_backend_pid() AND EXISTS (SELECT FROM pg_catalog.pg_locks l WHERE"
        " l.pid = a.pid AND l.granted AND l.mode = 'RowExclusiveLock' AND l.relation = $2::regclass)");
    pg_script_text(&self->script, self->sink.stream);
    pg_script_text(&self->script, self->state);
    pg_run_script(self, NULL, on_killed);
}

static void failed(struct pg_sink *self, const struct pg_failure *failure) {
    if (pg_fault_is_lock(failure) && !failure->cut && self->state && !self->read_only) {
        kill_holder(self, failure);
        return;
    }
    pg_fail(self, failure, "");
}
