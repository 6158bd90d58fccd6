/* The head of an HTTP response, line by line as it comes. Pure: no sockets.
 *
 * A head holds the latest response: a status line starts it anew, so that after redirects and interim
 * (1xx) answers the last one remains. It owns its text; fields are slices of it, good until the next
 * line is added or it is freed. */
#ifndef IO_HEAD_H
#define IO_HEAD_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/error.h"
#include "io/http.h"

enum { HEAD_FIELDS_MAX = 256, HEAD_BYTES_MAX = 64 * 1024 };

struct head {
    struct buf text;
    int status;
    bool whole;                /* its blank line was seen */
    struct http_field *fields; /* filled by head_response */
    size_t lines;              /* fields so far */
};

void head_init(struct head *head);
void head_free(struct head *head);

/* One line with its line end: a status line, a field, the continuation of one, or the blank line.
 * False with e where a cap (HEAD_FIELDS_MAX, HEAD_BYTES_MAX) or memory is reached. */
bool head_line(struct head *head, const char *ptr, size_t len, struct error *e);

/* What is there so far; status 0 where no head came. False with e: out of memory. */
bool head_response(struct head *head, struct http_response *response, struct error *e);

#endif
