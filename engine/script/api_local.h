/* What a script has written to a stream and has not come back on it yet (optimistic writes), and what its handlers
 * are told of that. weir._stream has, for lua/weir/stream_write.lua:
 *
 *     pend(stream, operation, type, key, value | nil, txid | nil) -> number   on top of the state; value is JSON
 *     pending(stream, number) -> boolean
 *     unpend(stream, number) -> boolean            off the state; false: it was not pending any more
 *     change(stream, text, old | nil, new | nil, rollback)   the event of that text is for the onChange handlers
 *     tell(stream, name, value)                    the handlers of that name get the value
 *     failure(message) -> error object             `timeout`
 *     now() -> seconds                             on a clock that only goes forward
 *     seconds(duration) -> seconds
 *     atOnce(fn, ...) -> true, ... | false, error  calls fn, which must not wait
 *
 * What is told waits in a queue until the stream's lane asks for it, between two events. */
#ifndef SCRIPT_API_LOCAL_H
#define SCRIPT_API_LOCAL_H

#include <lua.h>
#include <stdbool.h>

#include "message/event.h"
#include "script/driver.h"
#include "state/overlay.h"

struct api_stream;
struct local_item;

/* A part of the stream. */
struct api_local {
    struct overlay *overlay;         /* NULL: nothing was ever pending */
    struct local_item *first, *last; /* to be told */
    struct local_item *current;      /* being told */
    struct event_decoder decoder;    /* of its text */
    bool decoding;                   /* the decoder is in use: it is to be freed */
};

void api_local_free(struct api_stream *stream);

/* Something waits to be told. */
static inline bool api_local_waits(const struct api_local *local) {
    return local->first != NULL;
}

/* Takes the next thing to be told out of the queue: DRIVER_APPLIED, a change with item->local set, or
 * DRIVER_TOLD. The item is good until the next one. */
enum driver_kind api_local_next(struct api_stream *stream, struct driver_item *item);

int api_local_pend(lua_State *L);
int api_local_pending(lua_State *L);
int api_local_unpend(lua_State *L);
int api_local_change(lua_State *L);
int api_local_tell(lua_State *L);
int api_local_failure(lua_State *L);
int api_local_now(lua_State *L);
int api_local_seconds(lua_State *L);
int api_local_at_once(lua_State *L);

#endif
