/* Base64 (RFC 4648 section 4), as SSE carries binary streams. Pure. */
#ifndef STREAM_BASE64_H
#define STREAM_BASE64_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/slice.h"

/* Appends what the text stands for; CR and LF within it are skipped. False with e (ERROR_SYNTAX: it is
 * not base64, or its length is not a multiple of 4; else memory or out's cap): out is unchanged. */
bool base64_decode(struct buf *out, struct slice text, struct error *e);

#endif
