/* One request to a stream that is answered once: create, head, append, close, delete (PROTOCOL.md
 * sections 4.2 and 5.1 to 5.5).
 *
 * 5xx, 429 and connections that break are tried again, with growing waits and a server's Retry-After
 * as their floor, within the limits of time and tries. Create, head, delete and a bare close come to the
 * same when repeated. An append, and a close with a body, carry the headers of a producer made for this
 * one call (unless others are given), so that they are stored once however often they are sent. */
#ifndef STREAM_CALL_H
#define STREAM_CALL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/log.h"
#include "base/slice.h"
#include "io/http.h"
#include "io/loop.h"
#include "stream/hooks.h"
#include "stream/retry.h"

struct call; /* one under way */

enum call_kind { CALL_CREATE, CALL_HEAD, CALL_APPEND, CALL_CLOSE, CALL_DELETE };

/* What came back. Slices are good until the callback returns; absent (ptr NULL) where the server did
 * not say. Filled on errors too, as far as there was an answer. */
struct call_result {
    int status;          /* 0: no answer came */
    struct slice offset; /* Stream-Next-Offset */
    struct slice content_type;
    struct slice expires_at; /* as the server wrote it */
    bool has_ttl;
    uint64_t ttl_s;
    bool closed;    /* Stream-Closed: true */
    bool created;   /* create: it is new (201), not one that existed alike (200) */
    bool duplicate; /* append with a producer: it was stored before (204) */
    bool has_epoch, has_seq, has_expected,
        has_received; /* Producer-Epoch, -Seq, -Expected-Seq, -Received-Seq */
    uint64_t epoch, seq, expected_seq, received_seq;
    const struct http_response *response; /* every field; NULL where no answer came */
};

/* Called once, from inside a callback of the loop; e->code is ERROR_NONE on success. A 409 that says
 * Stream-Closed is ERROR_CLOSED, 404 ERROR_NOT_FOUND, 410 ERROR_GONE, other 409s ERROR_CONFLICT, the
 * rest of what statuses say ERROR_HTTP, all with e->status. */
typedef void call_done(void *user, const struct call_result *result, const struct error *e);

struct call_options {
    struct loop *loop;
    struct http *http;     /* borrowed */
    const struct log *log; /* borrowed */
    enum call_kind kind;
    const char *url; /* http:// or https:// */
    const struct http_field *fields;
    size_t field_count;
    const char *ca_file;
    /* create, append, close: NULL is application/octet-stream where there is a body, and for create. */
    const char *content_type;
    /* create: its first data; append: needed; close: appended before it closes. Sent as it is: for
     * JSON streams an array is as many messages as it has elements. Absent (ptr NULL): none. */
    struct slice body;
    /* create */
    bool has_ttl;
    uint64_t ttl_s;
    const char *expires_at;  /* RFC 3339; not with ttl */
    bool closed;             /* from the start: `body` is all there will be */
    const char *fork_from;   /* the path of the stream to fork, NULL: none */
    const char *fork_offset; /* NULL: its tail */
    bool has_fork_sub_offset;
    uint64_t fork_sub_offset;
    /* append */
    const char *stream_seq; /* NULL: none; kept in byte order by the server */
    /* append, close: all three or none (NULL). Not numbers: what is to be sent. */
    const char *producer_id, *producer_epoch, *producer_seq;

    uint64_t limit_ms;         /* gives up after so long; 0: 30 s */
    const struct retry *retry; /* NULL: retry_default */
    struct hooks hooks;
    call_done *done;
    void *user;
};

/* Copies what it is given but loop, http, log; sends in a later turn of the loop. NULL with e where it
 * cannot be (no URL, an append without a body, both ttl and expires_at): done is not called then. */
struct call *call_start(const struct call_options *options, struct error *e);

/* Ends it without a callback. The pointer is dead afterwards, as it is after done. */
void call_cancel(struct call *call);

#endif
