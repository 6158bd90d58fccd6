/* HTTP requests, by libcurl.
 *
 * A request is started, reports through its callbacks, and is over after on_done, which is called
 * exactly once, except for a cancelled request, which makes no further callback.
 * Callbacks come from inside libuv: they move bytes and defer tasks, nothing more. It is legal to
 * pause, resume or cancel any request, or to start another, from within a callback; http_free is not.
 *
 * Redirects are followed, five at most and to http and https only; they keep method and body. Where one
 * leads to another host, port or scheme, only fields of the protocol go along (Accept, Content-Type,
 * If-None-Match, Stream-*, Producer-*): no credential in a field or in a URL gets there. TLS is
 * verified. http_proxy, https_proxy and no_proxy are honoured. Messages never show a URL's
 * credentials. */
#ifndef IO_HTTP_H
#define IO_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/slice.h"
#include "io/loop.h"

struct http;         /* the client: connections are kept and shared by its requests */
struct http_request; /* one request under way */

struct http_field {
    struct slice name, value;
};

struct http_response {
    int status;
    const struct http_field *fields; /* the last response's, after redirects; names as received */
    size_t field_count;
};

/* The value of the first field of that name, without regard to case; ptr NULL where there is none. */
struct slice http_field(const struct http_response *response, const char *name);

/* How much is read from the network at once: memory of the request, or the speed of a large answer. */
enum http_size {
    HTTP_LARGE, /* 64 KB, but for those started while 16 such are under way */
    HTTP_SMALL, /* 2 KB: many requests wait at once, and each answer is small */
};

struct http_options {
    const char *method; /* "GET", "POST", "PUT", "DELETE", "HEAD" */
    const char *url;    /* http:// or https:// */
    const struct http_field *fields;
    size_t field_count;
    struct slice body;           /* copied; absent (ptr NULL) for none */
    uint64_t connect_timeout_ms; /* 0: 10 s */
    uint64_t idle_timeout_ms;    /* no byte for so long ends it with ERROR_TIMEOUT; 0: 120 s. Time
                                     spent paused does not count. */
    uint64_t total_timeout_ms;   /* time paused counts; 0: none */
    const char *ca_file;         /* NULL: the system's */
    enum http_size size;
    bool plain; /* asks for an answer that is not compressed; one that is all the same is decoded */
    /* The response's head is there: called once, before any body. */
    void (*on_head)(void *user, const struct http_response *response);
    /* Bytes of the body, decoded (gzip, deflate). Good until it returns. */
    void (*on_body)(void *user, const char *ptr, size_t len);
    /* The end. e->code ERROR_NONE: the whole response arrived, whatever its status. response->status
     * is 0 where no head came. */
    void (*on_done)(void *user, const struct http_response *response, const struct error *e);
    void *user;
};

struct http *http_new(struct loop *loop, struct error *e);

/* Cancels what is still under way and closes the handles; the memory goes when libuv has closed them. */
void http_free(struct http *http);

/* Copies everything it is given. NULL with e where it could not start. */
struct http_request *http_start(struct http *http, const struct http_options *options, struct error *e);

/* Stops reading the body (the peer's window fills up) until http_resume: on_body is not called between
 * the two, nor within http_resume itself. on_head may be, and on_done where the body had ended. */
void http_pause(struct http_request *request);
void http_resume(struct http_request *request);

/* Ends it without any further callback. The pointer is dead afterwards, as it is after on_done. */
void http_cancel(struct http_request *request);

#endif
