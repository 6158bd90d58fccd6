/* Bytes to requests: one request at a time, by llhttp in its strict mode, with no lenient flag set. Pure:
 * no sockets, no clock. What several servers could take for different requests (request smuggling) is
 * refused: a line that ends in a bare LF or holds a bare CR, a folded field, Content-Length beside
 * Transfer-Encoding or twice, a transfer coding other than chunked, trailers, fields twice that may be
 * there once. */
#ifndef SERVER_PARSER_H
#define SERVER_PARSER_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "server/request.h"

struct parser;

enum parser_step {
    PARSER_MORE, /* everything was taken, and more is needed */
    PARSER_HEAD, /* the head is whole: method, target, fields and length are there; told once */
    PARSER_DONE, /* the request is whole; what is left of the bytes belongs to the next one */
    PARSER_BAD,  /* e says why: code, message, and the HTTP status to answer with */
};

/* Fills `request`, which is not owned. NULL: out of memory. */
struct parser *parser_new(struct request *request);
void parser_free(struct parser *parser);

/* Expects the next request. The request is to be reset too. */
void parser_reset(struct parser *parser);

/* True where a part of a request has been taken. */
bool parser_begun(const struct parser *parser);

/* Takes bytes; *used says how many. */
enum parser_step parser_feed(struct parser *parser, const char *ptr, size_t len, size_t *used,
                             struct error *e);

#endif
