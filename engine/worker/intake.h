/* The intake: takes the bytes that a source hands over, and gives events, one at a time, when asked.
 *
 *     source --bytes--> [ cutter, marks ] --> [ runs of events ] --intake_next--> event, end of chunk, ...
 *
 * Where many bytes wait, events are decoded ahead, on a thread of their own if there may be one (runs.h); and
 * whoever applies them can see what is coming.
 * It knows where each chunk begins and ends, skips the messages that were taken before a connection broke
 * (what was before stays applied, and they come again), and pauses the source while its buffer is
 * full. No Lua, no state. */
#ifndef WORKER_INTAKE_H
#define WORKER_INTAKE_H

#include <stdbool.h>
#include <stdint.h>

#include "io/loop.h"
#include "message/event.h"
#include "message/slicer.h"
#include "stream/source.h"
#include "worker/cutter.h"
#include "worker/marks.h"
#include "worker/runs.h"

enum intake_status {
    INTAKE_EMPTY,   /* nothing now; `ready` will be called */
    INTAKE_EVENT,   /* event */
    INTAKE_REFUSED, /* refused is not an event: e says why */
    INTAKE_CHUNK,   /* a chunk is over: offset, up_to_date, closed */
    INTAKE_EOF,     /* nothing will ever come */
    INTAKE_FAILED,  /* e says why; nothing will ever come */
};

struct intake {
    struct source *source; /* owned; NULL before open and after close */
    char *location;
    char *name; /* the location as messages show it: no secret of a URL is in it */
    struct marks marks;

    char apart
        [64]; /* what another thread writes must not lie in one line of the cache with what follows or was */
    struct cutter cutter;
    char apart_too[64];
    struct runs runs;  /* what is given from, and what is cut ahead */
    struct run *front; /* of the runs; NULL while there was nothing to decode */
    uint64_t arrived;  /* bytes that the source has handed over */
    uint64_t cut;      /* and those of them that lie in front of the runs ahead */
    size_t window_max; /* for what lies between the two */
    uint64_t given;    /* events, ever; leaps on where what was ahead is forgotten */
    uint64_t seed;     /* for the hashes of keys */
    enum slicer_format format;

    const struct event *event; /* given last; good until intake_next is called again */
    struct slice refused;      /* likewise */
    uint64_t position, line;   /* of the message given last */
    bool in_body;
    bool paused;
    uint64_t skip;    /* messages to pass over: they were taken before */
    uint64_t taken;   /* messages taken since the last end of a chunk */
    uint64_t base;    /* messages before the present chunk, since reading began at the stream's start */
    uint64_t chunks;  /* changes with `offset` */
    bool uncounted;   /* base is not known: it goes on from a snapshot that does not say */
    unsigned rejects; /* how often the present chunk came to nothing, the source being ahead */

    char *offset;            /* where the present chunk starts; NULL: the stream's beginning */
    uint64_t lines;          /* in the chunks before, where messages come a line each */
    bool from_start;         /* reading began at the first byte, so that lines can be counted */
    bool up_to_date, closed; /* of the last INTAKE_CHUNK */

    void (*ready)(void *user); /* called from a libuv callback: something to ask for */
    void *user;
};

/* message_max: bytes of one message. Nothing is read yet. False: out of memory. */
bool intake_init(struct intake *intake, size_t message_max, void (*ready)(void *user), void *user);

/* From now on much is decoded on the loop's other thread. Where that cannot be had, nothing changes. */
void intake_use_beside(struct intake *intake, struct loop *loop);

/* Opens the source; options->sink is filled in here. */
bool intake_open(struct intake *intake, struct source_options *options, struct error *e);

enum intake_status intake_next(struct intake *intake, struct error *e);

/* The n-th event of the run behind the one that is given, where it is known already and has hashes with the same seed; else
 * NULL. */
const struct run_event *intake_beyond(struct intake *intake, size_t n);

/* The event that will be given n calls after the last one, 0 for the next; NULL where it is not known
 * yet. They stay where they are until they have been given. */
static inline const struct run_event *intake_ahead(struct intake *intake, size_t n) {
    const struct run *front = intake->front;
    size_t left = front->count - front->given;
    return n < left ? &front->events[front->given + n] : intake_beyond(intake, n - left);
}

/* Where the keys of the event given last and of those ahead have hashes with this seed: that; and if not, those
 * decoded from now on will. */
static inline bool intake_seed(struct intake *intake, uint64_t seed) {
    intake->seed = seed;
    return intake->front->seed == seed;
}

/* Asks for the memory of such an event, which another thread may have written, and for the start of the message of
 * one that was asked for before. */
static inline __attribute__((always_inline)) void intake_touch(struct intake *intake, size_t n) {
    enum { BEFORE = 8 };
    const struct run_event *event = intake_ahead(intake, n);
    if (event) {
        __builtin_prefetch(event);
        __builtin_prefetch((const char *)event + 64);
        __builtin_prefetch((const char *)event + 128);
        __builtin_prefetch(intake_ahead(intake, n - BEFORE)->event.text.ptr);
    }
}

/* Messages of the present chunk up to the place that was reached, those that are passed over included. */
static inline uint64_t intake_index(const struct intake *intake) {
    return intake->taken > intake->skip ? intake->taken : intake->skip;
}

/* Messages of the stream up to that place: the same number whichever way chunks are cut, broken off and read again.
 * What a reset has sent the reading back to counts again. */
static inline uint64_t intake_sequence(const struct intake *intake) {
    return intake->base + intake_index(intake);
}

/* Forgets what is buffered and reads on from offset. */
bool intake_seek(struct intake *intake, const char *offset, struct error *e);

/* Where the message found last is: "offset X, message N"; in files "line N (byte N)" or "byte N (message N)",
 * counted from 1. Puts it, after the location, in front of e's message. Always returns false. */
bool intake_locate(const struct intake *intake, struct error *e);

/* Bytes that the source has handed over so far. */
static inline uint64_t intake_bytes(const struct intake *intake) {
    return intake->arrived;
}

/* Of them, what no event has been made of yet, as far as this thread knows. */
static inline size_t intake_waiting(const struct intake *intake) {
    return (size_t)(intake->arrived - intake->cut);
}

/* Closes the source and frees everything. */
void intake_close(struct intake *intake);

#endif
