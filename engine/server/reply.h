/* Responses: a status, fields, then one of the three ends. A response to HEAD has the fields of its body
 * without it.
 *
 *     reply_begin(conn, 200);
 *     reply_field(conn, "Content-Type", type);
 *     reply_end(conn, body);          and the connection goes on to its next request
 * / */
#ifndef SERVER_REPLY_H
#define SERVER_REPLY_H

#include <stdbool.h>
#include <stdint.h>

#include "server/conn.h"

/* The status line and the fields that every response has. */
void reply_begin(struct conn *conn, int status);

/* The value must not hold CR or LF: what came in a request never does. */
void reply_field(struct conn *conn, const char *name, struct slice value);
void reply_text(struct conn *conn, const char *name, const char *value);
void reply_number(struct conn *conn, const char *name, uint64_t value);

/* Stream-Next-Offset. */
void reply_next(struct conn *conn, uint64_t position);

/* Ends the fields and sends a body (which may be empty; 204 and 304 have none). */
void reply_end(struct conn *conn, struct slice body);

/* The same with what was read; takes it, whatever becomes of it. */
void reply_read(struct conn *conn, struct stream_body *body);

/* Ends the fields of a response whose body comes in blocks of chunked coding (server/sse.h). */
void reply_stream(struct conn *conn);

/* One such block. */
void reply_chunk(struct conn *conn, struct block *block);

/* The end of such a response. */
void reply_stream_end(struct conn *conn);

/* A whole response: the reason as one line of text. */
void reply_error(struct conn *conn, int status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The same, for who has begun one and put fields. */
void reply_reason(struct conn *conn, const char *reason);

#endif
