/* The header fields and query parameters of one request, or those that every request of a stream
 * carries. It owns copies of all text. */
#ifndef STREAM_FIELDS_H
#define STREAM_FIELDS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "base/slice.h"
#include "io/http.h"
#include "io/url.h"

struct fields {
    struct http_field *headers; /* one allocation each: the name, and behind it the value */
    size_t header_count;
    struct url_param *params; /* a value that is absent takes the parameter out of the URL */
    size_t param_count;
};

/* Allocates nothing yet. */
void fields_init(struct fields *fields);
void fields_free(struct fields *fields);

/* Puts a header, in place of one of that name (without regard to case). False with e: out of memory. */
bool fields_header(struct fields *fields, struct slice name, struct slice value, struct error *e);

/* The same, unless there is one of that name. */
bool fields_default(struct fields *fields, const char *name, struct slice value, struct error *e);

/* Puts a query parameter, in place of one of that name. */
bool fields_param(struct fields *fields, struct slice name, struct slice value, struct error *e);

/* Puts copies of headers, of params. */
bool fields_headers(struct fields *fields, const struct http_field *list, size_t count, struct error *e);

/* Puts everything that `from` holds. */
bool fields_add(struct fields *fields, const struct fields *from, struct error *e);

#endif
