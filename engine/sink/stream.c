/* The sink "stream": a derived stream. What handlers emit while they deal with a message has the position of that
 * message; sink/once.h stores it once, together with what later messages made where that may leave as one append.
 *
 * Settings: url; producer, the producer's id (default: made of the URLs of both streams); create, "false": the stream
 * has to be there; caFile; header.NAME, a request header. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "io/url.h"
#include "sink/kinds.h"
#include "sink/once.h"
#include "stream/source.h"

enum { FIELDS_MAX = 32, SHOWN_MAX = 1024, BODY_KEEP = 1 << 20 };

#define GROUP_BYTES ((size_t)512 * 1024) /* servers and proxies that cap a body cap it above that */

static const char header_prefix[] = "header.";

struct derived {
    struct sink base; /* first */
    struct loop *loop;
    const struct log *log;
    struct loop_task task; /* takes up what was asked for, outside of the call that asked */
    struct once *once;
    struct buf values;

    const struct sink_batch *batch; /* NULL: nothing is to be committed */
    size_t at, end; /* the rows of it that leave together: of one message or, if it may be, of several */
    bool split;     /* those of one message are too large for one append: each goes by itself, */
    uint64_t part;  /* numbered among those of the message that are stored */
    size_t sent;    /* how many rows are in the append under way, */
    uint64_t last;  /* and of which message the last one is */
    size_t most;    /* bytes of what several messages may leave together */
};

/* ---- committing ---- */

static void finish(struct derived *d, const struct error *e) {
    d->batch = NULL;
    buf_clear(&d->values);
    buf_shrink(&d->values, BODY_KEEP);
    d->base.host.committed(d->base.host.user, &d->base, e);
}

static bool is_own(const struct derived *d, const struct sink_row *row) {
    return row->op == SINK_EMIT && slice_is(row->key, d->base.name);
}

/* Behind the last row of the message that row `i` is of. */
static size_t message_end(const struct derived *d, size_t i) {
    size_t count = sink_batch_count(d->batch);
    uint64_t sequence = sink_batch_row(d->batch, i).sequence;
    while (i < count && sink_batch_row(d->batch, i).sequence == sequence) {
        i++;
    }
    return i;
}

/* From `at` on, the rows of one message of which there are any for this sink; false: there are no more. */
static bool find_message(struct derived *d) {
    size_t count = sink_batch_count(d->batch);
    for (; d->at < count; d->at++) {
        struct sink_row first = sink_batch_row(d->batch, d->at);
        if (is_own(d, &first)) {
            d->end = message_end(d, d->at);
            return true;
        }
    }
    return false;
}

/* Adds the events of rows `from` to `to` - 1, with commas between them; split: the first alone. */
static bool put_rows(struct derived *d, size_t from, size_t to) {
    for (size_t i = from; i < to && !(d->split && d->sent); i++) {
        struct sink_row row = sink_batch_row(d->batch, i);
        if (!is_own(d, &row)) {
            continue;
        }
        if ((d->sent && !buf_append_byte(&d->values, ',')) || !buf_append_slice(&d->values, row.value)) {
            return false;
        }
        d->sent++;
        d->last = row.sequence;
    }
    return true;
}

static uint64_t position(const struct derived *d) {
    return sink_batch_row(d->batch, d->at).sequence;
}

/* What was gathered is of several messages. */
static bool is_group(const struct derived *d) {
    return d->last > position(d);
}

static bool gather(struct derived *d) {
    buf_clear(&d->values);
    d->sent = 0;
    d->last = position(d);
    return put_rows(d, d->at, d->end);
}

/* The messages that follow, as long as they fit. */
static bool gather_more(struct derived *d) {
    size_t count = sink_batch_count(d->batch);
    while (d->end < count) {
        size_t end = message_end(d, d->end);
        size_t len = d->values.len;
        size_t sent = d->sent;
        uint64_t last = d->last;
        if (!put_rows(d, d->end, end)) {
            return false;
        }
        if (d->values.len > d->most) {
            d->values.len = len;
            d->sent = sent;
            d->last = last;
            break;
        }
        d->end = end;
    }
    return true;
}

/* What was sent is dealt with. */
static void pass(struct derived *d) {
    if (!d->split) {
        d->at = d->end;
        return;
    }
    while (d->at < d->end) {
        struct sink_row row = sink_batch_row(d->batch, d->at++);
        if (is_own(d, &row)) {
            break;
        }
    }
}

/* What was gathered of one message need not be sent. Of the last position that the server has, several rows may have
 * been sent one by one, and not all of them: it is asked again. */
static bool is_stored(const struct derived *d) {
    return d->sent > 1 ? once_is_past(d->once, position(d)) : once_has(d->once, position(d), d->part);
}

static bool out_of_memory(const struct derived *d, struct error *e) {
    return error_set(e, ERROR_MEMORY, "%s: out of memory for an append", d->base.name);
}

static bool send_gathered(struct derived *d, struct error *e) {
    if (!d->split && once_may_group(d->once, position(d)) && !gather_more(d)) {
        return out_of_memory(d, e);
    }
    struct once_values values = {
        .first = position(d),
        .last = d->last,
        .part = d->part,
        .json = buf_slice(&d->values),
    };
    return once_append(d->once, &values, e) || error_context(e, "%s", d->base.name);
}

/* Sends what comes next, or ends the commit. */
static void go_on(struct derived *d) {
    struct error e;
    for (;;) {
        if (d->at >= d->end) {
            d->split = false;
            d->part = 0;
            if (!find_message(d)) {
                finish(d, NULL);
                return;
            }
        }
        if (!gather(d)) {
            out_of_memory(d, &e);
            finish(d, &e);
            return;
        }
        if (d->sent && !is_stored(d)) {
            if (!send_gathered(d, &e)) {
                finish(d, &e);
            }
            return;
        }
        d->part += d->sent;
        pass(d);
    }
}

/* What was sent is to be gathered anew. */
static void go_again(struct derived *d) {
    if (is_group(d)) {
        d->end = message_end(d, d->at);
    }
    go_on(d);
}

static void go_on_later(struct sink *sink) {
    go_on((struct derived *)sink);
}

/* The append was too large for the server. Once something of a later position is stored, this one will be taken for stored,
 * too: its letter comes before that. */
static void refuse(struct derived *d, const struct error *why) {
    struct error e = *why;
    if (is_group(d)) {
        d->most = d->values.len / 2;
        go_again(d);
        return;
    }
    if (d->sent > 1) {
        d->split = true;
        go_on(d);
        return;
    }
    struct sink_row row = sink_batch_row(d->batch, d->at);
    for (size_t i = d->at; !is_own(d, &row); i++) {
        row = sink_batch_row(d->batch, i);
    }
    if (!d->base.host.refused(d->base.host.user, &d->base, &row, &e)) {
        finish(d, &e);
        return;
    }
    pass(d);
    if (sink_may_commit(&d->base, go_on_later)) {
        go_on(d);
    }
}

static void on_done(void *user, bool stored, const struct error *e) {
    struct derived *d = user;
    if (!e && !stored) {
        go_again(d);
        return;
    }
    if (!e) {
        d->part++;
        pass(d);
        go_on(d);
        return;
    }
    struct error why = *e;
    error_context(&why, "%s", d->base.name);
    why.status = e->status;
    if (why.status == 413) {
        refuse(d, &why);
    } else {
        finish(d, &why);
    }
}

static void run(struct loop_task *task) {
    go_on(task->owner);
}

static void commit(struct sink *sink, const struct sink_batch *batch) {
    struct derived *d = (struct derived *)sink;
    d->batch = batch;
    d->at = d->end = 0;
    loop_defer(d->loop, &d->task);
}

/* ---- life ---- */

static void on_opened(void *user, const struct error *e) {
    struct derived *d = user;
    struct error why;
    if (e) {
        why = *e;
        error_context(&why, "%s", d->base.name);
        if (e->code == ERROR_NOT_FOUND) {
            size_t used = strlen(why.message);
            snprintf(why.message + used, sizeof why.message - used,
                     "; create it, or leave out create = false");
        }
    }
    d->base.host.opened(d->base.host.user, &d->base, NULL, e ? &why : NULL);
}

static void close_derived(struct sink *sink) {
    struct derived *d = (struct derived *)sink;
    loop_cancel(d->loop, &d->task);
    once_free(d->once);
    buf_free(&d->values);
    sink_release(&d->base);
    free(d);
}

static bool take_fields(const struct sink_options *options, struct http_field *fields, size_t *count,
                        struct error *e) {
    size_t prefix = sizeof header_prefix - 1;
    for (size_t i = 0; i < options->setting_count; i++) {
        const struct sink_setting *setting = &options->settings[i];
        if (strncmp(setting->name, header_prefix, prefix) != 0) {
            continue;
        }
        if (*count == FIELDS_MAX) {
            return error_set(e, ERROR_ARGUMENT, "%s: more than %d headers", options->name, FIELDS_MAX);
        }
        fields[(*count)++] = (struct http_field){slice_from(setting->name + prefix),
                                                 slice_from(setting->value)};
    }
    return true;
}

static bool may_create(const struct sink_options *options, bool *may, struct error *e) {
    const char *create = sink_setting(options, "create");
    *may = !options->read_only && (!create || strcmp(create, "true") == 0);
    return !create || *may || options->read_only || strcmp(create, "false") == 0 ||
           error_set(e, ERROR_ARGUMENT, "%s: create: expected true or false, got %s", options->name, create);
}

static struct once *open_once(struct derived *d, const struct sink_options *options, struct error *e) {
    struct http_field fields[FIELDS_MAX];
    char shown[SHOWN_MAX];
    char id[ONCE_ID];
    const char *url = sink_setting(options, "url");
    const char *producer = sink_setting(options, "producer");
    if (!url || !source_is_url(url)) {
        error_set(e, ERROR_ARGUMENT, "%s: url: expected the http(s) URL of a stream", options->name);
        return NULL;
    }
    url_redact(url, shown, sizeof shown);
    once_id(id, "weir", options->stream, shown);
    struct once_options o = {
        .loop = options->loop,
        .http = options->http,
        .log = options->log,
        .url = url,
        .fields = fields,
        .ca_file = sink_setting(options, "caFile"),
        .id = producer && *producer ? producer : id,
        .limit_ms = options->outage_limit_ms,
        .user = d,
        .opened = on_opened,
        .done = on_done,
    };
    bool ok = take_fields(options, fields, &o.field_count, e) && may_create(options, &o.create, e);
    return ok ? once_new(&o, e) : NULL;
}

static struct sink *open_derived(const struct sink_kind *kind, const struct sink_options *options,
                                 struct error *e) {
    struct derived *d = sink_new(sizeof *d, kind, options, e);
    if (!d) {
        return NULL;
    }
    d->loop = options->loop;
    d->log = options->log;
    d->most = GROUP_BYTES;
    d->task = (struct loop_task){.run = run, .owner = d};
    buf_init(&d->values, (size_t)1 << 30);
    d->once = open_once(d, options, e);
    if (!d->once) {
        close_derived(&d->base);
        return NULL;
    }
    return &d->base;
}

const struct sink_kind sink_stream = {
    .name = "stream",
    .placeless = true,
    .open = open_derived,
    .commit = commit,
    .close = close_derived,
};
