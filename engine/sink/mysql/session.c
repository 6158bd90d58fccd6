#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "sink/mysql/inside.h"

/* What a statement waits for is given up by the server before the connection is (link.c). */
#define SET_SESSION                                                                                          \
    "SET SESSION sql_mode = 'STRICT_ALL_TABLES,NO_BACKSLASH_ESCAPES,NO_ZERO_DATE', time_zone = '+00:00', "   \
    "innodb_lock_wait_timeout = 10, lock_wait_timeout = 30, autocommit = 1"
#define SELECT_FACTS "SELECT VERSION(), @@max_allowed_packet"

static void go_on(struct my_sink *sink) {
    switch (sink->job) {
    case MY_OPEN:
        sink->opened = true;
        sink->sink.epoch = sink->found_epoch;
        sink->committed = sink->known ? sink->place.sequence : UINT64_MAX;
        my_done(sink);
        break;
    case MY_COMMIT:
        my_batch_begin(sink);
        break;
    default:
        my_verify_begin(sink);
    }
}

static uint64_t number_of(struct slice text) {
    return text.ptr ? strtoull(text.ptr, NULL, 10) : 0;
}

/* The row of _sync_state: offset, synced_at, skip, sequence, epoch, notes. */
static bool take_place(struct my_sink *sink) {
    MYSQL_RES *result = sink->link.result;
    MYSQL_ROW row = result ? mysql_fetch_row(result) : NULL;
    sink->known = false;
    sink->found_epoch = 0;
    if (!row) {
        return true;
    }
    const struct sink_place place = {
        .offset = row[0],
        .skip = number_of(my_cell(result, row, 2)),
        .sequence = number_of(my_cell(result, row, 3)),
        .notes = row[5],
    };
    sink->known = row[1];
    sink->found_epoch = number_of(my_cell(result, row, 4));
    return sink_place_set(&sink->place, &place) ||
           error_set(&sink->error, ERROR_MEMORY, "%s: out of memory for a place", sink->sink.name);
}

static void select_place(struct my_sink *sink, void (*answer)(struct my_sink *sink)) {
    bool whole = buf_append_text(&sink->sql, "SELECT `offset`, synced_at, skip, sequence, epoch, notes FROM "
                                             "_sync_state WHERE stream_url = ") &&
                 my_sql_text(&sink->sql, slice_from(sink->sink.stream));
    my_send(sink, whole, answer);
}

void my_session_fenced(struct my_sink *sink) {
    if (sink->found_epoch == 0) {
        error_set(
            &sink->error, ERROR_CONFLICT,
            "%s: the row of stream %s in _sync_state was deleted by another program: start again, and all is "
            "filled anew",
            sink->sink.name, sink->sink.stream);
    } else {
        sink_fenced(&sink->sink, sink->found_epoch, &sink->error);
    }
    my_failed(sink);
}

static void on_tables(struct my_sink *sink) {
    if (!my_tables_take(sink, sink->link.result)) {
        my_failed(sink);
        return;
    }
    go_on(sink);
}

/* The batch that was under way had been stored; what follows it needs the tables all the same. */
static void on_tables_behind(struct my_sink *sink) {
    if (!my_tables_take(sink, sink->link.result)) {
        my_failed(sink);
        return;
    }
    my_done(sink);
}

static void load_tables(struct my_sink *sink, void (*then)(struct my_sink *sink)) {
    my_send(sink, buf_append_text(&sink->sql, "SELECT table_name, stream_url, type, made FROM _sync_tables"),
            then);
}

/* After the connection was lost: whose the stream is by now, and whether the commit that was under way came to be. */
static void on_look(struct my_sink *sink) {
    if (!take_place(sink)) {
        my_failed(sink);
    } else if (sink->found_epoch != sink->sink.epoch && !sink->read_only) {
        my_session_fenced(sink);
    } else if (sink->job == MY_COMMIT && sink->batch.doubtful && sink->known &&
               sink->place.sequence == sink_batch_place(sink->batch.batch)->sequence &&
               sink->place.sequence != sink->committed) {
        load_tables(sink, on_tables_behind);
    } else {
        load_tables(sink, on_tables);
    }
}

static void on_committed(struct my_sink *sink) {
    load_tables(sink, on_tables);
}

static void on_own_place(struct my_sink *sink) {
    if (!take_place(sink)) {
        my_failed(sink);
        return;
    }
    my_send(sink, buf_append_text(&sink->sql, "COMMIT"), on_committed);
}

static void on_raised(struct my_sink *sink) {
    select_place(sink, on_own_place);
}

static void on_begun(struct my_sink *sink) {
    bool whole = buf_append_text(&sink->sql, "INSERT INTO _sync_state (stream_url, epoch) VALUES (") &&
                 my_sql_text(&sink->sql, slice_from(sink->sink.stream)) &&
                 buf_append_text(&sink->sql, ", 1) ON DUPLICATE KEY UPDATE epoch = epoch + 1");
    my_send(sink, whole, on_raised);
}

static void on_tables_made(struct my_sink *sink) {
    my_send(sink, buf_append_text(&sink->sql, "START TRANSACTION"), on_begun);
}

static void on_state_made(struct my_sink *sink) {
    my_send(sink, my_sql_create_tables(&sink->sql, sink->mariadb), on_tables_made);
}

static void on_there(struct my_sink *sink) {
    if (sink->link.result && mysql_num_rows(sink->link.result) > 0) {
        select_place(sink, on_look);
        return;
    }
    sink->known = false;
    go_on(sink); /* nothing was ever stored here */
}

static void on_facts(struct my_sink *sink) {
    MYSQL_RES *result = sink->link.result;
    MYSQL_ROW row = result ? mysql_fetch_row(result) : NULL;
    struct slice version = row ? my_cell(result, row, 0) : (struct slice){0};
    sink->mariadb = version.ptr && strstr(version.ptr, "MariaDB");
    sink->packet_max = row ? (size_t)number_of(my_cell(result, row, 1)) : 1 << 20;
    if (sink->opened) {
        select_place(sink, on_look);
    } else if (sink->read_only) {
        my_send(sink, buf_append_text(&sink->sql, "SHOW TABLES LIKE '\\_sync\\_state'"), on_there);
    } else {
        my_send(sink, my_sql_create_state(&sink->sql, sink->mariadb), on_state_made);
    }
}

static void on_set(struct my_sink *sink) {
    my_send(sink, buf_append_text(&sink->sql, SELECT_FACTS), on_facts);
}

static void on_connected(struct my_sink *sink) {
    my_send(sink, buf_append_text(&sink->sql, SET_SESSION), on_set);
}

void my_session_begin(struct my_sink *sink) {
    my_tables_clear(&sink->tables);
    sink->answer = on_connected;
    my_link_connect(&sink->link);
}
