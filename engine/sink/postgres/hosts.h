/* Connecting to PostgreSQL by name: hosts are looked up before libpq does it, which would hold up the loop.
 *
 *     pg_hosts_new ---> pending: looked_up, once ---> pg_hosts_connect
 *
 * A URL (PGHOST, a service file) may name several hosts, each with several addresses. libpq is told every pair of them, in
 * that order, so that it tries one after the other, and holds a certificate against the name. Sockets and addresses are
 * left as they are. */
#ifndef SINK_POSTGRES_HOSTS_H
#define SINK_POSTGRES_HOSTS_H

#include <libpq-fe.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "io/loop.h"

struct pg_hosts;

/* url: as libpq takes it; borrowed. looked_up is called inside a libuv callback. NULL with e: memory. */
struct pg_hosts *pg_hosts_new(struct loop *loop, const char *url, void (*looked_up)(void *user), void *user,
                              struct error *e);

/* What is under way is given up, without a callback. NULL is fine. */
void pg_hosts_free(struct pg_hosts *hosts);

/* True: not all names have been answered, and looked_up will be called. */
bool pg_hosts_pending(const struct pg_hosts *hosts);

/* Starts connecting to what has been answered: from pair number `first` (modulo their count) on, and then those before
 * it. NULL with e: nothing has been answered, and why. What else is wrong the connection tells. */
PGconn *pg_hosts_connect(const struct pg_hosts *hosts, size_t first, struct error *e);

#endif
