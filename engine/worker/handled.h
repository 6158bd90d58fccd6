/* How far a stream has been handled: where reading would have to go on so that every event is handled once,
 * and a store that holds exactly the events before that place.
 *
 * Between two events that is what the intake says. While rules or handlers deal with an event, the place is
 * before it; where it has been applied already, it can be taken back. */
#ifndef WORKER_HANDLED_H
#define WORKER_HANDLED_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "message/slicer.h"
#include "script/driver.h"
#include "state/store.h"
#include "worker/intake.h"

enum handled_state {
    HANDLED_ALL,     /* what the intake has given */
    HANDLED_BEFORE,  /* all but the message given last, which has not been applied */
    HANDLED_APPLIED, /* likewise, but it has */
    HANDLED_LOST,    /* likewise, and it cannot be taken back */
};

struct handled {
    enum handled_state state;
    bool wanted;     /* false: nobody will ask, nothing is kept */
    bool had;        /* there was a value before */
    size_t type_len; /* of what is applied: */
    struct buf name; /* type, key */
    struct buf old;  /* the value before */
};

/* Where reading goes on. */
struct place {
    const char *offset; /* NULL: the beginning. Good until the intake goes on or the place does */
    uint64_t skip;      /* messages behind it that have been handled */
    uint64_t sequence;  /* messages that have been handled since the stream's start, */
    bool uncounted;     /* which is not known */
    bool digested;      /* their digest (worker/digest.h) is known: */
    uint64_t digest;
    uint64_t reached;          /* of a file: bytes before the place, as far as is known */
    enum slicer_format format; /* of a file */
    char text[24];
};

/* message_max: bytes of one message. Allocates nothing. */
void handled_init(struct handled *handled, bool wanted, size_t message_max);
void handled_free(struct handled *handled);

/* The lane has been given this item, which is about the message given last (or, UP_TO_DATE, about none). */
void handled_item(struct handled *handled, enum driver_kind kind, const struct driver_item *item);

/* The change under way has been applied. */
void handled_applied(struct handled *handled, const struct event *change, struct slice old);

/* The message given last is not dealt with. */
static inline void handled_not(struct handled *handled) {
    handled->state = handled->state == HANDLED_ALL ? HANDLED_BEFORE : handled->state;
}

/* Everything is dealt with. */
static inline void handled_all(struct handled *handled) {
    handled->state = HANDLED_ALL;
}

/* Takes the change under way back from the store. False: that cannot be done. */
bool handled_undo(struct handled *handled, struct store *store);

/* False where nothing has been read, or what is under way is in the store. */
bool handled_place(const struct handled *handled, const struct intake *intake, struct place *place);

#endif
