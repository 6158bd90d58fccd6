/* One HTTP request as the server's handlers see it. It owns all its text; slices of it are good until
 * request_reset or request_free. Filled by server/parser.h; pure. */
#ifndef SERVER_REQUEST_H
#define SERVER_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/slice.h"

enum { REQUEST_FIELDS_MAX = 100, REQUEST_HEAD_MAX = 32 * 1024, REQUEST_PATH_MAX = 2048 };

enum request_method {
    REQUEST_GET,
    REQUEST_HEAD,
    REQUEST_POST,
    REQUEST_PUT,
    REQUEST_DELETE,
    REQUEST_OPTIONS,
    REQUEST_OTHER, /* well-formed, and nothing here takes it */
};

/* The fields that something here asks for. */
enum request_field {
    FIELD_HOST,
    FIELD_EXPECT,
    FIELD_AUTHORIZATION,
    FIELD_CONTENT_TYPE,
    FIELD_CONTENT_ENCODING,
    FIELD_IF_NONE_MATCH,
    FIELD_TRANSFER_ENCODING,
    FIELD_STREAM_SEQ,
    FIELD_STREAM_TTL,
    FIELD_STREAM_EXPIRES_AT,
    FIELD_STREAM_CLOSED,
    FIELD_STREAM_FORKED_FROM,
    FIELD_STREAM_FORK_OFFSET,
    FIELD_STREAM_FORK_SUB_OFFSET,
    FIELD_PRODUCER_ID,
    FIELD_PRODUCER_EPOCH,
    FIELD_PRODUCER_SEQ,
    FIELD_COUNT
};

struct request {
    enum request_method method;
    bool http10;
    bool keep_alive; /* the client would send another on this connection */
    bool has_body;   /* Content-Length above 0, or chunked */
    bool has_length;
    uint64_t length;     /* Content-Length, where it has one */
    struct slice target; /* as it was sent */
    struct slice query;  /* behind the '?'; absent where there is none */
    struct slice
        fields[FIELD_COUNT]; /* absent (ptr NULL) where it was not sent; without white space around */
    struct buf head;         /* what all the slices are of */
    struct buf path;         /* normalised (server/target.h) */
    struct buf body;
};

/* body_max in bytes. */
void request_init(struct request *request, size_t body_max);
void request_free(struct request *request);

/* Ready for the next one; memory stays, unless it is much. */
void request_reset(struct request *request);

/* "GET"; of one that nothing here takes "-". */
const char *request_method_name(enum request_method method);

/* The field of that name (any case), or FIELD_COUNT. */
enum request_field request_field_find(struct slice name);

/* The name as it is written: "Stream-TTL". */
const char *request_field_name(enum request_field field);

/* The value is `true`, whatever its case: how the protocol has Stream-Closed (PROTOCOL.md 4.1). */
bool request_field_true(const struct request *request, enum request_field field);

/* Walks the query's parameters of that name, percent-decoded into out (which is cleared first). Returns
 * how often the name is there; out holds the first. A value that cannot be decoded counts as -1. */
int request_param(const struct request *request, const char *name, struct buf *out);

#endif
