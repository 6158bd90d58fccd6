/* Dead letters: messages that were refused, kept in a file, one JSON object a line:
 *
 *     {"stream":"...","offset":"...","index":N,"reason":"...","event":"the message's text"}
 *
 * A message that is not UTF-8 has "bytes", in hexadecimal, in the place of "event". */
#ifndef SINK_DEADLETTER_H
#define SINK_DEADLETTER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/slice.h"

struct deadletter;

struct deadletter_entry {
    const char *stream; /* its name */
    const char *offset; /* of the chunk that held the message */
    uint64_t index;     /* of the message in its chunk, from 0 */
    const char *reason;
    struct slice text;
};

/* Opens path for appending, and makes it where it does not exist. */
struct deadletter *deadletter_open(const char *path, struct error *e);
void deadletter_close(struct deadletter *deadletter);

/* Writes one line, and syncs it: what is passed over must not be lost. */
bool deadletter_write(struct deadletter *deadletter, const struct deadletter_entry *entry, struct error *e);

#endif
