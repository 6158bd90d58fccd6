#include "io/background.h"

#include <stdlib.h>

/* The request of a piece of work that was waited for is still to come back: it is left to itself, and the
 * next piece has another one. */
struct request {
    uv_work_t uv;
    uv_sem_t over;
    struct background *owner; /* NULL: nobody wants to hear of it */
    void (*work)(void *user);
    void *user;
};

struct background {
    struct loop *loop;
    void (*work)(void *user);
    void (*done)(void *user);
    void *user;
    struct request *request; /* under way */
};

struct background *background_new(struct loop *loop, void (*work)(void *user), void (*done)(void *user),
                                  void *user) {
    struct background *background = malloc(sizeof *background);
    if (background) {
        *background = (struct background){loop, work, done, user, NULL};
    }
    return background;
}

static void on_work(uv_work_t *uv) {
    struct request *request = uv->data;
    request->work(request->user);
    uv_sem_post(&request->over);
}

static void free_request(struct request *request) {
    uv_sem_destroy(&request->over);
    free(request);
}

static void on_done(uv_work_t *uv, int status) {
    struct request *request = uv->data;
    struct background *owner = request->owner;
    (void)status; /* it is never cancelled */
    free_request(request);
    if (owner) {
        owner->request = NULL;
        owner->done(owner->user);
    }
}

bool background_start(struct background *background) {
    struct request *request = malloc(sizeof *request);
    if (!request) {
        return false;
    }
    if (uv_sem_init(&request->over, 0) != 0) {
        free(request);
        return false;
    }
    request->uv.data = request;
    request->owner = background;
    request->work = background->work;
    request->user = background->user;
    if (uv_queue_work(loop_uv(background->loop), &request->uv, on_work, on_done) != 0) {
        free_request(request);
        return false;
    }
    background->request = request;
    return true;
}

bool background_busy(const struct background *background) {
    return background->request;
}

void background_wait(struct background *background) {
    struct request *request = background->request;
    if (request) {
        uv_sem_wait(&request->over);
        request->owner = NULL;
        background->request = NULL;
    }
}

void background_free(struct background *background) {
    if (background) {
        background_wait(background);
        free(background);
    }
}
