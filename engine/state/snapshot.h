/* Snapshots: a whole store in a file, laid out as it lies in memory, so that a store can take it over by
 * mapping it, in a time that does not depend on the history that led to it.
 *
 * Nothing in a file is believed before its checksums were compared, and what matches them is checked as well:
 * every reference, length, count and hash, so that no file makes a store read outside of it. Values are not
 * parsed again: that they are JSON is believed of a file that this program wrote.
 *
 * A file is for machines like the one that wrote it: of the same byte order, and for this version of the
 * format. It must not be changed while a store lives in it; to replace it by another (rename) is fine. */
#ifndef STATE_SNAPSHOT_H
#define STATE_SNAPSHOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/slice.h"

struct store;
struct snapshot;

/* Writes the store into fd, an empty file that can be read and written. about: what the caller has to say of
 * it, at most 16 MB. Takes buffers of some MB at most, no copy of the store. Nothing is synced. *size becomes
 * the file's. Errors do not name the file. */
bool snapshot_write(const struct store *store, struct slice about, int fd, uint64_t *size, struct error *e);

/* Maps a file and checks its header and index. NULL with e (ERROR_SYNTAX: what is wrong with it). fd may be
 * closed afterwards. */
struct snapshot *snapshot_open(int fd, struct error *e);

/* Good until snapshot_load or snapshot_close. */
struct slice snapshot_about(const struct snapshot *snapshot);
size_t snapshot_entities(const struct snapshot *snapshot);
uint64_t snapshot_size(const struct snapshot *snapshot);

/* Checks the rest, on two threads where it is worth it, and makes it the content of the store, which must be
 * empty. False with e: the store is empty. The snapshot is closed in any case. */
bool snapshot_load(struct snapshot *snapshot, struct store *store, struct error *e);

void snapshot_close(struct snapshot *snapshot);

#endif
