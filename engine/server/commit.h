/* Group commit: gets staged writes to the journal, a batch at a time, and answers who waits.
 *
 *     commit_prepare --> (apply it to the stream) --> commit_add --> commit_finish
 *
 * While one batch is written on the pool, the next one collects. A set in memory passes through here too:
 * there, what is added is committed at once. */
#ifndef SERVER_COMMIT_H
#define SERVER_COMMIT_H

#include "server/set.h"

/* Batches only; the journal is opened by whoever reads the folder. False: out of memory. */
bool commit_init(struct streams *set);
/* Writes what is left; nobody is answered. */
void commit_close(struct streams *set);

/* Makes the record of a change ready, and room for it on the disk, so that commit_add cannot fail. STREAM_OK,
 * _BUSY, _FULL or _FAILED: nothing happened. */
enum stream_status commit_prepare(struct streams *set, const struct change *change, struct slice payload);
/* What to tell whose change it was. */
const char *commit_refusal(enum stream_status status);
void commit_add(struct stream *stream);

/* Another stream that the change changed as well. */
void commit_touch(struct stream *stream);

/* The next checkpoint is to write it. */
void commit_dirty(struct stream *stream);

/* Goes on in another journal, with what waits. False with errno: the disk has no room for that; nothing
 * happened. */
bool commit_switch(struct streams *set, struct journal *next);

/* Batches are numbered from here on: no number comes twice in a folder. Before the first write. */
void commit_number(struct streams *set, uint64_t number);

/* What the caller is to return for a result that holds as soon as the stream's last change is safe. */
enum stream_status commit_finish(struct stream *stream, struct stream_wait *wait,
                                 struct stream_result *result);

bool commit_waiting(const struct streams *set);

#endif
