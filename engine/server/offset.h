/* Offsets, PROTOCOL.md section 8: where something is in a stream, as clients see it and as a number.
 *
 * A position is the count of stored bytes before it, in the stream or in what it was forked from: a fork
 * goes on counting where its source was left. Its token is 16 zeros, '_' and the position in 16 decimal
 * digits, so that tokens sort as the positions do. A stream that is not JSON can be read from any byte; one
 * of JSON only from between messages. Pure. */
#ifndef SERVER_OFFSET_H
#define SERVER_OFFSET_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

enum {
    STREAM_OFFSET_LEN = 33,
    STREAM_OFFSET_SIZE = STREAM_OFFSET_LEN + 1, /* with its NUL */
};

/* Positions stay below this: 16 digits. */
#define STREAM_POSITION_MAX UINT64_C(9999999999999999)

enum stream_offset_kind {
    STREAM_OFFSET_START, /* "-1", or no offset at all (ptr NULL) */
    STREAM_OFFSET_NOW,   /* "now": the tail */
    STREAM_OFFSET_AT,    /* a token */
};

struct stream_offset {
    enum stream_offset_kind kind;
    uint64_t position; /* 0 but for STREAM_OFFSET_AT */
};

/* False for everything that is neither "-1", "now" nor a token: the empty text, "0", text with a comma.
 * Tokens that this server cannot have made (not 16 zeros in front) are read as a position past every tail. */
bool stream_offset_parse(struct slice text, struct stream_offset *offset);

/* Writes the token with its NUL. */
void stream_offset_format(uint64_t position, char out[STREAM_OFFSET_SIZE]);

#endif
