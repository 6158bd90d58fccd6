/* benchmark: the same work, timed. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "adapter.h"
#include "stream/producer.h"
#include "stream/source.h"
#include "json/read.h"
#include "json/scan.h"

enum { BYTES_MAX = 1 << 30 };

struct bench {
    struct adapter *adapter;
    struct command *operation;
    double bytes, messages;
    bool has_messages;
    struct error error;
};

/* A payload of `size` bytes that is one message of whatever the stream holds. */
static char *make_payload(struct bench *b, const char *type, size_t *size) {
    double want = 1;
    command_number(b->operation, "size", &want);
    bool json = type && strncmp(type, "application/json", 16) == 0;
    *size = want < 1 ? 1 : (size_t)want;
    if (json && *size < 2) {
        *size = 2;
    }
    char *payload = malloc(*size);
    if (!payload) {
        error_set(&b->error, ERROR_MEMORY, "out of memory for a payload");
        return NULL;
    }
    memset(payload, '*', *size);
    if (json) {
        payload[0] = payload[*size - 1] = '"';
    }
    return payload;
}

static bool run_call(struct bench *b, struct call_options *o) {
    struct called called;
    o->url = adapter_url(b->adapter, b->operation);
    called_run(b->adapter, o, &called);
    b->error = called.error;
    called_free(&called);
    return b->error.code == ERROR_NONE;
}

static bool bench_append(struct bench *b) {
    const char *type = adapter_type(b->adapter, b->operation);
    size_t size = 0;
    char *payload = make_payload(b, type, &size);
    if (!payload) {
        return false;
    }
    struct call_options o = {.kind = CALL_APPEND, .content_type = type, .body = slice_of(payload, size)};
    bool ok = run_call(b, &o);
    b->bytes = (double)size;
    free(payload);
    return ok;
}

static bool bench_create(struct bench *b) {
    struct slice type = command_text(b->operation, "contentType");
    struct call_options o = {.kind = CALL_CREATE, .content_type = type.ptr};
    return run_call(b, &o);
}

/* ---- reading ---- */

struct sink {
    struct buf body;
    double bytes, messages;
    bool count, first; /* count the messages; end at the first bytes */
    bool done;
    struct error error;
};

/* One array is whole. */
static void count_messages(struct sink *s) {
    struct json_walk walk;
    struct slice item;
    struct slice text = json_trim(buf_slice(&s->body));
    if (s->count && text.len && *text.ptr == '[' && json_check(text, &s->error)) {
        for (json_walk_open(&walk, text); json_walk_item(&walk, &item);) {
            s->messages++;
        }
    }
    buf_clear(&s->body);
}

static void on_begin(void *user, enum source_format format) {
    (void)format;
    count_messages(user);
}

static void on_bytes(void *user, const char *ptr, size_t len) {
    struct sink *s = user;
    s->bytes += (double)len;
    if (s->count) {
        buf_append(&s->body, ptr, len);
    }
}

static void on_end(void *user, const struct source_chunk *chunk) {
    struct sink *s = user;
    (void)chunk;
    count_messages(s);
    s->done = s->done || (s->first && s->bytes > 0);
}

static void on_abort(void *user) {
    struct sink *s = user;
    buf_clear(&s->body);
}

static void on_eof(void *user) {
    struct sink *s = user;
    s->done = true;
}

static void on_fail(void *user, const struct error *e) {
    struct sink *s = user;
    s->error = *e;
    s->done = true;
}

static struct source *open_source(struct bench *b, struct sink *s, enum source_live live,
                                  const char *offset) {
    struct source_options o = {
        .loop = b->adapter->loop,
        .http = b->adapter->http,
        .log = &b->adapter->log,
        .location = adapter_url(b->adapter, b->operation),
        .offset = offset,
        .live = live,
        .any_type = true,
        .direct = live != SOURCE_LIVE_NO,
        .sink = {.user = s,
                 .begin = on_begin,
                 .bytes = on_bytes,
                 .end = on_end,
                 .abort = on_abort,
                 .eof = on_eof,
                 .fail = on_fail},
    };
    buf_init(&s->body, BYTES_MAX);
    return source_open(&o, &b->error);
}

static bool finish(struct bench *b, struct source *source, struct sink *s) {
    if (source) {
        adapter_wait(b->adapter, &s->done);
        source_close(source);
        b->error = s->error;
    }
    b->bytes += s->bytes;
    return b->error.code == ERROR_NONE;
}

static bool bench_read(struct bench *b) {
    struct sink s = {0};
    struct source *source = open_source(b, &s, SOURCE_LIVE_NO, command_text(b->operation, "offset").ptr);
    bool ok = finish(b, source, &s);
    buf_free(&s.body);
    return ok;
}

static bool bench_throughput_read(struct bench *b) {
    struct sink s = {.count = true};
    bool ok = finish(b, open_source(b, &s, SOURCE_LIVE_NO, NULL), &s);
    b->has_messages = true;
    b->messages = s.messages;
    buf_free(&s.body);
    return ok;
}

static bool bench_roundtrip(struct bench *b) {
    struct sink s = {.first = true};
    size_t size = 0;
    struct slice type = command_text(b->operation, "contentType");
    enum source_live live = slice_is(command_text(b->operation, "live"), "sse") ? SOURCE_LIVE_SSE
                                                                                : SOURCE_LIVE_LONG_POLL;
    if (!bench_create(b)) {
        return false;
    }
    char *payload = make_payload(b, type.ptr, &size);
    if (!payload) {
        return false;
    }
    struct source *source = open_source(b, &s, live, NULL);
    struct call_options o = {.kind = CALL_APPEND, .content_type = type.ptr, .body = slice_of(payload, size)};
    bool ok = source && run_call(b, &o);
    free(payload);
    if (ok) {
        ok = finish(b, source, &s);
    } else {
        source_close(source);
    }
    b->bytes += (double)size;
    buf_free(&s.body);
    return ok;
}

/* ---- producing ---- */

struct flushed {
    bool done;
    struct error error;
};

static void on_flushed(void *user, const struct producer_result *result, const struct error *e) {
    struct flushed *flushed = user;
    (void)result;
    flushed->error = *e;
    flushed->done = true;
}

static bool bench_throughput_append(struct bench *b) {
    const char *type = adapter_type(b->adapter, b->operation);
    double count = 0;
    size_t size = 0;
    struct flushed flushed = {0};
    struct producer_options o;
    struct call_options create = {.kind = CALL_CREATE, .content_type = type};
    (void)run_call(b, &create); /* it may be there already */
    error_clear(&b->error);
    command_number(b->operation, "count", &count);
    producer_options_init(&o);
    o.loop = b->adapter->loop;
    o.http = b->adapter->http;
    o.log = &b->adapter->log;
    o.url = adapter_url(b->adapter, b->operation);
    o.content_type = type ? type : "application/octet-stream";
    o.queue_max = BYTES_MAX;
    o.linger_ms = 0;
    struct producer *p = producer_new(&o, &b->error);
    char *payload = p ? make_payload(b, type, &size) : NULL;
    bool ok = payload != NULL;
    for (double i = 0; ok && i < count; i++) {
        ok = producer_append(p, slice_of(payload, size), NULL, NULL, &b->error);
    }
    if (ok && producer_flush(p, on_flushed, &flushed, &b->error)) {
        adapter_wait(b->adapter, &flushed.done);
        b->error = flushed.error;
    }
    producer_free(p);
    free(payload);
    b->bytes = count * (double)size;
    b->messages = count;
    b->has_messages = true;
    return ok && b->error.code == ERROR_NONE;
}

/* ---- the command ---- */

static const struct {
    const char *op;
    bool (*run)(struct bench *bench);
} operations[] = {
    {"append", bench_append},
    {"read", bench_read},
    {"roundtrip", bench_roundtrip},
    {"create", bench_create},
    {"throughput_append", bench_throughput_append},
    {"throughput_read", bench_throughput_read},
};

static void answer(struct bench *b, struct slice iteration, uint64_t ns) {
    struct buf *out = &b->adapter->reply;
    char text[32];
    snprintf(text, sizeof text, "%" PRIu64, ns);
    reply_start(out, "benchmark", true);
    reply_text(out, "iterationId", iteration);
    reply_text(out, "durationNs", slice_from(text));
    reply_name(out, "metrics");
    buf_printf(out, "{\"bytesTransferred\":%.17g", b->bytes);
    double seconds = (double)ns / 1e9;
    if (b->has_messages) {
        reply_number(out, "messagesProcessed", b->messages);
        reply_number(out, "opsPerSecond", seconds > 0 ? b->messages / seconds : 0);
    }
    reply_number(out, "bytesPerSecond", seconds > 0 ? b->bytes / seconds : 0);
    buf_append_byte(out, '}');
}

void run_benchmark(struct adapter *a, struct command *c) {
    struct command operation;
    bool ok = command_inside(c, "operation", &operation);
    struct bench b = {.adapter = a, .operation = &operation};
    struct slice op = command_text(&operation, "op");
    size_t i = 0;
    size_t count = sizeof operations / sizeof *operations;
    while (ok && i < count && !slice_is(op, operations[i].op)) {
        i++;
    }
    uint64_t before = uv_hrtime();
    if (!ok || i == count) {
        error_set(&b.error, ERROR_ARGUMENT, "there is no such operation");
        reply_error(&a->reply, "benchmark", &b.error, "NOT_SUPPORTED", false);
    } else if (operations[i].run(&b)) {
        answer(&b, command_text(c, "iterationId"), uv_hrtime() - before);
    } else {
        adapter_fail(a, "benchmark", &b.error, false);
    }
    command_free(&operation);
}
