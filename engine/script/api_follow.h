/* What a script waits for of a stream that is read: that it is up to date, that it has been read again, that a
 * transaction has come back on it. The worker tells (api_follow_...); weir._stream has, for lua/weir/follow.lua:
 *
 *     await(stream, "up-to-date") -> wait | nil       nil: it was so already
 *     await(stream, "again") -> wait                  its state is forgotten and read again from the start
 *     await(stream, "txid", txid) -> wait | nil       nil: a change with it has been applied already
 *     wait(wait, what)                                waits; raises an error object where it cannot come any more
 *     expire(wait, message)                           ends the wait: it raises `timeout`
 *
 * In the main part of a script await makes the worker read (script_host.start), and wait runs the loop. */
#ifndef SCRIPT_API_FOLLOW_H
#define SCRIPT_API_FOLLOW_H

#include <lua.h>
#include <stdbool.h>

#include "base/error.h"
#include "message/event.h"
#include "state/txids.h"

struct api_stream;
struct wait;

/* A part of the stream. */
struct api_follow {
    struct wait *waits; /* under way */
    struct txids seen;  /* transactions whose changes have been applied */
    struct txids later; /* those of a state that is being built; its hashes are NULL while there are none */
    bool caught_up;     /* it was up to date once */
    bool over;          /* nothing is read any more: why */
    struct error why;   /* code ERROR_NONE: it has ended */
};

/* False: out of memory. */
bool api_follow_init(struct api_follow *follow, uint64_t seed);
void api_follow_free(struct api_follow *follow);

/* A change that has a txid was applied; building: to a state that is not in its place yet. */
void api_follow_applied(struct api_stream *stream, const struct event *change, bool building);

/* What was being built has taken its place (kept), or was given up. */
void api_follow_built(struct api_stream *stream, bool kept);

/* Everything that exists has been applied. */
void api_follow_up_to_date(struct api_stream *stream);

/* Reading begins again, as "again" asked for. */
void api_follow_again(struct api_stream *stream);

/* Nothing more will be read: who waits is told. e NULL: the stream has ended. */
void api_follow_over(struct api_stream *stream, const struct error *e);

/* The functions above. */
int api_follow_await(lua_State *L);
int api_follow_wait(lua_State *L);
int api_follow_expire(lua_State *L);

#endif
