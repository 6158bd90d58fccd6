/* The sink "mysql", for MySQL 8 and MariaDB: sink/mysql/inside.h says which file does what. */
#include <stdlib.h>
#include <string.h>

#include "sink/mysql/inside.h"

void my_send(struct my_sink *sink, bool whole, void (*answer)(struct my_sink *sink)) {
    if (!whole) {
        buf_error(&sink->sql, &sink->error, "a statement", "raise limits.sinkBatch");
        my_failed(sink);
        return;
    }
    sink->answer = answer;
    my_link_query(&sink->link, buf_slice(&sink->sql));
}

struct slice my_cell(MYSQL_RES *result, MYSQL_ROW row, unsigned column) {
    return row[column] ? slice_of(row[column], mysql_fetch_lengths(result)[column]) : (struct slice){0};
}

/* The end of a job */

static void end(struct my_sink *sink, const struct error *e) {
    enum my_job job = sink->job;
    uint64_t rows = sink->verify.rows;
    sink->job = MY_NOTHING;
    my_batch_forget(&sink->batch);
    my_verify_forget(&sink->verify);
    if (job == MY_OPEN) {
        sink->sink.host.opened(sink->sink.host.user, &sink->sink, !e && sink->known ? &sink->place : NULL, e);
    } else if (job == MY_COMMIT) {
        sink->sink.host.committed(sink->sink.host.user, &sink->sink, e);
    } else if (job == MY_VERIFY) {
        sink->sink.host.verified(sink->sink.host.user, &sink->sink, rows, e);
    }
}

/* An outage is over with the job, not with the connection: a server that is read only takes that, and no rows. */
void my_done(struct my_sink *sink) {
    outage_over(&sink->outage, loop_now(sink->loop));
    if (sink->job == MY_COMMIT) {
        sink->committed = sink_batch_place(sink->batch.batch)->sequence;
    }
    end(sink, NULL);
}

void my_failed(struct my_sink *sink) {
    my_link_drop(&sink->link);
    end(sink, &sink->error);
}

void my_again(struct my_sink *sink) {
    uint64_t wait;
    my_link_drop(&sink->link);
    /* What was told of differences would be told twice. */
    bool may = sink->job != MY_VERIFY || !sink->verify.told;
    if (may && outage_wait(&sink->outage, loop_now(sink->loop), 0, &wait, &sink->error)) {
        loop_timer_start(&sink->timer, wait);
    } else {
        end(sink, &sink->error);
    }
}

/* Another worker may have made the same table at the same instant: the next look at _sync_tables tells. */
static bool is_race(const struct my_sink *sink) {
    return sink->link.code == 1062 && sink->tables.now && !sink->tables.now->made && !sink->tables.now->ready;
}

static bool is_writing(const struct my_sink *sink) {
    return sink->job == MY_COMMIT && sink->batch.next > 0 && !sink->batch.doubtful;
}

static void on_done(void *user) {
    struct my_sink *sink = user;
    buf_clear(&sink->sql);
    if (sink->link.code == 0) {
        sink->answer(sink);
        return;
    }
    enum my_fault fault = my_fault_of(sink->link.code);
    error_set(&sink->error, my_fault_code(sink->link.code), "%s: %s%s", sink->sink.name, sink->link.message,
              my_fault_advice(sink->link.code));
    if (sink->job == MY_VERIFY && my_verify_copes(sink, fault)) {
        return;
    }
    if (fault == MY_FAULT_AGAIN || is_race(sink)) {
        my_again(sink);
    } else if (fault == MY_FAULT_ROW && is_writing(sink)) {
        my_batch_refused(sink);
    } else {
        my_failed(sink);
    }
}

/* Beginning */

static void begin(struct my_sink *sink) {
    if (sink->link.mysql && sink->opened) {
        if (sink->job == MY_COMMIT) {
            my_batch_begin(sink);
        } else {
            my_verify_begin(sink);
        }
        return;
    }
    my_session_begin(sink);
}

static void on_begin(struct loop_task *task) {
    struct my_sink *sink = task->owner;
    if (sink->error.code == ERROR_NONE) {
        begin(sink);
    } else {
        end(sink, &sink->error); /* it could not be begun */
    }
}

static void on_timer(struct loop_task *task) {
    begin(task->owner);
}

/* The kind */

static struct my_sink *sink_of(struct sink *sink) {
    return (struct my_sink *)(void *)sink;
}

static void release(struct my_sink *sink) {
    my_tables_clear(&sink->tables);
    my_batch_forget(&sink->batch);
    last_free(&sink->batch.last);
    free(sink->batch.items);
    my_verify_forget(&sink->verify);
    layout_free(&sink->layout);
    my_address_free(&sink->address);
    sink_place_free(&sink->place);
    free(sink->cells);
    buf_free(&sink->scratch);
    buf_free(&sink->sql);
    sink_release(&sink->sink);
    free(sink);
}

static bool read_settings(struct my_sink *sink, const struct sink_options *options, struct error *e) {
    const char *url = sink_setting(options, "url");
    if (!my_address_parse(&sink->address, url ? url : "", e)) {
        return error_context(e, "%s", options->name);
    }
    if (strlen(options->stream) > MY_URL_MAX) {
        return error_set(e, ERROR_ARGUMENT, "%s: the stream's URL has more than %d characters", options->name,
                         MY_URL_MAX);
    }
    return layout_init(&sink->layout, TABLE_MYSQL, options, e);
}

static struct sink *kind_open(const struct sink_kind *kind, const struct sink_options *options,
                              struct error *e) {
    struct my_sink *sink = sink_new(sizeof *sink, kind, options, e);
    if (!sink) {
        return NULL;
    }
    sink->loop = options->loop;
    sink->read_only = options->read_only;
    sink->job = MY_OPEN;
    sink->task = (struct loop_task){.run = on_begin, .owner = sink};
    strmap_init(&sink->tables.types);
    buf_init(&sink->sql, MY_SQL_MAX);
    buf_init(&sink->scratch, MY_SQL_MAX);
    if (!read_settings(sink, options, e)) {
        release(sink);
        return NULL;
    }
    outage_init(&sink->outage, options->log, sink->sink.name, options->outage_limit_ms);
    my_link_init(&sink->link, sink->loop, &sink->address, on_done, sink);
    loop_timer_init(sink->loop, &sink->timer, on_timer, sink);
    loop_defer(sink->loop, &sink->task);
    return &sink->sink;
}

static void kind_commit(struct sink *base, const struct sink_batch *batch) {
    struct my_sink *sink = sink_of(base);
    sink->job = MY_COMMIT;
    sink->batch.batch = batch;
    sink->batch.next = 0;
    error_clear(&sink->error);
    (void)layout_prepare(&sink->layout, batch, &sink->error);
    loop_defer(sink->loop, &sink->task);
}

static void kind_verify(struct sink *base, const struct store *store, bool repair) {
    struct my_sink *sink = sink_of(base);
    size_t count;
    struct slice *types = store_types(store, &count);
    sink->job = MY_VERIFY;
    sink->verify = (struct my_verify){.store = store, .repair = repair};
    error_clear(&sink->error);
    for (size_t i = 0; types && i < count; i++) {
        if (!layout_prepare_type(&sink->layout, types[i], &sink->error)) {
            break;
        }
    }
    free(types);
    loop_defer(sink->loop, &sink->task);
}

static void on_closed(struct loop_timer *timer) {
    struct my_sink *sink = timer->task.owner;
    if (--sink->closing == 0) {
        release(sink);
    }
}

static void on_link_closed(struct loop_timer *timer) {
    struct my_link *link = timer->task.owner;
    struct my_sink *sink = link->user;
    if (--sink->closing == 0) {
        release(sink);
    }
}

static void kind_close(struct sink *base) {
    struct my_sink *sink = sink_of(base);
    sink->closing = 2;
    sink->job = MY_NOTHING;
    loop_cancel(sink->loop, &sink->task);
    my_link_close(&sink->link, on_link_closed);
    loop_timer_close(&sink->timer, on_closed);
}

const struct sink_kind sink_mysql = {
    .name = "mysql",
    .exact = true,
    .open = kind_open,
    .commit = kind_commit,
    .verify = kind_verify,
    .close = kind_close,
};
