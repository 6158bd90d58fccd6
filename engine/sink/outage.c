#include "sink/outage.h"

#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <uv.h>

enum { FIRST_MS = 50, MAX_MS = 5000, LIMIT_MS = 10 * 60 * 1000 };

void outage_init(struct outage *outage, const struct log *log, const char *name, uint64_t limit_ms) {
    uint64_t seed = 0;
    if (getrandom(&seed, sizeof seed, GRND_NONBLOCK) != (ssize_t)sizeof seed) {
        seed = uv_hrtime();
    }
    *outage = (struct outage){.log = log, .name = name, .limit_ms = limit_ms ? limit_ms : LIMIT_MS};
    backoff_init(&outage->backoff, FIRST_MS, MAX_MS, seed);
}

bool outage_wait(struct outage *outage, uint64_t now_ms, uint64_t floor_ms, uint64_t *wait_ms,
                 struct error *e) {
    if (!outage->on) {
        outage->on = true;
        outage->since_ms = now_ms;
        log_write(outage->log, LOG_WARN, "%s; trying again for %.0f s at most", e->message,
                  (double)outage->limit_ms / 1000);
    }
    uint64_t gone = now_ms - outage->since_ms;
    if (gone >= outage->limit_ms) {
        size_t len = strlen(e->message);
        snprintf(e->message + len, sizeof e->message - len, "; gave up after %.1f s (limits.outage)",
                 (double)gone / 1000);
        return false;
    }
    uint64_t wait = backoff_next(&outage->backoff, floor_ms);
    uint64_t left = outage->limit_ms - gone;
    *wait_ms = wait < left ? wait : left;
    return true;
}

void outage_over(struct outage *outage, uint64_t now_ms) {
    if (outage->on) {
        outage->on = false;
        backoff_reset(&outage->backoff);
        log_write(outage->log, LOG_INFO, "%s: works again after %.1f s", outage->name,
                  (double)(now_ms - outage->since_ms) / 1000);
    }
}
