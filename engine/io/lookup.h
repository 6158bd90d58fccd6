/* The addresses of a host's name, looked up on a thread of libuv's pool: for libraries that would hold the loop up by
 * looking up names themselves.
 *
 *     lookup_start --> answered (exactly once, unless lookup_cancel came first)
 *
 * There is no limit on the wait here: who waits has one for its whole connection. A look-up that was cancelled goes on
 * in its thread until the resolver gives up, and nobody hears of it. */
#ifndef IO_LOOKUP_H
#define IO_LOOKUP_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "io/loop.h"

struct lookup;

enum { LOOKUP_MAX = 16, LOOKUP_TEXT = 64 };

/* Addresses as text ("127.0.0.1", "fe80::1%eth0"), in the order in which they are to be tried; at most LOOKUP_MAX. */
struct lookup_answer {
    size_t count;
    char addresses[LOOKUP_MAX][LOOKUP_TEXT];
};

/* answered is called inside a libuv callback of the loop; the handle is gone then. Its answer is good during the call;
 * NULL with e: the name has no address, or cannot be looked up now. NULL with e: it is no name, or memory is
 * short. e always names the host. */
struct lookup *lookup_start(struct loop *loop, const char *host,
                            void (*answered)(void *user, const struct lookup_answer *answer,
                                             const struct error *e),
                            void *user, struct error *e);

/* Nothing is called any more. NULL is fine. */
void lookup_cancel(struct lookup *lookup);

/* The text is an address, which needs no look-up. */
bool lookup_is_address(const char *host);

#endif
