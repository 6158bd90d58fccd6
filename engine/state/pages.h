/* Zeroed memory straight from the system, for what is too large to lie between small things: it is given back
 * when it is freed, and in large pages where there are such. */
#ifndef STATE_PAGES_H
#define STATE_PAGES_H

#include <stdbool.h>
#include <stddef.h>

#define PAGES_HUGE ((size_t)2 << 20)

/* Asks for huge pages where nothing has been touched yet. They spare a large store most of its waits for
 * translated addresses. But the system clears 2 MB at once for them, from memory that nobody has used lately; a
 * virtual machine's host may have to find that memory first, which takes 30 times as long. So a store begins
 * with small pages. */
void pages_make_huge(void *at, size_t size);

/* size is in bytes, of any number. At a multiple of PAGES_HUGE from that size on. NULL: out of memory. */
void *pages_map(size_t size);

/* Makes them ready with one call, as far as the system knows one (Linux 5.14), instead of a fault for each when it is
 * touched. at: what pages_map gave. False: they are as they were. */
bool pages_fill(void *at, size_t size);

/* What pages_map gave, with the size that it was asked for. */
void pages_unmap(void *pages, size_t size);

/* The whole pages in this part of any private mapping need not be kept: what was written there is gone. */
void pages_forget(void *at, size_t size);

#endif
