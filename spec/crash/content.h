/* What a stream holds, read through the server, and whether it is what has to be there. */
#ifndef CRASH_CONTENT_H
#define CRASH_CONTENT_H

#include "client.h"
#include "life.h"

/* Appends the body of an answer to what was read before, as it is stored. */
void content_add(struct buf *stored, bool json, struct slice body);

/* Reads a stream from an offset on, to its tail. Gives the status; with 200 also the content and whether it is
 * closed. */
int content_read(struct client *client, const struct life *life, const char *offset, struct buf *stored,
                 bool *closed);

struct counts {
    uint32_t of[WRITERS]; /* messages of the stream itself */
};

/* All of a stream: what it has of the streams that it was forked from, then its own; each writer's messages from the
 * first on, each once. Gives the position behind the message that a mark stands behind (0: it stands at the start).
 * `mark` may be NULL; it is the stream's own, or that of its fork. */
void content_check(const struct life *life, struct slice stored, struct counts *counts,
                   const struct mark *mark, size_t *behind);

#endif
