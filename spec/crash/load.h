/* The load: many connections that create, append, close, fork, delete and read, each with a few requests under way. */
#ifndef CRASH_LOAD_H
#define CRASH_LOAD_H

#include "client.h"
#include "life.h"
#include "readers.h"

struct load;

/* With these live readers beside it. */
struct load *load_new(struct world *world, struct readers *readers);
void load_free(struct load *load);

/* Connects and goes on until so many requests were answered, or so many nanoseconds are over. */
void load_run(struct load *load, int port, uint64_t answers, uint64_t ns);

/* The server is dead: takes the answers that had come, and lets go of the rest. */
void load_end(struct load *load);

#endif
