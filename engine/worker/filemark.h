/* What a file looked like as far as it was read, so that a worker that goes on in the middle of it can tell
 * whether it is the same one still: the hashes of its first 64 KB and of the last 64 KB that were read. A file
 * that was replaced or cut is found out; one that was edited in the middle is not. */
#ifndef WORKER_FILEMARK_H
#define WORKER_FILEMARK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

struct filemark {
    uint64_t reached; /* bytes */
    uint64_t head, tail;
};

/* A descriptor of a regular file, for filemark_take; -1 where there is none, with *regular saying whether the
 * path is one. */
int filemark_open(const char *path, bool *regular);

/* False with e. */
bool filemark_take(int fd, uint64_t reached, struct filemark *mark, struct error *e);

/* True where the file is as it was. Otherwise e says what has happened to it. whole: it must not have grown
 * either. */
bool filemark_check(const char *path, const struct filemark *mark, bool whole, struct error *e);

#endif
