/* The loop: one libuv loop with timers, a queue for work that must not run inside a libuv callback,
 * and an orderly close.
 *
 *     libuv callback --loop_defer--> [ task | task | task ] --drained between polls--> task runs
 *
 * Callbacks of sockets, timers and curl only move bytes and defer tasks. Tasks run one after another
 * in the order of loop_defer, never inside a libuv callback of another room: this is the one drain
 * point, and the only place where Lua runs.
 *
 * A loop and everything on it belong to one thread. loop_wake is the exception. */
#ifndef IO_LOOP_H
#define IO_LOOP_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "base/error.h"
#include "io/beside.h"

struct loop;

/* A task is a part of its owner: no allocation, and it can be taken back. Zero-initialise `queued`. */
struct loop_task {
    void (*run)(struct loop_task *task);
    void *owner;
    struct loop_task *next, *prev;
    bool queued;
};

/* A timer is a part of its owner too, but its memory must stay until loop_timer_close's callback. */
struct loop_timer {
    uv_timer_t uv;
    struct loop *loop;
    struct loop_task task;
    void (*closed)(struct loop_timer *timer);
};

struct loop *loop_new(struct error *e);

/* Closes what the loop itself owns, runs it until every handle is closed, frees it. All timers,
 * transfers and sources must have been closed before; where handles are left, false, and e names
 * their types and count: a leak, a mistake in weir. */
bool loop_free(struct loop *loop, struct error *e);

uv_loop_t *loop_uv(struct loop *loop);

/* The loop's own thread beside it, started when it is first asked for. NULL: there cannot be one. */
struct beside *loop_beside(struct loop *loop);

/* Milliseconds of the loop's own clock, cached once a turn. */
uint64_t loop_now(struct loop *loop);

/* Runs task->run at the drain point of this turn (or of the next, when called from a task being
 * drained: the queue does not starve the loop). Nothing happens when it is queued already. */
void loop_defer(struct loop *loop, struct loop_task *task);

/* Takes the task out of the queue, if it is there. */
void loop_cancel(struct loop *loop, struct loop_task *task);

/* Runs until done(arg) is true, asked first and after each turn, or until nothing is left that could
 * happen (no active handle and no queued task). True: done. */
bool loop_run_until(struct loop *loop, bool (*done)(void *arg), void *arg);

/* From any thread or a signal handler: makes a waiting loop_run_until take a turn. */
void loop_wake(struct loop *loop);

/* Handles that are not the loop's own and that nobody has closed, active or not: 0 after an orderly end. */
unsigned loop_handles(struct loop *loop);

/* task runs at the drain point after delay_ms. Starting again replaces the delay. */
void loop_timer_init(struct loop *loop, struct loop_timer *timer, void (*run)(struct loop_task *task),
                     void *owner);
void loop_timer_start(struct loop_timer *timer, uint64_t delay_ms);
void loop_timer_stop(struct loop_timer *timer);
/* `closed` (may be NULL) is called when the memory may be freed; never before this returns. */
void loop_timer_close(struct loop_timer *timer, void (*closed)(struct loop_timer *timer));

#endif
