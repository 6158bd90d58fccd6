/* Appends to one stream, each stored exactly once, however often whoever makes them starts again and makes them anew.
 *
 * What is appended has a position: the number of messages before the one, of another stream, that made it. Positions
 * grow, and the Producer-Epoch of an idempotent producer (PROTOCOL.md section 5.2.1) is the position that an append
 * reaches to. So the server itself keeps, in one step with the data, how far the stream is written, and takes only
 * what lies behind that: 204 and 403 say that something is stored. Nothing has to be kept elsewhere, nothing is
 * counted, and what lies between two positions may be one thing today and another tomorrow. sink/claim.h has the
 * rules, which also say when what several positions made may leave as one append. For all that, appends leave one at
 * a time: a later one that overtook an earlier one would have it refused.
 *
 * Two that append the same under one id at once do no harm: what both have is stored once. Each is told of the other
 * in its log, where it falls behind. */
#ifndef SINK_ONCE_H
#define SINK_ONCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/log.h"
#include "base/slice.h"
#include "io/http.h"
#include "io/loop.h"

struct once;

/* Positions that can be told apart: servers may be JavaScript. */
#define ONCE_POSITION_MAX ((UINT64_C(1) << 53) - 2)

struct once_options {
    struct loop *loop;
    struct http *http;     /* borrowed */
    const struct log *log; /* borrowed */
    const char *url;       /* of a stream of application/json */
    const struct http_field *fields;
    size_t field_count;
    const char *ca_file;
    const char *id; /* of the producer */
    bool create;    /* the stream is made where it is not there */
    uint64_t
        limit_ms; /* a request that is not answered is tried again for so long, then it fails; 0: 10 min */
    void *user;
    /* It can be appended to, or e says why not. Once, before anything is appended. */
    void (*opened)(void *user, const struct error *e);
    /* What was appended is stored, now or before; or it is not, and is to be appended again: once_may_group and
     * once_has may say something else by now. e not NULL: it is not (status 413: it is too large), or whether it is is
     * not known. Called from inside a callback of the loop; once_append and once_free are legal in it. */
    void (*done)(void *user, bool stored, const struct error *e);
};

/* Asks for the stream, and makes it where it may. NULL with e. */
struct once *once_new(const struct once_options *options, struct error *e);

/* What the positions from first to last made. */
struct once_values {
    uint64_t first, last; /* the same, or once_may_group(first) */
    uint64_t part;        /* 0 for the first append of a position, 1 for the next; of several positions 0 */
    struct slice json;    /* values with commas between them, all stored in one step */
};

/* One at a time: not before `done` of the one before. False with e: it did not leave, done will not be called. */
bool once_append(struct once *once, const struct once_values *values, struct error *e);

/* An append that begins with this position may hold what later ones made. */
bool once_may_group(const struct once *once, uint64_t first);

/* Known to be stored, so that it need not be sent. */
bool once_has(const struct once *once, uint64_t position, uint64_t part);

/* Something of a later position is known to be stored. */
bool once_is_past(const struct once *once, uint64_t position);

/* No further callback. */
void once_free(struct once *once);

/* The producer's id for what `from` makes of `stream` (a URL without secrets) and sends to `target`: "PREFIX-" and 32
 * digits, the same each time. */
enum { ONCE_ID = 64 };
void once_id(char out[ONCE_ID], const char *prefix, const char *stream, const char *target);

#endif
