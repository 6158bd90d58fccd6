#include "io/http.h"

#include <pthread.h>
#include <stdlib.h>

#include "io/head.h"
#include "io/transfer.h"

enum {
    IDLE_MS = 120 * 1000,
    CONNECTIONS_KEPT = 64,
    LARGE_MAX = 16, /* requests that read much at once, at one time */
};

struct http {
    struct loop *loop;
    CURLM *multi;
    uv_timer_t timer;      /* curl's one timeout */
    struct loop_task kick; /* a timeout of zero: the next turn */
    struct http_request *requests;
    unsigned large;   /* requests under way that are HTTP_LARGE */
    unsigned handles; /* open uv handles: the memory goes with the last */
    unsigned busy;    /* inside curl: no handle may be added or removed */
    bool settling;
    bool dirty; /* requests were started or cancelled while busy */
    bool closing;
};

/* A socket of curl's, watched. Freed in its close callback. */
struct watch {
    uv_poll_t poll;
    struct http *http;
    curl_socket_t fd;
};

struct http_request {
    struct http *http;
    struct http_request *next, *prev;
    struct transfer transfer;
    struct http_options o; /* after the start only its callbacks and times are read */
    struct head head;
    struct error refused; /* why a callback told curl to stop */
    struct loop_timer idle;
    struct loop_task resume;
    uint64_t active_at; /* when the last byte came */
    curl_off_t sent;    /* bytes of the body that had left when the idle timer looked last */
    bool added;         /* curl's multi knows it */
    bool told;          /* on_head was called */
    bool paused, held;  /* asked for; and curl keeps bytes for us because of it */
    bool cancelled, over;
};

/* ---- the request's end ---- */

static void request_free(struct loop_timer *timer) {
    struct http_request *r = timer->task.owner;
    free(r);
}

/* Frees what it holds; its own memory goes when libuv has closed the timer. */
static void request_release(struct http_request *r) {
    loop_cancel(r->http->loop, &r->resume);
    r->http->large -= r->o.size == HTTP_LARGE;
    transfer_free(&r->transfer);
    head_free(&r->head);
    loop_timer_close(&r->idle, request_free);
}

static void request_error(struct http_request *r, CURLcode rc, struct error *e) {
    error_clear(e);
    if (rc == CURLE_OK) {
        return;
    }
    if (r->refused.code != ERROR_NONE) {
        *e = r->refused;
        error_context(e, "%s", r->transfer.name);
        return;
    }
    transfer_error(&r->transfer, rc, e);
}

static void unlink_request(struct http_request *r) {
    *(r->prev ? &r->prev->next : &r->http->requests) = r->next;
    if (r->next) {
        r->next->prev = r->prev;
    }
}

static bool tell_head(struct http_request *r);

/* Takes it from curl and reports its end, unless it was cancelled. Never inside curl. */
static void request_finish(struct http_request *r, const struct error *e) {
    struct http *http = r->http;
    r->over = true;
    unlink_request(r);
    if (r->added) {
        http->busy++;
        curl_multi_remove_handle(http->multi, r->transfer.easy);
        http->busy--;
    }
    if (!r->cancelled && e->code == ERROR_NONE) {
        tell_head(r);
    }
    if (!r->cancelled) {
        struct http_response response = {0};
        struct error late = *e;
        if (r->told && !head_response(&r->head, &response, &late)) {
            response = (struct http_response){0};
        }
        r->o.on_done(r->o.user, &response, &late);
    }
    request_release(r);
}

/* ---- settling: what must not be done inside curl's callbacks ---- */

static bool request_add(struct http_request *r) {
    r->http->busy++;
    CURLMcode rc = curl_multi_add_handle(r->http->multi, r->transfer.easy);
    r->http->busy--;
    r->added = rc == CURLM_OK;
    if (!r->added) {
        error_set(&r->refused, rc == CURLM_OUT_OF_MEMORY ? ERROR_MEMORY : ERROR_SYSTEM,
                  "the request could not start: %s", curl_multi_strerror(rc));
    }
    return r->added;
}

/* The answer was a redirect: asks there. False with e: it cannot. */
static bool request_follow(struct http_request *r, struct error *e) {
    struct http *http = r->http;
    http->busy++;
    curl_multi_remove_handle(http->multi, r->transfer.easy);
    http->busy--;
    r->added = false;
    if (!transfer_redirect(&r->transfer, e)) {
        return false;
    }
    return request_add(r) || (*e = r->refused, false);
}

static bool is_final(struct http_request *r);

/* One completed transfer, if there is any. */
static bool settle_message(struct http *http) {
    int left = 0;
    CURLMsg *message = curl_multi_info_read(http->multi, &left);
    if (!message) {
        return false;
    }
    if (message->msg != CURLMSG_DONE) {
        return true;
    }
    CURLcode rc = message->data.result;
    struct http_request *r = NULL;
    curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&r);
    struct error e;
    request_error(r, rc, &e);
    bool redirected = rc == CURLE_OK && !r->cancelled && !r->told && r->head.status && !is_final(r);
    if (!redirected || !request_follow(r, &e)) {
        request_finish(r, &e);
    }
    return true;
}

static bool settle_request(struct http *http) {
    for (struct http_request *r = http->requests; r; r = r->next) {
        if (r->cancelled || (!r->added && !request_add(r))) {
            struct error e;
            request_error(r, CURLE_FAILED_INIT, &e);
            request_finish(r, &e);
            return true;
        }
    }
    http->dirty = false;
    return false;
}

/* Called after every entry into curl, whatever it said about running transfers. The callbacks it makes
 * may start and cancel requests; the outermost call sees to those too. */
static void settle(struct http *http) {
    if (http->busy || http->settling) {
        return;
    }
    http->settling = true;
    while (settle_message(http) || (http->dirty && settle_request(http))) {
    }
    http->settling = false;
}

static void act(struct http *http, curl_socket_t fd, int flags) {
    int running = 0;
    http->busy++;
    curl_multi_socket_action(http->multi, fd, flags, &running);
    http->busy--;
    settle(http);
}

/* ---- libuv tells curl ---- */

static void http_drop(struct http *http) {
    if (--http->handles == 0) {
        free(http);
    }
}

static void on_poll(uv_poll_t *poll, int status, int events) {
    struct watch *watch = poll->data;
    int flags = status < 0 ? CURL_CSELECT_ERR : 0;
    flags |= events & UV_READABLE ? CURL_CSELECT_IN : 0;
    flags |= events & UV_WRITABLE ? CURL_CSELECT_OUT : 0;
    act(watch->http, watch->fd, flags);
}

static void on_watch_closed(uv_handle_t *handle) {
    struct watch *watch = handle->data;
    http_drop(watch->http);
    free(watch);
}

static void on_timer(uv_timer_t *timer) {
    act(timer->data, CURL_SOCKET_TIMEOUT, 0);
}

static void on_kick(struct loop_task *task) {
    act(task->owner, CURL_SOCKET_TIMEOUT, 0);
}

static void on_timer_closed(uv_handle_t *handle) {
    http_drop(handle->data);
}

/* ---- curl tells libuv ---- */

static struct watch *watch_new(struct http *http, curl_socket_t fd) {
    struct watch *watch = calloc(1, sizeof *watch);
    if (!watch) {
        return NULL;
    }
    watch->http = http;
    watch->fd = fd;
    if (uv_poll_init_socket(loop_uv(http->loop), &watch->poll, fd) != 0) {
        free(watch);
        return NULL;
    }
    watch->poll.data = watch;
    http->handles++;
    curl_multi_assign(http->multi, fd, watch);
    return watch;
}

static int on_curl_socket(CURL *easy, curl_socket_t fd, int what, void *user, void *assigned) {
    (void)easy;
    struct http *http = user;
    struct watch *watch = assigned;
    if (what == CURL_POLL_REMOVE) {
        if (watch) {
            curl_multi_assign(http->multi, fd, NULL);
            uv_poll_stop(&watch->poll);
            uv_close((uv_handle_t *)&watch->poll, on_watch_closed);
        }
        return 0;
    }
    if (!watch && !(watch = watch_new(http, fd))) {
        return -1;
    }
    int events = (what & CURL_POLL_IN ? UV_READABLE : 0) | (what & CURL_POLL_OUT ? UV_WRITABLE : 0);
    return uv_poll_start(&watch->poll, events, on_poll) == 0 ? 0 : -1;
}

static int on_curl_timer(CURLM *multi, long timeout_ms, void *user) {
    (void)multi;
    struct http *http = user;
    uv_timer_stop(&http->timer);
    loop_cancel(http->loop, &http->kick);
    if (http->closing || timeout_ms < 0) {
        return 0;
    }
    if (timeout_ms == 0) {
        loop_defer(http->loop, &http->kick);
    } else {
        uv_timer_start(&http->timer, on_timer, (uint64_t)timeout_ms, 0);
    }
    return 0;
}

/* ---- a response comes ---- */

/* False: curl must stop (memory, or the request was cancelled meanwhile). */
static bool tell_head(struct http_request *r) {
    if (r->told) {
        return true;
    }
    struct http_response response;
    if (!head_response(&r->head, &response, &r->refused)) {
        return false;
    }
    r->told = true;
    if (r->o.on_head) {
        r->o.on_head(r->o.user, &response);
    }
    return !r->cancelled;
}

/* A redirect is not the response: it will be followed. */
static bool is_final(struct http_request *r) {
    if (r->head.status < 200) {
        return false;
    }
    struct http_response response;
    struct error e;
    return r->head.status / 100 != 3 || r->head.status == 304 || !head_response(&r->head, &response, &e) ||
           !http_field(&response, "Location").ptr;
}

static size_t on_curl_header(char *ptr, size_t size, size_t count, void *user) {
    struct http_request *r = user;
    size_t len = size * count;
    r->active_at = loop_now(r->http->loop);
    if (r->cancelled) {
        return 0;
    }
    if (r->told) {
        return len; /* a trailer */
    }
    if (!head_line(&r->head, ptr, len, &r->refused)) {
        return 0;
    }
    if (r->head.whole && is_final(r) && !tell_head(r)) {
        return 0;
    }
    return len;
}

static size_t on_curl_write(char *ptr, size_t size, size_t count, void *user) {
    struct http_request *r = user;
    size_t len = size * count;
    r->active_at = loop_now(r->http->loop);
    if (!r->told && !r->cancelled && !is_final(r)) {
        return len; /* what a redirect says besides */
    }
    if (r->cancelled || !tell_head(r)) {
        return 0;
    }
    if (r->paused) {
        r->held = true;
        return CURL_WRITEFUNC_PAUSE;
    }
    if (r->o.on_body && len) {
        r->o.on_body(r->o.user, ptr, len);
    }
    return r->cancelled ? 0 : len;
}

/* Looks whether anything moved since it looked last; bytes that leave count as well as those that come. */
static void on_idle(struct loop_task *task) {
    struct http_request *r = task->owner;
    uint64_t now = loop_now(r->http->loop);
    curl_off_t sent = 0;
    curl_easy_getinfo(r->transfer.easy, CURLINFO_SIZE_UPLOAD_T, &sent);
    if (r->paused || sent != r->sent) {
        r->active_at = now;
        r->sent = sent;
    }
    uint64_t quiet = now - r->active_at;
    if (quiet < r->o.idle_timeout_ms) {
        loop_timer_start(&r->idle, r->o.idle_timeout_ms - quiet);
        return;
    }
    struct error e;
    error_set(&e, ERROR_TIMEOUT, "%s: no byte came for %.1f s", r->transfer.name,
              (double)r->o.idle_timeout_ms / 1000);
    struct http *http = r->http;
    request_finish(r, &e);
    settle(http);
}

static void on_resume(struct loop_task *task) {
    struct http_request *r = task->owner;
    struct http *http = r->http;
    if (r->paused || !r->held) {
        return;
    }
    r->held = false;
    http->busy++;
    CURLcode rc = curl_easy_pause(r->transfer.easy, CURLPAUSE_CONT);
    http->busy--;
    /* What curl held back went through the callbacks just now: one of them may have refused it. */
    if (rc != CURLE_OK && !r->cancelled) {
        struct error e;
        request_error(r, rc, &e);
        request_finish(r, &e);
    }
    settle(http);
}

/* ---- a request starts ---- */

static bool request_set(struct http_request *r, const struct http_options *options, struct error *e) {
    if (!transfer_init(&r->transfer, options, e)) {
        return false;
    }
    CURL *easy = r->transfer.easy;
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, r->transfer.error);
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_curl_header);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, r);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_curl_write);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, r);
    curl_easy_setopt(easy, CURLOPT_PRIVATE, r);
    return true;
}

static void link_request(struct http_request *r) {
    r->next = r->http->requests;
    if (r->next) {
        r->next->prev = r;
    }
    r->http->requests = r;
}

struct http_request *http_start(struct http *http, const struct http_options *options, struct error *e) {
    struct http_request *r = calloc(1, sizeof *r);
    if (!r) {
        error_set(e, ERROR_MEMORY, "out of memory for a request");
        return NULL;
    }
    r->http = http;
    r->o = *options;
    r->o.idle_timeout_ms = options->idle_timeout_ms ? options->idle_timeout_ms : IDLE_MS;
    r->o.size = http->large < LARGE_MAX ? options->size : HTTP_SMALL;
    http->large += r->o.size == HTTP_LARGE;
    head_init(&r->head);
    r->resume = (struct loop_task){.run = on_resume, .owner = r};
    r->active_at = loop_now(http->loop);
    loop_timer_init(http->loop, &r->idle, on_idle, r);
    if (!request_set(r, &r->o, e) || (!http->busy && !request_add(r))) {
        if (r->refused.code != ERROR_NONE && e) {
            *e = r->refused;
        }
        error_context(e, "%s", r->transfer.name);
        request_release(r);
        return NULL;
    }
    http->dirty = http->dirty || http->busy;
    link_request(r);
    loop_timer_start(&r->idle, r->o.idle_timeout_ms);
    return r;
}

void http_pause(struct http_request *request) {
    request->paused = true; /* curl is told when it has bytes for us: no call into it from here */
}

void http_resume(struct http_request *request) {
    if (request->paused) {
        request->paused = false;
        request->active_at = loop_now(request->http->loop);
        loop_defer(request->http->loop, &request->resume);
    }
}

void http_cancel(struct http_request *request) {
    struct http *http = request->http;
    if (request->over || request->cancelled) {
        return;
    }
    request->cancelled = true;
    if (http->busy) {
        http->dirty = true;
        return;
    }
    struct error none = {0};
    request_finish(request, &none);
}

/* ---- the client ---- */

/* curl's global state is the one thing in the process that is shared; it is never torn down. */
static void init_curl(void) {
    curl_global_init(CURL_GLOBAL_DEFAULT);
}

struct http *http_new(struct loop *loop, struct error *e) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, init_curl);
    struct http *http = calloc(1, sizeof *http);
    if (!http || !(http->multi = curl_multi_init())) {
        free(http);
        error_set(e, ERROR_MEMORY, "out of memory for an HTTP client");
        return NULL;
    }
    http->loop = loop;
    http->kick = (struct loop_task){.run = on_kick, .owner = http};
    uv_timer_init(loop_uv(loop), &http->timer);
    http->timer.data = http;
    http->handles = 1;
    curl_multi_setopt(http->multi, CURLMOPT_SOCKETFUNCTION, on_curl_socket);
    curl_multi_setopt(http->multi, CURLMOPT_SOCKETDATA, http);
    curl_multi_setopt(http->multi, CURLMOPT_TIMERFUNCTION, on_curl_timer);
    curl_multi_setopt(http->multi, CURLMOPT_TIMERDATA, http);
    curl_multi_setopt(http->multi, CURLMOPT_MAXCONNECTS, (long)CONNECTIONS_KEPT);
    return http;
}

void http_free(struct http *http) {
    if (!http) {
        return;
    }
    http->closing = true;
    while (http->requests) {
        http_cancel(http->requests);
    }
    curl_multi_cleanup(http->multi);
    loop_cancel(http->loop, &http->kick);
    uv_timer_stop(&http->timer);
    uv_close((uv_handle_t *)&http->timer, on_timer_closed);
}
