/* What drives a stream's lane (script/lane.h): the worker's pipeline, seen from Lua. */
#ifndef SCRIPT_DRIVER_H
#define SCRIPT_DRIVER_H

#include <stdbool.h>

#include "base/error.h"
#include "base/slice.h"
#include "message/event.h"
#include "state/schema.h"

enum driver_kind {
    DRIVER_NOTHING,    /* nothing to hand over now: the lane parks */
    DRIVER_CHANGE,     /* a change that passed its schema; not applied yet */
    DRIVER_APPLIED,    /* a change of a type without rules and foreign schema, applied: handlers only */
    DRIVER_QUIET,      /* a change of a state that is being built: its rules are asked, no handlers called */
    DRIVER_KEYLESS,    /* a change without a key, of a type that has getKey: resolve it */
    DRIVER_CONTROL,    /* a control, applied */
    DRIVER_UP_TO_DATE, /* everything that exists has been handled */
    DRIVER_TOLD,       /* something else for the handlers of `list`: a Lua value */
    DRIVER_INVALID,    /* a message that was refused; onInvalid is a function, so it decides */
};

/* Whether a change is one of the stream, or one that this script made and that has not come back yet. */
enum driver_local { DRIVER_STREAM, DRIVER_OPTIMISTIC, DRIVER_ROLLBACK };

/* DRIVER_TOLD without a value: lane.lua makes it. */
enum { DRIVER_NO_VALUE = -2 };

/* Slices and pointers are good until the driver is asked again. */
struct driver_item {
    const struct event *event;          /* NULL where the message is no event at all */
    struct slice text;                  /* the message */
    struct slice old;                   /* the stored value now; ptr NULL: none */
    struct slice new_value;             /* what will be stored; ptr NULL: it will be removed */
    const char *reason;                 /* DRIVER_INVALID: the whole story in a line */
    const struct schema_issues *issues; /* DRIVER_INVALID: the schema's, or NULL */
    enum driver_local local;
    const char *list; /* DRIVER_TOLD: a literal */
    int value;        /* DRIVER_TOLD: in the registry; whoever takes the item unrefs it */
    bool up_to_date;  /* DRIVER_TOLD of a batch: everything that exists has come */
    bool live;        /* the stream has been up to date since the worker started */
};

struct driver {
    void *user;
    enum driver_kind (*next)(void *user, struct driver_item *item);
    /* The keyless change with the key that getKey made: what it is now. DRIVER_NOTHING: it has been dealt
     * with. */
    enum driver_kind (*resolve)(void *user, const struct event *event, struct driver_item *item);
    /* Stores the change. The item comes back from Lua, with copies of its own; new_value may be another by then:
     * what a schema made of it. */
    bool (*apply)(void *user, const struct driver_item *item, struct error *e);
    /* The change or message is not taken: decision is "stop", "skip" or "deadletter", or NULL for the
     * stream's own onInvalid. located: reason names the place already. False: e names it, and the work
     * stops. */
    bool (*refuse)(void *user, const struct driver_item *item, const char *decision, const char *reason,
                   bool located, struct error *e);
    /* A handler failed for the event (or, item NULL, for none), and onError said "skip" or "deadletter". */
    bool (*give_up)(void *user, const struct driver_item *item, const char *decision, const char *reason,
                    struct error *e);
    /* A handler has sent an event to the derived stream of that name, one of the stream's sinks. Copied. False
     * with e: it cannot be taken, and why. */
    bool (*emit)(void *user, const char *sink, struct slice event, struct error *e);
    /* The lane may have something to do. */
    void (*wake)(void *user);
    /* The state is to be forgotten and read again from the start, as soon as no event is being handled. */
    void (*again)(void *user);
    /* Puts in front of e's message the place of the last item or, where it is not about that one, the stream's name. */
    void (*locate)(void *user, bool of_item, struct error *e);
};

#endif
