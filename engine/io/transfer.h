/* One request as curl is told it: an easy handle with its options, and what those borrow. Knows curl,
 * not the loop. Private to the room.
 *
 * What is set: TLS is verified; redirects are left to the owner, see transfer_redirect. The usual proxy
 * variables are honoured. HTTP/2 is used where TLS offers it. gzip and deflate are asked for, but from
 * this machine itself, where they cost more than they save; they are decoded in any case. */
#ifndef IO_TRANSFER_H
#define IO_TRANSFER_H

#include <curl/curl.h>
#include <stdbool.h>

#include "base/error.h"
#include "io/http.h"

enum { TRANSFER_NAME = 512 };

struct transfer {
    CURL *easy;
    struct curl_slist *fields;
    char *body, *ca_file;
    unsigned redirects;       /* followed so far */
    char name[TRANSFER_NAME]; /* "GET http://host/path", fit for messages */
    char error[CURL_ERROR_SIZE];
};

/* Copies what options give. Callbacks are the caller's to set. False with e: free it all the same. */
bool transfer_init(struct transfer *transfer, const struct http_options *options, struct error *e);
void transfer_free(struct transfer *transfer);

/* Its answer was a redirect: makes it ready to be sent to where that leads, with method and body. Where
 * that is another host, port or scheme, only the protocol's own header fields go along. False with e:
 * that were one too many, or it leads to no http or https URL. */
bool transfer_redirect(struct transfer *transfer, struct error *e);

/* The error that a result of curl's is, naming the request. */
void transfer_error(const struct transfer *transfer, CURLcode rc, struct error *e);

#endif
