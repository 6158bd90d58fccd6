#include "io/beside.h"

#include <stdlib.h>

/* First in, first out. */
struct line {
    struct beside_job *first, **end;
};

struct beside {
    uv_async_t async; /* tells the loop; keeps it alive while jobs are busy */
    uv_thread_t thread;
    uv_mutex_t lock; /* for what follows, and the jobs' states */
    uv_cond_t asked; /* something waits, or the thread is to leave */
    uv_cond_t ended; /* a job is over */
    struct line waiting, over;
    bool leaving;
    unsigned busy; /* jobs; the loop's thread only */
};

static void line_init(struct line *line) {
    line->first = NULL;
    line->end = &line->first;
}

static void line_add(struct line *line, struct beside_job *job) {
    job->next = NULL;
    *line->end = job;
    line->end = &job->next;
}

static void line_remove(struct line *line, struct beside_job *job) {
    struct beside_job **at = &line->first;
    while (*at != job) {
        at = &(*at)->next;
    }
    *at = job->next;
    if (line->end == &job->next) {
        line->end = at;
    }
}

/* ---- the thread ---- */

static void do_first(struct beside *beside) {
    struct beside_job *job = beside->waiting.first;
    line_remove(&beside->waiting, job);
    job->state = BESIDE_RUNNING;
    uv_mutex_unlock(&beside->lock);
    job->work(job->user);
    uv_mutex_lock(&beside->lock);
    job->state = BESIDE_OVER;
    line_add(&beside->over, job);
    uv_cond_signal(&beside->ended);
    uv_async_send(&beside->async);
}

static void run(void *arg) {
    struct beside *beside = arg;
    uv_mutex_lock(&beside->lock);
    while (!beside->leaving) {
        if (beside->waiting.first) {
            do_first(beside);
        } else {
            uv_cond_wait(&beside->asked, &beside->lock);
        }
    }
    uv_mutex_unlock(&beside->lock);
}

/* ---- the loop's side ---- */

/* It is in no line any more. */
static void forget(struct beside *beside, struct beside_job *job) {
    job->state = BESIDE_IDLE;
    job->busy = false;
    if (--beside->busy == 0) {
        uv_unref((uv_handle_t *)&beside->async);
    }
}

/* The job that has been over for longest; NULL: none is. */
static struct beside_job *take_first(struct beside *beside) {
    uv_mutex_lock(&beside->lock);
    struct beside_job *job = beside->over.first;
    if (job) {
        line_remove(&beside->over, job);
    }
    uv_mutex_unlock(&beside->lock);
    return job;
}

static void on_async(uv_async_t *async) {
    struct beside *beside = async->data;
    struct beside_job *job;
    while ((job = take_first(beside))) {
        forget(beside, job);
        job->done(job->user);
    }
}

void beside_start(struct beside *beside, struct beside_job *job) {
    job->busy = true;
    if (beside->busy++ == 0) {
        uv_ref((uv_handle_t *)&beside->async);
    }
    uv_mutex_lock(&beside->lock);
    job->state = BESIDE_QUEUED;
    line_add(&beside->waiting, job);
    uv_cond_signal(&beside->asked);
    uv_mutex_unlock(&beside->lock);
}

bool beside_take(struct beside *beside, struct beside_job *job) {
    if (!job->busy) {
        return false;
    }
    uv_mutex_lock(&beside->lock);
    bool over = job->state == BESIDE_OVER;
    if (over) {
        line_remove(&beside->over, job);
    }
    uv_mutex_unlock(&beside->lock);
    if (over) {
        forget(beside, job);
    }
    return over;
}

void beside_cancel(struct beside *beside, struct beside_job *job) {
    if (!job->busy) {
        return;
    }
    uv_mutex_lock(&beside->lock);
    while (job->state == BESIDE_RUNNING) {
        uv_cond_wait(&beside->ended, &beside->lock);
    }
    line_remove(job->state == BESIDE_OVER ? &beside->over : &beside->waiting, job);
    uv_mutex_unlock(&beside->lock);
    forget(beside, job);
}

bool beside_has(const struct beside *beside, const uv_handle_t *handle) {
    return beside && handle == (const uv_handle_t *)&beside->async;
}

/* ---- life ---- */

static void on_closed(uv_handle_t *handle) {
    free(handle->data);
}

static bool start_thread(struct beside *beside) {
    if (uv_mutex_init(&beside->lock) != 0) {
        return false;
    }
    if (uv_cond_init(&beside->asked) == 0) {
        if (uv_cond_init(&beside->ended) == 0) {
            if (uv_thread_create(&beside->thread, run, beside) == 0) {
                return true;
            }
            uv_cond_destroy(&beside->ended);
        }
        uv_cond_destroy(&beside->asked);
    }
    uv_mutex_destroy(&beside->lock);
    return false;
}

struct beside *beside_new(uv_loop_t *uv) {
    struct beside *beside = calloc(1, sizeof *beside);
    if (!beside) {
        return NULL;
    }
    line_init(&beside->waiting);
    line_init(&beside->over);
    if (uv_async_init(uv, &beside->async, on_async) != 0) {
        free(beside);
        return NULL;
    }
    beside->async.data = beside;
    uv_unref((uv_handle_t *)&beside->async);
    if (!start_thread(beside)) {
        uv_close((uv_handle_t *)&beside->async, on_closed);
        return NULL;
    }
    return beside;
}

void beside_close(struct beside *beside) {
    if (!beside) {
        return;
    }
    uv_mutex_lock(&beside->lock);
    beside->leaving = true;
    uv_cond_signal(&beside->asked);
    uv_mutex_unlock(&beside->lock);
    uv_thread_join(&beside->thread);
    uv_cond_destroy(&beside->ended);
    uv_cond_destroy(&beside->asked);
    uv_mutex_destroy(&beside->lock);
    uv_close((uv_handle_t *)&beside->async, on_closed);
}
