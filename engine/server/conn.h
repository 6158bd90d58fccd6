/* One connection: bytes in, bytes out, and the limits of both. A connection serves one request at a time;
 * what comes behind it waits (pipelining). It frees itself once it is closed.
 *
 * A handler answers with reply.h, at once or later, and then the next request is taken:
 *
 *     conn reads -> handle_request(conn) -> ... -> reply_end(conn) -> the next one
 *
 * What is put is sent when control goes back to the loop, or at conn_flush. */
#ifndef SERVER_CONN_H
#define SERVER_CONN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "server/block.h"
#include "server/exchange.h"
#include "server/outbox.h"
#include "server/parser.h"
#include "server/request.h"

struct server;
struct tls;

enum conn_state {
    CONN_IDLE,    /* waits for a request */
    CONN_REQUEST, /* a request is coming in */
    CONN_ANSWER,  /* a handler has it */
    CONN_STREAM,  /* SSE: the head has left, events follow */
    CONN_LINGER,  /* everything is sent; what still comes is dropped until the other side ends */
    CONN_CLOSING, /* its handles are being closed */
};

struct conn {
    struct server *server;
    struct conn *next, *prev;
    uv_tcp_t tcp;
    uv_timer_t timer; /* fires at or before `deadline` */
    uv_write_t write;
    uv_shutdown_t shutdown;
    unsigned handles;
    enum conn_state state;
    struct request request;
    struct parser *parser;
    struct buf in; /* came behind the request under way */
    struct outbox out;
    struct tls *tls; /* NULL: plain */
    struct exchange exchange;
    int status;            /* of the answer under way */
    uint64_t since;        /* when the request's first byte came */
    uint64_t heard;        /* when the last byte came */
    uint64_t sent;         /* when something last left */
    uint64_t deadline;     /* of the state */
    uint64_t timer_due;    /* 0: it does not run */
    size_t waiting;        /* bytes in libuv's hands when `sent` was looked at */
    size_t waiting_bytes;  /* bytes of the write under way */
    uint64_t put;          /* bytes of the answer under way */
    size_t lingered;       /* bytes dropped */
    size_t body_memory;    /* of its body, as the server counts it */
    size_t fan_place;      /* in the server's fan, counted from 1; 0: it is not there */
    size_t fan_sent;       /* bytes of the outbox that left with it */
    bool reading, writing; /* libuv does */
    bool eof;              /* the other side has ended what it sends */
    bool last;             /* the connection ends with this answer */
    bool feeding;          /* inside the loop over the bytes that came */
    bool interim;          /* 100 (Continue) was sent */
    bool told_end;         /* TLS has been told that nothing more comes */
    bool shut;             /* our side has ended */
    char peer[64];         /* for the access log: "127.0.0.1:53122" */
};

/* Takes a connection that is waiting on the listening socket. */
void conn_accept(struct server *server, uv_stream_t *listener);

/* Bytes that came, of plain HTTP. */
void conn_take(struct conn *conn, const char *ptr, size_t len);

/* The other side has ended what it sends (half closed). */
void conn_take_end(struct conn *conn);

/* Adds bytes to what is to be sent. They are copied. */
void conn_put(struct conn *conn, struct slice bytes);

/* Adds bytes that the owner keeps; takes a reference of its own. */
void conn_put_block(struct conn *conn, struct block *owner, struct slice bytes);

/* Sends what can be sent now. */
void conn_flush(struct conn *conn);

/* Sends from the outbox what the kernel takes at once; the connection stays as it is, and conn_sent is to be
 * told. On any thread, while the loop's own leaves the connection alone. Returns how many bytes; 0, too, where
 * it failed. */
size_t conn_try_send(const struct conn *conn);

/* So many bytes of the outbox have left; sends the rest. */
void conn_sent(struct conn *conn, size_t len);

/* The answer is whole: the next request is taken, or the connection ends. */
void conn_answered(struct conn *conn);

/* Takes what came behind the request that was answered. */
void conn_resume(struct conn *conn);

/* Takes back what a handler has under way (waits, watches) and closes the connection at once. */
void conn_close(struct conn *conn);

/* Where the connection is to end and all is sent: ends our side. */
void conn_settle(struct conn *conn);

/* Ends in an orderly way: after the answer under way, or now where there is none. */
void conn_end(struct conn *conn);

/* The state's time is over at that time (uv_now). */
void conn_set_deadline(struct conn *conn, uint64_t at);

/* For the access log, where there is one: who is at the other side; the request is over, answered or not. */
void conn_note_peer(struct conn *conn);
void conn_note(const struct conn *conn);

/* When the client last took something of what it was sent (uv_now): now where nothing waits. */
uint64_t conn_taken(struct conn *conn);

/* Bytes put that the kernel has not taken. */
size_t conn_backlog(const struct conn *conn);

#endif
