/* JSON mode (PROTOCOL.md 9.1): a body's messages, as a stream stores them. Pure. */
#ifndef SERVER_MESSAGES_H
#define SERVER_MESSAGES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/slice.h"

enum messages_status { MESSAGES_OK, MESSAGES_BAD, MESSAGES_MEMORY };

/* What is behind every message in the stream. No other line end is stored. */
#define MESSAGES_END ",\n"
enum { MESSAGES_END_LEN = 2 };

/* Appends the messages of a body to out: an array's elements, or the one value it is, each with
 * MESSAGES_END behind it. An empty array adds nothing. MESSAGES_BAD: not valid JSON; *reason (constant) and
 * *position tell where. */
enum messages_status messages_store(struct slice body, struct buf *out, const char **reason,
                                    size_t *position);

/* How long the first `count` messages of stored text are together; false where it has not as many. */
bool messages_skip(struct slice stored, uint64_t *count, size_t *len);

#endif
