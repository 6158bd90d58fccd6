/* What an HTTP status asks a client of a stream to do. Pure. Private to the room. */
#ifndef STREAM_ANSWER_H
#define STREAM_ANSWER_H

#include <stdbool.h>

#include "base/error.h"
#include "io/http.h"
#include "stream/source.h"

enum answer {
    ANSWER_BODY,    /* 200 with a body that can be read */
    ANSWER_NOTHING, /* 204: nothing new */
    ANSWER_SAME,    /* 304: what was there before */
    ANSWER_RETRY,   /* 429, 5xx: later, perhaps */
    ANSWER_NO,      /* it will not be different next time */
    ANSWER_NO_SSE,  /* the same, but another way of reading may do */
};

/* How a GET's body is read. */
struct answer_form {
    bool sse, any_type;        /* asked for */
    enum source_format format; /* ARRAY, BYTES, or AUTO: not known yet. Set by a BODY. */
    bool base64;               /* SSE data events are: set by a BODY */
};

/* A GET's. e is filled where it is RETRY, NO or NO_SSE; its message does not name the URL. */
enum answer answer_of_read(const struct http_response *response, struct answer_form *form, struct error *e);

/* The error that a status is, `body` being the start of what came with it: "404: there is no such
 * stream: <first line>", where that line says something else. Always returns false. */
bool answer_error(int status, struct slice body, struct error *e);

/* 2xx. */
bool answer_is_success(int status);

/* 429 and 5xx but 501 and 505. */
bool answer_may_change(int status);

#endif
