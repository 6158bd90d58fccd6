/* The source behind a path or "-": a regular file, read ahead by one piece, and followed as it grows
 * where that is asked for; or a pipe or a terminal (pipe.h). Private to the room: see source.h.
 *
 * Offsets are byte positions. Without following, everything up to the end is one chunk. Where lines
 * are followed each chunk ends at a line's end: the bytes of an unfinished line wait here. */
#ifndef STREAM_FILE_H
#define STREAM_FILE_H

#include "stream/source.h"

struct source *file_open(const struct source_options *options, struct error *e);

#endif
