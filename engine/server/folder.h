/* The folder of a set: its lock, its files' names, and the journal, which is where writes become safe. Knows
 * files, not streams. Called from the loop's thread and from the pool's. */
#ifndef SERVER_FOLDER_H
#define SERVER_FOLDER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/slice.h"

struct folder {
    int fd;
    int lock;
    char *path;
};

/* Makes it where it is not there, and locks it. NULL with e: it cannot, or another process has it locked. */
struct folder *folder_open(const char *path, struct error *e);
void folder_close(struct folder *folder); /* NULL is fine */

enum { FOLDER_NAME = 64 };

/* "journal-0000000000000001" and the like; a stream's file is in one of 256 folders. */
void folder_name(const char *kind, uint64_t number, char out[FOLDER_NAME]);
void folder_stream_name(uint64_t id, char out[FOLDER_NAME]);
/* The number of a name of that kind; false where it is none. */
bool folder_number(const char *name, const char *kind, uint64_t *number);

/* Opens a file of the folder; -1 with errno. With O_CREAT the folder in between is made as well. */
int folder_file(const struct folder *folder, const char *name, int flags);

/* The names in the folder (and in those down to a stream's file) become safe. False with errno. */
bool folder_sync(const struct folder *folder, const char *name);

/* Removes a file; one that is not there is fine. */
void folder_remove(const struct folder *folder, const char *name);

/* All of a file, mapped; an empty one has len 0. False with e. */
bool folder_map(const struct folder *folder, const char *name, struct slice *text, struct error *e);
void folder_unmap(struct slice text);

/* The smallest and the largest number among files of a kind; false where there is none. */
bool folder_range(const struct folder *folder, const char *kind, uint64_t *first, uint64_t *last);

/* Writes all of it; false with errno. */
bool folder_write(int fd, struct slice bytes, uint64_t at);

/* Records of every journal: a batch may be collected for one and written to the next. */
#define JOURNAL_SEED UINT64_C(0)

struct journal {
    int fd; /* -1: none */
    uint64_t number, end;
    uint64_t filled; /* up to here the file has room, filled with zeros */
    uint64_t room;   /* up to here the disk has room for it; the loop's */
};

/* A new one with its header, safe under its name. False with errno. */
bool journal_create(struct journal *journal, const struct folder *folder, uint64_t number, bool sync);
/* One that is there, to be gone on with behind `end`: what is behind it is cut off. False with errno. */
bool journal_resume(struct journal *journal, const struct folder *folder, uint64_t number, uint64_t end);
/* Sees to it that the disk has room for all up to a position (and more, where that is to be had), so that the
 * write itself finds it. Also while one is under way. False with errno: there is none. A file system that
 * cannot say it is taken at its word. */
bool journal_reserve(struct journal *journal, uint64_t end);
/* Behind what is there. False with errno: the journal is as it was, or has a torn end. With `sync`, room is
 * made ahead: to write where a file has bytes already is safe sooner than to make it longer. */
bool journal_write(struct journal *journal, struct slice bytes, bool sync);
/* Gives the room back. */
void journal_close(struct journal *journal);

#endif
