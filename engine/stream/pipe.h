/* The source behind a pipe, a terminal or a socket: standard input mostly. It cannot seek. Where it is
 * read live and holds lines, a chunk ends at the last line end of each piece that came, so that work
 * is committed as it arrives; otherwise all of it is one chunk. Private to the room: see source.h. */
#ifndef STREAM_PIPE_H
#define STREAM_PIPE_H

#include "stream/source.h"

/* Takes fd over, also where it fails. */
struct source *pipe_open(const struct source_options *options, int fd, struct error *e);

#endif
