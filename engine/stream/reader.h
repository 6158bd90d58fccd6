/* The source behind a URL: a Durable Stream, read by catch-up requests to its tail and from there live,
 * by SSE or long-poll (PROTOCOL.md sections 5.6 to 5.8). Private to the room: see source.h.
 *
 *     catch-up --up to date--> live: SSE | long-poll | the end
 *        ^                       |
 *        +----- after failures --+
 *
 * A chunk is the body of one response, or the SSE data events before one control event. Network
 * errors, 429, 5xx and answers that break off are tried again, with growing waits. Where SSE tells
 * nothing, as through a proxy that holds it back, long-poll takes its place for a while. A catch-up
 * request repeated at an offset that had nothing behind it carries the entity tag of that answer. */
#ifndef STREAM_READER_H
#define STREAM_READER_H

#include "stream/source.h"

struct source *reader_open(const struct source_options *options, struct error *e);

#endif
