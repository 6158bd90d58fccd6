/* Cursors of live reads (PROTOCOL.md section 10.1): the number of the 20-second interval, which makes one
 * cache key for all who wait at the same time, and never stands still for one who comes back. Pure. */
#ifndef SERVER_CURSOR_H
#define SERVER_CURSOR_H

#include <stdint.h>

#include "base/slice.h"

enum { CURSOR_INTERVAL_S = 20 };

/* The number of the interval, at a time of the wall clock in milliseconds since 1970. */
uint64_t cursor_now(uint64_t wall_ms);

/* The cursor to answer with to who last had `asked` (its text; absent, or no number: none): that of now, or,
 * where that is not above `asked`, one of up to an hour later; `random` chooses which. */
uint64_t cursor_next(uint64_t now, struct slice asked, uint64_t random);

/* The same for a cursor that was given out before. */
uint64_t cursor_above(uint64_t now, uint64_t before, uint64_t random);

#endif
