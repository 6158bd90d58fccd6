/* The folder of --data. One worker uses it at a time; the files in it have names that no stream chooses.
 *
 *     lock                        held (flock) as long as the folder is open; the holder's process id
 *     NAME-HASH.snapshot          what was kept of a stream last
 *     NAME-HASH.snapshot.tmp      one being written; left behind by a crash, it is removed by the next open
 *
 * A file takes the place of the one before in one step: written aside, synced, renamed, the folder synced. */
#ifndef WORKER_DATADIR_H
#define WORKER_DATADIR_H

#include <stdbool.h>

#include "base/error.h"

enum { DATADIR_NAME = 96 };

struct datadir;

/* Opens the folder (made with mode 0700 where it is missing, but for the folders above it) and locks it. NULL
 * with e: also where somebody else has it. */
struct datadir *datadir_open(const char *path, struct error *e);
void datadir_close(struct datadir *dir);

const char *datadir_path(const struct datadir *dir);

/* The file's name for a stream: what can be read of its name, and its hash; then suffix and ".snapshot". */
void datadir_name(const char *stream, const char *suffix, char name[DATADIR_NAME]);

/* A descriptor for reading, or -1 with errno. */
int datadir_read(const struct datadir *dir, const char *name);

/* Opens the file that is to take NAME's place, empty, mode 0600. -1 with e. */
int datadir_begin(const struct datadir *dir, const char *name, struct error *e);

/* Puts it in its place, durably, and closes fd. From any thread. False with e: what was there is there still,
 * and the new one is gone. */
bool datadir_commit(const struct datadir *dir, const char *name, int fd, struct error *e);

/* Gives the new file up, and closes fd. */
void datadir_abandon(const struct datadir *dir, const char *name, int fd);

#endif
