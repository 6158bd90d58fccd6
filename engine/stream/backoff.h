/* How long to wait before trying again: exponential, with full jitter. Pure: its own random numbers,
 * no clock. */
#ifndef STREAM_BACKOFF_H
#define STREAM_BACKOFF_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "base/slice.h"

struct backoff {
    uint64_t first_ms; /* the ceiling of the first wait; it grows with each */
    uint64_t max_ms;   /* up to this */
    double multiplier; /* by this */
    uint64_t ceiling_ms;
    uint64_t random; /* state of the generator */
};

/* The same seed gives the same waits. The ceiling doubles; set `multiplier` (1 or more) for another. */
void backoff_init(struct backoff *b, uint64_t first_ms, uint64_t max_ms, uint64_t seed);

/* Something succeeded: the next wait is a short one again. */
void backoff_reset(struct backoff *b);

/* The next wait: between 0 and the present ceiling, on top of floor_ms (a server's Retry-After, 0 for
 * none), so that many clients told the same Retry-After do not come back at one instant. */
uint64_t backoff_next(struct backoff *b, uint64_t floor_ms);

/* A Retry-After field: seconds, or a date as seen from `now`, in any of the three forms that HTTP has:
 * "Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994". False:
 * it is neither, *ms is unchanged. Dates gone by are 0; nothing is longer than a day. */
bool backoff_retry_after(struct slice field, time_t now, uint64_t *ms);

#endif
