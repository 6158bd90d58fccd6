/* What the files of the outlet share. Private to them. */
#ifndef WORKER_OUTLET_PARTS_H
#define WORKER_OUTLET_PARTS_H

#include "worker/digest.h"
#include "worker/outlet.h"

/* A sink, and how far it is. */
struct target {
    struct outlet *outlet;
    const struct outlet_sink *is;
    struct sink *sink; /* NULL: not open */
    bool opened;
    bool busy;     /* a commit is under way */
    bool empty;    /* it was never committed to */
    bool partial;  /* it was being filled with a whole state when it was left */
    bool load;     /* it is to be filled with the whole state */
    bool audited;  /* it has been compared with the state, or cannot be */
    bool looks;    /* it has been compared, and is opened again to see whether it was left alone */
    uint64_t rows; /* of the state, that it was compared with */
    struct loop_task look;
    struct sink_place place; /* when it was opened */
    uint64_t handled; /* messages before were handled: those before its place, or more (outlet_notes) */
    uint64_t from;    /* messages: what comes of those before is not for it */
    bool marked;      /* messages before its place have not been compared yet with */
    uint64_t digest;  /* those that it was filled from */
};

/* It keeps no place, and is committed to before those that do (sink/sink.h). */
static inline bool target_is_placeless(const struct target *target) {
    return target->is->kind->placeless;
}

/* Where everything before is handled, and what waits is to be cut off. */
struct outlet_mark {
    struct sink_place place; /* its notes are unused */
    uint64_t chunk;          /* of the intake's */
    size_t rows;             /* of the batch that fills */
    bool tail;               /* nothing more is there to come */
    bool digested;           /* digest is known, of the messages before */
    uint64_t digest;
};

/* A state on its way to the sinks that lack it. */
struct outlet_load {
    const struct store *due;   /* to begin when what is under way is handled */
    const struct store *store; /* NULL: none is */
    struct slice *types;
    size_t type_count, type;
    size_t cursor;
    bool begun, last;
};

struct outlet {
    struct outlet_options options;
    char *stream, *start; /* copies */
    char *notes;          /* what sinks keep beside a place (outlet_notes) */
    struct digest digest; /* of the messages that the intake has given */
    uint64_t handled;     /* messages before were handled when the sinks were opened */
    struct target *targets;
    size_t target_count;
    size_t unopened;
    bool announced; /* host.opened was called */
    bool started;

    struct sink_batch *filling, *committing;
    size_t busy;         /* sinks that commit now */
    bool first, filled;  /* these are placeless, and the others are next; the batch is of a whole state */
    uint64_t reached;    /* messages before the batch that fills */
    uint64_t least;      /* what comes of messages before is for no sink */
    uint64_t edge;       /* the next place of a sink, where a batch has to be cut; UINT64_MAX: none */
    bool only_emits;     /* all sinks are derived streams */
    bool due, timing;    /* old enough; the timer runs */
    bool flush, stopped; /* everything is to be committed; and nothing comes behind it */
    struct outlet_mark mark;
    struct outlet_load load;
    struct loop_timer patience; /* runs since the stream was up to date before a sink's place, and */
    uint64_t ended;             /* the messages that had come by then */

    bool failed, told;
    struct error failure;
    bool letters; /* sinks that wait for letters may go on */
    struct loop_task turn;
    struct loop_timer timer; /* of what waits to be committed */
};

/* Nothing more is committed. The first one counts. */
void outlet_fail(struct outlet *outlet, const struct error *e);

/* Everything that the intake has given is handled. False: the outlet has failed. */
bool outlet_mark(struct outlet *outlet);

/* Hands `filling` to the targets that want it. place: behind its last row. */
void outlet_commit(struct outlet *outlet, const struct sink_place *place, bool load);

/* Opens the target's sink. NULL with e; or without, where outlet_audit_open says so. */
struct sink *outlet_open_sink(struct target *target, struct error *e);

/* ---- outlet_open.c ---- */

/* What is to be kept beside the place of the mark, or, where a sink is being filled, beside the lack of one: how far
 * the handlers were called, too, where that is further. NULL: out of memory. Good until it is asked again. */
char *outlet_notes(struct outlet *outlet, bool partial);

/* The stream has come to `sequence` messages: fails where those of a sink up to there were others. */
void outlet_compare(struct outlet *outlet, uint64_t sequence);

/* The task of `patience`. */
void outlet_lose_patience(struct loop_task *task);

/* Where the batch that fills begins has changed: finds `least` and `edge`. */
void outlet_aim(struct outlet *outlet);

/* ---- outlet_audit.c ---- */

/* Adds what a comparison needs to how a sink is opened. False: it cannot be asked, and is not to be opened. */
bool outlet_audit_open(struct target *target, struct sink_options *options);

/* outlet_start and outlet_handled. */
void outlet_audit_start(struct outlet *outlet, uint64_t *quiet);
bool outlet_audit_go_on(struct outlet *outlet);

/* ---- outlet_letters.c ---- */

/* As sink_host.kept; user is the target. */
bool outlet_is_kept(void *user);

/* Sinks that wait for letters go on, or are waited for no longer where nothing more is committed. */
void outlet_release(struct outlet *outlet);

/* ---- outlet_load.c ---- */

/* Begins to fill the targets that are marked with `load`. */
bool outlet_load_begin(struct outlet *outlet, const struct store *store, struct error *e);
void outlet_load_next(struct outlet *outlet);
void outlet_load_end(struct outlet *outlet);

#endif
