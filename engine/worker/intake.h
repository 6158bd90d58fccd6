/* The intake: takes the bytes that a source hands over, and gives events, one at a time, when asked.
 *
 *     source --bytes--> [ window, marks ] --> [ run of events ] --intake_next--> event, end of chunk, ...
 *
 * Where many bytes wait, events are decoded ahead, so that whoever applies them can see what is coming.
 * It knows where each chunk begins and ends, skips the messages that were taken before a connection broke
 * (what was before stays applied, and they come again), and pauses the source while its buffer is
 * full. No Lua, no state. */
#ifndef WORKER_INTAKE_H
#define WORKER_INTAKE_H

#include <stdbool.h>
#include <stdint.h>

#include "message/event.h"
#include "message/slicer.h"
#include "stream/source.h"
#include "worker/window.h"

enum { INTAKE_RUN = 64 }; /* events that are decoded ahead, at most */

enum intake_status {
    INTAKE_EMPTY,   /* nothing now; `ready` will be called */
    INTAKE_EVENT,   /* event */
    INTAKE_REFUSED, /* slicer.message is not an event: e says why */
    INTAKE_CHUNK,   /* a chunk is over: offset, up_to_date, closed */
    INTAKE_EOF,     /* nothing will ever come */
    INTAKE_FAILED,  /* e says why; nothing will ever come */
};

struct intake_mark;

/* An event decoded, and where its message is. */
struct intake_found {
    struct event event;
    uint64_t position, line; /* as the slicer counts them */
};

struct intake_run {
    struct error why;            /* of intake.word */
    size_t room;                 /* a power of two */
    struct intake_found found[]; /* a ring: events decoded and not given yet */
};

struct intake {
    struct source *source; /* owned; NULL before open and after close */
    char *location;
    char *name; /* the location as messages show it: no secret of a URL is in it */
    struct window window;
    struct intake_mark *marks; /* a queue: places in the bytes where something happens */
    size_t mark_first, mark_count, mark_room;

    struct slicer slicer;
    struct event_decoder decoder;
    struct intake_run *run;  /* NULL while there is nothing to decode */
    uint64_t decoded, given; /* events, ever */
    bool barrier;            /* nothing may be decoded before all that was is given */
    enum slicer_status word; /* what comes behind the run: REFUSED, BROKEN, FAILED, or MORE for nothing */

    const struct event *event; /* given last; good until intake_next is called again */
    uint64_t position, line;   /* of the message given last */
    bool in_body;
    bool paused;
    uint64_t skip;    /* messages to pass over: they were taken before */
    uint64_t taken;   /* messages taken since the last end of a chunk */
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

/* Opens the source; options->sink is filled in here. */
bool intake_open(struct intake *intake, struct source_options *options, struct error *e);

enum intake_status intake_next(struct intake *intake, struct error *e);

/* The event that will be given n calls after the last one, 0 for the next; NULL where it is not known
 * yet. They stay where they are until they have been given. */
static inline const struct event *intake_ahead(const struct intake *intake, size_t n) {
    const struct intake_run *run = intake->run;
    return n < intake->decoded - intake->given ? &run->found[(intake->given + n) & (run->room - 1)].event
                                               : NULL;
}

/* Forgets what is buffered and reads on from offset. */
bool intake_seek(struct intake *intake, const char *offset, struct error *e);

/* Where the message found last is: "offset X, message N"; in files "line N (byte N)" or "byte N (message N)",
 * counted from 1. Puts it, after the location, in front of e's message. Always returns false. */
bool intake_locate(const struct intake *intake, struct error *e);

/* Bytes that the source has handed over so far. */
static inline uint64_t intake_bytes(const struct intake *intake) {
    return intake->window.base + intake->window.waiting;
}

/* Closes the source and frees everything. */
void intake_close(struct intake *intake);

#endif
