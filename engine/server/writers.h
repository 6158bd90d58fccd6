/* The producers of a stream (PROTOCOL.md 5.2.1), how far each came, and the last Stream-Seq. A stream whose
 * writers say nothing of themselves has none of this. */
#ifndef SERVER_WRITERS_H
#define SERVER_WRITERS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

struct writer {
    uint64_t hash;
    uint64_t epoch, seq; /* the highest accepted */
    uint32_t len;
    char name[];
};

/* One stream keeps no more producers. */
enum { WRITERS_MAX = 10000 };

struct writers {
    struct writer **list; /* by hash */
    uint32_t count, places;
    struct slice seq; /* owned; absent: none was sent yet */
    uint32_t seq_places;
    const struct writer *closer; /* who closed the stream; its epoch and seq are what it closed it with */
};

struct writers *writers_new(void);
void writers_free(struct writers *writers); /* NULL is fine */

/* NULL: not there, or no writers at all. */
struct writer *writers_find(const struct writers *writers, struct slice name);

/* Finds it, or adds it with epoch and seq 0. NULL: out of memory. (The caller looks at WRITERS_MAX.) */
struct writer *writers_add(struct writers *writers, struct slice name);

/* Makes room for a Stream-Seq, so that writers_set_seq cannot fail with it. */
bool writers_reserve_seq(struct writers *writers, size_t len);
void writers_set_seq(struct writers *writers, struct slice seq);

static inline struct slice writer_name(const struct writer *writer) {
    return slice_of(writer->name, writer->len);
}

#endif
