/* The writer: appends to one stream, in order, each exactly once.
 *
 * Every append carries Producer-Id, Producer-Epoch and Producer-Seq (PROTOCOL.md section 5.2.1), so a
 * retry after a broken connection cannot store it twice. Appends queue up and leave one at a time: a
 * producer (producer.h) with batches of one message, one in flight.
 *
 * Network errors, 429 and 5xx are tried again within limit_ms. Whether an append that failed is in the
 * stream is not known where the connection broke: those that follow go out under a new epoch, so that
 * the failed one, should it still be on its way, is refused. */
#ifndef STREAM_WRITER_H
#define STREAM_WRITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/log.h"
#include "base/slice.h"
#include "io/http.h"
#include "io/loop.h"
#include "stream/hooks.h"

struct writer;

struct writer_options {
    struct loop *loop;
    struct http *http;     /* borrowed */
    const struct log *log; /* borrowed */
    const char *url;
    const char *content_type;        /* NULL: application/json */
    const struct http_field *fields; /* extra request headers */
    size_t field_count;
    const char *ca_file;
    uint64_t limit_ms; /* an append fails when neither it nor one before it was acknowledged for so
                            long since it was queued; 0: 30 s */
    struct hooks hooks;
    size_t queue_max; /* bytes waiting at most; 0: 64 MB. Past it writer_append fails at once. */
};

/* e->code is ERROR_NONE on success; offset is then the stream's next offset, absent (ptr NULL) where the
 * server did not tell it, as it need not for an append that it had stored already. */
typedef void writer_done(void *user, struct slice offset, const struct error *e);

struct writer *writer_new(const struct writer_options *options, struct error *e);

/* Queues one append (body is copied; for JSON, one message: it is sent as it is, wrapped in an array,
 * so that a message that is an array stays one). done is called once, from inside a libuv callback,
 * unless the writer is closed first. False with e: not queued, done will not be called. */
bool writer_append(struct writer *writer, struct slice body, writer_done *done, void *user, struct error *e);

/* Appends that were queued and have not been answered. */
size_t writer_pending(const struct writer *writer);

/* Ends it: queued appends are dropped without a callback. */
void writer_close(struct writer *writer);

#endif
