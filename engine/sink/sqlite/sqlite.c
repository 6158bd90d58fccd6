/* The sink "sqlite": one file, one transaction a batch, on a thread of libuv's pool.
 *
 *     commit --layout--> [thread: BEGIN IMMEDIATE, place and epoch, rows, COMMIT] --done--> committed
 *                             ^                                                    |
 *                             +---- pause (a lock, a full disk) or rows left out --+
 *
 * What the thread touches (db, writer, verifier, and the results of the job) the loop's thread leaves alone while
 * the job is under way. */
#include <stdlib.h>
#include <string.h>

#include "io/background.h"
#include "sink/kinds.h"
#include "sink/layout.h"
#include "sink/outage.h"
#include "sink/sqlite/db.h"
#include "sink/sqlite/place.h"
#include "sink/sqlite/verify.h"
#include "sink/sqlite/write.h"

enum job { JOB_NONE, JOB_OPEN, JOB_COMMIT, JOB_VERIFY };

struct sqlite_sink {
    struct sink sink; /* first */
    struct loop *loop;
    struct background *background;
    struct loop_timer timer;  /* the pause before the job is done again */
    struct loop_task failure; /* a job that could not be started is reported by the next turn */
    struct outage outage;
    struct layout layout;

    struct sqlite_db db;
    struct sqlite_writer writer;
    struct sqlite_verifier verifier;

    enum job job;
    const struct sink_batch *batch; /* JOB_COMMIT */
    enum db_outcome outcome;
    struct error error;
    struct sqlite_place place; /* JOB_OPEN */
    struct strmap types;       /* JOB_OPEN: those that the file has tables for, each with itself */
    bool fenced;               /* JOB_COMMIT: the epoch is */
    uint64_t found_epoch;
};

/* On the thread */

static enum db_outcome take_over(struct sqlite_sink *sink) {
    struct sqlite_db *db = &sink->db;
    struct error *e = &sink->error;
    enum db_outcome outcome = sqlite_db_begin(db, e);
    if (outcome != DB_DONE) {
        return outcome;
    }
    outcome = sqlite_place_prepare(db, e);
    if (outcome == DB_DONE) {
        outcome = sqlite_place_read(db, &sink->place, e);
    }
    if (outcome == DB_DONE) {
        outcome = sqlite_place_raise(db, sink->place.epoch + 1, e);
    }
    if (outcome == DB_DONE) {
        sink->place.epoch++;
        return sqlite_db_commit(db, e);
    }
    sqlite_db_rollback(db);
    return outcome;
}

static bool keep_type(void *user, struct slice type) {
    struct sqlite_sink *sink = user;
    return strmap_put(&sink->types, type, sink);
}

static enum db_outcome do_open(struct sqlite_sink *sink) {
    sqlite_place_free(&sink->place);
    sink->place = (struct sqlite_place){0};
    enum db_outcome outcome = sqlite_db_open(&sink->db, &sink->error);
    if (outcome == DB_DONE) {
        outcome = sink->db.read_only ? sqlite_place_read(&sink->db, &sink->place, &sink->error)
                                     : take_over(sink);
    }
    if (outcome == DB_DONE && sink->layout.columns) {
        outcome = sqlite_table_types(&sink->db, keep_type, sink, &sink->error);
    }
    if (outcome != DB_DONE) {
        sqlite_db_close(&sink->db);
    }
    return outcome == DB_REFUSED ? DB_FAILED : outcome;
}

static void on_work(void *user) {
    struct sqlite_sink *sink = user;
    error_clear(&sink->error);
    switch (sink->job) {
    case JOB_OPEN:
        sink->outcome = do_open(sink);
        break;
    case JOB_COMMIT:
        sink->found_epoch = sink->sink.epoch;
        sink->outcome = sqlite_writer_batch(&sink->writer, sink->batch, &sink->found_epoch, &sink->fenced,
                                            &sink->error);
        break;
    default:
        sink->outcome = sqlite_verifier_step(&sink->verifier, &sink->error);
    }
}

/* On the loop's thread */

static void start(struct sqlite_sink *sink) {
    if (!background_start(sink->background)) {
        sink->outcome = DB_FAILED;
        error_set(&sink->error, ERROR_MEMORY, "%s: no thread can be started", sink->sink.name);
        loop_defer(sink->loop, &sink->failure);
    }
}

/* Schemas are asked for on this thread; a comparison meets types that no batch has brought yet. */
static bool prepare_known_types(struct sqlite_sink *sink) {
    size_t at = 0;
    bool ok = true;
    for (const struct strmap_entry *entry; ok && (entry = strmap_next(&sink->types, &at));) {
        ok = layout_prepare_type(&sink->layout, entry->key, &sink->error);
    }
    return ok;
}

static void end_open(struct sqlite_sink *sink, const struct error *e) {
    sink->job = JOB_NONE;
    e = !e && !prepare_known_types(sink) ? &sink->error : e;
    sink->sink.epoch = sink->place.epoch;
    sink->sink.host.opened(sink->sink.host.user, &sink->sink,
                           !e && sink->place.known ? &sink->place.place : NULL, e);
}

static void end_commit(struct sqlite_sink *sink, const struct error *e) {
    sink->job = JOB_NONE;
    sink->batch = NULL;
    sqlite_writer_next(&sink->writer);
    sink->sink.host.committed(sink->sink.host.user, &sink->sink, e);
}

static void end_verify(struct sqlite_sink *sink, const struct error *e) {
    uint64_t rows = sink->verifier.rows;
    sink->job = JOB_NONE;
    sqlite_verifier_free(&sink->verifier);
    sink->sink.host.verified(sink->sink.host.user, &sink->sink, rows, e);
}

static void end_job(struct sqlite_sink *sink, const struct error *e) {
    switch (sink->job) {
    case JOB_OPEN:
        end_open(sink, e);
        break;
    case JOB_COMMIT:
        end_commit(sink, e);
        break;
    default:
        end_verify(sink, e);
    }
}

static void on_failure(struct loop_task *task) {
    struct sqlite_sink *sink = task->owner;
    end_job(sink, &sink->error);
}

/* Asks about every row that the file does not take. False: one of them may not be left out, which error says. */
static bool may_skip(struct sqlite_sink *sink) {
    for (size_t i = 0; i < sink->writer.refusal_count; i++) {
        const struct sqlite_refusal *refusal = &sink->writer.refusals[i];
        struct sink_row row = sink_batch_row(sink->batch, refusal->row);
        error_set(&sink->error, refusal->code, "%s", refusal->message);
        if (!sink->sink.host.refused(sink->sink.host.user, &sink->sink, &row, &sink->error)) {
            return false;
        }
    }
    return sqlite_writer_skip(&sink->writer, sink->batch) ||
           error_set(&sink->error, ERROR_MEMORY, "%s: out of memory", sink->sink.name);
}

static void tell_differences(struct sqlite_sink *sink) {
    for (size_t i = 0; i < sink->verifier.difference_count; i++) {
        const struct sqlite_difference *difference = &sink->verifier.differences[i];
        sink->sink.host.difference(sink->sink.host.user, &sink->sink, difference->kind, &difference->row,
                                   difference->type);
    }
    sqlite_verifier_told(&sink->verifier);
}

/* It worked: goes on with the job, or ends it. */
static void go_on(struct sqlite_sink *sink) {
    outage_over(&sink->outage, loop_now(sink->loop));
    if (sink->job == JOB_VERIFY) {
        tell_differences(sink);
        if (!sink->verifier.over) {
            start(sink);
            return;
        }
    }
    end_job(sink, NULL);
}

/* A comparison that is waited for begins anew, so that what it has told would be told twice. */
static bool may_wait(const struct sqlite_sink *sink) {
    return sink->job != JOB_VERIFY || !sink->verifier.begun;
}

static void fail_or_wait(struct sqlite_sink *sink) {
    uint64_t wait;
    if (sink->fenced) {
        sink_fenced(&sink->sink, sink->found_epoch, &sink->error);
    } else if (sink->outcome == DB_WAIT && may_wait(sink) &&
               outage_wait(&sink->outage, loop_now(sink->loop), 0, &wait, &sink->error)) {
        loop_timer_start(&sink->timer, wait);
        return;
    }
    end_job(sink, &sink->error);
}

static void start_again(struct sink *base) {
    start((struct sqlite_sink *)(void *)base);
}

static void on_done(void *user) {
    struct sqlite_sink *sink = user;
    if (sink->outcome == DB_DONE) {
        go_on(sink);
    } else if (sink->outcome == DB_REFUSED && sink->job == JOB_COMMIT && may_skip(sink)) {
        if (sink_may_commit(&sink->sink, start_again)) {
            start(sink);
        }
    } else {
        fail_or_wait(sink);
    }
}

static void on_timer(struct loop_task *task) {
    struct sqlite_sink *sink = task->owner;
    start(sink);
}

/* The kind */

static void release(struct sqlite_sink *sink) {
    layout_free(&sink->layout);
    sqlite_place_free(&sink->place);
    strmap_free(&sink->types, NULL);
    free(sink->db.path);
    background_free(sink->background);
    sink_release(&sink->sink);
    free(sink);
}

static void on_closed(struct loop_timer *timer) {
    struct sqlite_sink *sink = timer->task.owner;
    release(sink);
}

static bool read_choice(const struct sink_options *options, const char *setting, const char *const *names,
                        size_t count, size_t *choice, struct error *e) {
    const char *value = sink_setting(options, setting);
    for (size_t i = 0; value && i < count; i++) {
        if (strcmp(value, names[i]) == 0) {
            *choice = i;
            return true;
        }
    }
    return !value || error_set(e, ERROR_ARGUMENT, "%s: setting %s: expected \"%s\" or \"%s\", got \"%s\"",
                               options->name, setting, names[0], names[1], value);
}

static bool read_settings(struct sqlite_sink *sink, const struct sink_options *options, struct error *e) {
    static const char *const syncs[] = {"full", "normal"};
    static const char *const journals[] = {"wal", "delete"};
    const char *path = sink_setting(options, "path");
    size_t sync = 0;
    size_t journal = 0;
    if (!path || !*path) {
        return error_set(e, ERROR_ARGUMENT, "%s: setting path: expected the path of a file", options->name);
    }
    if (!read_choice(options, "synchronous", syncs, 2, &sync, e) ||
        !read_choice(options, "journal", journals, 2, &journal, e)) {
        return false;
    }
    sink->db = (struct sqlite_db){
        .name = sink->sink.name,
        .stream = sink->sink.stream,
        .path = strdup(path),
        .sync = sync == 0 ? DB_SYNC_FULL : DB_SYNC_NORMAL,
        .rollback_journal = journal == 1,
        .read_only = options->read_only,
    };
    return (sink->db.path || error_set(e, ERROR_MEMORY, "%s: out of memory", options->name)) &&
           layout_init(&sink->layout, TABLE_SQLITE, options, e);
}

static struct sink *sqlite_open(const struct sink_kind *kind, const struct sink_options *options,
                                struct error *e) {
    struct sqlite_sink *sink = sink_new(sizeof *sink, kind, options, e);
    if (!sink) {
        return NULL;
    }
    sink->loop = options->loop;
    strmap_init(&sink->types);
    if (!read_settings(sink, options, e)) {
        release(sink);
        return NULL;
    }
    sqlite_writer_init(&sink->writer, &sink->db, &sink->layout);
    outage_init(&sink->outage, options->log, sink->sink.name, options->outage_limit_ms);
    sink->background = background_new(sink->loop, on_work, on_done, sink);
    if (!sink->background) {
        error_set(e, ERROR_MEMORY, "%s: out of memory", options->name);
        release(sink);
        return NULL;
    }
    sink->failure = (struct loop_task){.run = on_failure, .owner = sink};
    loop_timer_init(sink->loop, &sink->timer, on_timer, sink);
    sink->job = JOB_OPEN;
    start(sink);
    return &sink->sink;
}

static struct sqlite_sink *sink_of(struct sink *sink) {
    return (struct sqlite_sink *)(void *)sink;
}

static void sqlite_commit(struct sink *base, const struct sink_batch *batch) {
    struct sqlite_sink *sink = sink_of(base);
    sink->job = JOB_COMMIT;
    sink->batch = batch;
    sink->fenced = false;
    if (layout_prepare(&sink->layout, batch, &sink->error)) {
        start(sink);
    } else {
        sink->outcome = DB_FAILED;
        loop_defer(sink->loop, &sink->failure);
    }
}

static bool prepare_types(struct sqlite_sink *sink, const struct store *store) {
    size_t count;
    struct slice *types = store_types(store, &count);
    if (!types) {
        return error_set(&sink->error, ERROR_MEMORY, "%s: out of memory", sink->sink.name);
    }
    bool ok = true;
    for (size_t i = 0; ok && i < count; i++) {
        ok = layout_prepare_type(&sink->layout, types[i], &sink->error);
    }
    free(types);
    return ok;
}

static void sqlite_verify(struct sink *base, const struct store *store, bool repair) {
    struct sqlite_sink *sink = sink_of(base);
    sink->job = JOB_VERIFY;
    sink->fenced = false;
    sqlite_verifier_init(&sink->verifier, &sink->writer, store, repair, sink->sink.epoch);
    if (prepare_types(sink, store)) {
        start(sink);
    } else {
        sink->outcome = DB_FAILED;
        loop_defer(sink->loop, &sink->failure);
    }
}

static void sqlite_close(struct sink *base) {
    struct sqlite_sink *sink = sink_of(base);
    sqlite_db_cancel(&sink->db);
    background_wait(sink->background);
    loop_cancel(sink->loop, &sink->failure);
    sqlite_verifier_free(&sink->verifier);
    sqlite_writer_free(&sink->writer);
    sqlite_db_close(&sink->db);
    loop_timer_close(&sink->timer, on_closed);
}

const struct sink_kind sink_sqlite = {
    .name = "sqlite",
    .exact = true,
    .open = sqlite_open,
    .commit = sqlite_commit,
    .verify = sqlite_verify,
    .close = sqlite_close,
};
