#include "stream/call.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "stream/exchange.h"
#include "stream/identity.h"
#include "stream/source.h"
#include "stream/tries.h"

enum { LIMIT_MS = 30 * 1000, LEAST_WAIT_MS = 250 };

struct call {
    struct loop *loop;
    const struct log *log;
    enum call_kind kind;
    struct exchange_target target;
    struct exchange exchange;
    struct loop_timer timer; /* to the next try */
    struct tries tries;
    uint64_t started_at, limit_ms;
    call_done *done;
    void *user;

    /* What is sent; absent slices are not. All text is `text`'s. */
    struct slice content_type, body, ttl, expires_at, fork_from, fork_offset, fork_sub_offset, stream_seq;
    struct slice producer_id, producer_epoch, producer_seq;
    bool closes;
    char *text;

    struct error failure; /* of the last try, while on_error is to be asked */
    bool failed, retryable;
    uint64_t retry_ms;
};

static const char *method_of(enum call_kind kind) {
    static const char *const methods[] = {
        [CALL_CREATE] = "PUT", [CALL_HEAD] = "HEAD",     [CALL_APPEND] = "POST",
        [CALL_CLOSE] = "POST", [CALL_DELETE] = "DELETE",
    };
    return methods[kind];
}

/* ---- the end ---- */

static void on_closed(struct loop_timer *timer) {
    struct call *call = timer->task.owner;
    exchange_target_free(&call->target);
    free(call->text);
    free(call);
}

void call_cancel(struct call *call) {
    if (call) {
        exchange_stop(&call->exchange);
        loop_timer_close(&call->timer, on_closed);
    }
}

static void call_answer(struct call *call, const struct call_result *result, const struct error *e) {
    call_done *done = call->done;
    void *user = call->user;
    /* The result's slices are the exchange's and curl's: the callback comes before the end. */
    call->done = NULL;
    done(user, result, e);
    call_cancel(call);
}

/* ---- a try ends ---- */

static uint64_t since(const struct call *call) {
    return loop_now(call->loop) - call->started_at;
}

/* A request that had no answer is told with its method, an answer without. */
static void log_failure(const struct call *call, uint64_t wait) {
    const char *method = method_of(call->kind);
    const char *message = call->failure.message;
    bool told = strncmp(message, method, strlen(method)) == 0;
    log_write(call->log, LOG_WARN, "%s%s%s; trying again in %.1f s", told ? "" : method, told ? "" : " ",
              message, (double)wait / 1000);
}

/* The last try failed with call->failure. */
static void call_failed(struct call *call, const struct call_result *result, bool retryable) {
    struct error *e = &call->failure;
    uint64_t wait = 0;
    if (!retryable || !tries_again(&call->tries, since(call), call->limit_ms, call->retry_ms, &wait, e)) {
        call_answer(call, result, e);
        return;
    }
    log_failure(call, wait);
    loop_timer_start(&call->timer, wait);
}

static void on_exchange(struct exchange *x, const struct call_result *result, struct error *e) {
    struct call *call = x->owner;
    struct call_result told = *result;
    if (e->code == ERROR_NONE) {
        told.created = call->kind == CALL_CREATE && result->status == 201;
        told.duplicate = result->status == 204 && call->kind == CALL_APPEND && result->has_seq;
        call_answer(call, &told, e);
        return;
    }
    call->failure = *e;
    call->retryable = x->may_change;
    call->retry_ms = x->retry_ms;
    if (call->target.hooks.on_error) { /* it may run Lua: from a task */
        call->failed = true;
        loop_timer_start(&call->timer, 0);
        return;
    }
    call_failed(call, result, call->retryable);
}

static void call_ask(struct call *call) {
    struct call_result none = {.status = call->failure.status};
    const struct hooks *hooks = &call->target.hooks;
    call->failed = false;
    enum hooks_verdict verdict = hooks->on_error(hooks->user, &call->failure, call->retryable);
    bool retry = verdict == HOOKS_RETRY || (verdict == HOOKS_DEFAULT && call->retryable);
    call_failed(call, &none, retry);
}

/* ---- a try starts ---- */

static void call_send(struct call *call) {
    uint64_t passed = since(call);
    uint64_t left = passed < call->limit_ms ? call->limit_ms - passed : 0;
    struct exchange_request q = {
        .method = method_of(call->kind),
        .body = call->body,
        .left_ms = left < LEAST_WAIT_MS ? LEAST_WAIT_MS : left,
    };
    exchange_put(&q, "Content-Type", call->content_type);
    exchange_put(&q, "Stream-TTL", call->ttl);
    exchange_put(&q, "Stream-Expires-At", call->expires_at);
    exchange_put(&q, "Stream-Closed", call->closes ? SLICE("true") : (struct slice){0});
    exchange_put(&q, "Stream-Forked-From", call->fork_from);
    exchange_put(&q, "Stream-Fork-Offset", call->fork_offset);
    exchange_put(&q, "Stream-Fork-Sub-Offset", call->fork_sub_offset);
    exchange_put(&q, "Stream-Seq", call->stream_seq);
    exchange_put(&q, "Producer-Id", call->producer_id);
    exchange_put(&q, "Producer-Epoch", call->producer_epoch);
    exchange_put(&q, "Producer-Seq", call->producer_seq);
    if (!exchange_send(&call->exchange, &q, &call->failure)) {
        struct call_result none = {0};
        call_answer(call, &none, &call->failure);
    }
}

static void on_timer(struct loop_task *task) {
    struct call *call = task->owner;
    if (call->failed) {
        call_ask(call);
    } else {
        call_send(call);
    }
}

/* ---- start ---- */

/* Copies every text into one allocation. */
static bool keep_all(struct call *call, struct error *e) {
    struct slice *all[] = {&call->content_type,    &call->body,        &call->ttl,
                           &call->expires_at,      &call->fork_from,   &call->fork_offset,
                           &call->fork_sub_offset, &call->stream_seq,  &call->producer_id,
                           &call->producer_epoch,  &call->producer_seq};
    size_t bytes = 1;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        bytes += all[i]->len;
    }
    call->text = malloc(bytes);
    if (!call->text) {
        return error_set(e, ERROR_MEMORY, "out of memory for a request of %zu bytes", bytes);
    }
    char *at = call->text;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        *all[i] = slice_put(&at, *all[i]);
    }
    return true;
}

static bool check(const struct call_options *o, struct error *e) {
    int producer = !!o->producer_id + !!o->producer_epoch + !!o->producer_seq;
    if (!o->url || !source_is_url(o->url)) {
        return error_set(e, ERROR_ARGUMENT, "\"%s\" is no stream: expected an http(s) URL",
                         o->url ? o->url : "");
    }
    if (o->kind == CALL_APPEND && o->body.len == 0) {
        return error_set(e, ERROR_ARGUMENT, "an append needs a body");
    }
    if (o->has_ttl && o->expires_at) {
        return error_set(e, ERROR_ARGUMENT, "a stream has either a TTL or a time of expiry: give one");
    }
    if (producer != 0 && producer != 3) {
        return error_set(e, ERROR_ARGUMENT, "a producer is named by id, epoch and seq: give all three");
    }
    return true;
}

/* What is stored must be stored once. */
static bool is_once(const struct call_options *o) {
    return !o->producer_id && o->body.len && (o->kind == CALL_APPEND || o->kind == CALL_CLOSE);
}

static bool call_fill(struct call *call, const struct call_options *o, struct error *e) {
    char id[IDENTITY_TEXT];
    char ttl[24];
    char sub[24];
    bool creates = o->kind == CALL_CREATE;
    bool typed = creates || o->body.len;
    snprintf(ttl, sizeof ttl, "%" PRIu64, o->ttl_s);
    snprintf(sub, sizeof sub, "%" PRIu64, o->fork_sub_offset);
    bool sends = creates || o->kind == CALL_APPEND || o->kind == CALL_CLOSE;
    call->body = sends ? o->body : (struct slice){0};
    call->content_type = slice_from(o->content_type);
    if (!o->content_type && typed && !(creates && o->fork_from)) {
        call->content_type = SLICE("application/octet-stream");
    }
    if (!typed) {
        call->content_type = (struct slice){0};
    }
    call->closes = o->kind == CALL_CLOSE || (creates && o->closed);
    if (creates) {
        call->ttl = o->has_ttl ? slice_from(ttl) : (struct slice){0};
        call->expires_at = slice_from(o->expires_at);
        call->fork_from = slice_from(o->fork_from);
        call->fork_offset = slice_from(o->fork_offset);
        call->fork_sub_offset = o->has_fork_sub_offset ? slice_from(sub) : (struct slice){0};
    }
    call->stream_seq = slice_from(o->stream_seq);
    call->producer_id = slice_from(o->producer_id);
    call->producer_epoch = slice_from(o->producer_epoch);
    call->producer_seq = slice_from(o->producer_seq);
    if (is_once(o)) {
        if (!identity_make(id, e)) {
            return false;
        }
        call->producer_id = slice_from(id);
        call->producer_epoch = SLICE("0");
        call->producer_seq = SLICE("0");
    }
    return keep_all(call, e);
}

struct call *call_start(const struct call_options *o, struct error *e) {
    if (!check(o, e)) {
        return NULL;
    }
    struct call *call = calloc(1, sizeof *call);
    if (!call) {
        error_set(e, ERROR_MEMORY, "out of memory for a request");
        return NULL;
    }
    if (!exchange_target_init(&call->target, o->http, o->url, o->fields, o->field_count, o->ca_file,
                              &o->hooks, e) ||
        !call_fill(call, o, e)) {
        exchange_target_free(&call->target);
        free(call->text);
        free(call);
        return NULL;
    }
    call->loop = o->loop;
    call->log = o->log;
    call->kind = o->kind;
    call->done = o->done;
    call->user = o->user;
    call->limit_ms = o->limit_ms ? o->limit_ms : LIMIT_MS;
    call->started_at = loop_now(o->loop);
    exchange_init(&call->exchange, &call->target, on_exchange, call);
    tries_init(&call->tries, o->retry);
    loop_timer_init(o->loop, &call->timer, on_timer, call);
    loop_timer_start(&call->timer, 0);
    return call;
}
