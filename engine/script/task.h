/* A task: a coroutine that runs one Lua function to its end, at the loop's drain point. When the function
 * waits (weir.sleep, stream:append), the coroutine yields, the loop goes on, and the task is resumed when
 * what it waits for is there.
 *
 * An op is such a wait. Lua holds it as a userdata; whoever finishes it holds it too. */
#ifndef SCRIPT_TASK_H
#define SCRIPT_TASK_H

#include <lua.h>
#include <stdbool.h>

#include "base/buf.h"
#include "base/error.h"
#include "io/loop.h"
#include "script/script.h"

struct task {
    struct script *script;
    lua_State *co; /* NULL: not started */
    int ref;       /* keeps co alive, in the registry */
    int arguments; /* on co, for the next resume */
    bool waiting;  /* an op is under way */
    bool asleep;   /* that op is a sleep: nothing but time is waited for */
    bool parked;   /* yielded by task_park: goes on with task_resume */
    struct loop_task step;
    /* The function returned (e NULL) or raised. The task may be started again from here. */
    void (*over)(struct task *task, const struct error *e);
    void *owner;
};

void task_init(struct task *task, struct script *script, void (*over)(struct task *, const struct error *),
               void *owner);

/* Starts it: prepare(L, arg) runs protected on the main state and leaves the function and its arguments on
 * the stack, returning how many arguments. It runs now: at the drain point only. */
bool task_start(struct task *task, int (*prepare)(lua_State *L, void *arg), void *arg, struct error *e);

/* Runs a parked task on, now; at the drain point only. */
void task_resume(struct task *task);

/* Drops the coroutine, whatever it is doing. over is not called. */
void task_stop(struct task *task);

static inline bool task_is_alive(const struct task *task) {
    return task->co != NULL;
}

/* In a C function called by task's own coroutine: yields until task_resume. Returns k's results. */
int task_park(lua_State *L, struct task *task, lua_KFunction k, lua_KContext context);

struct op {
    struct script *script;
    struct task *task; /* resumed at the end; NULL while nobody waits */
    bool done;
    bool sleep; /* it waits for nothing but time */
    unsigned holds;
    struct error error;
    struct buf result;
    void (*abandon)(struct op *op); /* Lua lost interest: end it early if that can be done */
    void (*destroy)(struct op *op); /* the last hold is gone: frees op */
};

/* Creates the userdata that holds op for Lua. It starts empty: first the userdata, then the resource, then
 * op_bind. */
void op_push(lua_State *L);
void op_bind(lua_State *L, int index, struct op *op);

/* Fills the common part; one hold for the caller. */
void op_init(struct op *op, struct script *script);
void op_hold(struct op *op);
void op_release(struct op *op);

/* It is over (op->error, op->result are set): resumes who waits. */
void op_finish(struct op *op);

/* As the last act of a C function, op's userdata at `index`: waits until it is done, then calls
 * k(L, LUA_OK, index). In a task it yields; in the main chunk the loop runs meanwhile. Where neither can
 * be done (a metamethod, a coroutine of the script's own) it raises `what cannot wait here`. */
int op_wait(lua_State *L, int index, const char *what, lua_KFunction k);

/* The op at index; for k. */
struct op *op_at(lua_State *L, int index);

#endif
