/* Where a stream stands after a chunk, as the head of a response or an SSE control event tells it. Pure.
 * Private to the room. */
#ifndef STREAM_MARK_H
#define STREAM_MARK_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/error.h"
#include "io/http.h"

enum { MARK_TEXT_MAX = 4096 }; /* of an offset, and of a cursor */

/* What is wrong with an answer without Stream-Next-Offset. */
#define MARK_NO_OFFSET "the answer has no Stream-Next-Offset header: is this the URL of a Durable Stream?"

struct mark {
    struct buf offset;
    struct buf cursor; /* empty: none was told */
    bool up_to_date;
    bool closed;
};

void mark_init(struct mark *mark);
void mark_free(struct mark *mark);

/* From Stream-Next-Offset, Stream-Cursor, Stream-Up-To-Date and Stream-Closed. False with e where the
 * offset is missing or too long. */
bool mark_from_head(struct mark *mark, const struct http_response *response, struct error *e);

/* From {"streamNextOffset","streamCursor","upToDate","streamClosed"}. */
bool mark_from_control(struct mark *mark, struct slice json, struct error *e);

/* True where the field is "true", without regard to case. */
bool mark_is_true(struct slice field);

#endif
