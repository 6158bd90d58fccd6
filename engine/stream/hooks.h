/* What the program that reads or writes a stream is asked around each request.
 *
 * Both are called from a task of the loop, never from inside a callback of libuv or curl, so that they
 * may run Lua. They must not close, seek, or append to what asks them. Zero-initialised: asked nothing. */
#ifndef STREAM_HOOKS_H
#define STREAM_HOOKS_H

#include <stdbool.h>

#include "base/error.h"
#include "stream/fields.h"

enum hooks_verdict {
    HOOKS_DEFAULT, /* as it would have gone without the question */
    HOOKS_RETRY,   /* try again, also where the status says no (a 401: the next request asks `refresh`) */
    HOOKS_STOP,    /* give up now, with this error */
};

struct hooks {
    void *user;
    /* Before every request, those repeated included: puts header fields and query parameters of this
     * one request with fields_header and fields_param. False with e: the request is not sent, and the
     * work ends with e. */
    bool (*refresh)(void *user, struct fields *fields, struct error *e);
    /* After every request that failed. retrying: it will be tried again unless told otherwise. Limits of
     * time and of tries hold whatever it answers. */
    enum hooks_verdict (*on_error)(void *user, const struct error *e, bool retrying);
};

#endif
