#include "stream/producer_parts.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    LEAST_WAIT_MS = 250, /* what the last try before a limit gets */
    CLAIMS_MAX = 8, /* epochs claimed for one batch: two producers that both claim must not go on for ever */
};

/* ---- cutting ---- */

/* How many messages fit, and their bytes as they are sent. */
static size_t measure(const struct producer *p, size_t *bytes) {
    size_t count = 0;
    size_t sum = p->json ? 2 : 0;
    for (const struct item *i = p->first; i; i = i->next) {
        size_t more = i->len + (p->json && count);
        bool fits = sum + more <= (size_t)p->o.max_batch_bytes && count < (uint64_t)p->o.max_batch_items;
        if (count && (!fits || i->closes)) {
            break;
        }
        sum += more;
        count++;
        if (i->closes) {
            sum = i->len ? sum : 0;
            break;
        }
    }
    *bytes = sum;
    return count;
}

static void fill_body(struct batch *b, bool json) {
    char *at = b->body;
    for (const struct item *i = b->items; i; i = i->next) {
        if (json) {
            *at++ = i == b->items ? '[' : ',';
        }
        memcpy(at, i->body, i->len);
        at += i->len;
    }
    if (json) {
        *at = ']';
    }
}

static void take_items(struct producer *p, struct batch *b, size_t count) {
    struct item **at = &b->items;
    b->queued_at = p->first->queued_at;
    for (size_t n = 0; n < count; n++) {
        struct item *i = p->first;
        p->first = i->next;
        p->queued_bytes -= i->weight;
        b->closes = b->closes || i->closes;
        *at = i;
        at = &i->next;
    }
    *at = NULL;
    p->last = p->first ? p->last : NULL;
    p->queued_items -= count;
}

static void on_exchange(struct exchange *x, const struct call_result *result, struct error *e);

bool batch_cut(struct producer *p, struct error *e) {
    size_t bytes = 0;
    size_t count = measure(p, &bytes);
    struct batch *b = calloc(1, sizeof *b);
    char *body = malloc(bytes ? bytes : 1);
    if (!b || !body) {
        free(b);
        free(body);
        return error_set(e, ERROR_MEMORY, "%s: out of memory for a batch of %zu bytes", p->target.shown,
                         bytes);
    }
    b->producer = p;
    b->body = body;
    b->body_len = bytes;
    take_items(p, b, count);
    if (bytes) {
        fill_body(b, p->json);
    }
    b->seq = p->next_seq++;
    b->numbered = true;
    exchange_init(&b->exchange, &p->target, on_exchange, b);
    tries_init(&b->tries, &p->retry);
    buf_init(&b->offset, 4096);
    b->prev = p->tail;
    *(p->tail ? &p->tail->next : &p->head) = b;
    p->tail = b;
    p->batches++;
    return true;
}

void batch_free(struct batch *b) {
    struct producer *p = b->producer;
    *(b->prev ? &b->prev->next : &p->head) = b->next;
    *(b->next ? &b->next->prev : &p->tail) = b->prev;
    p->batches--;
    exchange_stop(&b->exchange);
    while (b->items) {
        struct item *i = b->items;
        b->items = i->next;
        free(i);
    }
    buf_free(&b->offset);
    free(b->body);
    free(b);
}

/* ---- epochs ---- */

static void to_epoch(struct producer *p, uint64_t epoch) {
    p->epoch = epoch;
    p->next_seq = 0;
    p->alone = true;
    p->acked = false;
}

/* Everything from b on that is not given up leaves again, with numbers of the present epoch. */
static void renumber(struct batch *b) {
    for (; b; b = b->next) {
        if (b->state == BATCH_FAILED) {
            b->numbered = false;
            continue;
        }
        exchange_stop(&b->exchange);
        b->state = BATCH_READY;
        b->seq = b->producer->next_seq++;
        b->numbered = true;
    }
}

/* Those of b and after that may be stored cannot be sent under another epoch: they would be twice. */
static void fail_unknown(struct batch *b, const char *why) {
    struct producer *p = b->producer;
    for (; b; b = b->next) {
        if (b->state != BATCH_FAILED && (b->unknown || b->state == BATCH_SENT)) {
            struct error e;
            error_set(&e, ERROR_CONFLICT, "%s: %s: whether the append is stored is not known",
                      p->target.shown, why);
            exchange_stop(&b->exchange);
            batch_fail(b, &e);
        }
    }
}

void batch_after_failure(struct batch *b) {
    struct producer *p = b->producer;
    if (!b->numbered || p->fenced) {
        return;
    }
    if (b->next && b->unknown) {
        fail_unknown(b->next, "it followed one that was given up");
    }
    to_epoch(p, p->epoch + 1);
    if (b->next) {
        renumber(b->next);
    }
}

/* ---- an answer is judged ---- */

/* Everything before it is stored. */
static bool is_oldest(const struct batch *b) {
    return !b->prev || b->prev->state == BATCH_STORED;
}

void batch_fail(struct batch *b, const struct error *e) {
    b->state = BATCH_FAILED;
    b->error = *e;
}

static void stored(struct batch *b, const struct call_result *result) {
    struct producer *p = b->producer;
    b->state = BATCH_STORED;
    b->status = result->status;
    b->stream_closed = result->closed;
    buf_append_slice(&b->offset, result->offset);
    p->acked_seq = p->acked && p->acked_seq > b->seq ? p->acked_seq : b->seq;
    p->acked = true;
    p->acked_at = loop_now(p->loop);
    p->alone = false;
}

static uint64_t time_since(const struct batch *b) {
    const struct producer *p = b->producer;
    uint64_t from = b->queued_at > p->acked_at ? b->queued_at : p->acked_at;
    return loop_now(p->loop) - from;
}

static void retry_or_fail(struct batch *b, bool retryable) {
    struct producer *p = b->producer;
    struct error *e = &b->error;
    uint64_t wait = 0;
    if (retryable && tries_again(&b->tries, time_since(b), p->o.limit_ms, b->retry_ms, &wait, e)) {
        log_write(p->log, LOG_WARN, "append: %s; trying again in %.1f s", e->message, (double)wait / 1000);
        b->state = BATCH_WAIT;
        b->due_at = loop_now(p->loop) + wait;
        return;
    }
    if (b->unknown) {
        size_t used = strlen(e->message);
        snprintf(e->message + used, sizeof e->message - used, ": whether the append is stored is not known");
    }
    b->state = BATCH_FAILED;
}

/* The server knows nothing of what it acknowledged: it has lost this producer's state. Once a batch. */
static void start_anew(struct batch *b) {
    struct producer *p = b->producer;
    b->started_anew = true;
    to_epoch(p, p->epoch + 1);
    renumber(b);
    log_write(p->log, LOG_WARN, "%s: the server has forgotten this producer: going on as epoch %" PRIu64,
              p->target.shown, p->epoch);
}

static void fence(struct producer *p, struct batch *b, const struct error *e) {
    p->fenced = true;
    p->fence = *e;
    for (; b; b = b->next) {
        if (b->state != BATCH_FAILED) {
            exchange_stop(&b->exchange);
            batch_fail(b, e);
        }
    }
}

/* b is the oldest, and the server knows a newer epoch. */
static void claim_or_fence(struct batch *b, const struct call_result *result, const struct error *e) {
    struct producer *p = b->producer;
    struct error why;
    if (!p->o.auto_claim || b->claims >= CLAIMS_MAX) {
        error_set(&why, e->code,
                  "%s: 403: another writer took over this producer (epoch %" PRIu64 ", ours is %" PRIu64
                  ")%s",
                  p->target.shown, result->epoch, p->epoch, p->o.auto_claim ? ", again and again" : "");
        why.status = e->status;
        fence(p, b, &why);
        return;
    }
    b->claims++;
    if (b->unknown) {
        fail_unknown(b, "another writer took over this producer");
    }
    to_epoch(p, result->epoch + 1);
    log_write(p->log, LOG_INFO, "%s: another writer used this producer: going on as epoch %" PRIu64,
              p->target.shown, p->epoch);
    renumber(b);
}

/* True where the answer was one of the protocol between producers and server, and has been dealt with. */
static bool judge_producer(struct batch *b, const struct call_result *result, const struct error *e) {
    bool oldest = is_oldest(b);
    bool fenced = result->status == 403 && result->has_epoch;
    bool gap = result->status == 409 && result->has_expected && !result->closed;
    if (!fenced && !gap) {
        return false;
    }
    if (!oldest || (gap && !b->sent_oldest)) { /* those before it had not arrived when it did */
        b->state = BATCH_HELD;
        return true;
    }
    if (fenced) {
        claim_or_fence(b, result, e);
        return true;
    }
    if (result->expected_seq == 0 && b->seq > 0 && !b->started_anew) {
        start_anew(b);
        return true;
    }
    return false;
}

static bool is_acked(const struct batch *b) {
    const struct producer *p = b->producer;
    return b->numbered && p->acked && b->seq <= p->acked_seq;
}

static void on_exchange(struct exchange *x, const struct call_result *result, struct error *e) {
    struct batch *b = x->owner;
    struct producer *p = b->producer;
    struct call_result known = {.status = 204};
    if (e->code == ERROR_NONE) {
        stored(b, result);
    } else if (is_acked(b)) { /* one behind it is stored, so it is */
        stored(b, &known);
    } else if (!judge_producer(b, result, e)) {
        b->unknown = b->unknown || result->status == 0 ||
                     (result->status >= 500 && result->status != 501 && result->status != 503);
        b->error = *e;
        b->retryable = x->may_change;
        b->retry_ms = x->retry_ms;
        if (p->target.hooks.on_error) {
            b->state = BATCH_ASK;
        } else {
            retry_or_fail(b, x->may_change);
        }
    }
    producer_settle(p);
}

void batch_ask(struct batch *b) {
    const struct hooks *hooks = &b->producer->target.hooks;
    enum hooks_verdict verdict = hooks->on_error(hooks->user, &b->error, b->retryable);
    retry_or_fail(b, verdict == HOOKS_RETRY || (verdict == HOOKS_DEFAULT && b->retryable));
}

/* ---- sending ---- */

bool batch_may_leave(const struct batch *b, uint64_t now, uint64_t *due) {
    const struct producer *p = b->producer;
    bool oldest = b == p->head;
    if (b->state == BATCH_HELD) {
        return is_oldest(b);
    }
    if ((p->alone || b->closes) && !oldest) {
        return false;
    }
    if (b->prev && b->prev->state == BATCH_FAILED) {
        return false; /* it will have another number */
    }
    if (b->state == BATCH_WAIT && b->due_at > now) {
        *due = b->due_at < *due ? b->due_at : *due;
        return false;
    }
    return b->state == BATCH_READY || b->state == BATCH_WAIT;
}

void batch_send(struct batch *b) {
    struct producer *p = b->producer;
    char epoch[24];
    char seq[24];
    uint64_t since = time_since(b);
    uint64_t left = since < p->o.limit_ms ? p->o.limit_ms - since : 0;
    left = left < LEAST_WAIT_MS ? LEAST_WAIT_MS : left;
    b->epoch = p->epoch;
    snprintf(epoch, sizeof epoch, "%" PRIu64, p->epoch);
    snprintf(seq, sizeof seq, "%" PRIu64, b->seq);
    struct exchange_request q = {
        .method = "POST",
        .body = slice_of(b->body, b->body_len),
        .left_ms = left,
    };
    exchange_put(&q, "Content-Type", slice_from(p->content_type));
    exchange_put(&q, "Producer-Id", slice_from(p->id));
    exchange_put(&q, "Producer-Epoch", slice_from(epoch));
    exchange_put(&q, "Producer-Seq", slice_from(seq));
    exchange_put(&q, "Stream-Closed", b->closes ? SLICE("true") : (struct slice){0});
    b->sent_oldest = is_oldest(b);
    b->state = BATCH_SENT;
    if (!exchange_send(&b->exchange, &q, &b->error)) {
        b->state = BATCH_FAILED;
    }
}
