/* The slicer: finds the messages in the bytes of a chunk.
 *
 * It is pure: the caller holds the bytes in a window and moves along. A message that lies whole in the
 * window is looked at once, by its decoder. One whose end has not arrived is framed (json/frame.h) while
 * its bytes come in, and decoded when it is whole. */
#ifndef MESSAGE_SLICER_H
#define MESSAGE_SLICER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/slice.h"
#include "message/message.h"
#include "json/frame.h"

enum slicer_format {
    SLICER_ARRAY, /* one JSON array; its elements are the messages */
    SLICER_LINES, /* one message a line; empty lines do not count */
    SLICER_AUTO,  /* an array where the first byte that is not white space is '[', lines otherwise */
};

enum slicer_status {
    SLICER_MESSAGE, /* the decoder took one */
    SLICER_REFUSED, /* one that is invalid or that the decoder refused: passed over; e says why */
    SLICER_MORE,    /* nothing more to find in the window: call again with more bytes behind it */
    SLICER_END,     /* the chunk is over */
    SLICER_BROKEN,  /* the chunk cannot be read on: e says why. ERROR_CUT: it ended too early */
    SLICER_FAILED,  /* memory or a cap; e says which */
};

struct slicer {
    enum slicer_format format;
    int state;
    bool framing; /* the message at the window's start is not whole yet */
    struct json_frame frame;
    size_t message_max;
    message_decode *decode;
    message_known *known; /* NULL: there is none */
    void *decoder;

    /* Of the message just found, or the place of a fault: */
    struct slice message; /* its text, white space trimmed */
    uint64_t position;    /* of its first byte, from the chunk's start */
    uint64_t index;       /* 0 for the chunk's first message */
    uint64_t line;        /* SLICER_LINES: 1 for the first line */

    uint64_t taken; /* bytes of the chunk that the window has moved over */
    uint64_t found; /* messages found so far, refused ones included */
};

/* message_max: the bytes that one message may have. decoder is borrowed. Where the decoder has a message_known,
 * the caller may set `known` afterwards: lines then need not be looked for. */
void slicer_init(struct slicer *slicer, size_t message_max, message_decode *decode, void *decoder);

/* A new chunk begins: what was held of the last one is forgotten. */
void slicer_begin(struct slicer *slicer, enum slicer_format format);

/* Looks at [*at, end) and moves *at behind what it took. What it leaves must be at the start of the next
 * window. last: no byte of this chunk follows. */
enum slicer_status slicer_next(struct slicer *slicer, const char **at, const char *end, bool last,
                               struct error *e);

#endif
