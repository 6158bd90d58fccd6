/* A set of Durable Streams: what PROTOCOL.md says of streams (sections 4, 5, 8, 9), without HTTP.
 *
 * All streams are kept in memory, or in a folder (docs/stream-log-format.md). The set belongs to its loop's
 * thread.
 *
 * Writes (create, append, close, delete) are judged at once. What succeeds and has to reach the disk first
 * is answered later, after one fdatasync for all that waited (group commit): the call returns
 * STREAM_WAITING, and the wait's `done` brings the result; so is a refusal because the stream is closed. Every
 * other status is final when the call returns, and `done` is not called. Appended data becomes visible to
 * readers when it is safe, in the order of the calls.
 *
 * Each status is one answer of the protocol; the comment beside it names it. */
#ifndef SERVER_STREAMS_H
#define SERVER_STREAMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/log.h"
#include "base/slice.h"
#include "io/loop.h"
#include "server/offset.h"

struct streams; /* the set */
struct stream;  /* one of it: good until control goes back to the loop, or while a watch is on it */

enum stream_status {
    STREAM_OK, /* append, close: 204, with a producer 200 (a body) or 204 (close only). head, read: 200 */
    STREAM_WAITING,   /* nothing to answer yet: `done` will bring the result */
    STREAM_CREATED,   /* 201 */
    STREAM_EXISTS,    /* 200: created before with the same configuration */
    STREAM_DUPLICATE, /* 204: this producer's (epoch, seq) was accepted before; result.epoch, .seq, .closed */

    STREAM_NOT_FOUND,        /* 404: no such stream, or it expired */
    STREAM_GONE,             /* 410: deleted, but forks refer to it */
    STREAM_SOURCE_NOT_FOUND, /* 404: what was to be forked is not there */
    STREAM_SOURCE_GONE,      /* 409: what was to be forked is deleted */

    STREAM_EXISTS_OTHERWISE, /* 409: created with another configuration, or deleted while forks remain */
    STREAM_CLOSED,           /* 409 with Stream-Closed: true and Stream-Next-Offset (result.tail) */
    STREAM_TYPE_MISMATCH,    /* 409: not the stream's (or the fork's source's) content type */
    STREAM_SEQ_REGRESSION,   /* 409: Stream-Seq is not greater than the last one */
    STREAM_PRODUCER_GAP,     /* 409: Producer-Expected-Seq is result.expected, -Received-Seq result.seq */
    STREAM_PRODUCER_STALE,   /* 403 with Producer-Epoch (result.epoch, the current one) */
    STREAM_PRODUCER_START,   /* 400: a new epoch that does not begin with seq 0 */

    STREAM_EMPTY_BODY,     /* 400: nothing to append, and no close */
    STREAM_EMPTY_ARRAY,    /* 400: [] appended to a stream of JSON */
    STREAM_BAD_JSON,       /* 400: result.reason, at byte result.position of the body */
    STREAM_BAD_OFFSET,     /* 400: malformed, past the tail, or inside a message */
    STREAM_BAD_SUB_OFFSET, /* 400: past the tail, or without a fork or fork offset */
    STREAM_BAD_REQUEST,    /* 400: another value out of its range: result.reason */

    STREAM_TOO_LARGE, /* 413: one append over max_append */
    STREAM_FULL,      /* 507: max_streams, max_bytes, or too many producers of one stream: result.reason */
    STREAM_BUSY,      /* 503 with Retry-After: too much waits for the disk */
    STREAM_FAILED,    /* 500: the disk failed (then no more writes are taken) or memory ran out */
};

/* "not-found": for logs and tests. */
const char *stream_status_name(enum stream_status status);

struct stream_result {
    enum stream_status status;
    uint64_t tail; /* Stream-Next-Offset: behind the append; 0 where there is no stream */
    bool closed;   /* Stream-Closed: true */
    struct slice
        type; /* the stream's Content-Type, good as long as the set; absent where there is no stream */
    /* Appends with a producer: its epoch and its highest accepted sequence number. */
    uint64_t epoch, seq;
    uint64_t expected;  /* STREAM_PRODUCER_GAP */
    const char *reason; /* one line without a line end, constant text; NULL where all is well */
    size_t position;    /* STREAM_BAD_JSON: the byte of the body */
};

/* Part of whoever waits; zero-initialise it but for done. It may be freed in done, or after
 * stream_wait_cancel. */
struct stream_wait {
    void (*done)(struct stream_wait *wait, const struct stream_result *result);
    void *user;
    struct stream_result result; /* the rest is the set's */
    struct stream_wait *next, *prev;
    uint64_t batch;
};

/* The write goes on; nobody hears of it. Nothing happens to a wait that is not waiting. */
void stream_wait_cancel(struct stream_wait *wait);

/* Opening and closing */

enum streams_fsync {
    STREAMS_FSYNC_BATCH,  /* one fdatasync for all writes that wait at the same time, on another thread */
    STREAMS_FSYNC_ALWAYS, /* one for each write, before anything else goes on */
    STREAMS_FSYNC_NONE,   /* the kernel writes when it likes: survives the process, not the machine */
};

struct streams_options {
    const char *folder; /* made where it is not there; NULL: memory */
    enum streams_fsync fsync;
    size_t max_streams; /* 0: 1,000,000 */
    uint64_t max_bytes; /* stored content in all; 0: 1 GB in memory, no limit in a folder */
    size_t max_append;  /* bytes of one body; 0: 64 MB */
    size_t max_read;    /* bytes of one read, about; 0: 1 MB */
    size_t max_pending; /* bytes that wait for the disk; 0: 128 MB */
    size_t
        checkpoint_bytes; /* of the journal, until what it holds goes to the streams' own files; 0: 64 MB */
    uint64_t (*clock)(void *user); /* milliseconds since 1970; NULL: the real time. For tests. */
    void *user;
    const struct log *log; /* may be NULL */
};

/* Reads the folder, cutting what a crash left half written. NULL with e: no such folder, another process
 * uses it, or it is damaged (more than a torn end). The set keeps the loop alive only while a write is
 * under way. */
struct streams *streams_open(struct loop *loop, const struct streams_options *options, struct error *e);

/* Writes what waits, without calling any `done`, and frees it; the loop has to be run once more to let go
 * of handles. Watches and bodies must have been given back. NULL is fine. */
void streams_close(struct streams *set);

/* True while a write waits for the disk: a server that stops lets the loop run until it is false. */
bool streams_busy(const struct streams *set);

size_t streams_count(const struct streams *set);
uint64_t streams_bytes(const struct streams *set);

/* Creating */

struct stream_create {
    struct slice path; /* the name: any bytes, 1 to STREAM_PATH_MAX of them; the caller has normalised it */
    struct slice type; /* Content-Type as sent; absent: application/octet-stream, or the source's */
    struct slice body; /* may be absent or empty */
    bool closed;
    bool has_ttl, has_expires; /* not both: STREAM_BAD_REQUEST */
    uint64_t ttl_s;            /* Stream-TTL */
    uint64_t expires_ms;       /* Stream-Expires-At, milliseconds since 1970 */
    struct slice source;       /* Stream-Forked-From: a path like `path`; absent: no fork */
    struct slice fork_offset;  /* Stream-Fork-Offset as sent; absent: the source's tail */
    bool has_fork_sub; /* Stream-Fork-Sub-Offset was sent (without a source that is STREAM_BAD_SUB_OFFSET) */
    uint64_t fork_sub;
};

enum { STREAM_PATH_MAX = 4096, STREAM_TYPE_MAX = 256, STREAM_SEQ_MAX = 1024, STREAM_PRODUCER_MAX = 1024 };

/* OK statuses: STREAM_CREATED, STREAM_EXISTS. Everything is copied. */
enum stream_status streams_create(struct streams *set, const struct stream_create *create,
                                  struct stream_wait *wait, struct stream_result *result);

/* Appending and closing */

struct stream_append {
    struct slice path;
    struct slice type; /* Content-Type as sent; absent: none. Not looked at where body is empty. */
    struct slice body; /* empty or absent: close only */
    bool close;
    struct slice seq;             /* Stream-Seq; absent: none. Its scope is the stream. */
    struct slice producer;        /* Producer-Id; absent: none */
    uint64_t epoch, producer_seq; /* at most 2^53 - 1 */
};

/* OK statuses: STREAM_OK, STREAM_DUPLICATE. An absent type with a body is STREAM_BAD_REQUEST. Everything is
 * copied. */
enum stream_status streams_append(struct streams *set, const struct stream_append *append,
                                  struct stream_wait *wait, struct stream_result *result);

/* OK status: STREAM_OK (204). */
enum stream_status streams_delete(struct streams *set, struct slice path, struct stream_wait *wait,
                                  struct stream_result *result);

/* Looking */

struct stream_info {
    struct slice type; /* as it was sent on creation */
    bool json;         /* application/json: read as an array */
    bool text;         /* application/json or text/...: SSE carries it as it is, otherwise in base64 */
    uint64_t tail;
    bool closed;
    bool has_ttl, has_expires;
    uint64_t ttl_s, expires_ms;
    uint64_t id; /* of this stream and no other before or after it under the same path: for the ETag
                    "id:from:next", with ":c" behind it where the body says closed */
};

/* HEAD: STREAM_OK, STREAM_NOT_FOUND, STREAM_GONE. Leaves the time to live alone. */
enum stream_status streams_head(struct streams *set, struct slice path, struct stream_info *info);

/* GET, in any mode: the same, and starts the time to live anew. *stream is good until the caller returns to
 * the loop; to hold it longer, put a watch on it. */
enum stream_status streams_get(struct streams *set, struct slice path, struct stream **stream);

/* The slice in it is good as long as the stream is. */
void stream_info(const struct stream *stream, struct stream_info *info);

/* Reading */

enum { STREAM_PIECES_MAX = 64 };

/* What was read: pieces of the set's own memory, kept for it until stream_body_free. */
struct stream_body {
    uint64_t from, next; /* positions; `next` is Stream-Next-Offset */
    bool up_to_date;     /* Stream-Up-To-Date: true */
    bool closed;         /* Stream-Closed: true: closed, and nothing is behind `next` */
    size_t len;          /* of all pieces */
    size_t loaded;       /* of the memory that was taken for it: read from a file, or put together */
    size_t count;
    struct slice pieces[STREAM_PIECES_MAX];
    void *held[STREAM_PIECES_MAX]; /* the set's */
};

/* From a position on, up to the tail or to about the set's max_read bytes.
 *
 * JSON: the pieces are one array, "[" and "]" included ("[]" where nothing is there: len 2). Its messages
 * are separated by ",\n", and neither '\n' nor '\r' is anywhere else, so each line of it is a message.
 * text/...: a body that does not reach the tail ends between characters.
 *
 * STREAM_OK; STREAM_BAD_OFFSET (past the tail, inside a JSON message); STREAM_NOT_FOUND or STREAM_GONE
 * where it was deleted since; STREAM_FAILED. Only after STREAM_OK is there something to free. */
enum stream_status stream_read(struct stream *stream, uint64_t from, struct stream_body *body);

/* The position that an offset stands for here; "now" is the tail. */
uint64_t stream_position(const struct stream *stream, const struct stream_offset *offset);

/* Gives the pieces back: any time before streams_close, also after the stream is gone. Twice is fine. */
void stream_body_free(struct stream_body *body);

/* Following */

enum stream_event {
    STREAM_EVENT_CHANGED, /* more can be read, or it was closed, or both */
    STREAM_EVENT_DELETED, /* deleted or expired: the watch is off and its stream NULL */
};

/* Part of whoever watches; zero-initialise it but for wake. */
struct stream_watch {
    void (*wake)(struct stream_watch *watch, enum stream_event event);
    void *user;
    struct stream *stream;            /* the one being watched; NULL: none */
    struct stream_watch *next, *prev; /* the set's */
};

/* wake is called at a drain point of the loop, for all changes of a turn at once, for every watch of a
 * stream one after another (what one has encoded serves the next). It may read, stop or start any watch,
 * and write. A stream with a time to live does not expire while it is watched. */
void stream_watch_start(struct stream *stream, struct stream_watch *watch);
void stream_watch_stop(struct stream_watch *watch);

#endif
