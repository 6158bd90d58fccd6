#include "stream/retry.h"

#include <inttypes.h>

enum { FIRST_MS = 100, MAX_MS = 10 * 1000 };

struct retry retry_default(void) {
    return (struct retry){
        .max_retries = RETRY_NO_COUNT, .first_ms = FIRST_MS, .max_ms = MAX_MS, .multiplier = 2};
}

bool retry_check(const struct retry *retry, struct error *e) {
    if (retry->max_retries < 0) {
        return error_set(e, ERROR_ARGUMENT, "maxRetries is %" PRId64 ": expected 0 or more",
                         retry->max_retries);
    }
    if (retry->first_ms <= 0) {
        return error_set(e, ERROR_ARGUMENT, "initialDelayMs is %" PRId64 ": expected more than 0",
                         retry->first_ms);
    }
    if (retry->max_ms < retry->first_ms) {
        return error_set(e, ERROR_ARGUMENT,
                         "maxDelayMs is %" PRId64 ": expected at least initialDelayMs, which is %" PRId64,
                         retry->max_ms, retry->first_ms);
    }
    if (!(retry->multiplier >= 1)) {
        return error_set(e, ERROR_ARGUMENT, "multiplier is %g: expected 1 or more", retry->multiplier);
    }
    return true;
}
