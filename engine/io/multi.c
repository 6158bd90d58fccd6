#include "io/multi.h"

#include <pthread.h>
#include <stdlib.h>

#include "io/poll.h"

enum { CONNECTIONS_KEPT = 64 };

struct multi {
    struct loop *loop;
    CURLM *curl;
    uv_timer_t timer;      /* curl's one timeout */
    struct loop_task kick; /* a timeout of zero: the next turn */
    unsigned busy;         /* calls into curl under way */
    bool closing;
    void (*acted)(void *owner);
    void *owner;
};

static void act(struct multi *m, curl_socket_t fd, int flags) {
    int running = 0;
    m->busy++;
    curl_multi_socket_action(m->curl, fd, flags, &running);
    m->busy--;
    m->acted(m->owner);
}

/* ---- libuv tells curl ---- */

static void on_poll(struct poll *poll, int status, int events) {
    int flags = status < 0 ? CURL_CSELECT_ERR : 0;
    flags |= events & UV_READABLE ? CURL_CSELECT_IN : 0;
    flags |= events & UV_WRITABLE ? CURL_CSELECT_OUT : 0;
    act(poll->user, poll->fd, flags);
}

static void on_timer(uv_timer_t *timer) {
    act(timer->data, CURL_SOCKET_TIMEOUT, 0);
}

static void on_kick(struct loop_task *task) {
    act(task->owner, CURL_SOCKET_TIMEOUT, 0);
}

static void on_timer_closed(uv_handle_t *handle) {
    free(handle->data);
}

/* ---- curl tells libuv ---- */

static int on_curl_socket(CURL *easy, curl_socket_t fd, int what, void *user, void *assigned) {
    (void)easy;
    struct multi *m = user;
    struct poll *poll = assigned;
    if (what == CURL_POLL_REMOVE) {
        curl_multi_assign(m->curl, fd, NULL);
        poll_close(poll);
        return 0;
    }
    if (!poll) {
        poll = poll_new(m->loop, fd, on_poll, m);
        curl_multi_assign(m->curl, fd, poll);
    }
    int events = (what & CURL_POLL_IN ? UV_READABLE : 0) | (what & CURL_POLL_OUT ? UV_WRITABLE : 0);
    return poll && poll_for(poll, events) ? 0 : -1;
}

static int on_curl_timer(CURLM *curl, long timeout_ms, void *user) {
    (void)curl;
    struct multi *m = user;
    uv_timer_stop(&m->timer);
    loop_cancel(m->loop, &m->kick);
    if (m->closing || timeout_ms < 0) {
        return 0;
    }
    if (timeout_ms == 0) {
        loop_defer(m->loop, &m->kick);
    } else {
        uv_timer_start(&m->timer, on_timer, (uint64_t)timeout_ms, 0);
    }
    return 0;
}

/* ---- transfers ---- */

bool multi_is_busy(const struct multi *m) {
    return m->busy > 0;
}

bool multi_add(struct multi *m, CURL *easy, struct error *e) {
    m->busy++;
    CURLMcode rc = curl_multi_add_handle(m->curl, easy);
    m->busy--;
    return rc == CURLM_OK || error_set(e, rc == CURLM_OUT_OF_MEMORY ? ERROR_MEMORY : ERROR_SYSTEM,
                                       "the request could not start: %s", curl_multi_strerror(rc));
}

void multi_remove(struct multi *m, CURL *easy) {
    m->busy++;
    curl_multi_remove_handle(m->curl, easy);
    m->busy--;
}

CURLcode multi_unpause(struct multi *m, CURL *easy) {
    m->busy++;
    CURLcode rc = curl_easy_pause(easy, CURLPAUSE_CONT);
    m->busy--;
    return rc;
}

CURL *multi_completed(struct multi *m, CURLcode *rc) {
    int left = 0;
    CURLMsg *message;
    while ((message = curl_multi_info_read(m->curl, &left))) {
        if (message->msg == CURLMSG_DONE) {
            *rc = message->data.result;
            return message->easy_handle;
        }
    }
    return NULL;
}

/* ---- life ---- */

/* curl's global state is the one thing in the process that is shared; it is never torn down. */
static void init_curl(void) {
    curl_global_init(CURL_GLOBAL_DEFAULT);
}

struct multi *multi_new(struct loop *loop, void (*acted)(void *owner), void *owner, struct error *e) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, init_curl);
    struct multi *m = calloc(1, sizeof *m);
    if (!m || !(m->curl = curl_multi_init())) {
        free(m);
        error_set(e, ERROR_MEMORY, "out of memory for an HTTP client");
        return NULL;
    }
    m->loop = loop;
    m->acted = acted;
    m->owner = owner;
    m->kick = (struct loop_task){.run = on_kick, .owner = m};
    uv_timer_init(loop_uv(loop), &m->timer);
    m->timer.data = m;
    curl_multi_setopt(m->curl, CURLMOPT_SOCKETFUNCTION, on_curl_socket);
    curl_multi_setopt(m->curl, CURLMOPT_SOCKETDATA, m);
    curl_multi_setopt(m->curl, CURLMOPT_TIMERFUNCTION, on_curl_timer);
    curl_multi_setopt(m->curl, CURLMOPT_TIMERDATA, m);
    curl_multi_setopt(m->curl, CURLMOPT_MAXCONNECTS, (long)CONNECTIONS_KEPT);
    return m;
}

void multi_free(struct multi *m) {
    m->closing = true;
    curl_multi_cleanup(m->curl);
    loop_cancel(m->loop, &m->kick);
    uv_timer_stop(&m->timer);
    uv_close((uv_handle_t *)&m->timer, on_timer_closed);
}
