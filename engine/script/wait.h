/* A wait for an answer from the network: an op (script/task.h) in the list of its owner, a stream or a
 * producer, so that it can be dropped when the owner ends. Private to the room. */
#ifndef SCRIPT_WAIT_H
#define SCRIPT_WAIT_H

#include <lua.h>
#include <stddef.h>

#include "script/task.h"

struct wait {
    struct op op; /* first: op.destroy gets this back */
    struct wait **list;
    struct wait *next, *prev;
};

/* Pushes the userdata of a wait of `size` bytes, zeroed, that begins with a struct wait. Raises on memory. */
struct wait *wait_push(lua_State *L, struct script *script, struct wait **list, size_t size);

/* The answer will come: into the list, with a hold for whoever brings it. */
void wait_begin(struct wait *wait);

/* It has come. The wait may be gone afterwards. */
void wait_end(struct wait *wait, const struct error *e);

/* No answer will come: out of the list. */
void wait_drop(struct wait *wait);

#endif
