/* Where a reset sends the reading. A reset clears the state; where it names an offset, what lies behind that
 * offset is read again (State Protocol section 4.2.2), unless:
 *
 *   - the same offset was named before: that reset lies behind the offset it names, is met again, and must
 *     not send the reading round for ever. What it asks for has happened;
 *   - the offset is only the server's stamp. Servers that put its offset into every event they hand out
 *     (headers.offset) do so with resets too: such a one lies at the reset itself or behind it, and to
 *     follow it would leave out the rest of what was appended with it. */
#ifndef WORKER_RESET_H
#define WORKER_RESET_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/strmap.h"
#include "message/event.h"

struct reset_history {
    struct strmap followed; /* offsets that were named and read from */
    struct buf stamp;       /* headers.offset of the last change, as it was written */
    bool unstamped;         /* there was a change without */
};

struct cJSON;

/* Into an object of a snapshot, and back. False: out of memory; what is not there is as at first. */
bool reset_save(const struct reset_history *history, struct cJSON *object);
bool reset_restore(struct reset_history *history, const struct cJSON *object);

enum reset_course {
    RESET_GO_ON,  /* clear the state */
    RESET_FOLLOW, /* clear the state, read from the offset */
    RESET_PASS,   /* do nothing */
    RESET_FAILED, /* e says why */
};

void reset_init(struct reset_history *history);
void reset_free(struct reset_history *history);

/* To be called for each change, in stream order. */
void reset_note(struct reset_history *history, const struct event *change);

/* What is to be done about a reset. here: the offset at which the present chunk starts, NULL for the stream's
 * beginning. offset (an empty buffer) becomes the one to read from, with a NUL behind it. */
enum reset_course reset_decide(struct reset_history *history, const struct event *reset, const char *here,
                               struct buf *offset, struct error *e);

#endif
