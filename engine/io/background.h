/* Work on a thread of libuv's pool, one piece at a time, for whoever would else hold the loop up with it.
 *
 * What the work touches belongs to its thread from background_start until `done` is called on the loop's
 * thread, or background_wait returns. */
#ifndef IO_BACKGROUND_H
#define IO_BACKGROUND_H

#include <stdbool.h>

#include "io/loop.h"

struct background;

/* work runs on another thread; done inside a libuv callback of the loop. NULL: out of memory. */
struct background *background_new(struct loop *loop, void (*work)(void *user), void (*done)(void *user),
                                  void *user);

/* Starts the work. False: it cannot be started, and nothing happens. It must not be under way. */
bool background_start(struct background *background);

/* True from start until done has been called or background_wait has returned. */
bool background_busy(const struct background *background);

/* Waits until the work under way is over; done is not called for it. */
void background_wait(struct background *background);

/* Waits, and frees it (once libuv has let go of it: the loop has to be run). NULL is fine. */
void background_free(struct background *background);

#endif
