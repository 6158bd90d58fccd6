/* URLs, as text: what of one may be shown, and its query. Pure. */
#ifndef IO_URL_H
#define IO_URL_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/slice.h"

/* Writes url to out as it may appear in messages and logs: without user and password, and with "..."
 * for the values of query parameters whose names speak of a secret (token, key, secret, password,
 * auth, sig). Cut to size, always terminated. */
void url_redact(const char *url, char *out, size_t size);

/* The same, but "...@" stands for user and password, so that it shows that they are missing. */
void url_redact_marked(const char *url, char *out, size_t size);

/* True where it came out of url_redact_marked with something taken out: nothing can be asked of it. */
bool url_is_redacted(const char *url);

/* True where the URL's host is this machine by name or address: localhost, 127.*, [::1]. */
bool url_is_loopback(const char *url);

/* True where both name one server: scheme, host and port as they are written, whatever user is in front. */
bool url_same_server(const char *a, const char *b);

struct url_param {
    const char *name;   /* plain, as the value is */
    struct slice value; /* percent-encoded here; absent (ptr NULL): the parameter is taken out */
};

/* Appends to out (and terminates with a NUL that len does not count) the url with the parameters put
 * into its query, replacing those of the same names, all in the byte order of their names
 * (PROTOCOL.md section 10.1: one spelling for caches). A fragment is dropped. False: out is full. */
bool url_query(struct buf *out, const char *url, const struct url_param *params, size_t count);

#endif
