/* The idempotent producer: one for each path, id and epoch. */
#include <inttypes.h>
#include <stdio.h>

#include "adapter.h"
#include "stream/producer.h"
#include "json/read.h"

enum { BATCH_LINGER_MS = 1000 };

/* What became of the flush or close that a command waits for. */
struct outcome {
    bool done;
    struct producer_result result;
    char offset[4096];
    struct error error;
};

static void on_done(void *user, const struct producer_result *result, const struct error *e) {
    struct outcome *outcome = user;
    outcome->result = *result;
    outcome->error = *e;
    snprintf(outcome->offset, sizeof outcome->offset, "%.*s", (int)result->offset.len,
             result->offset.ptr ? result->offset.ptr : "");
    outcome->done = true;
}

void produce_drop(void *producer) {
    producer_free(producer);
}

static struct producer *make(struct adapter *a, struct command *c, struct producer_options *o) {
    struct fields fields;
    struct producer *p = NULL;
    double epoch = 0;
    const char *type = adapter_type(a, c);
    command_number(c, "epoch", &epoch);
    o->loop = a->loop;
    o->http = a->http;
    o->log = &a->log;
    o->retry = &a->retry;
    o->url = adapter_url(a, c);
    o->content_type = type ? type : "application/octet-stream";
    o->id = command_text(c, "producerId").ptr;
    o->epoch = (int64_t)epoch;
    o->auto_claim = command_is_true(c, "autoClaim");
    fields_init(&fields);
    if (command_headers(c, "headers", &fields, &a->error)) {
        o->fields = fields.headers;
        o->field_count = fields.header_count;
        p = producer_new(o, &a->error);
    }
    fields_free(&fields);
    return p;
}

/* "path|id|epoch" */
static void make_key(struct command *c, struct buf *key) {
    double epoch = 0;
    command_number(c, "epoch", &epoch);
    struct slice path = command_text(c, "path");
    struct slice id = command_text(c, "producerId");
    buf_init(key, 1 << 20);
    buf_printf(key, "%.*s|%.*s|%.0f", (int)path.len, path.ptr ? path.ptr : "", (int)id.len,
               id.ptr ? id.ptr : "", epoch);
}

static struct producer *find_or_make(struct adapter *a, struct command *c) {
    struct buf key;
    make_key(c, &key);
    struct producer *p = strmap_get(&a->producers, buf_slice(&key));
    if (!p) {
        struct producer_options o;
        producer_options_init(&o);
        o.linger_ms = 0;
        o.max_in_flight = 1;
        p = make(a, c, &o);
        if (p && !strmap_put(&a->producers, buf_slice(&key), p)) {
            producer_free(p);
            p = NULL;
            error_set(&a->error, ERROR_MEMORY, "out of memory for a producer");
        }
    }
    buf_free(&key);
    return p;
}

static void answer(struct adapter *a, const char *type, bool started, const struct outcome *outcome) {
    if (!started) {
        adapter_fail(a, type, &a->error, false);
        return;
    }
    if (outcome->error.code != ERROR_NONE) {
        adapter_fail(a, type, &outcome->error, false);
        return;
    }
    reply_start(&a->reply, type, true);
    reply_number(&a->reply, "status", 200);
}

void run_produce(struct adapter *a, struct command *c) {
    struct outcome outcome = {0};
    struct producer *p = find_or_make(a, c);
    struct slice data = command_text(c, "data");
    bool ok = p && producer_append(p, data, NULL, NULL, &a->error) &&
              producer_flush(p, on_done, &outcome, &a->error);
    if (ok) {
        adapter_wait(a, &outcome.done);
    }
    answer(a, "idempotent-append", ok, &outcome);
    if (ok && outcome.error.code == ERROR_NONE) {
        if (*outcome.offset) {
            reply_text(&a->reply, "offset", slice_from(outcome.offset));
        }
        reply_bool(&a->reply, "duplicate", outcome.result.duplicate);
        reply_number(&a->reply, "producerSeq", (double)outcome.result.seq);
    }
}

static bool append_items(struct adapter *a, struct command *c, struct producer *p) {
    struct json_walk walk;
    struct slice item;
    struct slice items = command_raw(c, "items");
    if (!items.ptr || json_kind_of(items) != JSON_ARRAY) {
        return error_set(&a->error, ERROR_ARGUMENT, "items must be an array of strings");
    }
    for (json_walk_open(&walk, items); json_walk_item(&walk, &item);) {
        struct slice data = json_kind_of(item) == JSON_STRING ? command_unquote(c, item) : item;
        if (!producer_append(p, data, NULL, NULL, &a->error)) {
            return false;
        }
    }
    return true;
}

void run_produce_batch(struct adapter *a, struct command *c) {
    struct outcome outcome = {0};
    struct producer_options o;
    double in_flight = 1;
    command_number(c, "maxInFlight", &in_flight);
    producer_options_init(&o);
    o.max_in_flight = in_flight > 1 ? (int64_t)in_flight : 1;
    o.max_batch_items = in_flight > 1 ? 1 : INT64_MAX;
    o.linger_ms = in_flight > 1 ? 0 : BATCH_LINGER_MS; /* everything is in the batch when it is flushed */
    struct producer *p = make(a, c, &o);
    bool ok = p && append_items(a, c, p) && producer_detach(p, on_done, &outcome, &a->error);
    if (ok) {
        adapter_wait(a, &outcome.done);
    }
    producer_free(p);
    answer(a, "idempotent-append-batch", ok, &outcome);
    if (ok && outcome.error.code == ERROR_NONE) {
        reply_number(&a->reply, "producerSeq", (double)outcome.result.seq);
    }
}

void run_produce_close(struct adapter *a, struct command *c) {
    struct outcome outcome = {0};
    struct producer *p = find_or_make(a, c);
    struct slice data = command_text(c, "data");
    bool ok = p && producer_close(p, data.len ? data : (struct slice){0}, on_done, &outcome, &a->error);
    if (ok) {
        adapter_wait(a, &outcome.done);
    }
    answer(a, "idempotent-close", ok, &outcome);
    if (ok && outcome.error.code == ERROR_NONE && *outcome.offset) {
        reply_text(&a->reply, "finalOffset", slice_from(outcome.offset));
    }
}

void run_produce_detach(struct adapter *a, struct command *c) {
    struct outcome outcome = {0};
    struct buf key;
    struct producer *p = find_or_make(a, c);
    bool ok = p && producer_detach(p, on_done, &outcome, &a->error);
    if (ok) {
        adapter_wait(a, &outcome.done);
    }
    make_key(c, &key);
    producer_free(strmap_remove(&a->producers, buf_slice(&key)));
    buf_free(&key);
    answer(a, "idempotent-detach", ok, &outcome);
}
