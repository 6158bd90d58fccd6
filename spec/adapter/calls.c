/* create, connect, head, delete, append, close. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "adapter.h"
#include "stream/base64.h"

enum { TEXT_MAX = 1 << 16 };

/* ---- one call, waited for ---- */

static struct slice keep(struct buf *text, struct slice s) {
    struct slice kept = {0};
    if (s.ptr && buf_append(text, s.ptr, s.len)) {
        kept = slice_of(text->ptr + text->len - s.len, s.len);
    }
    return kept;
}

static void on_done(void *user, const struct call_result *result, const struct error *e) {
    struct called *called = user;
    called->result = *result;
    called->error = *e;
    size_t need = result->offset.len + result->content_type.len + result->expires_at.len;
    if (buf_reserve(&called->text, need ? need : 1)) { /* so that it does not move below */
        called->result.offset = keep(&called->text, result->offset);
        called->result.content_type = keep(&called->text, result->content_type);
        called->result.expires_at = keep(&called->text, result->expires_at);
    }
    called->result.response = NULL;
    called->done = true;
}

void called_run(struct adapter *a, struct call_options *o, struct called *called) {
    *called = (struct called){0};
    buf_init(&called->text, TEXT_MAX);
    o->loop = a->loop;
    o->http = a->http;
    o->log = &a->log;
    o->retry = &a->retry;
    o->done = on_done;
    o->user = called;
    if (call_start(o, &called->error)) {
        adapter_wait(a, &called->done);
    }
}

void called_free(struct called *called) {
    buf_free(&called->text);
}

/* Runs it with the command's path and headers. False: it failed, and the reply says so. */
static bool run(struct adapter *a, struct command *c, struct call_options *o, struct called *called,
                const char *type) {
    struct fields fields;
    fields_init(&fields);
    *called = (struct called){0};
    bool ok = command_headers(c, "headers", &fields, &called->error);
    if (ok) {
        o->url = adapter_url(a, c);
        o->fields = fields.headers;
        o->field_count = fields.header_count;
        called_run(a, o, called);
        ok = called->done && called->error.code == ERROR_NONE;
    }
    fields_free(&fields);
    if (!ok) {
        adapter_fail(a, type, &called->error, false);
    }
    return ok;
}

/* 204 is told as 200. */
static double status_of(const struct called *called) {
    return called->result.status == 204 ? 200 : called->result.status;
}

/* ---- the commands ---- */

void run_create(struct adapter *a, struct command *c) {
    struct called called;
    double ttl = 0;
    struct slice type = command_text(c, "contentType");
    struct call_options o = {
        .kind = CALL_CREATE,
        .content_type = type.ptr ? type.ptr : "application/octet-stream",
        .expires_at = command_text(c, "expiresAt").ptr,
        .closed = command_is_true(c, "closed"),
        .body = command_text(c, "data"),
        .has_ttl = command_number(c, "ttlSeconds", &ttl),
        .ttl_s = ttl > 0 ? (uint64_t)ttl : 0,
    };
    if (run(a, c, &o, &called, "create")) {
        adapter_remember(a, command_text(c, "path"), slice_from(o.content_type));
        reply_start(&a->reply, "create", true);
        reply_number(&a->reply, "status", called.result.status);
        reply_text(&a->reply, "offset", called.result.offset);
    }
    called_free(&called);
}

void run_connect(struct adapter *a, struct command *c) {
    struct called called;
    struct call_options o = {.kind = CALL_HEAD};
    if (run(a, c, &o, &called, "connect")) {
        adapter_remember(a, command_text(c, "path"), called.result.content_type);
        reply_start(&a->reply, "connect", true);
        reply_number(&a->reply, "status", 200);
        reply_text(&a->reply, "offset", called.result.offset);
    }
    called_free(&called);
}

void run_head(struct adapter *a, struct command *c) {
    struct called called;
    struct call_options o = {.kind = CALL_HEAD};
    if (run(a, c, &o, &called, "head")) {
        const struct call_result *r = &called.result;
        adapter_remember(a, command_text(c, "path"), r->content_type);
        reply_start(&a->reply, "head", true);
        reply_number(&a->reply, "status", 200);
        reply_text(&a->reply, "offset", r->offset);
        reply_text(&a->reply, "contentType", r->content_type);
        if (r->has_ttl) {
            reply_number(&a->reply, "ttlSeconds", (double)r->ttl_s);
        }
        reply_text(&a->reply, "expiresAt", r->expires_at);
        reply_bool(&a->reply, "streamClosed", r->closed);
    }
    called_free(&called);
}

void run_delete(struct adapter *a, struct command *c) {
    struct called called;
    struct call_options o = {.kind = CALL_DELETE};
    if (run(a, c, &o, &called, "delete")) {
        free(strmap_remove(&a->types, command_text(c, "path")));
        reply_start(&a->reply, "delete", true);
        reply_number(&a->reply, "status", status_of(&called));
    }
    called_free(&called);
}

void run_close(struct adapter *a, struct command *c) {
    struct called called;
    struct slice type = command_text(c, "contentType");
    struct slice data = command_text(c, "data");
    struct call_options o = {
        .kind = CALL_CLOSE,
        .content_type = type.ptr ? type.ptr : adapter_type(a, c),
        .body = data.len ? data : (struct slice){0},
    };
    if (run(a, c, &o, &called, "close")) {
        struct slice offset = called.result.offset;
        reply_start(&a->reply, "close", true);
        reply_text(&a->reply, "finalOffset", offset.ptr ? offset : SLICE(""));
    }
    called_free(&called);
}

/* Numbers that are to be sent as text. */
static const char *decimal(const struct command *c, const char *name, char text[32]) {
    double number = 0;
    if (!command_number(c, name, &number)) {
        return NULL;
    }
    snprintf(text, 32, "%.0f", number);
    return text;
}

static void append_details(struct adapter *a, const struct call_result *r) {
    if (r->has_epoch) {
        reply_number(&a->reply, "producerEpoch", (double)r->epoch);
    }
    if (r->has_seq) {
        reply_number(&a->reply, "producerSeq", (double)r->seq);
    }
    if (r->has_expected) {
        reply_number(&a->reply, "producerExpectedSeq", (double)r->expected_seq);
    }
    if (r->has_received) {
        reply_number(&a->reply, "producerReceivedSeq", (double)r->received_seq);
    }
}

static bool append_body(struct adapter *a, struct command *c, struct buf *bytes, struct slice *body) {
    struct slice data = command_text(c, "data");
    if (command_is_true(c, "binary")) {
        if (!base64_decode(bytes, data, &a->error)) {
            adapter_fail(a, "append", &a->error, false);
            return false;
        }
        data = buf_slice(bytes);
    }
    if (data.len == 0) { /* the server would say the same */
        error_set(&a->error, ERROR_HTTP, "400: an append needs a body");
        a->error.status = 400;
        adapter_fail(a, "append", &a->error, false);
        return false;
    }
    *body = data;
    return true;
}

void run_append(struct adapter *a, struct command *c) {
    char seq[32];
    char epoch[32];
    char producer_seq[32];
    struct called called = {0};
    struct buf bytes;
    buf_init(&bytes, 1 << 30);
    struct call_options o = {
        .kind = CALL_APPEND,
        .content_type = adapter_type(a, c),
        .stream_seq = decimal(c, "seq", seq),
        .producer_id = command_text(c, "producerId").ptr,
        .producer_epoch = decimal(c, "producerEpoch", epoch),
        .producer_seq = decimal(c, "producerSeq", producer_seq),
    };
    if (append_body(a, c, &bytes, &o.body)) {
        o.hooks = adapter_hooks(a);
        bool ok = run(a, c, &o, &called, "append");
        if (ok) {
            reply_start(&a->reply, "append", true);
            reply_number(&a->reply, "status", status_of(&called));
            reply_text(&a->reply, "offset", called.result.offset);
            adapter_sent(a);
        }
        if (o.producer_id) {
            if (ok) {
                reply_bool(&a->reply, "duplicate", called.result.duplicate);
            }
            append_details(a, &called.result);
        }
    }
    called_free(&called);
    buf_free(&bytes);
}
