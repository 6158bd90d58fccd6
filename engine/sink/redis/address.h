/* Where a Redis server is, from a URL. Pure.
 *
 *     redis://[[user]:password@]host[:port][/db]
 *     unix://[[user]:password@]/path/of/the/socket[?db=N] */
#ifndef SINK_REDIS_ADDRESS_H
#define SINK_REDIS_ADDRESS_H

#include <stdbool.h>

#include "base/error.h"

struct redis_address {
    char *host; /* NULL: a socket at `path` */
    char *path;
    char *user, *password; /* NULL: none */
    char port[8];
    unsigned db;
};

/* Percent-encoded parts are decoded. False with e: it is no such URL (the message does not show it whole, as it may
 * hold a password), or memory. Free it all the same. */
bool redis_address_parse(struct redis_address *address, const char *url, struct error *e);
void redis_address_free(struct redis_address *address);

#endif
