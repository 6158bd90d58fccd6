/* How a batch goes to Redis: in one call of the script, or staged by several calls that the last one applies. */
#ifndef SINK_REDIS_PLAN_H
#define SINK_REDIS_PLAN_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/strmap.h"
#include "sink/batch.h"
#include "sink/redis/command.h"
#include "sink/redis/keys.h"

/* More than this goes by stages; and what goes in one stage. A row that is larger goes alone. */
enum {
    PLAN_DIRECT_BYTES = 8 << 20,
    PLAN_STAGE_BYTES = 1 << 20,
    PLAN_DIRECT_ROWS = 100000,
    PLAN_STAGE_ROWS = 50000,
};

struct redis_plan {
    const struct sink_batch *batch; /* borrowed */
    const struct redis_keys *keys;
    struct strmap types; /* type -> its number, from 1, as a pointer */
    struct buf names;    /* the whole keys of the types, one behind the other; */
    struct buf ends;     /* where each ends (size_t) */
    size_t type_count;
    size_t rows, bytes; /* that Redis gets */
};

void redis_plan_init(struct redis_plan *plan, const struct redis_keys *keys);
void redis_plan_free(struct redis_plan *plan);

/* Looks through the batch. False with e: out of memory. */
bool redis_plan_make(struct redis_plan *plan, const struct sink_batch *batch, struct error *e);

/* One call is enough. */
bool redis_plan_is_direct(const struct redis_plan *plan);

/* Adds the keys of the types to a command. */
void redis_plan_put_keys(const struct redis_plan *plan, struct redis_command *command);

/* Adds rows from row *at on as groups, all of them or as many as a stage takes, and moves *at behind them.
 * The number of items added. */
size_t redis_plan_put_rows(const struct redis_plan *plan, struct redis_command *command, size_t *at,
                           bool all);

/* Redis takes no string that is longer: such a row is refused by the sink and passed over here. */
bool redis_plan_is_too_long(const struct sink_row *row);

#endif
