/* A stretch of time in which a sink's server cannot be used: how long to wait before the next try, when to give
 * up, and one line in the log at its start and one at its end. */
#ifndef SINK_OUTAGE_H
#define SINK_OUTAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/log.h"
#include "stream/backoff.h"

struct outage {
    const struct log *log; /* borrowed, and */
    const char *name;      /* the sink's, for messages */
    uint64_t limit_ms;
    uint64_t since_ms;
    bool on;
    struct backoff backoff;
};

/* limit_ms 0: 10 min. */
void outage_init(struct outage *outage, const struct log *log, const char *name, uint64_t limit_ms);

/* Something failed with e, at now_ms of the loop's clock; the server asks for a pause of floor_ms (or 0). True: wait
 * *wait_ms and try again. False: it has gone on for too long, which e's message says behind what it said. */
bool outage_wait(struct outage *outage, uint64_t now_ms, uint64_t floor_ms, uint64_t *wait_ms,
                 struct error *e);

/* Something succeeded. */
void outage_over(struct outage *outage, uint64_t now_ms);

#endif
