#include "io/loop.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct loop {
    uv_loop_t uv;
    uv_check_t check;       /* after each poll: drains the queue */
    uv_idle_t idle;         /* active while tasks wait, so that the poll does not block */
    uv_async_t async;       /* loop_wake */
    struct beside *beside;  /* NULL: nobody has asked for it */
    struct loop_task queue; /* heads of two rings: what waits, and */
    struct loop_task batch; /* what is being drained now */
};

/* ---- the ring of tasks ---- */

static void ring_init(struct loop_task *head) {
    head->next = head;
    head->prev = head;
}

static bool ring_empty(const struct loop_task *head) {
    return head->next == head;
}

static void ring_add(struct loop_task *head, struct loop_task *task) {
    task->prev = head->prev;
    task->next = head;
    head->prev->next = task;
    head->prev = task;
}

static void ring_remove(struct loop_task *task) {
    task->prev->next = task->next;
    task->next->prev = task->prev;
    task->next = NULL;
    task->prev = NULL;
}

/* Moves all of `from` to the end of `to`. */
static void ring_splice(struct loop_task *to, struct loop_task *from) {
    if (ring_empty(from)) {
        return;
    }
    from->next->prev = to->prev;
    to->prev->next = from->next;
    from->prev->next = to;
    to->prev = from->prev;
    ring_init(from);
}

/* ---- draining ---- */

static void on_idle(uv_idle_t *idle) {
    (void)idle;
}

/* Only what waited at the start: a task deferred by a task belongs to the next turn. A task may
 * cancel any other, also one of this batch, so the head is asked anew each time. */
static void on_check(uv_check_t *check) {
    struct loop *loop = check->data;
    ring_splice(&loop->batch, &loop->queue);
    while (!ring_empty(&loop->batch)) {
        struct loop_task *task = loop->batch.next;
        ring_remove(task);
        task->queued = false;
        task->run(task);
    }
    if (ring_empty(&loop->queue)) {
        uv_idle_stop(&loop->idle);
    }
}

static void on_async(uv_async_t *async) {
    (void)async; /* its work is done: the poll has returned */
}

/* ---- life ---- */

static bool loop_start(struct loop *loop, struct error *e) {
    int rc = uv_loop_init(&loop->uv);
    if (rc != 0) {
        return error_set(e, ERROR_SYSTEM, "cannot start an event loop: %s", uv_strerror(rc));
    }
    rc = uv_async_init(&loop->uv, &loop->async, on_async);
    if (rc != 0) {
        uv_loop_close(&loop->uv);
        return error_set(e, ERROR_SYSTEM, "cannot start an event loop: %s", uv_strerror(rc));
    }
    uv_check_init(&loop->uv, &loop->check);
    uv_idle_init(&loop->uv, &loop->idle);
    loop->check.data = loop;
    loop->idle.data = loop;
    loop->async.data = loop;
    uv_check_start(&loop->check, on_check);
    /* The idle handle stays referenced: it is active only while there is work. */
    uv_unref((uv_handle_t *)&loop->check);
    uv_unref((uv_handle_t *)&loop->async);
    return true;
}

struct loop *loop_new(struct error *e) {
    struct loop *loop = calloc(1, sizeof *loop);
    if (!loop) {
        error_set(e, ERROR_MEMORY, "out of memory for an event loop");
        return NULL;
    }
    ring_init(&loop->queue);
    ring_init(&loop->batch);
    if (!loop_start(loop, e)) {
        free(loop);
        return NULL;
    }
    return loop;
}

static bool is_own(const struct loop *loop, const uv_handle_t *handle) {
    return handle == (const uv_handle_t *)&loop->check || handle == (const uv_handle_t *)&loop->idle ||
           handle == (const uv_handle_t *)&loop->async || beside_has(loop->beside, handle);
}

/* What a walk over the handles looks for. */
struct walk {
    struct loop *loop;
    unsigned count;
    char names[256]; /* "timer, poll, poll" */
};

static bool is_left(const struct walk *walk, const uv_handle_t *handle) {
    return !is_own(walk->loop, handle) && !uv_is_closing(handle);
}

static void walk_unref(uv_handle_t *handle, void *arg) {
    if (is_left(arg, handle)) {
        uv_unref(handle);
    }
}

static void walk_count(uv_handle_t *handle, void *arg) {
    struct walk *walk = arg;
    if (is_left(walk, handle)) {
        size_t used = strlen(walk->names);
        snprintf(walk->names + used, sizeof walk->names - used, "%s%s", walk->count ? ", " : "",
                 uv_handle_type_name(uv_handle_get_type(handle)));
        walk->count++;
    }
}

static void walk_close(uv_handle_t *handle, void *arg) {
    (void)arg;
    if (!uv_is_closing(handle)) {
        uv_close(handle, NULL);
    }
}

bool loop_free(struct loop *loop, struct error *e) {
    if (!loop) {
        return true;
    }
    /* Handles that somebody forgot must not keep this run going; those being closed, requests of the
     * thread pool and queued tasks do. */
    struct walk walk = {.loop = loop};
    uv_walk(&loop->uv, walk_unref, &walk);
    uv_run(&loop->uv, UV_RUN_DEFAULT);
    uv_walk(&loop->uv, walk_count, &walk);
    beside_close(loop->beside);
    uv_walk(&loop->uv, walk_close, NULL);
    uv_run(&loop->uv, UV_RUN_DEFAULT);
    int rc = uv_loop_close(&loop->uv);
    if (rc == 0) {
        free(loop);
    }
    if (walk.count) {
        return error_set(e, ERROR_SYSTEM,
                         "%u handle%s left open when the event loop ended: %s (a mistake in weir)",
                         walk.count, walk.count == 1 ? " was" : "s were", walk.names);
    }
    if (rc != 0) {
        return error_set(e, ERROR_SYSTEM, "the event loop did not end: %s (a mistake in weir)",
                         uv_strerror(rc));
    }
    return true;
}

uv_loop_t *loop_uv(struct loop *loop) {
    return &loop->uv;
}

struct beside *loop_beside(struct loop *loop) {
    if (!loop->beside) {
        loop->beside = beside_new(&loop->uv);
    }
    return loop->beside;
}

uint64_t loop_now(struct loop *loop) {
    return uv_now(&loop->uv);
}

unsigned loop_handles(struct loop *loop) {
    struct walk walk = {.loop = loop};
    uv_walk(&loop->uv, walk_count, &walk);
    return walk.count;
}

/* ---- tasks ---- */

void loop_defer(struct loop *loop, struct loop_task *task) {
    if (task->queued) {
        return;
    }
    task->queued = true;
    ring_add(&loop->queue, task);
    uv_idle_start(&loop->idle, on_idle);
}

void loop_cancel(struct loop *loop, struct loop_task *task) {
    (void)loop;
    if (task->queued) {
        ring_remove(task);
        task->queued = false;
    }
}

bool loop_run_until(struct loop *loop, bool (*done)(void *arg), void *arg) {
    while (!done(arg)) {
        if (!uv_run(&loop->uv, UV_RUN_ONCE)) {
            return done(arg);
        }
    }
    return true;
}

void loop_wake(struct loop *loop) {
    uv_async_send(&loop->async);
}

/* ---- timers ---- */

static void on_timer(uv_timer_t *uv) {
    struct loop_timer *timer = uv->data;
    loop_defer(timer->loop, &timer->task);
}

void loop_timer_init(struct loop *loop, struct loop_timer *timer, void (*run)(struct loop_task *task),
                     void *owner) {
    *timer = (struct loop_timer){.loop = loop, .task = {.run = run, .owner = owner}};
    uv_timer_init(&loop->uv, &timer->uv);
    timer->uv.data = timer;
}

void loop_timer_start(struct loop_timer *timer, uint64_t delay_ms) {
    loop_cancel(timer->loop, &timer->task);
    /* A task that ran long has made the cached time old: counted from there the timer fired early. */
    uv_update_time(&timer->loop->uv);
    uv_timer_start(&timer->uv, on_timer, delay_ms, 0);
}

void loop_timer_stop(struct loop_timer *timer) {
    loop_cancel(timer->loop, &timer->task);
    uv_timer_stop(&timer->uv);
}

static void on_timer_closed(uv_handle_t *handle) {
    struct loop_timer *timer = handle->data;
    if (timer->closed) {
        timer->closed(timer);
    }
}

void loop_timer_close(struct loop_timer *timer, void (*closed)(struct loop_timer *timer)) {
    loop_timer_stop(timer);
    timer->closed = closed;
    uv_close((uv_handle_t *)&timer->uv, on_timer_closed);
}
