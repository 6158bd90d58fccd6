/* The tries of one piece of work: how long to wait before the next, and when to give up. No clock: the
 * caller says what time has passed. Private to the room. */
#ifndef STREAM_TRIES_H
#define STREAM_TRIES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "stream/backoff.h"
#include "stream/retry.h"

struct tries {
    struct backoff backoff;
    int64_t max_retries;
    int64_t retries; /* in a row */
};

/* retry NULL: retry_default. Takes its seed from the system. */
void tries_init(struct tries *tries, const struct retry *retry);

/* Something succeeded. */
void tries_reset(struct tries *tries);

/* The work failed with e, since_ms after it began to; it may take limit_ms at most. floor_ms: the
 * server's Retry-After. True: wait *wait_ms and try again. False: enough, and e's message says why. */
bool tries_again(struct tries *tries, uint64_t since_ms, uint64_t limit_ms, uint64_t floor_ms,
                 uint64_t *wait_ms, struct error *e);

#endif
