#include "io/poll.h"

#include <stdlib.h>

static void on_closed(uv_handle_t *handle) {
    free(handle->data);
}

static void on_poll(uv_poll_t *uv, int status, int events) {
    struct poll *poll = uv->data;
    if (status < 0) { /* libuv has stopped it */
        poll->events = 0;
    }
    if (poll->user) {
        poll->ready(poll, status, events);
    }
}

struct poll *poll_new(struct loop *loop, int fd, poll_ready *ready, void *user) {
    struct poll *poll = calloc(1, sizeof *poll);
    if (!poll || uv_poll_init(loop_uv(loop), &poll->uv, fd) != 0) {
        free(poll);
        return NULL;
    }
    poll->uv.data = poll;
    poll->fd = fd;
    poll->user = user;
    poll->ready = ready;
    return poll;
}

bool poll_for(struct poll *poll, int events) {
    if (poll->events == events) {
        return true;
    }
    poll->events = events;
    return (events ? uv_poll_start(&poll->uv, events, on_poll) : uv_poll_stop(&poll->uv)) == 0;
}

void poll_close(struct poll *poll) {
    if (poll) {
        poll->user = NULL;
        uv_poll_stop(&poll->uv);
        uv_close((uv_handle_t *)&poll->uv, on_closed);
    }
}
