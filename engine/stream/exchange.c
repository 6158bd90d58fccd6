#include "stream/exchange.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "io/url.h"
#include "stream/answer.h"
#include "stream/backoff.h"
#include "stream/mark.h"

enum {
    CONNECT_MS = 10 * 1000,
    IDLE_MS = 10 * 1000, /* a connection that hangs is left for another */
    BODY_SHOWN_MAX = 1024,
    URL_MAX = 64 * 1024,
    DIGITS_MAX = 19, /* of a decimal that fits into 64 bits, whatever they are */
};

/* ---- the target ---- */

bool exchange_target_init(struct exchange_target *target, struct http *http, const char *url,
                          const struct http_field *fields, size_t field_count, const char *ca_file,
                          const struct hooks *hooks, struct error *e) {
    *target = (struct exchange_target){.http = http, .hooks = *hooks};
    fields_init(&target->fields);
    url_redact(url, target->shown, sizeof target->shown);
    target->url = strdup(url);
    target->ca_file = ca_file ? strdup(ca_file) : NULL;
    if (!target->url || (ca_file && !target->ca_file)) {
        return error_set(e, ERROR_MEMORY, "out of memory for a request");
    }
    return fields_headers(&target->fields, fields, field_count, e);
}

void exchange_target_free(struct exchange_target *target) {
    free(target->url);
    free(target->ca_file);
    fields_free(&target->fields);
    target->url = target->ca_file = NULL;
}

/* ---- the answer ---- */

bool exchange_number(struct slice field, uint64_t *value) {
    uint64_t sum = 0;
    if (!field.ptr || field.len == 0 || field.len > DIGITS_MAX) {
        return false;
    }
    for (size_t i = 0; i < field.len; i++) {
        if (field.ptr[i] < '0' || field.ptr[i] > '9') {
            return false;
        }
        sum = sum * 10 + (uint64_t)(field.ptr[i] - '0');
    }
    *value = sum;
    return true;
}

static void read_head(struct call_result *result, const struct http_response *response) {
    *result = (struct call_result){
        .status = response->status,
        .response = response,
        .offset = http_field(response, "Stream-Next-Offset"),
        .content_type = http_field(response, "Content-Type"),
        .expires_at = http_field(response, "Stream-Expires-At"),
        .closed = mark_is_true(http_field(response, "Stream-Closed")),
    };
    result->has_ttl = exchange_number(http_field(response, "Stream-TTL"), &result->ttl_s);
    result->has_epoch = exchange_number(http_field(response, "Producer-Epoch"), &result->epoch);
    result->has_seq = exchange_number(http_field(response, "Producer-Seq"), &result->seq);
    result->has_expected = exchange_number(http_field(response, "Producer-Expected-Seq"),
                                           &result->expected_seq);
    result->has_received = exchange_number(http_field(response, "Producer-Received-Seq"),
                                           &result->received_seq);
}

/* A success says where the stream ends, or what has become of it or of its producer; a web server that
 * answers whatever it is sent says nothing of it. An empty answer (204) says that it was done. */
static bool is_of_stream(const struct call_result *result) {
    return result->status == 204 || result->offset.ptr || result->closed || result->has_epoch ||
           result->has_seq;
}

static void judge(struct exchange *x, const struct call_result *result, struct error *e) {
    if (e->code == ERROR_NONE && answer_is_success(result->status)) {
        error_set(e, ERROR_HTTP, "%s: %d: %s", x->target->shown, result->status, MARK_NO_OFFSET);
        e->status = result->status;
        return;
    }
    if (e->code == ERROR_NONE) {
        answer_error(result->status, buf_slice(&x->body), e);
        x->may_change = answer_may_change(result->status);
        if (result->status == 409 && result->closed) {
            error_set(e, ERROR_CLOSED, "409: the stream is closed: it takes no appends");
            e->status = 409;
        }
        error_context(e, "%s", x->target->shown);
        return;
    }
    x->may_change = e->code == ERROR_NETWORK || e->code == ERROR_TIMEOUT;
}

static void on_body(void *user, const char *ptr, size_t len) {
    struct exchange *x = user;
    size_t room = BODY_SHOWN_MAX - x->body.len;
    buf_append(&x->body, ptr, len < room ? len : room);
}

static void on_done(void *user, const struct http_response *response, const struct error *e) {
    struct exchange *x = user;
    struct call_result result = {0};
    struct error why = *e;
    x->request = NULL;
    x->retry_ms = 0;
    x->may_change = false;
    if (response->status) {
        read_head(&result, response);
        backoff_retry_after(http_field(response, "Retry-After"), time(NULL), &x->retry_ms);
    }
    if (answer_is_success(result.status) && is_of_stream(&result)) {
        error_clear(&why); /* a success whose (empty) body broke off is one all the same */
    } else {
        judge(x, &result, &why);
    }
    x->done(x, &result, &why);
}

/* ---- the request ---- */

void exchange_put(struct exchange_request *request, const char *name, struct slice value) {
    if (value.ptr && request->own_count < sizeof request->own / sizeof *request->own) {
        request->own[request->own_count++] = (struct http_field){slice_from(name), value};
    }
}

void exchange_init(struct exchange *x, struct exchange_target *target,
                   void (*done)(struct exchange *, const struct call_result *, struct error *), void *owner) {
    *x = (struct exchange){.target = target, .done = done, .owner = owner};
    buf_init(&x->body, BODY_SHOWN_MAX);
}

static bool gather(struct exchange *x, const struct exchange_request *q, struct fields *fields,
                   struct error *e) {
    struct exchange_target *t = x->target;
    if (!fields_add(fields, &t->fields, e)) {
        return false;
    }
    if (t->hooks.refresh && !t->hooks.refresh(t->hooks.user, fields, e)) {
        return error_context(e, "%s", t->shown);
    }
    for (size_t i = 0; i < q->own_count; i++) {
        if (!fields_default(fields, q->own[i].name.ptr, q->own[i].value, e)) {
            return false;
        }
    }
    return true;
}

static bool start(struct exchange *x, const struct exchange_request *q, const struct fields *fields,
                  struct buf *url, struct error *e) {
    if (!url_query(url, x->target->url, fields->params, fields->param_count)) {
        return error_set(e, ERROR_LIMIT, "%s: the URL has too many parameters or is too long",
                         x->target->shown);
    }
    struct http_options o = {
        .method = q->method,
        .url = url->ptr,
        .fields = fields->headers,
        .field_count = fields->header_count,
        .body = q->body,
        .connect_timeout_ms = q->left_ms < CONNECT_MS ? q->left_ms : CONNECT_MS,
        .idle_timeout_ms = q->left_ms < IDLE_MS ? q->left_ms : IDLE_MS,
        .total_timeout_ms = q->left_ms,
        .ca_file = x->target->ca_file,
        .size = HTTP_SMALL,
        .on_body = on_body,
        .on_done = on_done,
        .user = x,
    };
    x->request = http_start(x->target->http, &o, e);
    return x->request != NULL;
}

bool exchange_send(struct exchange *x, const struct exchange_request *q, struct error *e) {
    struct fields fields;
    struct buf url;
    buf_clear(&x->body);
    fields_init(&fields);
    buf_init(&url, URL_MAX);
    bool ok = gather(x, q, &fields, e) && start(x, q, &fields, &url, e);
    fields_free(&fields);
    buf_free(&url);
    return ok;
}

void exchange_stop(struct exchange *x) {
    if (x->request) {
        http_cancel(x->request);
        x->request = NULL;
    }
    buf_free(&x->body);
}
