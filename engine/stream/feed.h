/* Hands the bytes of a file or pipe to a sink as chunks: all as one, or cut at line ends, where the
 * bytes of an unfinished line wait here. Pure. Private to the room. */
#ifndef STREAM_FEED_H
#define STREAM_FEED_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "stream/source.h"

enum { FEED_LINE_MAX = 64 * 1024 * 1024 }; /* of an unfinished line */

struct feed {
    struct source_sink sink;
    enum source_format format;
    bool by_line;    /* chunks end at line ends */
    bool only_lines; /* an array is refused: it cannot be followed as it grows */
    bool sniffed;    /* the first byte that is not white space was seen, or is not asked for */
    bool in_chunk;
    bool told;         /* an end was reported, and no byte since */
    struct buf held;   /* the unfinished line */
    uint64_t position; /* behind the last byte handed over */
    unsigned turn;     /* the owner raises it where the consumer takes another course */
};

enum feed_result {
    FEED_ON,
    FEED_LEFT, /* the consumer has taken another course meanwhile: touch nothing */
    FEED_FULL, /* e says why it cannot go on */
};

void feed_init(struct feed *feed, const struct source_options *options, bool by_line, uint64_t position);
void feed_free(struct feed *feed);

/* Starts anew at position. */
void feed_reset(struct feed *feed, uint64_t position);

enum feed_result feed_bytes(struct feed *feed, const char *ptr, size_t len, struct error *e);

/* As feed_bytes. *piece becomes NULL where the sink took it over. */
enum feed_result feed_piece(struct feed *feed, struct piece **piece, struct error *e);

/* Hands over the unfinished line too: nothing follows. */
enum feed_result feed_flush(struct feed *feed);

/* The end of the chunk under way, or of one without bytes. */
enum feed_result feed_end(struct feed *feed, bool up_to_date, bool closed);

/* A byte position from an offset's text; NULL, "" and "-1" are 0. False: it is not one. */
bool feed_position(const char *offset, uint64_t *position);

#endif
