/* Standard output as commands write data to it: gathered, and written when told. Unlike stdio it ends soon
 * after Ctrl-C where nobody reads the other end. */
#ifndef CLI_OUTPUT_H
#define CLI_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/error.h"

enum { OUTPUT_MAX = 256 * 1024 * 1024 };

struct output {
    struct buf buf; /* may be appended to; its cap is OUTPUT_MAX */
    struct error e; /* why it failed: nothing is written any more */
};

void output_init(struct output *output);
void output_free(struct output *output);

/* Writes what waits once it is 64 KB or more. False: it has failed, see e (ERROR_SYSTEM, or
 * ERROR_INTERRUPTED). */
bool output_settle(struct output *output);

/* Writes all that waits. */
bool output_flush(struct output *output);

bool output_write(struct output *output, const char *ptr, size_t len);

#endif
