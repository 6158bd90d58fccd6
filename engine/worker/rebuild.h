/* A state that is built anew while its readers go on seeing the one before.
 *
 * Where a stream says "what follows is everything" (snapshot-start, reset), its changes go into a store of
 * their own. At the end that store takes the place of the one before, in one step, and what the two differ
 * in is all that anybody is told. */
#ifndef WORKER_REBUILD_H
#define WORKER_REBUILD_H

#include <stdbool.h>

#include "message/event.h"
#include "state/store.h"

/* All zero: none is under way. */
struct rebuild {
    struct store *building; /* gets the changes; NULL: none is being built */
    bool snapshot;          /* it ends with snapshot-end; otherwise when the stream is up to date */

    struct store *before; /* was replaced, and is being compared; NULL: nothing is left to tell */
    const struct store *after;
    struct slice *old_types, *new_types;
    size_t old_type_count, new_type_count, old_type, new_type;
    struct slice type;
    struct store_row *old_rows, *new_rows;
    size_t old_row_count, new_row_count, old_row, new_row;

    struct buf text; /* of the event made last */
    struct event_decoder decoder;
};

/* One difference: old.ptr NULL: the entity is new; value.ptr NULL: it is gone. */
struct rebuild_difference {
    struct slice type, key, old, value;
};

void rebuild_init(struct rebuild *rebuild, size_t message_max);
void rebuild_free(struct rebuild *rebuild);

/* Starts with an empty store; one that was being built is forgotten. False: out of memory. */
bool rebuild_begin(struct rebuild *rebuild, const struct store *like, bool snapshot, struct error *e);

/* What was built takes the place of *live. False: out of memory; nothing changed. */
bool rebuild_end(struct rebuild *rebuild, struct store **live, struct error *e);

/* The next difference, by type and key in byte order; its slices are good until the live store changes or
 * the last difference has been told. False with e.code ERROR_NONE: there is none, and the store before is
 * gone; otherwise out of memory. */
bool rebuild_next(struct rebuild *rebuild, struct rebuild_difference *difference, struct error *e);

/* The event that a stream would carry for it: insert, update or delete. Good until the next one. NULL with e. */
const struct event *rebuild_event(struct rebuild *rebuild, const struct rebuild_difference *difference,
                                  struct error *e);

#endif
