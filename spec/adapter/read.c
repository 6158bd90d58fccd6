/* read: collects the chunks of a stream. */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "adapter.h"
#include "stream/source.h"
#include "json/compact.h"
#include "json/read.h"
#include "json/scan.h"

enum {
    CHUNKS_MAX = 100,
    LIVE_MS = 5000,
    CATCH_UP_MS = 25 * 1000, /* within the runner's patience */
    ANSWER_MS = 20 * 1000,
    BYTES_MAX = 1 << 30,
};

struct reading {
    struct adapter *adapter;
    struct source *source;
    struct loop_timer timer;
    bool live, wait_for_tail;
    double max_chunks;

    enum source_format format;
    struct buf body;   /* of the chunk under way; of JSON, of the one array under way */
    struct buf values; /* of JSON: the chunk's messages, compact, with commas between */
    struct buf chunks; /* the reply's, with commas between */
    unsigned count;
    bool in_body;

    char offset[4096], cursor[4096];
    bool has_cursor, up_to_date, closed;
    int status;
    struct error error; /* how it failed, or the last thing that went wrong */
    bool answered, failed, done;
};

/* ---- JSON ---- */

static void fail(struct reading *r) {
    r->failed = true;
    r->done = true;
}

/* An array is whole: its messages join the chunk's. False: it is not JSON. */
static bool take_array(struct reading *r) {
    struct slice text = buf_slice(&r->body);
    struct slice item;
    struct json_walk walk;
    if (!json_check(text, &r->error)) {
        error_context(&r->error, "%s", r->adapter->url);
        fail(r);
        return false;
    }
    text = json_trim(text);
    if (json_kind_of(text) == JSON_ARRAY) {
        for (json_walk_open(&walk, text); json_walk_item(&walk, &item);) {
            if (r->values.len) {
                buf_append_byte(&r->values, ',');
            }
            json_compact(&r->values, item);
        }
    } else {
        if (r->values.len) {
            buf_append_byte(&r->values, ',');
        }
        json_compact(&r->values, text);
    }
    buf_clear(&r->body);
    return true;
}

/* ---- what the source reports ---- */

static void on_begin(void *user, enum source_format format) {
    struct reading *r = user;
    if (r->in_body && format == SOURCE_ARRAY && !r->done) {
        take_array(r);
    }
    r->format = format;
    r->in_body = true;
}

static void on_bytes(void *user, const char *ptr, size_t len) {
    struct reading *r = user;
    buf_append(&r->body, ptr, len);
}

static void drop_chunk(struct reading *r) {
    buf_clear(&r->body);
    buf_clear(&r->values);
    r->in_body = false;
}

static void put_chunk(struct reading *r, struct slice data) {
    struct buf *out = &r->chunks;
    buf_append_text(out, r->count ? ",{\"data\":" : "{\"data\":");
    reply_string(out, data);
    reply_text(out, "offset", slice_from(r->offset));
    buf_append_byte(out, '}');
    r->count++;
}

static bool finish_chunk(struct reading *r) {
    if (r->in_body && r->format == SOURCE_ARRAY) {
        if (!take_array(r)) {
            return false;
        }
        if (r->values.len) {
            buf_append_byte(&r->body, '[');
            buf_append_slice(&r->body, buf_slice(&r->values));
            buf_append_byte(&r->body, ']');
        }
    }
    if (r->body.len) {
        put_chunk(r, buf_slice(&r->body));
    }
    drop_chunk(r);
    return true;
}

static void on_end(void *user, const struct source_chunk *chunk) {
    struct reading *r = user;
    if (r->done) {
        return;
    }
    snprintf(r->offset, sizeof r->offset, "%.*s", (int)chunk->offset.len, chunk->offset.ptr);
    r->has_cursor = chunk->cursor.ptr != NULL;
    snprintf(r->cursor, sizeof r->cursor, "%.*s", (int)chunk->cursor.len,
             chunk->cursor.ptr ? chunk->cursor.ptr : "");
    r->up_to_date = chunk->up_to_date;
    r->closed = chunk->closed;
    r->status = chunk->status;
    r->answered = true;
    if (!finish_chunk(r)) {
        return;
    }
    bool tail = r->wait_for_tail && r->up_to_date;
    r->done = r->live && (tail || r->closed || r->count >= r->max_chunks);
}

static void on_abort(void *user) {
    drop_chunk(user);
}

static void on_eof(void *user) {
    struct reading *r = user;
    r->done = true;
}

static void on_fail(void *user, const struct error *e) {
    struct reading *r = user;
    if (!r->done) {
        r->error = *e;
        fail(r);
    }
}

/* What is garbled is reported, not read again. */
static enum hooks_verdict on_error(void *user, const struct error *e, bool retrying) {
    struct reading *r = user;
    (void)retrying;
    if (!r->answered) {
        r->error = *e;
    }
    return e->code == ERROR_SYNTAX ? HOOKS_STOP : HOOKS_DEFAULT;
}

static bool refresh(void *user, struct fields *fields, struct error *e) {
    struct reading *r = user;
    for (const struct dynamic *d = r->adapter->dynamics; d; d = d->next) {
        bool ok = d->param ? fields_param(fields, slice_from(d->name), slice_from(d->value), e)
                           : fields_default(fields, d->name, slice_from(d->value), e);
        if (!ok) {
            return false;
        }
    }
    return true;
}

/* Time is up. Of a live read that is its end; where nothing was ever answered, the reason is told. */
static void on_timer(struct loop_task *task) {
    struct reading *r = task->owner;
    if (!r->live) {
        error_set(&r->error, ERROR_TIMEOUT, "%s: the read took longer than %d s", r->adapter->url,
                  CATCH_UP_MS / 1000);
    }
    r->failed = !r->live || (!r->answered && r->error.code != ERROR_NONE);
    r->up_to_date = true;
    r->done = true;
}

/* ---- the command ---- */

static bool is_json(const char *type) {
    return type && strncasecmp(type, "application/json", strlen("application/json")) == 0;
}

/* SSE does not tell a stream's content type: where it is not known yet, HEAD does. */
static const char *learn_type(struct adapter *a, struct command *c) {
    const char *type = adapter_type(a, c);
    if (!type) {
        struct called called;
        struct call_options o = {.kind = CALL_HEAD, .url = adapter_url(a, c)};
        called_run(a, &o, &called);
        if (called.done && called.error.code == ERROR_NONE) {
            adapter_remember(a, command_text(c, "path"), called.result.content_type);
        }
        called_free(&called);
        type = adapter_type(a, c);
    }
    return type;
}

static enum source_live live_of(struct command *c) {
    struct slice live = command_raw(c, "live");
    if (!live.ptr || slice_is(live, "false")) {
        return SOURCE_LIVE_NO;
    }
    return slice_is(live, "\"sse\"")         ? SOURCE_LIVE_SSE
           : slice_is(live, "\"long-poll\"") ? SOURCE_LIVE_LONG_POLL
                                             : SOURCE_LIVE_AUTO;
}

static void answer(struct reading *r) {
    struct buf *out = &r->adapter->reply;
    if (r->failed) {
        adapter_fail(r->adapter, "read", &r->error, true);
        return;
    }
    reply_start(out, "read", true);
    reply_number(out, "status", r->count || !r->status ? 200 : r->status);
    reply_name(out, "chunks");
    buf_append_byte(out, '[');
    buf_append_slice(out, buf_slice(&r->chunks));
    buf_append_byte(out, ']');
    reply_text(out, "offset", slice_from(r->offset));
    reply_bool(out, "upToDate", r->up_to_date);
    reply_bool(out, "streamClosed", r->closed);
    if (r->has_cursor) {
        reply_text(out, "cursor", slice_from(r->cursor));
    }
    adapter_sent(r->adapter);
}

static void run(struct reading *r, struct source_options *o, uint64_t limit_ms) {
    r->source = source_open(o, &r->error);
    if (!r->source) {
        r->failed = true;
        return;
    }
    loop_timer_init(r->adapter->loop, &r->timer, on_timer, r);
    loop_timer_start(&r->timer, limit_ms);
    adapter_wait(r->adapter, &r->done);
    source_close(r->source);
}

static void on_timer_closed(struct loop_timer *timer) {
    struct reading *r = timer->task.owner;
    r->done = true;
}

void run_read(struct adapter *a, struct command *c) {
    double limit = LIVE_MS;
    struct fields fields;
    struct slice offset = command_text(c, "offset");
    enum source_live live = live_of(c);
    struct reading r = {
        .adapter = a,
        .live = live != SOURCE_LIVE_NO,
        .wait_for_tail = command_is_true(c, "waitForUpToDate"),
        .max_chunks = CHUNKS_MAX,
    };
    command_number(c, "timeoutMs", &limit);
    command_number(c, "maxChunks", &r.max_chunks);
    buf_init(&r.body, BYTES_MAX);
    buf_init(&r.values, BYTES_MAX);
    buf_init(&r.chunks, BYTES_MAX);
    snprintf(r.offset, sizeof r.offset, "%s", offset.len ? offset.ptr : "-1");
    fields_init(&fields);
    const char *type = live == SOURCE_LIVE_SSE ? learn_type(a, c) : adapter_type(a, c);
    (void)adapter_hooks(a); /* the next values of this command */
    struct source_options o = {
        .loop = a->loop,
        .http = a->http,
        .log = &a->log,
        .location = adapter_url(a, c),
        .offset = offset.ptr,
        .live = live,
        .format = type && !is_json(type) ? SOURCE_BYTES
                  : is_json(type)        ? SOURCE_ARRAY
                                         : SOURCE_AUTO,
        .any_type = true,
        .direct = live == SOURCE_LIVE_SSE || live == SOURCE_LIVE_LONG_POLL,
        .retry = &a->retry,
        .hooks = {.user = &r, .refresh = refresh, .on_error = on_error},
        .first_limit_ms = ANSWER_MS,
        .outage_limit_ms = ANSWER_MS,
        .sink = {.user = &r,
                 .begin = on_begin,
                 .bytes = on_bytes,
                 .end = on_end,
                 .abort = on_abort,
                 .eof = on_eof,
                 .fail = on_fail},
    };
    if (command_headers(c, "headers", &fields, &r.error)) {
        o.fields = fields.headers;
        o.field_count = fields.header_count;
        run(&r, &o, r.live ? (uint64_t)limit : CATCH_UP_MS);
    } else {
        r.failed = true;
    }
    answer(&r);
    if (r.source) { /* its timer's memory is this frame's */
        r.done = false;
        loop_timer_close(&r.timer, on_timer_closed);
        adapter_wait(a, &r.done);
    }
    fields_free(&fields);
    buf_free(&r.body);
    buf_free(&r.values);
    buf_free(&r.chunks);
}
