/* Zeroed memory straight from the system, for what is too large to lie between small things: it is given back
 * when it is freed, and in large pages where there are such. */
#ifndef STATE_PAGES_H
#define STATE_PAGES_H

#include <stddef.h>

#define PAGES_HUGE ((size_t)2 << 20)

/* size is in bytes, of any number. At a multiple of PAGES_HUGE from that size on. NULL: out of memory. */
void *pages_map(size_t size);

/* What pages_map gave, with the size that it was asked for. */
void pages_unmap(void *pages, size_t size);

/* The whole pages in this part of any private mapping need not be kept: what was written there is gone. */
void pages_forget(void *at, size_t size);

#endif
