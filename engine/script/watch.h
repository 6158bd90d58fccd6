/* What stops a handler that runs too long without waiting, and Lua when the user interrupts it.
 *
 * Lua itself can only be asked to call a function after so many instructions, and then each instruction takes
 * half as long again. So where the process is weir's own a timer's signal, twenty times a second while Lua runs,
 * asks for that one call (as lua5.4 does on Ctrl-C); Lua that is done sooner is left alone. In other processes,
 * and in coroutines of the script's own, instructions are counted. */
#ifndef SCRIPT_WATCH_H
#define SCRIPT_WATCH_H

#include <lua.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

struct script;
struct task;

struct watch {
    uint64_t limit_ms; /* a handler that runs so long without waiting is stopped; 0: never */
    uint64_t deadline; /* on uv_hrtime's clock, ns; 0: none */
    uint64_t calls;    /* handlers that a lane has called: the limit is for each of them, */
    uint64_t watched;  /* and this is the one that the deadline is about */

    bool alarm;                    /* there is a timer, */
    timer_t timer;                 /* this one */
    struct sigaction before;       /* what its signal did */
    volatile sig_atomic_t running; /* Lua is */
    volatile sig_atomic_t ticking; /* the timer is set */
    volatile sig_atomic_t idle;    /* signals since Lua ran */
};

/* Uses the timer from here on, where there can be one: the process is weir's own. Before the script's code is
 * loaded; close undoes it, and does nothing where that was not called. */
void watch_open(lua_State *L, struct script *script);
void watch_close(struct script *script);

/* Starts the clock of one run of handlers in the thread co; stop ends it. */
void watch_start(struct script *script, lua_State *co);
void watch_stop(struct script *script);

/* Around a run of the loop from Lua, during which other Lua runs on a clock of its own: stops the clock and
 * says whether it ran; starts it anew where it did. */
bool watch_pause(struct script *script);
void watch_resume(struct script *script, bool ran);

#endif
