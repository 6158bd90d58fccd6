#include "script/watch.h"

#include <lualib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "script/script.h"
#include "script/task.h"

enum {
    COUNT = 100000,             /* instructions between two looks, where they are counted */
    TICK_NS = 50 * 1000 * 1000, /* between two looks, where there is a timer */
    IDLE_TICKS = 3,             /* after which the timer rests */
};

#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

/* The thread in which weir runs the script's functions: those may run others in it. */
static lua_State *outermost(const struct script *script) {
    return script->current ? script->current->co : script->L;
}

/* Whether the function that runs is of weir's own lane: what was raised has left the script's functions. */
static bool is_in_lane(lua_State *L, lua_Debug *activation) {
    return lua_getinfo(L, "S", activation) && strcmp(activation->source, "@weir.lane") == 0;
}

static void look(lua_State *L, lua_Debug *activation);

/* Raised again at the next instruction, so that the script's own pcall does not swallow it: neither here nor
 * where the task itself goes on, if this is a coroutine of the script's own. */
static void stop_here(lua_State *L, lua_Debug *activation, const char *reason) {
    lua_sethook(L, look, LUA_MASKCOUNT, 1);
    lua_sethook(outermost(script_of(L)), look, LUA_MASKCOUNT, 1);
    lua_getinfo(L, "Sl", activation);
    luaL_error(L, "%s:%d: %s", activation->short_src, activation->currentline, reason);
}

/* What L does when nothing is wrong. */
static void watch_quietly(const struct script *script, lua_State *L) {
    if (script->watch.alarm && L == outermost(script)) {
        lua_sethook(L, NULL, 0, 0);
    } else {
        lua_sethook(L, look, LUA_MASKCOUNT, COUNT);
    }
}

static void set_deadline(struct watch *watch) {
    watch->deadline = watch->limit_ms ? uv_hrtime() + watch->limit_ms * UINT64_C(1000000) : 0;
    watch->watched = watch->calls;
}

/* The hook. */
static void look(lua_State *L, lua_Debug *activation) {
    struct script *script = script_of(L);
    struct watch *watch = &script->watch;
    if (script->interrupt && *script->interrupt) {
        stop_here(L, activation, "interrupted");
    }
    if (watch->deadline && (is_in_lane(L, activation) || watch->watched != watch->calls)) {
        set_deadline(watch);
    } else if (watch->deadline && uv_hrtime() > watch->deadline) {
        stop_here(L, activation,
                  "ran too long without waiting: raise limits.handler, or call weir.sleep in between");
    }
    watch_quietly(script, L);
}

/* ---- the timer ---- */

static void set_timer(struct watch *watch, long ns) {
    struct itimerspec spec = {.it_value.tv_nsec = ns, .it_interval.tv_nsec = ns};
    timer_settime(watch->timer, 0, &spec, NULL);
    watch->ticking = ns != 0;
}

/* In the thread that runs Lua. lua_sethook may be called from here, and little else. */
static void on_tick(int number, siginfo_t *info, void *context) {
    (void)number;
    (void)context;
    if (info->si_code != SI_TIMER) {
        return;
    }
    struct script *script = info->si_value.sival_ptr;
    struct watch *watch = &script->watch;
    lua_State *co = outermost(script);
    if (watch->running && co) {
        lua_sethook(co, look, LUA_MASKCOUNT, 1);
    } else if (++watch->idle > IDLE_TICKS) {
        set_timer(watch, 0);
    }
}

static void tick(struct watch *watch) {
    watch->idle = 0;
    watch->running = watch->alarm;
    if (watch->alarm && !watch->ticking) {
        set_timer(watch, TICK_NS);
    }
}

/* ---- coroutines of the script's own ----
 *
 * They take over a hook that is set when they are made, and that of the thread that makes them is not. The
 * upvalue is the library's function. */

static int create(lua_State *L) {
    int results = lua_tocfunction(L, lua_upvalueindex(1))(L);
    lua_sethook(lua_tothread(L, -1), look, LUA_MASKCOUNT, COUNT);
    return results;
}

/* The function that it gives has the thread as upvalue. */
static int wrap(lua_State *L) {
    int results = lua_tocfunction(L, lua_upvalueindex(1))(L);
    if (lua_getupvalue(L, -1, 1)) {
        lua_State *co = lua_tothread(L, -1);
        if (co) {
            lua_sethook(co, look, LUA_MASKCOUNT, COUNT);
        }
        lua_pop(L, 1);
    }
    return results;
}

static void replace(lua_State *L, const char *name, lua_CFunction by) {
    lua_getfield(L, -1, name);
    lua_pushcclosure(L, by, 1);
    lua_setfield(L, -2, name);
}

static void watch_coroutines(lua_State *L) {
    luaL_checkstack(L, 3, NULL);
    lua_getglobal(L, LUA_COLIBNAME);
    replace(L, "create", create);
    replace(L, "wrap", wrap);
    lua_pop(L, 1);
}

/* ---- life ---- */

void watch_open(lua_State *L, struct script *script) {
    struct watch *watch = &script->watch;
    struct sigaction action = {.sa_sigaction = on_tick, .sa_flags = SA_SIGINFO | SA_RESTART};
    struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGRTMIN + 1};
    event.sigev_value.sival_ptr = script;
    event.sigev_notify_thread_id = (pid_t)syscall(SYS_gettid);
    sigemptyset(&action.sa_mask);
    if (sigaction(SIGRTMIN + 1, &action, &watch->before) != 0) {
        return;
    }
    if (timer_create(CLOCK_MONOTONIC, &event, &watch->timer) != 0) {
        sigaction(SIGRTMIN + 1, &watch->before, NULL);
        return;
    }
    watch->alarm = true;
    watch_coroutines(L);
}

void watch_close(struct script *script) {
    struct watch *watch = &script->watch;
    if (watch->alarm) {
        timer_delete(watch->timer);
        /* One that is on its way already finds nobody: it would end the process. */
        signal(SIGRTMIN + 1, SIG_IGN);
        sigaction(SIGRTMIN + 1, &watch->before, NULL);
        watch->alarm = false;
    }
}

void watch_start(struct script *script, lua_State *co) {
    set_deadline(&script->watch);
    watch_quietly(script, co);
    tick(&script->watch);
}

void watch_stop(struct script *script) {
    script->watch.deadline = 0;
    script->watch.running = 0;
}

bool watch_pause(struct script *script) {
    bool ran = script->watch.deadline != 0 || script->watch.running;
    watch_stop(script);
    return ran;
}

void watch_resume(struct script *script, bool ran) {
    if (ran) {
        watch_start(script, outermost(script));
    }
}
