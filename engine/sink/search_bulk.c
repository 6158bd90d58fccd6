#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/list.h"
#include "sink/search_parts.h"
#include "json/compact.h"
#include "json/read.h"

enum { REASON = 600 };

struct sink_row search_bulk_row(const struct search_sink *s, size_t i, const struct search_entry **entry) {
    *entry = &s->plan.entries[i];
    return sink_batch_row(s->batch, (*entry)->row);
}

bool search_bulk_put_members(struct buf *body, const struct sink_row *row, bool has_id) {
    struct json_walk walk;
    struct slice name;
    struct slice member;
    struct slice value = json_trim(row->value);
    bool ok = buf_printf(body, "\"weir_version\":%" PRIu64, row->sequence + 1);
    if (json_kind_of(value) != JSON_OBJECT) {
        return ok && buf_append_text(body, ",\"value\":") && json_compact(body, value);
    }
    for (json_walk_open(&walk, value); ok && json_walk_member(&walk, &name, &member);) {
        bool is_ours = json_string_is(name, SLICE("weir_version")) ||
                       (has_id && json_string_is(name, SLICE("id")));
        ok = is_ours || (buf_append_byte(body, ',') && buf_append_slice(body, name) &&
                         buf_append_byte(body, ':') && json_compact(body, member));
    }
    return ok;
}

/* The host decides about a row that cannot be stored. False: the job has ended. */
static bool refuse(struct search_sink *s, size_t i, const char *reason) {
    const struct search_entry *entry;
    struct sink_row row = search_bulk_row(s, i, &entry);
    if (row.op == SINK_DELETE) {
        return true; /* there is nothing to be removed */
    }
    struct error e;
    error_set(&e, ERROR_SCHEMA, "%s: the server does not take %.*s/%.*s: %s", s->sink.name,
              row.type.len < 100 ? (int)row.type.len : 100, row.type.ptr,
              row.key.len < 200 ? (int)row.key.len : 200, row.key.ptr, reason);
    if (s->sink.host.refused && s->sink.host.refused(s->sink.host.user, &s->sink, &row, &e)) {
        return true;
    }
    s->error = e;
    search_end(s);
    return false;
}

static bool remember(struct search_sink *s, size_t i) {
    size_t *again = list_room(s->again, s->again_count, &s->again_room, 64, sizeof *again);
    if (!again) {
        search_fail(s, ERROR_MEMORY, "out of memory for rows that have to be sent again");
        return false;
    }
    s->again = again;
    again[s->again_count++] = i;
    return true;
}

void search_bulk_outcome(struct search_sink *s, enum search_outcome outcome, struct slice reason) {
    char text[REASON];
    size_t i = s->from + s->outcome_at++;
    if (s->ending.queued || i >= s->to) {
        return;
    }
    search_excerpt(reason, text, sizeof text);
    switch (outcome) {
    case SEARCH_DONE:
        s->again_at += s->retrying;
        if (s->retrying) {
            outage_over(&s->outage, loop_now(s->loop));
        }
        break;
    case SEARCH_AGAIN:
        if (s->retrying) {
            search_again(s, text);
        } else {
            remember(s, i);
        }
        break;
    case SEARCH_REFUSED:
        s->again_at += s->retrying;
        refuse(s, i, text);
        break;
    case SEARCH_GONE:
        search_fail(
            s, ERROR_GONE,
            "\"%s\", where type \"%.*s\" of stream %s is stored, was removed behind the worker's back (%s). "
            "`weir verify` with repair puts it right; or remove the document of this stream in "
            "\"%sweir-sync-state\", too, and start again: the state is stored anew",
            s->plan.entries[i].type->name, (int)s->plan.entries[i].type->type.len,
            s->plan.entries[i].type->type.ptr, s->sink.stream, text, s->prefix);
    }
}

void search_bulk_split(struct search_sink *s) {
    size_t rows = s->to - s->from;
    if (rows > 1) {
        s->rows_max = rows / 2;
        s->at = s->retrying ? s->at : s->from;
        search_bulk_next(s);
        return;
    }
    s->again_at += s->retrying;
    if (refuse(s, s->from, "it is larger than the server allows a request to be")) {
        search_bulk_next(s);
    }
}

/* Too long, or empty, for an id of the server's. */
static bool is_fit(const struct search_sink *s, struct slice key) {
    size_t max = s->dialect->id_max;
    return key.len > 0 && (!max || key.len <= max);
}

/* Passes over what cannot be stored. False: the job has ended. */
static bool skip_unfit(struct search_sink *s) {
    while (s->at < s->plan.count) {
        const struct search_entry *entry;
        struct sink_row row = search_bulk_row(s, s->at, &entry);
        if (is_fit(s, row.key)) {
            return true;
        }
        if (!refuse(s, s->at, row.key.len ? "its key is longer than 512 bytes" : "its key is empty")) {
            return false;
        }
        s->at++;
    }
    return true;
}

/* Fills a request with entries from s->from on. */
static void fill(struct search_sink *s, size_t end) {
    buf_clear(&s->body);
    for (s->to = s->from; s->to < end && s->to - s->from < s->rows_max; s->to++) {
        const struct search_entry *entry;
        struct sink_row row = search_bulk_row(s, s->to, &entry);
        if (!is_fit(s, row.key) || !entry->type->ready || !s->dialect->put(s, entry, s->to - s->from)) {
            break;
        }
    }
}

static void send_entries(struct search_sink *s, size_t from, size_t end) {
    s->from = from;
    s->outcome_at = 0;
    search_begin(s, "POST", NULL);
    fill(s, end);
    if (s->to == s->from) {
        search_fail(s, ERROR_MEMORY, "out of memory for rows to be stored");
        return;
    }
    s->dialect->send(s);
}

static void go_on(struct sink *sink) {
    search_bulk_next((struct search_sink *)sink);
}

void search_bulk_next(struct search_sink *s) {
    if (s->ending.queued || s->waiting) {
        return;
    }
    if (!s->cleared) {
        s->cleared = true;
        search_clear(s);
        return;
    }
    if (!skip_unfit(s)) {
        return;
    }
    if (s->at < s->plan.count) {
        s->type = s->plan.entries[s->at].type;
        if (!s->type->ready) {
            s->dialect->prepare(s);
            return;
        }
        send_entries(s, s->at, s->plan.count);
        s->at = s->to;
    } else if (s->again_at < s->again_count) {
        s->retrying = true;
        send_entries(s, s->again[s->again_at], s->again[s->again_at] + 1);
    } else if (sink_may_commit(&s->sink, go_on)) {
        s->after_rows(s);
    }
}

void search_bulk_begin(struct search_sink *s) {
    s->at = s->again_count = s->again_at = 0;
    s->retrying = false;
    s->cleared = !s->plan.clears;
    search_bulk_next(s);
}

static void committed(struct search_sink *s, const struct error *e) {
    s->batch = NULL;
    s->sink.host.committed(s->sink.host.user, &s->sink, e);
}

void search_commit(struct sink *sink, const struct sink_batch *batch) {
    struct search_sink *s = (struct search_sink *)sink;
    s->batch = batch;
    s->end = committed;
    s->after_rows = s->dialect->reach;
    s->tries = 0;
    error_clear(&s->error);
    if (search_plan_make(&s->plan, &s->types, batch, &s->error)) {
        search_place_check(s);
    } else {
        search_end(s);
    }
}
