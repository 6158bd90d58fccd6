/* Time, from Lua. A duration is a number of seconds, or text: "500ms", "30s", "5m".
 *
 *     weir.sleep(duration)       waits; other streams and timers go on meanwhile
 *     weir.after(duration, fn)   calls fn once, later
 *     weir.every(duration, fn)   calls fn again and again; a turn is left out while fn is still waiting
 *
 * after and every return a timer: timer:stop() ends it. fn runs as a handler does: it may wait, and when it
 * raises, the worker stops. Timers do not keep a worker with streams alive: when these have ended, a fn that
 * is at work may go on until it returns or sleeps. */
#ifndef SCRIPT_API_TIMER_H
#define SCRIPT_API_TIMER_H

#include <lua.h>
#include <stdbool.h>
#include <stdint.h>

#include "script/script.h"

void api_timer_open(lua_State *L);

/* Whether some timer's function has been called, has not returned, and does not sleep. */
bool api_timer_some_at_work(const struct script *script);

/* Stops all of the script's timers. */
void api_timer_close_all(struct script *script);

/* The duration at index in milliseconds; raises an argument error naming what was expected. */
uint64_t api_timer_check_duration(lua_State *L, int index);

#endif
