/* How often, and how far apart, something that failed is tried again. Pure. */
#ifndef STREAM_RETRY_H
#define STREAM_RETRY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

struct retry {
    int64_t max_retries; /* tries after the first, in a row; RETRY_NO_COUNT: bound by time alone */
    int64_t first_ms;    /* the first wait is random up to this, */
    int64_t max_ms;      /* each next one up to `multiplier` times as much, but never more than this */
    double multiplier;
};

#define RETRY_NO_COUNT INT64_MAX

/* 100 ms, doubled up to 10 s, bound by time alone. */
struct retry retry_default(void);

/* False with e (ERROR_ARGUMENT) naming the option that is wrong, as scripts write it: maxRetries < 0,
 * initialDelayMs <= 0, maxDelayMs < initialDelayMs, multiplier < 1. */
bool retry_check(const struct retry *retry, struct error *e);

#endif
