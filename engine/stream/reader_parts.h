/* What the parts of the reader share. Private to reader*.c:
 *
 *     reader.c         what source.h asks for
 *     reader_request.c one request
 *     reader_course.c  what follows from an answer or a failure: chunks end, attempts repeat, it ends
 *     reader_sse.c     what comes by SSE
 *
 * Functions that return bool say whether to go on: false where the consumer has taken another course
 * within a report, or the request is gone. */
#ifndef STREAM_READER_PARTS_H
#define STREAM_READER_PARTS_H

#include "base/buf.h"
#include "stream/answer.h"
#include "stream/backoff.h"
#include "stream/fields.h"
#include "stream/kind.h"
#include "stream/mark.h"
#include "stream/sse.h"
#include "stream/tries.h"

enum reader_mode { CATCH_UP, LONG_POLL, SSE };

struct reader {
    struct source base;
    struct loop *loop;
    struct http *http;
    const struct log *log;
    struct source_sink sink;
    enum source_live live;
    uint64_t first_limit_ms, outage_limit_ms;
    bool patient; /* the first limit is not the caller's: it bounds connecting, not the wait for the answer */
    uint64_t sse_first_ms, sse_again_ms;
    char *url, *ca_file;
    char *shown; /* the URL, for messages */
    struct fields fields;
    struct hooks hooks;
    struct answer_form form;
    bool direct;

    struct buf offset; /* the next chunk's, or the one's under way */
    struct buf cursor;
    struct buf started;  /* where the chunk that ended last began; empty: none has */
    struct buf rejected; /* where the chunk rejected last began */
    unsigned rejects;
    struct buf etag;  /* of an answer to a catch-up request at this offset that brought nothing */
    struct mark mark; /* where it stands after the chunk under way */

    enum reader_mode mode;
    struct http_request *request;
    struct loop_timer timer; /* to the next request */
    bool paused, due;        /* due: the timer fired while paused */
    bool finished, doomed;   /* doomed: `last` is to be reported as the end */
    bool asking;             /* on_error is to be asked about `last` */
    unsigned turn;           /* counts seek, reject and close: a report's caller looks whether it changed */

    enum answer answer; /* to the present request */
    int status;         /* of it */
    bool in_chunk;
    struct error last;              /* why the present or the last attempt failed */
    struct buf body;                /* the start of a body that is not a chunk */
    uint64_t retry_ms;              /* Retry-After */
    uint64_t sent_at, idle_ms;      /* when the present request left; how long it may say nothing */
    uint64_t opened_at, failing_at; /* failing_at 0: it is not */
    bool answered;                  /* there was an answer, ever */
    bool told_tail;                 /* the last end said up to date */
    bool moved;                     /* this connection brought something */
    bool hollow;                    /* the present answer's body is missing, should none come */
    bool behind;                    /* the present answer's offset is one that was passed already */
    unsigned behinds;               /* such answers in a row */
    unsigned controls;              /* control events of this connection */
    unsigned stuck, barren, silent;
    uint64_t poll_until, poll_ms; /* long-poll until then, as SSE does not get through; for how long */
    struct tries tries;
    struct sse sse;
    struct buf decoded; /* of base64 */
};

/* ---- reader_request.c ---- */

/* From a task of the loop only: it asks hooks.refresh. */
void reader_send(struct reader *r);

/* ---- reader_course.c ---- */

/* The next request leaves after delay_ms. */
void reader_next(struct reader *r, uint64_t delay_ms);
/* Cancels what is under way; nothing is reported. */
void reader_stop(struct reader *r);
void reader_eof(struct reader *r);
/* Reports r->last as the end. */
void reader_fail(struct reader *r);
/* Drops the chunk under way. */
bool reader_abort(struct reader *r);
/* The present request failed with r->last: tries again or gives up, once on_error was asked. */
void reader_broke(struct reader *r);
void reader_ask(struct reader *r);
/* Milliseconds until it gives up; UINT64_MAX where nothing is wrong. */
uint64_t reader_time_left(const struct reader *r);
/* True where r->mark lies before the offset read from; and what to do then. */
bool reader_is_behind(const struct reader *r);
void reader_behind(struct reader *r);
/* "-1" and "now" stand for an offset. */
bool reader_is_sentinel(struct slice offset);
bool reader_begin(struct reader *r);
/* r->mark is the end of a chunk: the offset moves. */
bool reader_end(struct reader *r);
/* A whole response to a catch-up or long-poll request. */
void reader_whole(struct reader *r);
enum reader_mode reader_live_mode(const struct reader *r);
/* What a new start, or one after a failure, begins with. */
enum reader_mode reader_first_mode(const struct reader *r);
/* SSE does not get through: long-poll for a while. */
void reader_fall_back(struct reader *r, const char *why);
/* How long to wait where a live answer came within quick_ms and brought nothing. */
uint64_t reader_pace(struct reader *r, uint64_t quick_ms);
bool reader_set(struct buf *to, const struct buf *from);

/* ---- reader_sse.c ---- */

void reader_sse_bytes(struct reader *r, struct slice input);
/* The connection has ended; idle: because nothing came for long. */
void reader_sse_done(struct reader *r, bool idle);
/* The connection has told nothing for sse_first_ms. */
void reader_sse_silent(struct reader *r);

#endif
