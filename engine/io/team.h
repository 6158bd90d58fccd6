/* Threads that help the caller's with one piece of work at a time that falls into many small items. It takes
 * part itself, and goes on when all items are done: nothing else of the caller happens meanwhile.
 *
 * Threads are started with the first piece of work, and sleep in between. A thread that wakes up late, on a
 * busy machine, is not waited for: the others do its share. */
#ifndef IO_TEAM_H
#define IO_TEAM_H

#include <stddef.h>

struct team;

/* With a helper for each processor but one, three at most: where there is one processor, the caller does it
 * all. NULL: out of memory. */
struct team *team_new(void);

/* Ends the threads. NULL is fine. */
void team_free(struct team *team);

/* Calls item(user, i) once for each i below count, on any of the threads, several at the same time, in no
 * order. Returns when all calls have returned; what they wrote can be read then. */
void team_each(struct team *team, size_t count, void (*item)(void *user, size_t i), void *user);

#endif
