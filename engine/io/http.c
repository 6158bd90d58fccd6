#include "io/http.h"

#include <stdlib.h>

#include "io/head.h"
#include "io/multi.h"
#include "io/transfer.h"

enum {
    IDLE_MS = 120 * 1000,
    LARGE_MAX = 16, /* requests that read much at once, at one time */
};

struct http {
    struct loop *loop;
    struct multi *multi;
    struct http_request *requests;
    unsigned large; /* requests under way that are HTTP_LARGE */
    bool settling;
    bool dirty; /* requests were started or cancelled inside curl */
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
        multi_remove(http->multi, r->transfer.easy);
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
    r->added = multi_add(r->http->multi, r->transfer.easy, &r->refused);
    return r->added;
}

/* The answer was a redirect: asks there. False with e: it cannot. */
static bool request_follow(struct http_request *r, struct error *e) {
    multi_remove(r->http->multi, r->transfer.easy);
    r->added = false;
    if (!transfer_redirect(&r->transfer, e)) {
        return false;
    }
    return request_add(r) || (*e = r->refused, false);
}

static bool is_final(struct http_request *r);

/* One completed transfer, if there is any. */
static bool settle_completed(struct http *http) {
    CURLcode rc = CURLE_OK;
    CURL *easy = multi_completed(http->multi, &rc);
    if (!easy) {
        return false;
    }
    struct http_request *r = NULL;
    curl_easy_getinfo(easy, CURLINFO_PRIVATE, (char **)&r);
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
    if (multi_is_busy(http->multi) || http->settling) {
        return;
    }
    http->settling = true;
    while (settle_completed(http) || (http->dirty && settle_request(http))) {
    }
    http->settling = false;
}

static void on_acted(void *owner) {
    settle(owner);
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
    CURLcode rc = multi_unpause(http->multi, r->transfer.easy);
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
    bool busy = multi_is_busy(http->multi);
    if (!request_set(r, &r->o, e) || (!busy && !request_add(r))) {
        if (r->refused.code != ERROR_NONE && e) {
            *e = r->refused;
        }
        error_context(e, "%s", r->transfer.name);
        request_release(r);
        return NULL;
    }
    http->dirty = http->dirty || busy;
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
    if (multi_is_busy(http->multi)) {
        http->dirty = true;
        return;
    }
    struct error none = {0};
    request_finish(request, &none);
}

/* ---- the client ---- */

struct http *http_new(struct loop *loop, struct error *e) {
    struct http *http = calloc(1, sizeof *http);
    if (!http) {
        error_set(e, ERROR_MEMORY, "out of memory for an HTTP client");
        return NULL;
    }
    http->loop = loop;
    http->multi = multi_new(loop, on_acted, http, e);
    if (!http->multi) {
        free(http);
        return NULL;
    }
    return http;
}

void http_free(struct http *http) {
    if (!http) {
        return;
    }
    while (http->requests) {
        http_cancel(http->requests);
    }
    multi_free(http->multi);
    free(http);
}
