/* What records say, as values: a change of a stream (journal), its state (index), whose a file is (head).
 * Pure.
 *
 * Slices point into what was decoded. */
#ifndef SERVER_CHANGE_H
#define SERVER_CHANGE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/slice.h"
#include "server/record.h"

/* A change's flags in its record. */
enum {
    CHANGE_CLOSE = 1,   /* the stream is closed behind the payload */
    CHANGE_TTL = 2,     /* has a time to live */
    CHANGE_EXPIRES = 4, /* expires at a time */
    CHANGE_DELETED = 8, /* RECORD_STATE: deleted, but forks refer to it */
};

/* A producer, and how far it came. */
struct change_writer {
    struct slice name; /* absent: none */
    uint64_t epoch, seq;
};

struct change {
    enum record_kind kind;
    uint8_t flags;
    uint64_t id;
    uint64_t
        position; /* APPEND: where the payload begins; CREATE, STATE: where the stream's own content begins */

    /* CREATE, STATE; HEAD has the path and type too */
    struct slice path, type;
    uint64_t ttl_ms, expires_ms, created_ms;
    uint64_t source; /* the id of what it was forked from; 0: nothing */
    uint64_t anchor, sub;

    /* APPEND, STATE */
    struct slice seq; /* absent: none */

    /* APPEND: who appended. STATE: who closed it. */
    struct change_writer writer;

    /* STATE */
    uint64_t tail;
    uint64_t stored;   /* up to here its file has the content */
    uint64_t file_end; /* bytes of the file in use; 0: it has none */
    uint64_t writers;  /* how many follow in `rest` */
    struct slice rest; /* for change_writer_next; in encoding: appended as it is */
};

/* Appends the change's meta. False: out's cap or memory (out may have grown). */
bool change_encode(struct buf *out, const struct change *change);

/* Appends one of a state's writers, to be collected for `rest`. */
bool change_encode_writer(struct buf *out, const struct change_writer *writer);

/* False: the record's meta is not what its kind says. */
bool change_decode(const struct record *record, struct change *change);

/* Takes the next writer off a decoded state's rest. False: none left, or malformed. */
bool change_writer_next(struct slice *rest, struct change_writer *writer);

#endif
