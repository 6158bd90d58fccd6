/* The idempotent producer: appends to one stream, in order, each stored exactly once (PROTOCOL.md
 * section 5.2.1).
 *
 *     append --linger--> batch --up to max_in_flight--> POST id/epoch/seq --> acknowledged
 *
 * Messages wait for `linger` and are sent together: messages of JSON as one array, bytes joined. Each
 * batch has one sequence number and is repeated with it until it is acknowledged: what was stored the
 * first time is a duplicate the second, which is a success.
 *
 * 403, another producer of this id has a newer epoch: with auto_claim everything not acknowledged goes
 * out again under the server's epoch + 1 (the first batch alone, before others are sent beside it);
 * else the producer is fenced, for good. 409 with an expected sequence below ours: the batches before
 * this one have not arrived; it is sent again when they have.
 *
 * A batch that is given up (limits reached, or a status that says no) fails its appends. Whether it is
 * stored is not known where connections broke: those that follow go out under a new epoch, so that a
 * late arrival of it is refused. */
#ifndef STREAM_PRODUCER_H
#define STREAM_PRODUCER_H

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

struct producer;

enum { PRODUCER_LINGER_MS = 5, PRODUCER_BATCH_BYTES = 1024 * 1024, PRODUCER_IN_FLIGHT = 5 };

struct producer_options {
    struct loop *loop;
    struct http *http;     /* borrowed */
    const struct log *log; /* borrowed */
    const char *url;
    const char *content_type; /* NULL: application/json */
    const struct http_field *fields;
    size_t field_count;
    const char *ca_file;
    const char *id; /* NULL: a random one */
    int64_t epoch;
    bool auto_claim;
    int64_t linger_ms;       /* how long the first message of a batch waits for others; 0: not at all */
    int64_t max_batch_bytes; /* of messages; a single one that is larger goes alone */
    int64_t max_batch_items;
    int64_t max_in_flight;
    uint64_t limit_ms;         /* gives a batch up when nothing was acknowledged for so long since it was
                                  queued; 0: 30 s */
    size_t queue_max;          /* bytes waiting at most; 0: 64 MB. Past it producer_append fails at once. */
    const struct retry *retry; /* NULL: retry_default */
    struct hooks hooks;
};

/* Defaults: epoch 0, linger 5 ms, 1 MiB and any number of items a batch, 5 in flight. */
void producer_options_init(struct producer_options *options);

/* False with e (ERROR_ARGUMENT) naming the option that is wrong, as scripts write it: id "", epoch < 0
 * or > 2^53 - 1, lingerMs < 0, maxBatchBytes <= 0, maxBatchItems <= 0, maxInFlight <= 0. */
bool producer_options_check(const struct producer_options *options, struct error *e);

/* What became of a batch. Slices are good until the callback returns. */
struct producer_result {
    int status;          /* 200 stored, 204 stored before; 0: no answer */
    struct slice offset; /* the stream's next offset; absent where the server did not tell it */
    bool duplicate;
    bool closed;         /* the stream is closed now */
    uint64_t epoch, seq; /* the batch's own */
};

/* e->code is ERROR_NONE on success. Called once for each, from inside a callback of the loop (or from
 * producer_detach), in the order of the appends, unless the producer is closed for good before. */
typedef void producer_done(void *user, const struct producer_result *result, const struct error *e);

struct producer *producer_new(const struct producer_options *options, struct error *e);

/* Queues one message (body is copied; for JSON it is one message, whatever it is). done may be NULL.
 * False with e: not queued, done will not be called: an empty body, a full queue, a producer that is
 * fenced or closed. */
bool producer_append(struct producer *producer, struct slice body, producer_done *done, void *user,
                     struct error *e);

/* done when everything appended so far has been answered, with the last batch's result, and the first
 * error since the last flush. Sends without lingering. */
bool producer_flush(struct producer *producer, producer_done *done, void *user, struct error *e);

/* Flushes, then closes the stream, with a last message where body is there (ptr not NULL). Appends
 * after it are refused. Repeating it after success answers the same. */
bool producer_close(struct producer *producer, struct slice body, producer_done *done, void *user,
                    struct error *e);

/* Messages that were queued and have not been answered; bytes of them. */
size_t producer_pending(const struct producer *producer);
size_t producer_bytes(const struct producer *producer);

/* Where it stands: the epoch and the next sequence number. */
uint64_t producer_epoch(const struct producer *producer);
uint64_t producer_seq(const struct producer *producer);
const char *producer_id(const struct producer *producer);

/* Stops without closing the stream, after a flush; done as of a flush. Appends after it are refused. */
bool producer_detach(struct producer *producer, producer_done *done, void *user, struct error *e);

/* Ends it: what is queued is dropped without a callback. */
void producer_free(struct producer *producer);

#endif
