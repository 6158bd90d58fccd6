/* A source hands over the bytes of a stream: a Durable Stream by HTTP, a file, standard input.
 *
 * What it reports, in this order, for each chunk:
 *
 *     begin, bytes..., end      the chunk is whole, and the source stands at end's offset
 *     begin, bytes..., abort    the connection broke inside it: the same offset will be read again,
 *                               from its first byte, so the consumer drops the part of a message it
 *                               holds and skips as many messages (of BYTES: bytes) as it took since the
 *                               last end
 *
 * A chunk may come as several bodies (SSE data events before one control event): begin is then
 * repeated inside it, without an end, each time for a fresh body of the same format. The offset moves
 * at end only. A chunk without a body (nothing new, but the tail was reached, the stream was closed or
 * the offset moved) is an end alone.
 *
 * At last comes exactly one of eof (nothing more will ever come) and fail. After source_close nothing
 * is reported. Reports come from inside the loop's callbacks: they move bytes, no Lua. Every function
 * below may be called from within a report; it takes effect when the report returns. */
#ifndef STREAM_SOURCE_H
#define STREAM_SOURCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/log.h"
#include "base/piece.h"
#include "base/slice.h"
#include "io/http.h"
#include "io/loop.h"
#include "stream/hooks.h"
#include "stream/retry.h"

enum source_format {
    SOURCE_ARRAY, /* a JSON array of messages */
    SOURCE_LINES, /* one message a line */
    SOURCE_AUTO,  /* decided by the first byte that is not white space: '[' is an array. Of a URL: by
                     the stream's content type */
    SOURCE_BYTES, /* a stream that is not JSON: its bytes, cut anywhere. Only with any_type. */
};

/* What is known at the end of a chunk. Slices are good until the callback returns. */
struct source_chunk {
    struct slice offset; /* where the next chunk starts; never empty */
    struct slice cursor; /* may be absent */
    bool up_to_date;     /* everything that exists has been read */
    bool closed;         /* nothing more will ever come */
    int status;          /* of the answer it came with: 200, 204 or 304; 0 for files */
};

struct source_sink {
    void *user;
    void (*begin)(void *user, enum source_format format); /* AUTO: the consumer looks at the first byte */
    void (*bytes)(void *user, const char *ptr, size_t len);
    void (*end)(void *user, const struct source_chunk *chunk);
    void (*abort)(void *user);
    void (*eof)(void *user);
    void (*fail)(void *user, const struct error *e);
    /* Both may be NULL. piece: in the place of bytes, where they need not be copied; the sink takes the
     * piece over. spare: one that the sink has done with, to be filled again; NULL where it has none. */
    void (*piece)(void *user, struct piece *piece);
    struct piece *(*spare)(void *user);
};

enum source_live {
    SOURCE_LIVE_NO,   /* stop at the tail */
    SOURCE_LIVE_AUTO, /* SSE; long-poll where SSE does not come through, and SSE again a minute later */
    SOURCE_LIVE_SSE,
    SOURCE_LIVE_LONG_POLL,
};

struct source_options {
    struct loop *loop;
    struct http *http;               /* for URLs; borrowed */
    const struct log *log;           /* retries are logged here; borrowed */
    const char *location;            /* http(s) URL, a path, or "-" */
    const char *offset;              /* where to start; NULL: the beginning. For a file: a byte position. */
    enum source_live live;           /* for a file: anything but NO follows it as it grows */
    enum source_format format;       /* SOURCE_AUTO but where the caller knows better */
    const struct http_field *fields; /* extra request headers */
    size_t field_count;
    const char *ca_file;
    bool any_type; /* streams that are not JSON are read as bytes, not refused */
    bool direct;   /* live from the first request on: no catch-up before. With format SOURCE_AUTO and
                      SSE, which does not tell a stream's content type, text counts as bytes. */
    const struct retry *retry; /* NULL: retry_default */
    struct hooks hooks;
    /* Both bound URLs only. Statuses that say no (4xx but 429) end the source without a retry. */
    uint64_t first_limit_ms;  /* give up when the first answer has not come by then; 0: 5 s to reach the
                                 server, and half a minute for its answer */
    uint64_t outage_limit_ms; /* later, give up after so long without an answer; 0: 10 min */
    /* Of SOURCE_LIVE_AUTO: an SSE connection that tells nothing for sse_first_ms (0: 10 s) does not get
     * through; SSE is tried again after sse_again_ms (0: 1 min; twice as long each time, up to 16). */
    uint64_t sse_first_ms, sse_again_ms;
    struct source_sink sink;
};

struct source;

/* Copies what it is given but loop, http, log. Starts reading in a later turn of the loop. NULL with e
 * where the location is not one (no such file, an unknown scheme). */
struct source *source_open(const struct source_options *options, struct error *e);

/* Stop handing over bytes, go on. They do not nest. A piece of at most 512 KB, or one SSE connection's
 * last 64 KB with the events that end in them, may still arrive after a pause; so may the end of a chunk
 * all of whose bytes have been handed over. */
void source_pause(struct source *source);
void source_resume(struct source *source);

/* Leaves the present chunk (no abort is reported) and reads on from offset. After eof or fail it starts
 * again. A pipe cannot seek: it fails. */
void source_seek(struct source *source, const char *offset);

/* The chunk just handed over cannot be used (its framing is broken): read it again from its start.
 * That is the chunk under way, or, between an end and the next begin, the one that ended last. No
 * abort is reported: the consumer counts as after one. The third time in a row the source fails with
 * `why`, in a later turn. Files fail the first time. */
void source_reject(struct source *source, const struct error *why);

/* Ends it: no further report; the memory goes when libuv has closed its handles. */
void source_close(struct source *source);

/* True where location is an http:// or https:// URL. */
bool source_is_url(const char *location);

#endif
