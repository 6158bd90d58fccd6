/* A copy of request headers, in one allocation, with room for more. Private to the room. */
#ifndef STREAM_FIELDS_H
#define STREAM_FIELDS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "io/http.h"

struct fields {
    struct http_field *list; /* owned, with the text of those that were copied */
    size_t count;            /* those in use; the ones put behind own[] are borrowed */
    size_t own;              /* those copied */
};

/* Copies `count` fields and leaves `extra` empty places behind them. */
bool fields_copy(struct fields *fields, const struct http_field *list, size_t count, size_t extra,
                 struct error *e);
void fields_free(struct fields *fields);

/* Back to those that were copied. */
void fields_trim(struct fields *fields);

/* Puts one more into an empty place, unless the caller gave one of that name. Borrows its text. */
void fields_put(struct fields *fields, const char *name, struct slice value);

#endif
