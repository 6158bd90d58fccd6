/* The access log: a line for each request, written beside the loop. Where lines cannot be written as fast as
 * requests are answered they are left out, and counted; nobody waits for them.
 *
 *     2025-01-15T10:30:00.000Z 127.0.0.1:53122 GET /v1/stream/notes 200 812 1
 *
 * Paths are without their query, and escaped; headers are not there, so no token is. */
#ifndef SERVER_ACCESS_H
#define SERVER_ACCESS_H

#include <stdint.h>

#include "base/error.h"
#include "base/log.h"
#include "base/slice.h"
#include "io/loop.h"

struct access;

struct access_entry {
    const char *address; /* of the client */
    const char *method;
    struct slice target; /* as it was sent; absent: there is none */
    int status;          /* 0: there was no answer */
    uint64_t bytes, ms;
};

/* Appends to the file; "-": writes to standard output. `log` (may be NULL) hears where that fails later. NULL
 * with e. */
struct access *access_open(struct loop *loop, const char *path, const struct log *log, struct error *e);

void access_add(struct access *access, const struct access_entry *entry);

/* Writes what is left, for a short time at most. NULL is fine. */
void access_free(struct access *access);

#endif
