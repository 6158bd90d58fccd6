#include "stream/writer.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>
#include <time.h>

#include "base/buf.h"
#include "io/url.h"
#include "stream/answer.h"
#include "stream/backoff.h"
#include "stream/fields.h"
#include "stream/mark.h"
#include "stream/source.h"

enum {
    LIMIT_MS = 30 * 1000,
    QUEUE_MAX = 64 * 1024 * 1024,
    LEAST_WAIT_MS = 250, /* what the last attempt before the limit gets */
    BACKOFF_FIRST_MS = 100,
    BACKOFF_MAX_MS = 5 * 1000,
    BODY_SHOWN_MAX = 1024,
    OWN_FIELDS = 4,
};

/* One append that waits or is under way. */
struct append {
    struct append *next;
    writer_done *done;
    void *user;
    uint64_t queued_at;
    bool raised; /* the epoch was raised for it once */
    size_t len;
    char body[];
};

struct writer {
    struct loop *loop;
    struct http *http;
    const struct log *log;
    char *url, *ca_file, *content_type;
    char shown[512]; /* the URL, for messages */
    struct fields fields;
    bool json;
    uint64_t limit_ms;
    size_t queue_max;

    char id[40]; /* Producer-Id */
    uint64_t epoch, seq;
    char epoch_text[24], seq_text[24];

    struct append *first, *last; /* first: the one under way */
    size_t count, bytes;
    struct http_request *request;
    struct loop_timer timer; /* to the next attempt */
    bool waiting;            /* the timer runs */
    bool closed;
    uint64_t acked_at;
    struct backoff backoff;

    int status; /* of the present answer */
    struct buf offset, body;
    bool stream_closed, fenced;
    bool gap, lost; /* a sequence gap; and the server knows nothing of this producer */
    uint64_t retry_ms;
};

static void writer_next(struct writer *w, uint64_t delay_ms);

/* ---- the queue ---- */

static struct append *take_first(struct writer *w) {
    struct append *a = w->first;
    w->first = a->next;
    if (!w->first) {
        w->last = NULL;
    }
    w->count--;
    w->bytes -= a->len;
    return a;
}

/* Answers the append under way and goes on. The callback may close the writer. */
static void writer_answer(struct writer *w, struct slice offset, const struct error *e) {
    struct append *a = take_first(w);
    a->done(a->user, offset, e);
    free(a);
    if (!w->closed && w->first && !w->request && !w->waiting) {
        writer_next(w, 0);
    }
}

/* ---- an attempt ends ---- */

static void raise_epoch(struct writer *w) {
    w->epoch++;
    w->seq = 0;
}

static uint64_t time_left(const struct writer *w) {
    uint64_t from = w->first->queued_at > w->acked_at ? w->first->queued_at : w->acked_at;
    uint64_t since = loop_now(w->loop) - from;
    return since < w->limit_ms ? w->limit_ms - since : 0;
}

/* Whatever became of its sequence number: those that follow do not build on it. */
static void writer_give_up(struct writer *w, struct error *e) {
    raise_epoch(w);
    writer_answer(w, (struct slice){0}, e);
}

static void writer_retry(struct writer *w, struct error *e) {
    uint64_t left = time_left(w);
    uint64_t wait = backoff_next(&w->backoff, w->retry_ms);
    if (left == 0 || w->retry_ms > left) {
        if (left) {
            error_context(e, "the server asks to wait %.1f s, which is longer than the %.1f s left",
                          (double)w->retry_ms / 1000, (double)left / 1000);
        }
        size_t used = strlen(e->message);
        snprintf(e->message + used, sizeof e->message - used,
                 "; gave up after %.1f s: whether the append is stored is not known",
                 (double)w->limit_ms / 1000);
        writer_give_up(w, e);
        return;
    }
    wait = wait < left ? wait : left;
    log_write(w->log, LOG_WARN, "append to %s; trying again in %.1f s", e->message, (double)wait / 1000);
    writer_next(w, wait);
}

static void writer_stored(struct writer *w) {
    struct error none = {0};
    struct slice offset = w->offset.len ? buf_slice(&w->offset) : (struct slice){0};
    w->seq++;
    w->acked_at = loop_now(w->loop);
    backoff_reset(&w->backoff);
    writer_answer(w, offset, &none);
}

static void refused_error(struct writer *w, struct error *e) {
    answer_error(w->status, buf_slice(&w->body), e);
    if (w->stream_closed) {
        e->code = ERROR_CLOSED;
        snprintf(e->message, sizeof e->message, "%d: the stream is closed: it takes no appends", w->status);
    } else if (w->fenced) {
        snprintf(e->message, sizeof e->message,
                 "%d: another writer took over this producer (epoch %" PRIu64 ")", w->status, w->epoch);
    }
    error_context(e, "%s", w->shown);
}

static void writer_judge(struct writer *w) {
    struct error e;
    if (w->status == 200 || w->status == 204) {
        writer_stored(w);
        return;
    }
    refused_error(w, &e);
    if (w->gap && w->lost && !w->stream_closed && !w->first->raised) {
        /* It does not know this producer any more: it has lost its state. Start anew, once. */
        w->first->raised = true;
        raise_epoch(w);
        log_write(w->log, LOG_WARN, "%s: the server has forgotten this producer: going on as epoch %" PRIu64,
                  w->shown, w->epoch);
        writer_next(w, 0);
    } else if (answer_may_change(w->status)) {
        writer_retry(w, &e);
    } else {
        writer_give_up(w, &e);
    }
}

static void on_head(void *user, const struct http_response *response) {
    struct writer *w = user;
    struct slice expected = http_field(response, "Producer-Expected-Seq");
    w->status = response->status;
    w->stream_closed = w->status == 409 && mark_is_true(http_field(response, "Stream-Closed"));
    w->fenced = w->status == 403 && http_field(response, "Producer-Epoch").ptr;
    w->gap = w->status == 409 && expected.ptr;
    w->lost = slice_is(expected, "0");
    buf_append_slice(&w->offset, http_field(response, "Stream-Next-Offset"));
    backoff_retry_after(http_field(response, "Retry-After"), time(NULL), &w->retry_ms);
}

static void on_body(void *user, const char *ptr, size_t len) {
    struct writer *w = user;
    size_t room = BODY_SHOWN_MAX - w->body.len;
    buf_append(&w->body, ptr, len < room ? len : room);
}

static void on_done(void *user, const struct http_response *response, const struct error *e) {
    (void)response;
    struct writer *w = user;
    w->request = NULL;
    if (e->code == ERROR_NONE || (w->status && w->status < 300)) {
        writer_judge(w); /* a success whose (empty) body broke off is one all the same */
        return;
    }
    struct error why = *e;
    if (why.code == ERROR_NETWORK || why.code == ERROR_TIMEOUT) {
        writer_retry(w, &why);
    } else {
        writer_give_up(w, &why);
    }
}

/* ---- an attempt starts ---- */

static void set_fields(struct writer *w) {
    snprintf(w->epoch_text, sizeof w->epoch_text, "%" PRIu64, w->epoch);
    snprintf(w->seq_text, sizeof w->seq_text, "%" PRIu64, w->seq);
    fields_trim(&w->fields);
    fields_put(&w->fields, "Content-Type", slice_from(w->content_type));
    fields_put(&w->fields, "Producer-Id", slice_from(w->id));
    fields_put(&w->fields, "Producer-Epoch", slice_from(w->epoch_text));
    fields_put(&w->fields, "Producer-Seq", slice_from(w->seq_text));
}

static void writer_send(struct writer *w) {
    uint64_t left = time_left(w);
    left = left < LEAST_WAIT_MS ? LEAST_WAIT_MS : left;
    set_fields(w);
    buf_clear(&w->offset);
    buf_clear(&w->body);
    w->status = 0;
    w->retry_ms = 0;
    struct http_options o = {
        .method = "POST",
        .url = w->url,
        .fields = w->fields.list,
        .field_count = w->fields.count,
        .body = slice_of(w->first->body, w->first->len),
        .connect_timeout_ms = left < LIMIT_MS ? left : LIMIT_MS,
        .idle_timeout_ms = left,
        .total_timeout_ms = left,
        .ca_file = w->ca_file,
        .on_head = on_head,
        .on_body = on_body,
        .on_done = on_done,
        .user = w,
    };
    struct error e;
    w->request = http_start(w->http, &o, &e);
    if (!w->request) {
        writer_give_up(w, &e);
    }
}

static void on_timer(struct loop_task *task) {
    struct writer *w = task->owner;
    w->waiting = false;
    if (w->first && !w->request) {
        writer_send(w);
    }
}

static void writer_next(struct writer *w, uint64_t delay_ms) {
    w->waiting = true;
    loop_timer_start(&w->timer, delay_ms);
}

/* ---- the public face ---- */

bool writer_append(struct writer *writer, struct slice body, writer_done *done, void *user, struct error *e) {
    struct writer *w = writer;
    size_t len = body.len + (w->json ? 2 : 0);
    if (body.len == 0) {
        return error_set(e, ERROR_ARGUMENT, "%s: an append needs a body", w->shown);
    }
    if (len > w->queue_max || w->bytes > w->queue_max - len) {
        return error_set(
            e, ERROR_LIMIT,
            "%s: %zu bytes wait to be appended, %zu more would pass the cap of %zu: append slower, or "
            "raise queue_max",
            w->shown, w->bytes, len, w->queue_max);
    }
    struct append *a = malloc(sizeof *a + len);
    if (!a) {
        return error_set(e, ERROR_MEMORY, "%s: out of memory for an append of %zu bytes", w->shown, len);
    }
    *a = (struct append){.done = done, .user = user, .queued_at = loop_now(w->loop), .len = len};
    memcpy(a->body + w->json, body.ptr, body.len);
    if (w->json) {
        a->body[0] = '[';
        a->body[len - 1] = ']';
    }
    *(w->last ? &w->last->next : &w->first) = a;
    w->last = a;
    w->count++;
    w->bytes += len;
    if (!w->request && !w->waiting) {
        writer_next(w, 0);
    }
    return true;
}

size_t writer_pending(const struct writer *writer) {
    return writer->count;
}

static void writer_release(struct writer *w) {
    free(w->url);
    free(w->ca_file);
    free(w->content_type);
    fields_free(&w->fields);
    buf_free(&w->offset);
    buf_free(&w->body);
    free(w);
}

static void on_closed(struct loop_timer *timer) {
    writer_release(timer->task.owner);
}

void writer_close(struct writer *writer) {
    if (!writer) {
        return;
    }
    writer->closed = true;
    if (writer->request) {
        http_cancel(writer->request);
        writer->request = NULL;
    }
    while (writer->first) {
        free(take_first(writer));
    }
    loop_timer_close(&writer->timer, on_closed);
}

/* A random UUID, version 4. */
static bool make_id(char id[40], struct error *e) {
    unsigned char b[16];
    if (getrandom(b, sizeof b, 0) != (ssize_t)sizeof b) {
        return error_set(e, ERROR_SYSTEM, "the system gave no random bytes");
    }
    b[6] = (unsigned char)((b[6] & 0x0f) | 0x40);
    b[8] = (unsigned char)((b[8] & 0x3f) | 0x80);
    char *at = id;
    for (unsigned i = 0; i < sizeof b; i++) {
        at += snprintf(at, 4, "%s%02x", i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", b[i]);
    }
    return true;
}

static bool writer_fill(struct writer *w, const struct writer_options *o, struct error *e) {
    buf_init(&w->offset, MARK_TEXT_MAX);
    buf_init(&w->body, BODY_SHOWN_MAX);
    w->url = strdup(o->url);
    w->ca_file = o->ca_file ? strdup(o->ca_file) : NULL;
    w->content_type = strdup(o->content_type ? o->content_type : "application/json");
    if (!w->url || (o->ca_file && !w->ca_file) || !w->content_type) {
        return error_set(e, ERROR_MEMORY, "out of memory for a writer");
    }
    size_t type = strcspn(w->content_type, "; \t");
    w->json = type == strlen("application/json") &&
              strncasecmp(w->content_type, "application/json", type) == 0;
    return make_id(w->id, e) && fields_copy(&w->fields, o->fields, o->field_count, OWN_FIELDS, e);
}

struct writer *writer_new(const struct writer_options *options, struct error *e) {
    if (!options->url || !source_is_url(options->url)) {
        error_set(e, ERROR_ARGUMENT, "cannot append to \"%s\": expected the http(s) URL of a stream",
                  options->url ? options->url : "");
        return NULL;
    }
    struct writer *w = calloc(1, sizeof *w);
    if (!w) {
        error_set(e, ERROR_MEMORY, "out of memory for a writer");
        return NULL;
    }
    w->loop = options->loop;
    w->http = options->http;
    w->log = options->log;
    w->limit_ms = options->limit_ms ? options->limit_ms : LIMIT_MS;
    w->queue_max = options->queue_max ? options->queue_max : QUEUE_MAX;
    url_redact(options->url, w->shown, sizeof w->shown);
    if (!writer_fill(w, options, e)) {
        writer_release(w);
        return NULL;
    }
    uint64_t seed = 0;
    memcpy(&seed, w->id, sizeof seed); /* as random as the id is */
    backoff_init(&w->backoff, BACKOFF_FIRST_MS, BACKOFF_MAX_MS, seed);
    loop_timer_init(w->loop, &w->timer, on_timer, w);
    return w;
}
