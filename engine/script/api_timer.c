#include "script/api_timer.h"

#include <lauxlib.h>
#include <stdlib.h>

#include "script/options.h"
#include "script/task.h"

static const char timer_name[] = "weir.timer";

/* Freed when libuv has closed the handle; the Lua userdata only points here. */
struct api_timer {
    struct loop_timer timer; /* first: loop_timer_close gives this back */
    struct script *script;
    struct task task;
    uint64_t every_ms;       /* 0: once */
    int fn;                  /* in the registry */
    struct api_timer **held; /* the userdata's pointer to this, NULL when Lua dropped it */
    struct api_timer *next, *prev;
};

uint64_t api_timer_check_duration(lua_State *L, int index) {
    uint64_t ms = 0;
    luaL_argcheck(L, options_take_duration(L, index, &ms), index,
                  "expected a duration: seconds, or text like \"500ms\", \"30s\", \"5m\"");
    return ms;
}

static void free_timer(struct loop_timer *timer) {
    free(timer);
}

static void unlink_timer(struct api_timer *timer) {
    if (timer->prev) {
        timer->prev->next = timer->next;
    } else {
        timer->script->timers = timer->next;
    }
    if (timer->next) {
        timer->next->prev = timer->prev;
    }
}

static void close_timer(struct api_timer *timer) {
    struct script *script = timer->script;
    unlink_timer(timer);
    if (timer->held) {
        *timer->held = NULL;
    }
    task_stop(&timer->task);
    luaL_unref(script->L, LUA_REGISTRYINDEX, timer->fn);
    loop_timer_close(&timer->timer, free_timer);
}

bool api_timer_some_at_work(const struct script *script) {
    for (const struct api_timer *timer = script->timers; timer; timer = timer->next) {
        if (task_is_alive(&timer->task) && !timer->task.asleep) {
            return true;
        }
    }
    return false;
}

void api_timer_close_all(struct script *script) {
    while (script->timers) {
        close_timer(script->timers);
    }
}

static int prepare(lua_State *L, void *arg) {
    const struct api_timer *timer = arg;
    lua_rawgeti(L, LUA_REGISTRYINDEX, timer->fn);
    return 0;
}

static void fail(const struct api_timer *timer, const struct error *e) {
    timer->script->host.failed(timer->script->host.user, e);
}

static void fire(struct loop_task *loop_task) {
    struct api_timer *timer = loop_task->owner;
    struct error e;
    if (timer->every_ms) {
        loop_timer_start(&timer->timer, timer->every_ms);
    }
    if (task_is_alive(&timer->task)) {
        return;
    }
    if (!task_start(&timer->task, prepare, timer, &e)) {
        fail(timer, &e);
    }
}

static void over(struct task *task, const struct error *e) {
    struct api_timer *timer = task->owner;
    if (e) {
        fail(timer, e);
    }
    if (!timer->every_ms) {
        close_timer(timer);
    }
}

static int timer_stop(lua_State *L) {
    struct api_timer **held = luaL_checkudata(L, 1, timer_name);
    if (!*held) {
        return 0;
    }
    /* A timer that stops itself runs its function to the end. */
    if (task_is_alive(&(*held)->task)) {
        (*held)->every_ms = 0;
        loop_timer_stop(&(*held)->timer);
    } else {
        close_timer(*held);
    }
    return 0;
}

static int timer_collect(lua_State *L) {
    struct api_timer **held = luaL_checkudata(L, 1, timer_name);
    if (*held) {
        (*held)->held = NULL;
        *held = NULL;
    }
    return 0;
}

static int start_timer(lua_State *L, bool again) {
    struct script *script = script_of(L);
    uint64_t ms = api_timer_check_duration(L, 1);
    luaL_checktype(L, 2, LUA_TFUNCTION);
    luaL_argcheck(L, !again || ms > 0, 1, "must be longer than 0");
    struct api_timer **held = lua_newuserdatauv(L, sizeof *held, 0);
    *held = NULL;
    luaL_setmetatable(L, timer_name);
    lua_pushvalue(L, 2);
    int fn = luaL_ref(L, LUA_REGISTRYINDEX);
    struct api_timer *timer = calloc(1, sizeof *timer);
    if (!timer) {
        luaL_unref(L, LUA_REGISTRYINDEX, fn);
        return luaL_error(L, "out of memory");
    }
    timer->script = script;
    timer->fn = fn;
    timer->every_ms = again ? ms : 0;
    timer->held = held;
    timer->next = script->timers;
    if (timer->next) {
        timer->next->prev = timer;
    }
    script->timers = timer;
    *held = timer;
    task_init(&timer->task, script, over, timer);
    loop_timer_init(script->loop, &timer->timer, fire, timer);
    loop_timer_start(&timer->timer, ms);
    return 1;
}

static int after(lua_State *L) {
    return start_timer(L, false);
}

static int every(lua_State *L) {
    return start_timer(L, true);
}

struct sleep_op {
    struct op op;
    struct loop_timer timer;
};

static void sleep_destroy(struct op *op) {
    free(op);
}

static void sleep_closed(struct loop_timer *timer) {
    struct sleep_op *sleep = timer->task.owner;
    op_release(&sleep->op);
}

static void sleep_abandon(struct op *op) {
    op->done = true;
    loop_timer_close(&((struct sleep_op *)op)->timer, sleep_closed);
}

static void sleep_fire(struct loop_task *loop_task) {
    struct sleep_op *sleep = loop_task->owner;
    loop_timer_close(&sleep->timer, sleep_closed);
    op_finish(&sleep->op);
}

static int slept(lua_State *L, int status, lua_KContext context) {
    (void)L;
    (void)status;
    (void)context;
    return 0;
}

static int sleep_for(lua_State *L) {
    struct script *script = script_of(L);
    uint64_t ms = api_timer_check_duration(L, 1);
    op_push(L);
    int index = lua_gettop(L);
    struct sleep_op *sleep = calloc(1, sizeof *sleep);
    if (!sleep) {
        return luaL_error(L, "out of memory");
    }
    op_init(&sleep->op, script); /* this hold is the timer's */
    op_hold(&sleep->op);         /* and this one Lua's */
    sleep->op.sleep = true;
    sleep->op.abandon = sleep_abandon;
    sleep->op.destroy = sleep_destroy;
    loop_timer_init(script->loop, &sleep->timer, sleep_fire, sleep);
    loop_timer_start(&sleep->timer, ms);
    op_bind(L, index, &sleep->op);
    return op_wait(L, index, "weir.sleep", slept);
}

void api_timer_open(lua_State *L) {
    luaL_newmetatable(L, timer_name);
    lua_newtable(L);
    lua_pushcfunction(L, timer_stop);
    lua_setfield(L, -2, "stop");
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, timer_collect);
    lua_setfield(L, -2, "__gc");
    lua_pop(L, 1);
    lua_pushcfunction(L, sleep_for);
    lua_setfield(L, -2, "sleep");
    lua_pushcfunction(L, after);
    lua_setfield(L, -2, "after");
    lua_pushcfunction(L, every);
    lua_setfield(L, -2, "every");
}
