/* What a request that cannot be answered at once is waiting for. Part of its connection. */
#ifndef SERVER_EXCHANGE_H
#define SERVER_EXCHANGE_H

#include <stdbool.h>
#include <stdint.h>

#include "server/block.h"
#include "server/streams.h"

enum exchange_kind {
    EXCHANGE_NONE,
    EXCHANGE_DELAY, /* a fault holds the request up */
    EXCHANGE_WRITE, /* the disk */
    EXCHANGE_POLL,  /* a change, or the time */
    EXCHANGE_SSE,   /* the same, again and again */
};

struct exchange {
    enum exchange_kind kind;
    struct stream_wait wait;
    struct stream_watch watch;
    uint64_t id;       /* of the stream that is read */
    uint64_t position; /* up to where it was read */
    uint64_t cursor;   /* the highest one this client has */
    bool has_cursor;
    bool base64;
    bool changed; /* SSE: there may be more than was read */
    bool told;    /* SSE: the control event about `position` has left */
    bool producer, close_only;
    uint64_t end; /* SSE: when the response ends */
    /* A fault that the answer is to have; see faults.h. */
    struct block *inject;    /* SSE: comes first */
    int status, retry_after; /* 0, -1: none */
    bool drops, truncates, corrupts;
    uint64_t truncate;
};

#endif
