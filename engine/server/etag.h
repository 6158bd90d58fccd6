/* Entity tags of what is read (PROTOCOL.md sections 5.6 and 10.1). Pure. */
#ifndef SERVER_ETAG_H
#define SERVER_ETAG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"
#include "server/streams.h"

enum { ETAG_SIZE = 80 };

/* "life-id:from:next" in quotes, with ":u" where there is no more for now, ":c" where the stream ends there for
 * good: what is the same but for that is no 304, which could not take Stream-Up-To-Date away. `life` is a number of this
 * run of the server: what had the same place in a stream of an earlier one (of a server in memory, or one
 * that lost what it had not written) may be other data. */
void etag_format(uint32_t life, uint64_t id, const struct stream_body *body, char out[ETAG_SIZE]);

/* True where the value of If-None-Match (absent: none) names the tag, weakly or not, or is "*". */
bool etag_matches(struct slice list, const char *etag);

#endif
