/* Server-Sent Events, parsed: feed bytes, take events. Pure: no sockets, no clock.
 *
 *     struct slice input = slice_of(ptr, len);
 *     while ((got = sse_next(&sse, &input, &event, &e)) == SSE_EVENT) { ... }
 *
 * Follows the WHATWG text: lines end in CR, LF or CRLF, wherever the input is cut; one BOM is skipped;
 * data lines are joined by LF; comments, id, retry and unknown fields are skipped; an event without a
 * data line is none. An event that its blank line does not end is never given: at the end of the
 * input it is dropped by sse_reset or sse_free. Each byte is looked at once. */
#ifndef STREAM_SSE_H
#define STREAM_SSE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/slice.h"

enum { SSE_EVENT_MAX = 64 * 1024 * 1024 };

/* Both slices are the parser's, good until the next call. */
struct sse_event {
    struct slice type; /* "message" where the event names none */
    struct slice data;
};

enum sse_result {
    SSE_MORE,  /* the input is used up */
    SSE_EVENT, /* one event was read; the rest of the input waits */
    SSE_ERROR, /* an event passes the cap: the parser must be reset */
};

enum sse_state { SSE_BOM, SSE_LINE, SSE_NAME, SSE_SPACE, SSE_VALUE };

struct sse {
    struct buf data;
    char type[64]; /* longer ones are cut: no event of the protocol has such a name */
    size_t type_len;
    char name[8]; /* the field's name, cut: the known ones are shorter */
    size_t name_len;
    enum sse_state state;
    enum { SSE_SKIP, SSE_DATA, SSE_TYPE } field;
    unsigned bom;  /* bytes of it that matched */
    bool after_cr; /* a LF that follows belongs to the same line end */
    bool given;    /* `data` was handed out: it is emptied by the next call */
};

/* max: bytes of data of one event; 0: SSE_EVENT_MAX. */
void sse_init(struct sse *sse, size_t max);
void sse_free(struct sse *sse);

/* As if new: for a new connection. */
void sse_reset(struct sse *sse);

/* Takes bytes from the front of *input until an event is whole or all are used. */
enum sse_result sse_next(struct sse *sse, struct slice *input, struct sse_event *event, struct error *e);

#endif
