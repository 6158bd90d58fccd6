/* Points in time as HTTP and the protocol write them. Pure. */
#ifndef SERVER_STAMP_H
#define SERVER_STAMP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

/* RFC 3339, "2025-01-15T10:30:00.5+01:00", to milliseconds since 1970. False: it is not that, or
 * not from 1970 to 9999 (in UTC). */
bool stamp_parse(struct slice text, uint64_t *ms);

/* "2025-01-15T09:30:00.500Z" */
enum { STAMP_SIZE = 32 };
void stamp_format(uint64_t ms, char out[STAMP_SIZE]);

/* "Wed, 15 Jan 2025 09:30:00 GMT", as the field Date has it. */
enum { STAMP_HTTP_SIZE = 40 };
void stamp_http(uint64_t s, char out[STAMP_HTTP_SIZE]);

#endif
