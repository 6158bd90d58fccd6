#include "stream/producer_parts.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "stream/source.h"

enum { LIMIT_MS = 30 * 1000, QUEUE_MAX = 64 * 1024 * 1024, OFFSET_MAX = 4096, OUT_OF_MEMORY_MS = 100 };

#define EPOCH_MAX INT64_C(9007199254740991) /* 2^53 - 1: servers may be JavaScript */

/* ---- options ---- */

void producer_options_init(struct producer_options *o) {
    *o = (struct producer_options){
        .linger_ms = PRODUCER_LINGER_MS,
        .max_batch_bytes = PRODUCER_BATCH_BYTES,
        .max_batch_items = INT64_MAX,
        .max_in_flight = PRODUCER_IN_FLIGHT,
    };
}

static bool check_least(const char *name, int64_t value, int64_t least, struct error *e) {
    return value >= least || error_set(e, ERROR_ARGUMENT, "%s is %" PRId64 ": expected %" PRId64 " or more",
                                       name, value, least);
}

bool producer_options_check(const struct producer_options *o, struct error *e) {
    if (o->id && !*o->id) {
        return error_set(e, ERROR_ARGUMENT, "id is empty: expected the name of this producer");
    }
    if (o->epoch > EPOCH_MAX) {
        return error_set(e, ERROR_ARGUMENT, "epoch is %" PRId64 ": expected at most %" PRId64, o->epoch,
                         EPOCH_MAX);
    }
    return check_least("epoch", o->epoch, 0, e) && check_least("lingerMs", o->linger_ms, 0, e) &&
           check_least("maxBatchBytes", o->max_batch_bytes, 1, e) &&
           check_least("maxBatchItems", o->max_batch_items, 1, e) &&
           check_least("maxInFlight", o->max_in_flight, 1, e) && (!o->retry || retry_check(o->retry, e));
}

/* ---- answering ---- */

/* Remembers it for flushes. */
static void tell(struct producer *p, const struct batch *b, bool ok) {
    if (!ok) {
        if (p->first_error.code == ERROR_NONE) {
            p->first_error = b->error;
        }
        return;
    }
    buf_clear(&p->told_offset);
    buf_append_slice(&p->told_offset, buf_slice(&b->offset));
    p->told = (struct producer_result){
        .status = b->status,
        .offset = p->told_offset.len ? buf_slice(&p->told_offset) : (struct slice){0},
        .duplicate = b->status == 204,
        .closed = b->stream_closed,
        .epoch = b->epoch,
        .seq = b->seq,
    };
}

/* The item is answered; the callback may free the producer. */
static void answer_item(struct producer *p, struct item *i, const struct producer_result *result,
                        const struct error *e) {
    p->pending--;
    p->bytes -= i->weight;
    p->answered++;
    if (i->done) {
        i->done(i->user, result, e);
    }
    free(i);
}

static void answer_batch(struct producer *p, struct batch *b) {
    bool ok = b->state == BATCH_STORED;
    struct error e = {0};
    struct producer_result result = {
        .status = ok ? b->status : b->error.status, .epoch = b->epoch, .seq = b->seq};
    if (ok) {
        result.offset = b->offset.len ? buf_slice(&b->offset) : (struct slice){0};
        result.duplicate = b->status == 204;
        result.closed = b->stream_closed;
        p->over = p->over || b->closes;
    } else {
        e = b->error;
        p->closing = p->closing && !b->closes; /* it may be tried again */
    }
    tell(p, b, ok);
    struct item *i = b->items;
    b->items = NULL;
    while (i) {
        struct item *next = i->next;
        if (p->gone) {
            free(i);
        } else {
            answer_item(p, i, &result, &e);
        }
        i = next;
    }
}

/* One flush that waits for nothing any more. */
static bool answer_flush(struct producer *p) {
    struct flush *f = p->flushes;
    if (!f || f->until > p->answered) {
        return false;
    }
    struct error e = p->first_error;
    error_clear(&p->first_error);
    p->flushes = f->next;
    struct producer_result told = p->told;
    if (f->done) {
        f->done(f->user, &told, &e);
    }
    free(f);
    return true;
}

/* The producer is fenced: what has not left will not. */
static void answer_fenced(struct producer *p) {
    while (p->fenced && !p->gone && !p->head && p->first) {
        struct item *i = p->first;
        struct producer_result none = {.status = p->fence.status, .epoch = p->epoch};
        p->first = i->next;
        p->last = p->first ? p->last : NULL;
        p->queued_items--;
        p->queued_bytes -= i->weight;
        p->closing = p->closing && !i->closes;
        if (p->first_error.code == ERROR_NONE) {
            p->first_error = p->fence;
        }
        answer_item(p, i, &none, &p->fence);
    }
}

void producer_settle(struct producer *p) {
    while (!p->gone && p->head && (p->head->state == BATCH_STORED || p->head->state == BATCH_FAILED)) {
        struct batch *b = p->head;
        if (b->state == BATCH_FAILED && b->numbered && p->acked && b->seq <= p->acked_seq) {
            b->state = BATCH_STORED; /* one behind it is stored, so it is */
            b->status = 204;
        }
        if (b->state == BATCH_FAILED) {
            batch_after_failure(b);
        }
        p->answering = b;
        answer_batch(p, b);
        p->answering = NULL;
        batch_free(b);
    }
    answer_fenced(p);
    while (!p->gone && answer_flush(p)) {
    }
    if (!p->gone && (p->head || p->first || p->flushes)) {
        producer_wake(p, 0);
    }
}

/* ---- the pump ---- */

void producer_wake(struct producer *p, uint64_t delay_ms) {
    loop_timer_start(&p->timer, delay_ms);
}

/* A batch may be cut; where it is a matter of time only, *due becomes the earliest such time. */
static bool may_cut(const struct producer *p, uint64_t now, uint64_t *due) {
    const struct item *first = p->first;
    size_t most = p->alone ? 1 : (size_t)p->o.max_in_flight;
    bool room = p->batches < most && (!p->tail || p->tail->state != BATCH_FAILED);
    if (!first || !room || (first->closes && p->head)) {
        return false;
    }
    bool full = p->queued_bytes >= (size_t)p->o.max_batch_bytes ||
                p->queued_items >= (uint64_t)p->o.max_batch_items;
    uint64_t at = first->queued_at + (uint64_t)p->o.linger_ms;
    if (p->flushes || p->closing || full || at <= now) {
        return true;
    }
    *due = at < *due ? at : *due;
    return false;
}

/* Batches that may leave do; the queue becomes batches as far as there is room. */
static void pump(struct producer *p, uint64_t now, uint64_t *due) {
    struct error e;
    for (struct batch *b = p->head; b; b = b->next) {
        if (b->state == BATCH_ASK) {
            batch_ask(b);
        }
        if (batch_may_leave(b, now, due)) {
            batch_send(b);
        }
    }
    while (may_cut(p, now, due)) {
        if (!batch_cut(p, &e)) {
            log_write(p->log, LOG_WARN, "%s; trying again", e.message);
            *due = now + OUT_OF_MEMORY_MS;
            return;
        }
        batch_send(p->tail);
    }
}

static void on_timer(struct loop_task *task) {
    struct producer *p = task->owner;
    uint64_t due = UINT64_MAX;
    uint64_t now = loop_now(p->loop);
    pump(p, now, &due);
    bool failed = p->head && p->head->state == BATCH_FAILED;
    if (failed || (p->flushes && p->flushes->until <= p->answered)) {
        producer_settle(p);
    } else if (due != UINT64_MAX) {
        producer_wake(p, due > now ? due - now : 0);
    }
}

/* ---- the public face ---- */

static bool refuse(const struct producer *p, struct error *e) {
    if (p->fenced) {
        *e = p->fence;
        return false;
    }
    if (p->closing || p->over) {
        return error_set(e, ERROR_CLOSED, "%s: this producer has closed the stream: it takes no appends",
                         p->target.shown);
    }
    if (p->detached) {
        return error_set(e, ERROR_ARGUMENT, "%s: this producer is detached: make another to append",
                         p->target.shown);
    }
    return true;
}

static bool enqueue(struct producer *p, struct slice body, bool closes, producer_done *done, void *user,
                    struct error *e) {
    size_t weight = body.len + (p->json ? 2 : 0);
    if (weight > p->o.queue_max || p->bytes > p->o.queue_max - weight) {
        return error_set(
            e, ERROR_LIMIT,
            "%s: %zu bytes wait to be appended, %zu more would pass the cap of %zu: append slower, or "
            "raise queue_max",
            p->target.shown, p->bytes, weight, p->o.queue_max);
    }
    struct item *i = malloc(sizeof *i + body.len);
    if (!i) {
        return error_set(e, ERROR_MEMORY, "%s: out of memory for an append of %zu bytes", p->target.shown,
                         body.len);
    }
    *i = (struct item){.done = done,
                       .user = user,
                       .queued_at = loop_now(p->loop),
                       .weight = weight,
                       .closes = closes,
                       .len = body.len};
    if (body.len) {
        memcpy(i->body, body.ptr, body.len);
    }
    *(p->last ? &p->last->next : &p->first) = i;
    p->last = i;
    p->queued_items++;
    p->queued_bytes += weight;
    p->pending++;
    p->bytes += weight;
    p->taken++;
    producer_wake(p, 0);
    return true;
}

bool producer_append(struct producer *p, struct slice body, producer_done *done, void *user,
                     struct error *e) {
    if (body.len == 0) {
        return error_set(e, ERROR_ARGUMENT, "%s: an append needs a body", p->target.shown);
    }
    return refuse(p, e) && enqueue(p, body, false, done, user, e);
}

bool producer_flush(struct producer *p, producer_done *done, void *user, struct error *e) {
    struct flush *f = calloc(1, sizeof *f);
    if (!f) {
        return error_set(e, ERROR_MEMORY, "%s: out of memory for a flush", p->target.shown);
    }
    *f = (struct flush){.until = p->taken, .done = done, .user = user};
    struct flush **at = &p->flushes;
    while (*at) {
        at = &(*at)->next;
    }
    *at = f;
    producer_wake(p, 0);
    return true;
}

bool producer_close(struct producer *p, struct slice body, producer_done *done, void *user, struct error *e) {
    if (p->over) { /* said once, it stays so: the last result is the close's */
        return producer_flush(p, done, user, e);
    }
    if (!refuse(p, e) || !enqueue(p, body, true, done, user, e)) {
        return false;
    }
    p->closing = true;
    return true;
}

bool producer_detach(struct producer *p, producer_done *done, void *user, struct error *e) {
    if (!producer_flush(p, done, user, e)) {
        return false;
    }
    p->detached = true;
    return true;
}

size_t producer_pending(const struct producer *p) {
    return p->pending;
}

size_t producer_bytes(const struct producer *p) {
    return p->bytes;
}

uint64_t producer_epoch(const struct producer *p) {
    return p->epoch;
}

uint64_t producer_seq(const struct producer *p) {
    return p->next_seq;
}

const char *producer_id(const struct producer *p) {
    return p->id;
}

/* ---- start and end ---- */

static void producer_release(struct producer *p) {
    exchange_target_free(&p->target);
    buf_free(&p->told_offset);
    free(p->content_type);
    free(p->id);
    free(p);
}

static void on_closed(struct loop_timer *timer) {
    producer_release(timer->task.owner);
}

void producer_free(struct producer *p) {
    if (!p || p->gone) {
        return;
    }
    p->gone = true;
    struct batch *next = NULL;
    for (struct batch *b = p->head; b; b = next) {
        next = b->next;
        if (b != p->answering) { /* that one is freed where it is answered */
            batch_free(b);
        }
    }
    while (p->first) {
        struct item *i = p->first;
        p->first = i->next;
        free(i);
    }
    while (p->flushes) {
        struct flush *f = p->flushes;
        p->flushes = f->next;
        free(f);
    }
    loop_timer_close(&p->timer, on_closed);
}

static bool producer_fill(struct producer *p, const struct producer_options *o, struct error *e) {
    char id[IDENTITY_TEXT];
    if (!o->id && !identity_make(id, e)) {
        return false;
    }
    p->id = strdup(o->id ? o->id : id);
    p->content_type = strdup(o->content_type ? o->content_type : "application/json");
    if (!p->id || !p->content_type) {
        return error_set(e, ERROR_MEMORY, "out of memory for a producer");
    }
    size_t type = strcspn(p->content_type, "; \t");
    p->json = type == strlen("application/json") &&
              strncasecmp(p->content_type, "application/json", type) == 0;
    return exchange_target_init(&p->target, o->http, o->url, o->fields, o->field_count, o->ca_file, &o->hooks,
                                e);
}

struct producer *producer_new(const struct producer_options *o, struct error *e) {
    if (!o->url || !source_is_url(o->url)) {
        error_set(e, ERROR_ARGUMENT, "cannot append to \"%s\": expected the http(s) URL of a stream",
                  o->url ? o->url : "");
        return NULL;
    }
    if (!producer_options_check(o, e)) {
        return NULL;
    }
    struct producer *p = calloc(1, sizeof *p);
    if (!p) {
        error_set(e, ERROR_MEMORY, "out of memory for a producer");
        return NULL;
    }
    p->loop = o->loop;
    p->log = o->log;
    p->o = *o;
    p->o.limit_ms = o->limit_ms ? o->limit_ms : LIMIT_MS;
    p->o.queue_max = o->queue_max ? o->queue_max : QUEUE_MAX;
    p->retry = o->retry ? *o->retry : retry_default();
    p->epoch = (uint64_t)o->epoch;
    p->alone = true;
    buf_init(&p->told_offset, OFFSET_MAX);
    if (!producer_fill(p, o, e)) {
        producer_release(p);
        return NULL;
    }
    loop_timer_init(p->loop, &p->timer, on_timer, p);
    return p;
}
