/* One connection to a PostgreSQL server, on the loop: the one file that joins libpq and libuv.
 *
 *     pg_link_open --connected--> pg_link_run(round) --answer, answer, ...--> done --> pg_link_run(round) ...
 *              \--broken                          \--done(failure, cut)
 *
 * A round is a few statements that are sent at once (pipeline mode) and are one transaction, unless one of them
 * begins another: all of them are done, or none. They are asked for one after the other as the socket takes
 * them, so that a large batch is not copied as a whole.
 *
 * Callbacks are made from a task of the loop. `connected`, `broken` and `done` may start the next round or free
 * the link; the others must not. */
#ifndef SINK_POSTGRES_LINK_H
#define SINK_POSTGRES_LINK_H

#include <libpq-fe.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "io/loop.h"

struct pg_link;

#define PG_NO_STATEMENT SIZE_MAX

/* Why a round, or a connection, came to nothing. */
struct pg_failure {
    struct error error; /* the server's message, without the text of the statement */
    char state[6];      /* the SQLSTATE; "" where the server has not told one */
    size_t statement;   /* which of the round's; PG_NO_STATEMENT: at its end, when it was to be committed */
    bool cut;           /* the connection is gone. What has become of the round is not known */
    bool password;      /* of connecting: the server wants a password, and there is none */
    bool tls;           /* of connecting: a certificate does not hold, or the server has no TLS and should */
};

enum { PG_TEXT = 25, PG_TEXT_ARRAY = 1009, PG_JSONB_ARRAY = 3807, PG_INT8 = 20 }; /* Oid of types */

/* A parameter of a statement, borrowed until it has been sent. */
struct pg_param {
    unsigned type;     /* 0: the server finds out */
    const char *value; /* NULL: null */
    size_t length;     /* of a binary one; a text ends with its NUL */
    bool binary;
};

/* A text, or null. */
static inline struct pg_param pg_param_text(const char *text) {
    return (struct pg_param){.type = PG_TEXT, .value = text};
}

struct pg_round {
    void *user;
    /* Sends the next statement with pg_link_send. False: there is none left. */
    bool (*next)(void *user, struct pg_link *link);
    /* May be NULL. The n-th statement's answer; it was done without an error, but may yet be undone. */
    void (*answer)(void *user, size_t n, const PGresult *result);
    /* failure NULL: all of it is done. */
    void (*done)(void *user, const struct pg_failure *failure);
    /* Not NULL: the round is one statement, COPY ... FROM STDIN. Gives a piece of what is copied, borrowed until
     * the next call; false: that was all. */
    bool (*copy)(void *user, const char **piece, size_t *length);
};

struct pg_link_options {
    struct loop *loop;
    const char *url;         /* as libpq takes it; copied. Names of hosts are looked up without blocking */
    uint64_t answer_max_ms;  /* for how long nothing may come while an answer is awaited */
    uint64_t connect_max_ms; /* 0: 15 s */
    void *user;
    void (*connected)(void *user);
    void (*broken)(void *user, const struct pg_failure *failure); /* it could not connect */
};

/* Starts nothing yet. NULL: out of memory. */
struct pg_link *pg_link_new(const struct pg_link_options *options);

/* Gives up what is under way, without a callback. */
void pg_link_free(struct pg_link *link);

/* False: the text is nothing that libpq takes for a connection. */
bool pg_link_url_ok(const char *url);

/* Connects, or connects anew. */
void pg_link_open(struct pg_link *link);
void pg_link_close(struct pg_link *link);
bool pg_link_is_open(const struct pg_link *link);

/* One round at a time, on an open link. */
void pg_link_run(struct pg_link *link, const struct pg_round *round);

/* From a round's `next`. What cannot be sent ends the round as cut. */
void pg_link_send(struct pg_link *link, const char *sql, const struct pg_param *params, size_t count);

/* From a round's `next` or `copy`: what has been sent must not be done. Cuts the connection; `done` is told. */
void pg_link_give_up(struct pg_link *link);

/* A setting that the server tells by itself ("server_encoding"), or NULL. */
const char *pg_link_setting(const struct pg_link *link, const char *name);

#endif
