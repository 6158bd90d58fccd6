/* What writes need of reading: whether a position is one, and where so many messages behind it are. */
#ifndef SERVER_READ_H
#define SERVER_READ_H

#include "server/set.h"

/* STREAM_OK; STREAM_BAD_OFFSET: past the tail, or inside a message; STREAM_FAILED. */
enum stream_status read_check(struct stream *stream, uint64_t position);

/* The position `count` bytes (JSON: messages) behind one. STREAM_BAD_SUB_OFFSET: past the tail;
 * STREAM_FAILED. */
enum stream_status read_skip(struct stream *stream, uint64_t from, uint64_t count, uint64_t *to);

#endif
