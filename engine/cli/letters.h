/* Dead letters (sink/deadletter.h) as `weir retry` has them: read from a file or a stream, and taken out of the file
 * when they have gone through. */
#ifndef CLI_LETTERS_H
#define CLI_LETTERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/slice.h"
#include "cli/client.h"
#include "sink/once.h"

struct letter {
    struct slice line; /* with its line end, where it has one */
    uint64_t number;   /* of the line, or of the message in its stream, from 1 */
    bool done;         /* it has gone through, and is not kept */
    /* JSON strings; absent where the letter does not have them. */
    struct slice stream, url, event, offset;
    struct slice index, sequence; /* JSON numbers, likewise */
    bool is_bytes;                /* it has bytes, and no event */
};

/* Slices of letters are good until letters_free. */
struct letters {
    const char *location; /* borrowed: a path, or a URL */
    const char *shown;    /* borrowed: fit for messages */
    bool is_stream;
    int fd; /* of the file, -1 */
    struct buf data;
    struct letter *items;
    size_t count;
};

/* location and shown are borrowed. */
void letters_init(struct letters *letters, const char *location, const char *shown);
void letters_free(struct letters *letters);

/* Reads all that are there. A line that is no letter is one without an event. */
bool letters_read(struct letters *letters, struct client *client, struct error *e);

/* What the letter's message was: a stream, its place, its text. The same message, refused twice, has one identity;
 * it is the id of a producer, so that it is stored once. */
bool letter_identity(const struct letter *letter, char id[ONCE_ID]);

/* Writes those that are not done, and what has come since, into a new file in the place of this one. Of a stream
 * nothing is taken. */
bool letters_keep_rest(const struct letters *letters, struct error *e);

#endif
