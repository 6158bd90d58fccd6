#include "stream/tries.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <uv.h>

void tries_init(struct tries *tries, const struct retry *retry) {
    struct retry o = retry ? *retry : retry_default();
    uint64_t seed = 0;
    if (getrandom(&seed, sizeof seed, GRND_NONBLOCK) != (ssize_t)sizeof seed) {
        seed = uv_hrtime();
    }
    *tries = (struct tries){.max_retries = o.max_retries};
    backoff_init(&tries->backoff, (uint64_t)o.first_ms, (uint64_t)o.max_ms, seed);
    tries->backoff.multiplier = o.multiplier;
}

void tries_reset(struct tries *tries) {
    backoff_reset(&tries->backoff);
    tries->retries = 0;
}

bool tries_again(struct tries *tries, uint64_t since_ms, uint64_t limit_ms, uint64_t floor_ms,
                 uint64_t *wait_ms, struct error *e) {
    char *end = e->message + strlen(e->message);
    size_t room = sizeof e->message - (size_t)(end - e->message);
    uint64_t left = since_ms < limit_ms ? limit_ms - since_ms : 0;
    if (tries->retries >= tries->max_retries) {
        if (tries->retries) {
            snprintf(end, room, "; gave up after %" PRId64 " more tries", tries->retries);
        }
        return false;
    }
    tries->retries++;
    uint64_t wait = backoff_next(&tries->backoff, floor_ms);
    if (left == 0 || floor_ms > left) {
        if (left) {
            error_context(e, "the server asks to wait %.1f s, which is longer than the %.1f s left",
                          (double)floor_ms / 1000, (double)left / 1000);
        }
        end = e->message + strlen(e->message);
        room = sizeof e->message - (size_t)(end - e->message);
        snprintf(end, room, "; gave up after %.1f s", (double)since_ms / 1000);
        return false;
    }
    *wait_ms = wait < left ? wait : left;
    return true;
}
