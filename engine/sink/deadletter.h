/* Dead letters: messages that were refused, kept in a file, one JSON object a line, or in a stream of
 * application/json, one message each:
 *
 *     {"stream":"...","url":"...","offset":"...","index":N,"sequence":N,"time":"...","reason":"...",
 *      "event":"the message's text"}
 *
 * A message that is not UTF-8 has "bytes", in hexadecimal, in the place of "event". `sequence` is left out where it is
 * not known, `url` where there is none.
 *
 * A file is locked (flock) while a line is written, and opened anew where its name means another file by then: what
 * `weir retry` or a rotation moves aside gets no more lines. */
#ifndef SINK_DEADLETTER_H
#define SINK_DEADLETTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/log.h"
#include "base/slice.h"
#include "io/http.h"
#include "io/loop.h"
#include "stream/hooks.h"

struct deadletter;

struct deadletter_entry {
    const char *stream; /* its name */
    const char *url;    /* where it is read from, as url_redact_marked has it; NULL: not said */
    const char *offset; /* of the chunk that held the message */
    uint64_t index;     /* of the message in its chunk, from 0 */
    bool counted;       /* sequence is known: */
    uint64_t sequence;  /* messages before it in the stream */
    const char *reason;
    struct slice text;
};

/* Everything is borrowed until deadletter_close. Only target is needed for a file. */
struct deadletter_options {
    const char *target; /* a path, or the http(s) URL of a stream, which is made where it is not there */
    struct loop *loop;
    struct http *http;
    const struct log *log;
    const struct http_field *fields; /* of requests to the stream */
    size_t field_count;
    const char *ca_file;
    struct hooks hooks;
    uint64_t limit_ms; /* how long the stream may be out of reach; 0: 10 min */
    void *user;
    /* Nothing waits to be stored any more; or e: what waits is not stored, and nothing will be. Called from inside a
     * callback of the loop, never from within deadletter_write. */
    void (*settled)(void *user, const struct error *e);
};

/* Opens a file for appending, and makes it where it does not exist; a stream is asked for by the first letter. */
struct deadletter *deadletter_open(const struct deadletter_options *options, struct error *e);

/* What waits is dropped. */
void deadletter_close(struct deadletter *deadletter);

/* A file: writes the line, and syncs it: what is passed over must not be lost. A stream: it waits to be stored, and
 * the caller must not take the message as dealt with before deadletter_waits says no. */
bool deadletter_write(struct deadletter *deadletter, const struct deadletter_entry *entry, struct error *e);

/* Letters wait to be stored. NULL: none do. */
bool deadletter_waits(const struct deadletter *deadletter);

#endif
