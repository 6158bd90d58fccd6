/* What a stream is known by where something of it is kept: in snapshots, in the checkpoints of sinks. */
#ifndef WORKER_ORIGIN_H
#define WORKER_ORIGIN_H

/* A URL without its secrets, or a file's absolute path; freed by the caller. NULL: out of memory. */
char *origin_of(const char *location);

#endif
