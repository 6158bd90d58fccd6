/* curl's multi interface driven by libuv: multi.c is the one file that knows both. It waits for sockets and times on
 * curl's behalf, and says when curl has done something. Private to the room. */
#ifndef IO_MULTI_H
#define IO_MULTI_H

#include <curl/curl.h>
#include <stdbool.h>

#include "base/error.h"
#include "io/loop.h"

struct multi;

/* acted: transfers may have come to their end; called in a turn of the loop, outside of curl. NULL with e. */
struct multi *multi_new(struct loop *loop, void (*acted)(void *owner), void *owner, struct error *e);

/* Nothing may be in it any more. The memory goes when libuv has closed its handles. */
void multi_free(struct multi *multi);

/* Inside curl, so in one of its callbacks: nothing may be added or removed. */
bool multi_is_busy(const struct multi *multi);

bool multi_add(struct multi *multi, CURL *easy, struct error *e);
void multi_remove(struct multi *multi, CURL *easy);

/* Goes on with a transfer that was paused; makes its callbacks for what was held back. */
CURLcode multi_unpause(struct multi *multi, CURL *easy);

/* A transfer that has come to its end, and how; it is to be removed. NULL: there is none. */
CURL *multi_completed(struct multi *multi, CURLcode *rc);

#endif
