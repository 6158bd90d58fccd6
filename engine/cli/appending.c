#include "cli/appending.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "cli/ask.h"
#include "cli/data.h"
#include "json/read.h"

enum {
    HIGH_WATER = 8 * 1024 * 1024, /* bytes that the producer holds: reading waits, */
    LOW_WATER = 4 * 1024 * 1024,  /* until there are no more than these */
    QUEUE_MAX = 256 * 1024 * 1024,
    BATCH_BYTES = 1024 * 1024,
    BATCH_ITEMS = 1000,
    OFFSET_MAX = 64 * 1024,
};

#define NEVER_MS ((int64_t)365 * 24 * 3600 * 1000)

void appending_init(struct appending *a, struct client *client, const struct appending_options *options) {
    *a = (struct appending){.client = client, .o = *options};
    a->json = ask_is_json(options->content_type);
    a->text = strncasecmp(options->content_type, "text/", 5) == 0;
    a->fixed = options->producer_id != NULL;
    a->kind = a->json ? (options->lines ? INPUT_JSON_LINES : INPUT_JSON)
                      : (options->lines ? INPUT_LINES : INPUT_BYTES);
    buf_init(&a->body, DATA_MAX);
    buf_init(&a->offset, OFFSET_MAX);
}

void appending_free(struct appending *a) {
    if (a->reading) {
        input_close(&a->input);
    }
    producer_free(a->producer);
    buf_free(&a->body);
    buf_free(&a->offset);
}

/* ---- ends ---- */

/* Ends it now: what is under way is left. */
static void stop(struct appending *a, const struct error *e) {
    if (a->over) {
        return;
    }
    a->e = *e;
    a->over = true;
    if (a->reading) {
        input_close(&a->input);
    }
    producer_free(a->producer);
    a->producer = NULL;
}

static void keep_offset(struct appending *a, struct slice offset) {
    if (offset.len) {
        buf_clear(&a->offset);
        buf_append_slice(&a->offset, offset); /* where it does not fit, the server is asked again */
    }
}

/* ---- the producer answers ---- */

static void count(struct appending *a, uint64_t units, const struct producer_result *result) {
    /* A random producer's duplicates are its own retries. */
    bool before = result->duplicate && a->fixed;
    a->before += before ? units : 0;
    a->stored += before ? 0 : units;
    keep_offset(a, result->offset);
}

static void go_on(struct appending *a) {
    if (a->throttled && !a->flushing && producer_bytes(a->producer) <= LOW_WATER) {
        a->throttled = false;
        input_resume(&a->input);
    }
}

static void on_message(void *user, const struct producer_result *result, const struct error *e) {
    struct appending *a = user;
    if (e->code != ERROR_NONE) {
        stop(a, e);
        return;
    }
    count(a, 1, result);
    go_on(a);
}

/* Bytes are counted in what the producer holds no more. */
static void on_bytes(void *user, const struct producer_result *result, const struct error *e) {
    struct appending *a = user;
    if (e->code != ERROR_NONE) {
        stop(a, e);
        return;
    }
    size_t held = producer_bytes(a->producer);
    count(a, a->batch_bytes - held, result);
    a->batch_bytes = held;
    go_on(a);
}

static void on_last(void *user, const struct producer_result *result, const struct error *e) {
    struct appending *a = user;
    (void)result;
    if (e->code != ERROR_NONE) {
        stop(a, e);
    }
    a->over = true;
}

static void on_flushed(void *user, const struct producer_result *result, const struct error *e) {
    struct appending *a = user;
    (void)result;
    if (e->code != ERROR_NONE) {
        stop(a, e);
        return;
    }
    a->flushing = a->throttled = false;
    a->batch_items = a->batch_bytes = 0;
    input_resume(&a->input);
}

/* ---- appending ---- */

/* Everything so far leaves as batches of its own, and is waited for. */
static void flush(struct appending *a) {
    struct error e;
    a->flushing = true;
    if (!producer_flush(a->producer, on_flushed, a, &e)) {
        stop(a, &e);
    }
}

static enum input_answer append(struct appending *a, struct slice message) {
    struct error e;
    if (!producer_append(a->producer, message, a->json ? on_message : on_bytes, a, &e)) {
        stop(a, &e);
        return INPUT_STOP;
    }
    if (a->reading && producer_bytes(a->producer) > HIGH_WATER && !a->throttled) {
        a->throttled = true;
        input_pause(&a->input);
    }
    return INPUT_TAKEN;
}

/* A batch of JSON under a given name: so many messages, or so many bytes, whichever comes first. The
 * producer counts messages alike; for bytes it has to be told. */
static enum input_answer append_to_batch(struct appending *a, struct slice message) {
    uint64_t most = a->o.batch ? a->o.batch : BATCH_ITEMS;
    if (a->batch_items && a->batch_bytes + message.len > BATCH_BYTES) {
        flush(a);
        return a->over ? INPUT_STOP : INPUT_LATER;
    }
    enum input_answer answer = append(a, message);
    if (answer != INPUT_TAKEN) {
        return answer;
    }
    a->batch_items++;
    a->batch_bytes += message.len;
    if (a->batch_items == most) {
        a->batch_items = a->batch_bytes = 0;
    } else if (a->batch_bytes >= BATCH_BYTES) {
        flush(a);
        if (a->over) {
            return INPUT_STOP;
        }
        input_pause(&a->input);
    }
    return INPUT_TAKEN;
}

/* With --seq: everything is one request. */
static enum input_answer gather(struct appending *a, struct slice message) {
    struct error e;
    bool ok = (!a->json || buf_append_byte(&a->body, a->body.len ? ',' : '[')) &&
              buf_append_slice(&a->body, message);
    if (!ok) {
        error_set(&e, ERROR_LIMIT, "%s: with --seq everything is one request, of %d MB at most",
                  data_name(a->o.path), DATA_MAX >> 20);
        stop(a, &e);
        return INPUT_STOP;
    }
    a->batch_items++;
    return INPUT_TAKEN;
}

static enum input_answer on_input(void *user, struct slice message) {
    struct appending *a = user;
    if (a->o.seq) {
        return gather(a, message);
    }
    if (a->json && a->fixed && a->reading) {
        return append_to_batch(a, message);
    }
    a->batch_bytes += a->json ? 0 : message.len;
    return append(a, message);
}

/* The input has ended, or cannot be read on: what was taken is stored first. */
static void on_input_over(void *user, const struct error *e) {
    struct appending *a = user;
    struct error why;
    a->e = *e;
    if (a->o.seq) {
        a->over = true;
    } else if (!producer_detach(a->producer, on_last, a, &why)) {
        stop(a, &why);
    }
}

static size_t block_of(const struct appending *a) {
    uint64_t asked = a->o.batch ? a->o.batch : BATCH_BYTES;
    return asked < DATA_MAX ? (size_t)asked : DATA_MAX;
}

static bool open_input(struct appending *a, struct error *e) {
    bool alone = a->fixed && a->kind == INPUT_BYTES;
    struct input_options o = {
        .loop = a->client->loop,
        .log = &a->client->log,
        .path = a->o.path,
        .kind = a->kind,
        .text = a->text,
        .block = alone ? block_of(a) : 0,
        .user = a,
        .take = on_input,
        .over = on_input_over,
    };
    a->reading = input_open(&a->input, &o, e);
    return a->reading;
}

/* ---- arguments ---- */

/* Each is appended by itself; of JSON, an array is as many messages as it has elements, as it is by the
 * protocol. */
static bool append_argument(struct appending *a, struct slice text) {
    struct json_walk walk;
    struct slice item = json_trim(text);
    if (!a->json || item.ptr[0] != '[') {
        return on_input(a, a->json ? item : text) == INPUT_TAKEN;
    }
    json_walk_open(&walk, item);
    while (json_walk_item(&walk, &item)) {
        if (on_input(a, item) != INPUT_TAKEN) {
            return false;
        }
    }
    return true;
}

static bool check_arguments(const struct appending *a, struct error *e) {
    char name[32];
    for (size_t i = 0; i < a->o.data_count; i++) {
        snprintf(name, sizeof name, "DATA %zu", i + 1);
        if (a->json && !data_check_json(slice_from(a->o.data[i]), name, e)) {
            return false;
        }
    }
    return true;
}

/* A command line is short: what is on it need not wait, and batches of it need no limit of bytes. */
static bool append_arguments(struct appending *a, struct error *e) {
    for (size_t i = 0; i < a->o.data_count && !a->over; i++) {
        append_argument(a, slice_from(a->o.data[i]));
    }
    if (!a->over) {
        error_clear(e);
        on_input_over(a, e);
    }
    return true;
}

/* ---- the whole ---- */

static bool open_producer(struct appending *a, struct error *e) {
    struct client *client = a->client;
    struct producer_options o;
    producer_options_init(&o);
    o.loop = client->loop;
    o.http = client->http;
    o.log = &client->log;
    o.url = client->url;
    o.content_type = a->o.content_type;
    o.fields = client->headers.fields.headers;
    o.field_count = client->headers.fields.header_count;
    o.ca_file = client->ca_file;
    o.id = a->o.producer_id;
    o.epoch = (int64_t)a->o.epoch;
    o.auto_claim = a->o.claim;
    o.limit_ms = client->timeout_ms;
    o.queue_max = QUEUE_MAX;
    o.retry = &client->retry;
    o.hooks = client_hooks(client);
    if (a->fixed) {
        o.linger_ms = NEVER_MS;
        o.max_batch_bytes = INT64_MAX;
    }
    if (a->json && (a->fixed || a->o.batch)) {
        o.max_batch_items = a->o.batch ? (int64_t)a->o.batch : BATCH_ITEMS;
    } else if (!a->json && (a->fixed || a->o.lines || a->o.data_count)) {
        o.max_batch_items = 1;
    } else if (!a->json && a->o.batch) {
        o.max_batch_bytes = (int64_t)a->o.batch;
    }
    a->producer = producer_new(&o, e);
    return a->producer != NULL;
}

/* One request with everything. */
static bool send_gathered(struct appending *a, struct error *e) {
    struct answer answer;
    if (a->body.len == 0) {
        return true;
    }
    if (a->json && !buf_append_byte(&a->body, ']')) {
        return error_set(e, ERROR_MEMORY, "out of memory for a request");
    }
    struct call_options o = {
        .kind = CALL_APPEND,
        .content_type = a->o.content_type,
        .body = buf_slice(&a->body),
        .stream_seq = a->o.seq,
    };
    answer_init(&answer);
    bool ok = ask(a->client, o, &answer, e);
    if (ok) {
        a->stored = a->json ? a->batch_items : a->body.len;
        keep_offset(a, buf_slice(&answer.offset));
    }
    answer_free(&answer);
    return ok;
}

static void say_what_is_stored(const struct appending *a, struct error *e) {
    size_t used = strlen(e->message);
    snprintf(e->message + used, sizeof e->message - used, "; %" PRIu64 " %s%s been stored",
             a->stored + a->before, a->json ? "message" : "byte",
             a->stored + a->before == 1 ? " has" : "s have");
}

static void advise(const struct appending *a, struct error *e) {
    if (e->status != 403 || !a->fixed || !strstr(e->message, "took over")) {
        ask_advise(a->client, CALL_APPEND, e);
        return;
    }
    size_t used = strlen(e->message);
    snprintf(e->message + used, sizeof e->message - used, "; --claim takes it back, under a new epoch");
}

static bool start(struct appending *a, struct error *e) {
    return check_arguments(a, e) && (a->o.seq || open_producer(a, e)) &&
           (a->o.data_count ? append_arguments(a, e) : open_input(a, e));
}

bool appending_run(struct appending *a, struct error *e) {
    if (!start(a, e)) {
        return false;
    }
    bool ok = client_run(a->client, &a->over, e);
    if (ok && a->e.code != ERROR_NONE) {
        *e = a->e;
        advise(a, e);
        ok = false;
    }
    ok = ok && (!a->o.seq || send_gathered(a, e));
    if (!ok) {
        say_what_is_stored(a, e);
    }
    return ok;
}
