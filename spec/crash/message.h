/* What the crash test writes: every message says who wrote it, and the rest of it follows from that, so that a byte
 * that is lost, doubled or out of place is noticed.
 *
 * One message is one append. In a stream of JSON it is an array of up to three elements. */
#ifndef CRASH_MESSAGE_H
#define CRASH_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

struct message {
    uint32_t stream, writer, number;
};

/* Appends the body of the request that appends it. */
void message_body(struct buf *out, bool json, struct message message);

enum message_found { MESSAGE_WHOLE, MESSAGE_CUT /* it begins well, and the text ends inside */, MESSAGE_BAD };

/* The message at *at of stored content (of JSON: each element with ",\n" behind it); moves *at behind a whole one. */
enum message_found message_read(struct slice stored, bool json, size_t *at, struct message *message);

#endif
