/* Server-Sent Events as the protocol has them (PROTOCOL.md section 5.8), each event in a chunk of HTTP's
 * chunked coding, so that the same bytes serve every reader. Pure. */
#ifndef SERVER_SSE_H
#define SERVER_SSE_H

#include <stdbool.h>
#include <stdint.h>

#include "server/block.h"
#include "server/streams.h"

/* The data event of what was read: as lines of text, or in base64. CR, LF and CRLF in text all end a line:
 * nothing in the data can be taken for another field. NULL: out of memory. */
struct block *sse_data(const struct stream_body *body, bool base64);

/* The control event behind it. Where `closed` there is no cursor, as nobody is to come back. */
struct block *sse_control(uint64_t next, uint64_t cursor, bool up_to_date, bool closed);

/* A comment, which keeps a silent connection alive. */
struct block *sse_comment(void);

/* An event of any type with any data. */
struct block *sse_event(struct slice type, struct slice data);

/* The block's bytes without the chunked coding, for HTTP/1.0. */
struct slice sse_bare(const struct block *block);

#endif
