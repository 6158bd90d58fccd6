/* The outlet: where the rows of one stream's state leave for its sinks, many at a time.
 *
 *     pipeline --put--> [ filling ] --cut--> [ committing ] --> every sink at once
 *
 * There are two batches. What has been handled is cut off between two events and committed when it has enough rows
 * or bytes, is old enough, or nothing more is there to come; meanwhile the other batch fills. When that is
 * full as well, the pipeline waits.
 *
 * Sinks may have come differently far: the worker was killed between two commits, or a sink was added. Rows
 * of messages before a sink's place are not sent to it, since batches are cut exactly at the places of sinks. A sink
 * that has nothing yet, while the state came from a snapshot, is filled with that state first.
 *
 * Everything happens at the loop's drain point; nothing here knows Lua. */
#ifndef WORKER_OUTLET_H
#define WORKER_OUTLET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sink/sink.h"
#include "worker/intake.h"

struct outlet;

/* A sink that is to be opened. Borrowed: it outlives the outlet. */
struct outlet_sink {
    const struct sink_kind *kind;
    const char *name; /* for messages, without secrets; unique among the stream's */
    const struct sink_setting *settings;
    size_t setting_count;
    bool emits; /* a derived stream: of the rows it takes SINK_EMIT only */
};

/* When what has been handled is committed; 0: as it says. */
struct outlet_limits {
    size_t rows;       /* 0: 10,000 */
    size_t bytes;      /* of types, keys and values; 0: 8 MB */
    uint64_t every_ms; /* since the first row that waits; 0: 500 */
    size_t batch;      /* bytes: a batch is never longer, whatever one event makes of it; 0: 256 MB */
};

/* Comparing the sinks with the state, each at its place, instead of committing to them (weir verify). Borrowed. */
struct outlet_audit {
    void *user;
    bool
        repair; /* what differs is mended; otherwise nothing is changed, and the sinks are opened to be read only */
    void (*difference)(void *user, const char *stream, const char *sink, enum sink_difference difference,
                       struct slice type, struct slice key);
    /* One sink has been compared. rows: how many of the state. */
    void (*compared)(void *user, const char *stream, const char *sink, uint64_t rows);
    /* It cannot be asked what it holds. */
    void (*passed_over)(void *user, const char *stream, const char *sink);
};

/* Called at the drain point, never from within a call of the outlet's. */
struct outlet_host {
    void *user;
    /* All sinks are open: outlet_bound, outlet_start. */
    void (*opened)(void *user);
    /* There may be room again, or nothing left to commit. */
    void (*woken)(void *user);
    /* A sink failed: nothing more is committed. */
    void (*failed)(void *user, const struct error *e);
    /* A row will never be taken; e says why, and which sink. As sink_host.refused. */
    bool (*refused)(void *user, const struct sink_row *row, struct error *e);
    /* As sink_host.kept: outlet_letters_settled follows. May be NULL. */
    bool (*kept)(void *user);
    /* With an audit: every sink has been compared. And the state as it is at that moment. */
    void (*audited)(void *user);
    const struct store *(*state)(void *user);
};

/* Borrowed, but for the limits. */
struct outlet_options {
    struct loop *loop;
    struct http *http;
    const struct log *log;
    const struct intake *intake; /* says which message is under way */
    const char *name;            /* of the stream, for messages */
    const char *stream;          /* its URL without secrets, or its path: names its checkpoint in the sinks */
    const char *start;           /* the offset that messages are counted from: "-1" */
    const struct outlet_sink *sinks;
    size_t sink_count; /* at least 1 */
    struct outlet_limits limits;
    uint64_t outage_limit_ms;
    uint64_t patience_ms; /* see outlet_check_end; 0: 10 s */
    const struct schema *(*schema)(void *user, struct slice type);
    bool (*index)(void *user, struct slice type, size_t i, struct slice *field); /* as in sink_options */
    void *schema_user;
    const struct outlet_audit *audit; /* NULL: sinks are committed to */
    struct outlet_host host;
};

/* Starts opening the sinks. NULL with e: out of memory, or a setting that a sink refuses. */
struct outlet *outlet_new(const struct outlet_options *options, struct error *e);

/* Closes the sinks; what is being committed is given up. The memory goes when libuv has closed its timer. NULL is
 * fine. */
void outlet_free(struct outlet *outlet);

/* ---- beginning (outlet_open.c) ---- */

/* The lowest place of the sinks that have one, and which one that is: a state that is ahead of it is of no use.
 * UINT64_MAX: none of them has. False with e: a sink was filled from another start. */
bool outlet_bound(struct outlet *outlet, uint64_t *sequence, const char **sink, struct error *e);

/* All sinks are open, and the state in store is that of the place that the intake goes on from. digest: of the messages
 * before it; NULL: it is not known. *quiet: messages before were handled by a worker before this one. False with e: a
 * sink's place is of no use. */
bool outlet_start(struct outlet *outlet, const struct store *store, const uint64_t *digest, uint64_t *quiet,
                  struct error *e);

/* The stream is to be read again from its start. Only when outlet_settled. */
void outlet_again(struct outlet *outlet);

/* The stream is up to date; last: nothing more will come. False with e: it ends before the place of a sink. Where more
 * may come, that takes a while to be said, by host.failed: caches in between may not know the rest yet. */
bool outlet_check_end(struct outlet *outlet, bool last, struct error *e);

/* A state that was built anew has taken the place of the one before, which the differences lead from. Sinks that had
 * come further than `begun` (messages before the state was begun) have a state that is neither: they get the
 * whole of the new one. */
void outlet_replaced(struct outlet *outlet, const struct store *store, uint64_t begun);

/* ---- rows ---- */

/* The intake has given another message, and nothing has been made of it yet: an event, or NULL. Sinks keep a digest of the
 * messages before their places, by which a stream that was made anew is known. */
void outlet_note(struct outlet *outlet, const struct event *event);

/* Adds a row of the message given last. False with e: the cap, or memory. */
bool outlet_put(struct outlet *outlet, enum sink_op op, struct slice type, struct slice key,
                struct slice value, struct error *e);

/* Rows of what is under way; and forgets those of them behind the first `count`. */
size_t outlet_pending(const struct outlet *outlet);
void outlet_drop(struct outlet *outlet, size_t count);

/* What the intake has given is handled. False: do not go on before `woken`. */
bool outlet_handled(struct outlet *outlet);

/* Commits what has been handled, now or when the commit under way is done. */
void outlet_flush(struct outlet *outlet);

/* Letters of refused rows are stored, where `kept` has said that they are not; or e: they never will be, which fails. May be
 * called from any callback of the loop. */
void outlet_letters_settled(struct outlet *outlet, const struct error *e);

/* The end: what is under way is dropped, what has been handled is committed. */
void outlet_stop(struct outlet *outlet);

/* Nothing is being committed, and nothing waits for it; also after a failure. */
bool outlet_settled(const struct outlet *outlet);

/* Messages before the place that was handed to sinks last, or that all of them had from before. */
uint64_t outlet_reached(const struct outlet *outlet);

/* Of those messages. False: it is not known. */
bool outlet_digest(const struct outlet *outlet, uint64_t *digest);
bool outlet_has_failed(const struct outlet *outlet);

#endif
