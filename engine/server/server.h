/* A Durable Streams server: PROTOCOL.md sections 4, 5, 8 to 10 and 12 over HTTP/1.1, on the caller's loop.
 *
 *     socket -> conn (bytes, limits) -> parser -> request -> handlers -> streams (server/streams.h)
 *                                                               |
 *                  conn (outbox, backpressure) <- reply, sse <--+
 *
 * Everything belongs to the loop's thread. Handlers run inside libuv's callbacks and at the loop's drain
 * point; no Lua runs in here. */
#ifndef SERVER_SERVER_H
#define SERVER_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/log.h"
#include "io/loop.h"
#include "server/streams.h"

struct server;

enum { SERVER_PORT = 4437 };

/* 0 and NULL stand for the default beside it. */
struct server_options {
    const char *host; /* a numeric address; "127.0.0.1" */
    int port;         /* 0: any that is free */
    struct streams_options streams;
    uint64_t long_poll_ms; /* 30 s: how long a long-poll waits */
    uint64_t sse_life_ms;  /* 60 s: how long an SSE response goes on, give or take a tenth */
    uint64_t comment_ms;   /* 15 s of silence on SSE, then a comment */
    uint64_t idle_ms;      /* 75 s: how long a connection may wait for its next request */
    uint64_t
        request_ms; /* 30 s: for a head; between two pieces of a body; until a client takes what it is sent */
    size_t max_body; /* 64 MB: of one request */
    size_t
        max_input; /* 256 MB, or max_body where that is more: of all bodies at one time; a body is no longer */
    size_t max_connections; /* 10,000; fewer where the process may not have so many descriptors */
    size_t max_output; /* 256 MB: of what waits for all connections to take it; the slowest are cut off */
    const char
        *token_file;      /* its first line is the bearer token that every request has to bring; NULL: none */
    const char *tls_cert; /* a PEM file with the certificate and its chain; NULL: plain HTTP */
    const char *tls_key;  /* a PEM file */
    const char *cors_origin; /* "*"; one origin; "none" */
    const char *access_log;  /* a file, or "-" for standard output: a line for each request; NULL: none */
    bool faults;             /* the hooks for tests under /_test/ */
    const struct log *log;   /* not owned; NULL: none */
};

/* False where the build had no llhttp: e says what to install. */
bool server_is_built(struct error *e);

/* "127.0.0.1:4437", "[::1]:0": a host of at most size - 1 bytes, and a port. False with e: it is not that. */
bool server_parse_listen(const char *text, char *host, size_t size, int *port, struct error *e);

/* True for an address that only this machine reaches: 127.0.0.1, ::1, "localhost". */
bool server_is_loopback(const char *host);

/* Listens. Keeps the loop alive until server_close. From then on the process ignores SIGPIPE, unless it has a
 * handler of its own: a client may go at any moment. What options point to is needed during the call only
 * (the log: for good). NULL with e. */
struct server *server_open(struct loop *loop, const struct server_options *options, struct error *e);

/* "http://127.0.0.1:4437", with the port it really has. Good until the server is freed. */
const char *server_url(const struct server *server);

/* Takes no more connections, lets what is under way end: requests are answered, long-polls as at their
 * timeout, SSE after the event under way; writes reach the disk. After `grace_ms` what is left is cut off.
 * `closed` is called (from the loop, once) when all of that is over and the server is freed. */
void server_close(struct server *server, uint64_t grace_ms, void (*closed)(void *user), void *user);

/* Connections open now, and how many there may be. */
size_t server_connections(const struct server *server);
size_t server_most_connections(const struct server *server);

#endif
