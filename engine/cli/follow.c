#include "cli/follow.h"

#include "message/value.h"
#include "json/compact.h"

enum { MESSAGE_MAX = 64 * 1024 * 1024, WINDOW_MORE = 4 * 1024 * 1024, OFFSET_MAX = 64 * 1024 };

void follow_init(struct follow *follow) {
    *follow = (struct follow){.live = SOURCE_LIVE_NO};
    buf_init(&follow->window, (size_t)MESSAGE_MAX + WINDOW_MORE);
    buf_init(&follow->offset, OFFSET_MAX);
    slicer_init(&follow->slicer, MESSAGE_MAX, value_decode, NULL);
}

void follow_free(struct follow *follow) {
    buf_free(&follow->window);
    buf_free(&follow->offset);
}

struct slice follow_offset(const struct follow *follow) {
    return follow->offset.len ? buf_slice(&follow->offset) : slice_from(follow->from ? follow->from : "-1");
}

uint64_t follow_skip(const struct follow *follow) {
    return follow->skip + follow->since;
}

/* ---- ends ---- */

/* Nothing more is taken. */
static void stop(struct follow *follow) {
    follow->over = true;
    source_close(follow->source);
    follow->source = NULL;
}

static void fail(struct follow *follow, const struct error *e) {
    follow->e = *e;
    stop(follow);
}

static void check_limit(struct follow *follow) {
    if (follow->limited && follow->left == 0) {
        stop(follow);
    }
}

static void put(struct follow *follow) {
    if (!follow->over && !output_flush(&follow->client->output)) {
        fail(follow, &follow->client->output.e);
    }
}

/* The chunk will come again from its start: what was taken from it is not taken twice. */
static void expect_again(struct follow *follow) {
    follow->skip += follow->since;
    follow->since = 0;
    follow->in_array = false;
    buf_clear(&follow->window);
}

/* ---- messages ---- */

static bool keep_message(struct follow *follow, struct slice message) {
    struct error *e = &follow->client->output.e;
    return (json_compact(follow->into, message) && buf_append_byte(follow->into, '\n')) ||
           buf_error(follow->into, e, "what is read of the stream", NULL);
}

static bool put_message(struct follow *follow, struct slice message) {
    if (follow->into) {
        return keep_message(follow, message);
    }
    struct output *output = &follow->client->output;
    bool ok = follow->raw ? buf_append_slice(&output->buf, message) : json_compact(&output->buf, message);
    if (!ok || !buf_append_byte(&output->buf, '\n')) {
        error_set(&output->e, ERROR_MEMORY, "out of memory for a message");
    }
    return output_settle(output);
}

static void take_message(struct follow *follow, struct slice message) {
    follow->since++;
    if (follow->skip) {
        follow->skip--;
        return;
    }
    if (!put_message(follow, message)) {
        fail(follow, &follow->client->output.e);
        return;
    }
    follow->left -= follow->limited;
    check_limit(follow);
}

static void reject(struct follow *follow, struct error *e) {
    struct slice offset = follow_offset(follow);
    error_context(e, "%s: offset %.*s, message %llu", follow->client->shown, (int)offset.len, offset.ptr,
                  (unsigned long long)follow->since + 1);
    expect_again(follow);
    source_reject(follow->source, e);
}

static void fail_long(struct follow *follow, struct error *e) {
    if (e->code == ERROR_LIMIT) {
        error_set(e, ERROR_LIMIT, "a message is longer than %d MB", MESSAGE_MAX >> 20);
    }
    error_context(e, "%s", follow->client->shown);
    fail(follow, e);
}

/* Takes the messages in [at, end) and keeps the rest in the window, where all of it may lie already. */
static void slice(struct follow *follow, const char *at, const char *end, bool last) {
    struct error e;
    while (!follow->over) {
        enum slicer_status found = slicer_next(&follow->slicer, &at, end, last, &e);
        switch (found) {
        case SLICER_MESSAGE:
            take_message(follow, follow->slicer.message);
            continue;
        case SLICER_REFUSED:
        case SLICER_BROKEN:
            reject(follow, &e);
            return;
        case SLICER_FAILED:
            fail_long(follow, &e);
            return;
        case SLICER_MORE:
        case SLICER_END:
            break;
        }
        break;
    }
    if (follow->over) {
        return;
    }
    size_t rest = (size_t)(end - at);
    if (follow->window.len) {
        buf_consume(&follow->window, follow->window.len - rest);
    } else if (!buf_append(&follow->window, at, rest)) {
        error_set(&e, ERROR_MEMORY, "out of memory for a message");
        fail_long(follow, &e);
    }
}

static void take_piece(struct follow *follow, const char *ptr, size_t len) {
    struct error e;
    if (follow->window.len == 0) {
        slice(follow, ptr, ptr + len, false);
    } else if (buf_append(&follow->window, ptr, len)) {
        slice(follow, follow->window.ptr, follow->window.ptr + follow->window.len, false);
    } else {
        buf_error(&follow->window, &e, "the buffer of a message", NULL);
        fail_long(follow, &e);
    }
}

/* The body under way has ended. False: it is to be read again, or all is over. */
static bool finish_body(struct follow *follow) {
    if (!follow->in_array) {
        return !follow->over;
    }
    const char *at = follow->window.ptr ? follow->window.ptr : "";
    slice(follow, at, at + follow->window.len, true);
    bool whole = follow->in_array; /* expect_again clears it */
    follow->in_array = false;
    buf_clear(&follow->window);
    return whole && !follow->over;
}

static void take_bytes(struct follow *follow, const char *ptr, size_t len) {
    size_t passed = follow->skip < len ? (size_t)follow->skip : len;
    follow->skip -= passed;
    follow->since += passed;
    ptr += passed;
    len -= passed;
    if (follow->limited && len > follow->left) {
        len = (size_t)follow->left;
    }
    if (len && !output_write(&follow->client->output, ptr, len)) {
        fail(follow, &follow->client->output.e);
        return;
    }
    follow->since += len;
    follow->left -= follow->limited ? len : 0;
    check_limit(follow);
}

/* ---- what the source reports ---- */

static void on_begin(void *user, enum source_format format) {
    struct follow *follow = user;
    if (!finish_body(follow)) {
        return;
    }
    follow->bytes = format == SOURCE_BYTES;
    follow->in_array = !follow->bytes;
    if (follow->in_array) {
        slicer_begin(&follow->slicer, SLICER_ARRAY);
    }
}

static void on_bytes(void *user, const char *ptr, size_t len) {
    struct follow *follow = user;
    if (follow->bytes) {
        take_bytes(follow, ptr, len);
    } else if (follow->in_array) {
        take_piece(follow, ptr, len);
    }
    put(follow);
}

static void on_end(void *user, const struct source_chunk *chunk) {
    struct follow *follow = user;
    if (!finish_body(follow)) {
        return;
    }
    put(follow);
    follow->since = 0;
    buf_clear(&follow->offset);
    if (!buf_append_slice(&follow->offset, chunk->offset)) {
        struct error e;
        error_set(&e, ERROR_MEMORY, "out of memory for an offset");
        fail(follow, &e);
    }
}

static void on_abort(void *user) {
    expect_again(user);
}

static void on_eof(void *user) {
    stop(user);
}

static void on_fail(void *user, const struct error *e) {
    fail(user, e);
}

bool follow_run(struct follow *follow, struct client *client, struct error *e) {
    struct source_options options = {
        .loop = client->loop,
        .http = client->http,
        .log = &client->log,
        .location = client->url,
        .offset = follow->from,
        .live = follow->live,
        .format = SOURCE_AUTO,
        .any_type = true,
        .fields = client->headers.fields.headers,
        .field_count = client->headers.fields.header_count,
        .ca_file = client->ca_file,
        .retry = &client->retry,
        .hooks = client_hooks(client),
        .first_limit_ms = client->timeout_ms,
        .outage_limit_ms = client->timeout_ms,
        .sink = {.user = follow,
                 .begin = on_begin,
                 .bytes = on_bytes,
                 .end = on_end,
                 .abort = on_abort,
                 .eof = on_eof,
                 .fail = on_fail},
    };
    follow->client = client;
    follow->source = source_open(&options, e);
    if (!follow->source) {
        return false;
    }
    bool ok = client_run(client, &follow->over, e);
    source_close(follow->source);
    follow->source = NULL;
    if (ok && follow->e.code != ERROR_NONE) {
        *e = follow->e;
        return false;
    }
    return ok;
}
