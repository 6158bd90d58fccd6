/* A run: events decoded one after another, ahead of what is done with them.
 *
 * Decoding touches the run, the slicer, the decoder and the bytes, and nothing else: it may go on in
 * another thread while an earlier run is dealt with. */
#ifndef WORKER_RUN_H
#define WORKER_RUN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/piece.h"
#include "message/event.h"
#include "message/slicer.h"

/* An event, and where its message is. */
struct run_event {
    struct event event;
    uint64_t position, line; /* as the slicer counts them */
    uint64_t hash;           /* of its key, with the run's seed (store_hash) */
};

struct run {
    size_t count; /* events decoded */
    size_t given; /* and handed on */
    /* What the slicer said behind the last event, or MESSAGE: the run is full, or ends with an event behind
     * which nothing may be decoded before it has been dealt with. */
    enum slicer_status word;
    bool barrier;              /* the latter */
    bool last;                 /* no byte of the chunk was to follow */
    uint64_t seed;             /* the caller's: for the keys' hashes */
    enum slicer_format format; /* the caller's: of the chunk */
    uint64_t end;              /* the caller's: the position behind what it took */
    struct piece *left;        /* the caller's: pieces that only runs before it still use */
    uint64_t skipped;          /* messages passed over */
    struct slice message;      /* of the word, where it is REFUSED */
    uint64_t position, line;   /* of the word */
    struct error why;          /* likewise */

    char *names; /* unescaped types and keys */
    size_t names_len;
    size_t room;
    struct run_event events[];
};

/* Room for so many events. NULL: out of memory. */
struct run *run_new(size_t room);

/* NULL is fine. */
void run_free(struct run *run);

/* Empties it. NULL is fine. */
void run_clear(struct run *run);

/* Empties the run and fills it from [*at, end), moving *at behind what it took; `last` as for slicer_next.
 * The first `skip` messages are passed over. The slicer's decoder is `decoder`. */
void run_decode(struct run *run, struct slicer *slicer, struct event_decoder *decoder, uint64_t skip,
                const char **at, const char *end, bool last);

#endif
