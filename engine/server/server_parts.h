/* What a server is made of, for the files of this room. */
#ifndef SERVER_SERVER_PARTS_H
#define SERVER_SERVER_PARTS_H

#include "base/buf.h"
#include "base/strmap.h"
#include "server/conn.h"
#include "server/fan.h"
#include "server/server.h"

enum { SERVER_READ = 64 * 1024, SERVER_SCRATCH_MAX = 64 * 1024 * 1024 };

/* The events of what was read last for SSE: they serve the next reader who stands at the same place. */
struct sse_last {
    uint64_t id, from, next, tail, cursor;
    bool closed, up_to_date, whole; /* whole: there is something in it */
    struct block *data, *control;   /* data NULL: nothing but the control event */
};

struct access;
struct faults;
struct tls_context;

struct server {
    struct loop *loop;
    uv_tcp_t listener;
    uv_timer_t grace;
    unsigned handles;
    struct server_options options; /* numbers only; what it points to is NULL but for the log */
    struct streams *streams;
    struct conn *conns;
    size_t conn_count;
    size_t input;        /* memory of the bodies that come in or are being answered */
    size_t output;       /* memory of what waits for connections to take it */
    struct conn *writer; /* whose bytes are in scratch */
    struct buf scratch;  /* what is being put together to be sent */
    struct buf common;   /* the fields of every response, made anew each second */
    uint64_t common_s;   /* that second */
    struct buf token;    /* empty: none is asked for */
    struct buf origin;   /* empty: no CORS */
    struct sse_last sse;
    struct fan fan;
    struct block *comment;
    struct access *access; /* NULL: none */
    struct faults *faults;
    struct tls_context *tls;
    uint64_t random;
    uint32_t life; /* for ETags, see etag.h */
    bool closing, streams_closed;
    void (*closed)(void *user);
    void *user;
    char url[128];
    char read[SERVER_READ]; /* bytes of the read under way */
};

/* A connection has gone; one handle fewer. Frees the server with the last, where it is closing. */
void server_conn_gone(struct server *server);

/* "127.0.0.1:53122", "[::1]:80". */
void server_address(const struct sockaddr_storage *address, char *out, size_t size);

/* Milliseconds since 1970. */
uint64_t server_wall_ms(void);

/* The cursor that now stands for (server/cursor.h). */
uint64_t server_cursor(void);

/* A number that nobody needs to guess: for jitter. */
uint64_t server_random(struct server *server);

/* uv_now of its loop. */
uint64_t server_now(const struct server *server);

#endif
