/* A lane: the coroutine in which a stream's rules and handlers run, one event after another, in stream
 * order. It pulls from the stream's driver until there is nothing, and then parks. One lane of a stream waits
 * (weir.sleep, append) while those of others go on.
 *
 *     body: [ protected: take an event -> (rules, in Lua) -> call its handlers, each in turn ] -> onError -> again
 *
 * What each event goes through is here, in C; what is rarer (rules, refusals, keys to be made, errors) is in
 * lua/weir/lane.lua. */
#ifndef SCRIPT_LANE_H
#define SCRIPT_LANE_H

#include <lua.h>
#include <stdbool.h>

struct api_stream;

/* Adds the private functions that lua/weir/lane.lua uses. The module table is on top of the stack. */
void lane_open(lua_State *L);

void lane_init(struct api_stream *stream);

/* The driver may have something: starts the lane or runs it on, now. At the drain point only. Nothing
 * happens while a handler waits. */
void lane_wake(struct api_stream *stream);

/* True while a rule or handler has not returned yet. */
bool lane_is_busy(const struct api_stream *stream);

/* What its coroutine, which is running, does now. */
enum lane_work {
    LANE_EVENT,      /* a handler has been called for an event of the stream */
    LANE_OPTIMISTIC, /* or for a write of this script that has not come back yet */
    LANE_OTHER,      /* something else: a rule, a handler of what is no event */
};

/* Pushes the event where it is the former of these. */
enum lane_work lane_handles(lua_State *L, const struct api_stream *stream);

#endif
