/* The files of streams: where content is that a checkpoint took out of memory.
 *
 * A file is a RECORD_HEAD and RECORD_FRAMEs. Few are open at a time, those used last; frames read last are
 * kept. */
#ifndef SERVER_FILES_H
#define SERVER_FILES_H

#include "server/set.h"

/* Content of one frame: what is read and checked at once. */
enum { FILES_FRAME_MAX = 256 * 1024 };

bool files_init(struct streams *set);
void files_free(struct streams *set);

/* The frame that holds a position of the stream's own content before content.start, with a reference for
 * the caller. NULL: the file is damaged or cannot be read (logged), or out of memory. */
struct chunk *files_chunk(struct stream *stream, uint64_t position);

/* Closes its file, if it is open. */
void files_close(struct stream *stream);

/* Removes the file of a stream that is gone for good, unless a checkpoint is at it. */
void files_forget(struct stream *stream);

/* How long the file gets by `len` bytes of content behind `file_end` (0: there is no file yet). */
uint64_t files_grown(const struct stream *stream, uint64_t file_end, uint64_t len);

/* Cuts it back to file_end, where a write behind that failed; 0: it is removed. On any thread. */
void files_cut(const struct stream *stream, uint64_t file_end);

/* Writes content [from, to) behind file_end, made of these chunks. On any thread: reads only what never
 * changes of the stream. False with errno. */
bool files_write(const struct stream *stream, struct chunk *const *chunks, uint64_t from, uint64_t to,
                 uint64_t file_end, bool sync);

#endif
