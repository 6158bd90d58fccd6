/* Where a MySQL or MariaDB server is: mysql://user:password@host:port/database?socket=PATH&tls=MODE&ca=FILE. Pure. */
#ifndef SINK_MYSQL_ADDRESS_H
#define SINK_MYSQL_ADDRESS_H

#include <stdbool.h>

#include "base/error.h"

enum my_tls {
    MY_TLS_OFF,
    MY_TLS_ON,     /* encrypted, whoever it is */
    MY_TLS_VERIFY, /* encrypted, and its certificate is that of the host */
};

/* Owns its texts. */
struct my_address {
    char *user, *password; /* NULL: none was given */
    char *host;            /* NULL: the socket, or this machine */
    char *database;
    char *socket; /* NULL: TCP */
    char *ca;     /* NULL: the system's */
    unsigned port;
    enum my_tls tls;
};

/* False with e, which shows nothing of the URL: it is no such URL, or names no database. */
bool my_address_parse(struct my_address *address, const char *url, struct error *e);
void my_address_free(struct my_address *address);

#endif
