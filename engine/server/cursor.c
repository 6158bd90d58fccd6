#include "server/cursor.h"

#include <stdbool.h>

enum { JITTER_MAX_S = 3600, DIGITS_MAX = 18 };

static const uint64_t epoch_s = 1728432000; /* 9 October 2024, 00:00 UTC */

uint64_t cursor_now(uint64_t wall_ms) {
    uint64_t s = wall_ms / 1000;
    return s < epoch_s ? 0 : (s - epoch_s) / CURSOR_INTERVAL_S;
}

uint64_t cursor_above(uint64_t now, uint64_t before, uint64_t random) {
    if (before < now) {
        return now;
    }
    uint64_t jitter_s = 1 + random % JITTER_MAX_S;
    uint64_t steps = jitter_s / CURSOR_INTERVAL_S;
    return before + (steps ? steps : 1);
}

/* A decimal number of a length that no sum takes out of range. */
static bool number_of(struct slice text, uint64_t *number) {
    *number = 0;
    for (size_t i = 0; i < text.len && i < DIGITS_MAX; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9') {
            return false;
        }
        *number = *number * 10 + (uint64_t)(text.ptr[i] - '0');
    }
    return text.len > 0 && text.len <= DIGITS_MAX;
}

uint64_t cursor_next(uint64_t now, struct slice asked, uint64_t random) {
    uint64_t before;
    if (!number_of(asked, &before)) {
        return now;
    }
    return cursor_above(now, before, random);
}
