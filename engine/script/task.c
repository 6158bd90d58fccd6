#include "script/task.h"

#include <stdlib.h>

static const char op_name[] = "weir.op";

static void step(struct loop_task *loop_task);

void task_init(struct task *task, struct script *script, void (*over)(struct task *, const struct error *),
               void *owner) {
    *task = (struct task){.script = script, .ref = LUA_NOREF, .over = over, .owner = owner};
    task->step = (struct loop_task){.run = step, .owner = task};
}

/* Ends the coroutine's part of a task: the owner may start it again. */
static void drop(struct task *task) {
    if (!task->co) {
        return;
    }
    luaL_unref(task->script->L, LUA_REGISTRYINDEX, task->ref);
    task->co = NULL;
    task->ref = LUA_NOREF;
    task->waiting = task->parked = task->asleep = false;
    loop_cancel(task->script->loop, &task->step);
}

void task_stop(struct task *task) {
    drop(task);
}

struct preparation {
    struct task *task;
    int (*prepare)(lua_State *L, void *arg);
    void *arg;
};

/* Protected: arguments are made here, where running out of memory is an error like any other. */
static int start_in_lua(lua_State *L) {
    struct preparation *p = lua_touserdata(L, 1);
    lua_State *co = lua_newthread(L);
    int ref = luaL_ref(L, LUA_REGISTRYINDEX);
    int bottom = lua_gettop(L);
    p->task->ref = ref;
    p->task->arguments = p->prepare(L, p->arg);
    if (!lua_checkstack(co, lua_gettop(L) - bottom + LUA_MINSTACK)) {
        return luaL_error(L, "out of memory");
    }
    lua_xmove(L, co, lua_gettop(L) - bottom);
    p->task->co = co;
    return 0;
}

bool task_start(struct task *task, int (*prepare)(lua_State *L, void *arg), void *arg, struct error *e) {
    struct preparation p = {task, prepare, arg};
    if (!script_protect(task->script, start_in_lua, &p, e)) {
        luaL_unref(task->script->L, LUA_REGISTRYINDEX, task->ref);
        task->ref = LUA_NOREF;
        return false;
    }
    task_resume(task);
    return true;
}

static int resume_in_lua(lua_State *L) {
    struct task *task = lua_touserdata(L, 1);
    lua_State *co = task->co;
    int results = 0;
    watch_start(task->script, co);
    int status = lua_resume(co, L, task->arguments, &results);
    task->arguments = 0;
    if (status == LUA_YIELD) {
        lua_pop(co, results);
        if (task->waiting || task->parked) {
            lua_pushboolean(L, true);
            return 1;
        }
        return luaL_error(L, "a handler yielded: only weir's own functions wait for the loop");
    }
    if (status == LUA_OK) {
        lua_pop(co, results);
        lua_pushboolean(L, false);
        return 1;
    }
    lua_pushvalue(co, -1);
    lua_xmove(co, L, 1);
    script_trace(L, co);
    lua_resetthread(co); /* its variables marked <close> */
    return lua_error(L);
}

/* script_protect drops results, so the answer comes back in the task. */
static int run_in_lua(lua_State *L) {
    struct task *task = lua_touserdata(L, 1);
    lua_pushcfunction(L, resume_in_lua);
    lua_pushlightuserdata(L, task);
    lua_call(L, 1, 1);
    if (!lua_toboolean(L, -1)) {
        task->waiting = task->parked = false;
    }
    return 0;
}

void task_resume(struct task *task) {
    struct script *script = task->script;
    if (!task->co || script->stopping) {
        return;
    }
    struct task *outer = script->current;
    struct error e;
    task->waiting = task->parked = task->asleep = false;
    script->current = task;
    bool ok = script_protect(script, run_in_lua, task, &e);
    script->current = outer;
    watch_stop(script);
    if (ok && (task->waiting || task->parked)) {
        return;
    }
    drop(task);
    task->over(task, ok ? NULL : &e);
}

static void step(struct loop_task *loop_task) {
    task_resume(loop_task->owner);
}

int task_park(lua_State *L, struct task *task, lua_KFunction k, lua_KContext context) {
    task->parked = true;
    return lua_yieldk(L, 0, context, k);
}

void op_init(struct op *op, struct script *script) {
    *op = (struct op){.script = script, .holds = 1};
    buf_init(&op->result, 1 << 20);
}

void op_hold(struct op *op) {
    op->holds++;
}

void op_release(struct op *op) {
    if (--op->holds == 0) {
        buf_free(&op->result);
        op->destroy(op);
    }
}

void op_finish(struct op *op) {
    op->done = true;
    if (op->task) {
        op->task->asleep = false;
        loop_defer(op->script->loop, &op->task->step);
        op->task = NULL;
    }
}

static int op_collect(lua_State *L) {
    struct op **held = luaL_checkudata(L, 1, op_name);
    struct op *op = *held;
    *held = NULL;
    if (op) {
        op->task = NULL;
        if (!op->done && op->abandon) {
            op->abandon(op);
        }
        op_release(op);
    }
    return 0;
}

void op_push(lua_State *L) {
    struct op **held = lua_newuserdatauv(L, sizeof *held, 0);
    *held = NULL;
    if (luaL_newmetatable(L, op_name)) {
        lua_pushcfunction(L, op_collect);
        lua_setfield(L, -2, "__gc");
    }
    lua_setmetatable(L, -2);
}

void op_bind(lua_State *L, int index, struct op *op) {
    *(struct op **)lua_touserdata(L, index) = op;
}

struct op *op_at(lua_State *L, int index) {
    return *(struct op **)lua_touserdata(L, index);
}

static bool op_settled(void *arg) {
    const struct op *op = arg;
    return op->done || op->script->stopping || (op->script->interrupt && *op->script->interrupt);
}

static int wait_in_main_chunk(lua_State *L, int index, const char *what, lua_KFunction k) {
    struct op *op = op_at(L, index);
    bool ran = watch_pause(op->script);
    loop_run_until(op->script->loop, op_settled, op);
    watch_resume(op->script, ran);
    if (!op->done) {
        return luaL_error(L, "%s was interrupted", what);
    }
    return k(L, LUA_OK, index);
}

int op_wait(lua_State *L, int index, const char *what, lua_KFunction k) {
    struct op *op = op_at(L, index);
    struct script *script = op->script;
    struct task *task = script->current;
    script_check_unasked(L, what);
    if (op->done) {
        return k(L, LUA_OK, index);
    }
    if (script->stopping) {
        return luaL_error(L, "%s: the worker is stopping", what);
    }
    if (!task) {
        return wait_in_main_chunk(L, index, what, k);
    }
    if (L != task->co || !lua_isyieldable(L)) {
        return luaL_error(L,
                          "%s cannot wait here: call it from the handler itself, not from a coroutine, "
                          "metamethod or callback inside it",
                          what);
    }
    op->task = task;
    task->waiting = true;
    task->asleep = op->sleep;
    return lua_yieldk(L, 0, index, k);
}
