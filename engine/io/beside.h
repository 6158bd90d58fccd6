/* A thread beside the loop: it does pieces of work one after another, in the order in which they are asked for.
 *
 * libuv's pool (io/background.h) is for work that may take long, done side by side by whichever thread is free.
 * What is read and then decoded goes better on one thread, which seldom has to be woken and does not push the
 * loop's own from its processor (docs/decisions/0013).
 *
 * A loop has one such thread at most (loop_beside), from when it is first asked for until the loop is freed. */
#ifndef IO_BESIDE_H
#define IO_BESIDE_H

#include <stdbool.h>
#include <uv.h>

struct beside;

enum beside_state { BESIDE_IDLE, BESIDE_QUEUED, BESIDE_RUNNING, BESIDE_OVER };

/* A piece of work is a part of its owner, and has to stay where it is while it is busy. Zero-initialise what is
 * not set here. What the work touches belongs to the other thread from beside_start until `done` is called,
 * beside_take is true, or beside_cancel has returned. */
struct beside_job {
    void (*work)(void *user); /* on the other thread; it must not take long */
    void (*done)(void *user); /* inside a libuv callback of the loop */
    void *user;
    struct beside_job *next;
    enum beside_state state; /* both threads look at it */
    bool busy;               /* the loop's thread only: from the start until it is known to be over */
};

/* NULL: out of memory, or there can be no thread. */
struct beside *beside_new(uv_loop_t *uv);

/* Ends the thread; no job may be busy. The loop has to run once more, until its handle has closed: then the
 * memory goes. NULL is fine. */
void beside_close(struct beside *beside);

/* The job must not be busy. A job under way keeps the loop alive. */
void beside_start(struct beside *beside, struct beside_job *job);

/* True: it is over; done will not be called. */
bool beside_take(struct beside *beside, struct beside_job *job);

/* Takes back what has not begun, or waits until it is over; done is not called. Nothing happens where it is
 * not busy. */
void beside_cancel(struct beside *beside, struct beside_job *job);

/* True for the handle with which it tells the loop. */
bool beside_has(const struct beside *beside, const uv_handle_t *handle);

#endif
