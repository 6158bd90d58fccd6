/* What the parts of the producer share. Private to producer*.c:
 *
 *     producer.c        what producer.h asks for: the queue, flushing, answering
 *     producer_batch.c  batches: cut, sent, judged, numbered anew
 *
 * Batches stand in the order of their messages, the oldest first, and are answered in that order. An
 * acknowledged number says that all before it in the epoch are stored, as the server takes them in order. */
#ifndef STREAM_PRODUCER_PARTS_H
#define STREAM_PRODUCER_PARTS_H

#include "stream/exchange.h"
#include "stream/identity.h"
#include "stream/producer.h"
#include "stream/tries.h"

/* One message that waits, or the close. */
struct item {
    struct item *next;
    producer_done *done;
    void *user;
    uint64_t queued_at;
    size_t weight; /* what it counts in the queue */
    bool closes;
    size_t len;
    char body[];
};

enum batch_state {
    BATCH_READY,  /* to be sent as soon as it may */
    BATCH_WAIT,   /* to be sent again at due_at */
    BATCH_SENT,   /* under way */
    BATCH_ASK,    /* failed: on_error is to be asked */
    BATCH_HELD,   /* came before the one that precedes it: to be sent again when that is stored */
    BATCH_STORED, /* acknowledged */
    BATCH_FAILED, /* given up, with error */
};

struct batch {
    struct batch *next, *prev;
    struct producer *producer;
    struct item *items;
    char *body;
    size_t body_len;
    bool closes;
    enum batch_state state;
    uint64_t epoch, seq;
    bool numbered; /* seq counts in the present epoch */
    uint64_t queued_at, due_at;
    struct exchange exchange;
    struct tries tries;
    bool sent_oldest;  /* everything before it was stored when it was sent */
    bool unknown;      /* a try of it ended without an answer that says whether it is stored */
    bool started_anew; /* for it, because the server had forgotten the producer */
    unsigned claims;   /* epochs claimed for it */
    bool retryable;    /* while BATCH_ASK */
    uint64_t retry_ms;
    struct error error;
    int status;
    struct buf offset;
    bool stream_closed;
};

struct flush {
    struct flush *next;
    uint64_t until; /* the last message it waits for */
    producer_done *done;
    void *user;
};

struct producer {
    struct loop *loop;
    const struct log *log;
    struct exchange_target target;
    struct producer_options o; /* its pointers are the caller's: not used after the start */
    struct retry retry;
    char *content_type, *id;
    bool json;

    uint64_t epoch, next_seq;
    bool alone;         /* the epoch has no acknowledged batch yet: one at a time */
    bool acked;         /* it has: */
    uint64_t acked_seq; /* the highest */
    uint64_t acked_at;

    struct item *first, *last; /* not in a batch yet */
    size_t queued_items, queued_bytes;
    size_t pending, bytes;    /* not answered yet */
    uint64_t taken, answered; /* messages, ever */
    struct batch *head, *tail;
    struct batch *answering; /* whose callbacks run */
    size_t batches;
    struct flush *flushes;

    struct loop_timer timer; /* to the next pump */
    bool gone;               /* producer_free was called */
    bool closing, detached;
    bool over; /* the stream was closed by us: `told` says how */
    bool fenced;
    struct error fence;

    struct producer_result told; /* the last batch's, for flushes; its offset is told_offset's */
    struct buf told_offset;
    struct error first_error; /* since the last flush */
};

/* ---- producer.c ---- */

/* Looks after everything in the next turn, or after delay_ms. */
void producer_wake(struct producer *p, uint64_t delay_ms);
/* Answers what is ready to be answered, in order. The callbacks may free the producer. */
void producer_settle(struct producer *p);

/* ---- producer_batch.c ---- */

/* Takes messages from the front of the queue. False with e: out of memory. */
bool batch_cut(struct producer *p, struct error *e);
void batch_free(struct batch *b);
/* Whether it may leave now; `due`, where it is a matter of time only, becomes the earliest such time. */
bool batch_may_leave(const struct batch *b, uint64_t now, uint64_t *due);
void batch_send(struct batch *b);
/* Asks on_error what to do with one that failed. */
void batch_ask(struct batch *b);
/* Given up. */
void batch_fail(struct batch *b, const struct error *e);
/* b, the oldest, has failed: those behind it go out under a new epoch. */
void batch_after_failure(struct batch *b);

#endif
