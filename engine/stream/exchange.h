/* One request and its whole answer, without retries: what call.c and producer.c are made of. Private to
 * the room. */
#ifndef STREAM_EXCHANGE_H
#define STREAM_EXCHANGE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "io/http.h"
#include "stream/call.h"
#include "stream/fields.h"
#include "stream/hooks.h"

/* Where requests of one stream go and what all of them carry. Owned by whoever sends. */
struct exchange_target {
    struct http *http; /* borrowed */
    char *url, *ca_file;
    char shown[256]; /* the URL, for messages */
    struct fields fields;
    struct hooks hooks;
};

bool exchange_target_init(struct exchange_target *target, struct http *http, const char *url,
                          const struct http_field *fields, size_t field_count, const char *ca_file,
                          const struct hooks *hooks, struct error *e);
void exchange_target_free(struct exchange_target *target);

/* What one request is. */
struct exchange_request {
    const char *method;
    struct http_field own[16]; /* its protocol headers; those of an absent value are left out */
    size_t own_count;
    struct slice body; /* absent: none */
    uint64_t left_ms;  /* the time it may take; where nothing moves for 10 s it ends sooner */
};

void exchange_put(struct exchange_request *request, const char *name, struct slice value);

struct exchange {
    struct exchange_target *target;
    struct http_request *request; /* NULL: none under way */
    struct buf body;              /* the start of the answer's body */
    /* Once for each exchange_send that said true, from inside a callback of the loop. e->code is
     * ERROR_NONE for a 2xx; its message names the stream. */
    void (*done)(struct exchange *exchange, const struct call_result *result, struct error *e);
    void *owner;
    bool may_change;   /* in done: another try may go better */
    uint64_t retry_ms; /* in done: Retry-After, or 0 */
};

void exchange_init(struct exchange *x, struct exchange_target *target,
                   void (*done)(struct exchange *, const struct call_result *, struct error *), void *owner);

/* Asks target->hooks.refresh: from a task of the loop only. */
bool exchange_send(struct exchange *x, const struct exchange_request *q, struct error *e);

/* Ends it without a callback, if it is under way; frees what it holds. It may be used again. */
void exchange_stop(struct exchange *x);

/* A decimal field's value. False: it is absent or none. */
bool exchange_number(struct slice field, uint64_t *value);

#endif
