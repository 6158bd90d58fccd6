/* A digest of a stream's messages, from where they are counted: what tells that a stream which is read again is the one that
 * it was. It goes by what the messages say (kind, type, key, value), not by their bytes: servers stamp headers, and white
 * space comes out differently in different modes of reading. */
#ifndef WORKER_DIGEST_H
#define WORKER_DIGEST_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "message/event.h"

enum { DIGEST_TEXT = 17 }; /* with its NUL */

struct digest {
    bool known; /* of all messages so far; otherwise value is unused */
    uint64_t value;
    struct buf scratch;
};

/* Of no messages. */
void digest_init(struct digest *digest);
void digest_free(struct digest *digest);

/* Another message: an event, or NULL for one that is none. */
void digest_add(struct digest *digest, const struct event *event);

void digest_format(uint64_t value, char out[DIGEST_TEXT]);

/* False: the text is none of those. */
bool digest_parse(const char *text, uint64_t *value);

#endif
