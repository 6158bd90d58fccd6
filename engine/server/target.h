/* What a request's target names: the path that identifies a stream, in one spelling. Pure. */
#ifndef SERVER_TARGET_H
#define SERVER_TARGET_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/slice.h"

/* Splits "/path?query", or "http://host/path?query" (whose host is dropped). False: it is neither, or it holds
 * a '#', which no target has. */
bool target_split(struct slice target, struct slice *path, struct slice *query);

/* Appends the path in the one spelling that identifies a stream: percent-escapes of letters, digits and
 * -._~ become the character, all others are kept, with upper-case digits; what RFC 3986 has in a path only
 * as an escape becomes one; "." and ".." segments are resolved. False with e (ERROR_ARGUMENT) where it is not a path of one spelling: an escape that is none,
 * an escaped or plain control character, a '\', an empty segment (but for a '/' at the end), ".." above
 * the root, or longer than out may be. */
bool target_normalise(struct buf *out, struct slice path, struct error *e);

/* Appends the text with its percent-escapes decoded ('+' stays). False: an escape that is none, or out is
 * full. */
bool target_decode(struct buf *out, struct slice text);

#endif
