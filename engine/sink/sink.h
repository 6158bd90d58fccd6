/* A sink: where the rows of one stream's state go, together with the place in the stream up to which they
 * are true.
 *
 *     outlet --open--> sink --opened(place, epoch)--> outlet
 *     outlet --commit(batch)--> sink --committed--> outlet
 *
 * One batch at a time. A sink with transactions (`exact`) stores rows and place in one, so that after any crash it
 * holds what lies before its place, and nothing of what lies behind. Without transactions rows are stored first,
 * in a way that repeating them does no harm, and the place after them.
 *
 * Fencing: each opening raises the epoch that the sink keeps beside the place, and every commit holds only while
 * the epoch is still its own. Who finds a higher one fails with ERROR_CONFLICT and names the stream, both epochs
 * and what to do.
 *
 * Failures: where the sink cannot be reached (a restart, a cut connection, a full disk, a lock) it tries again by
 * itself, with the pauses of stream/backoff.h's kind and a line in the log, for at most outage_limit_ms, and then
 * fails. A commit whose answer was lost is looked up by its place before it is repeated. What cannot be mended
 * by waiting (a table that was dropped, a column that does not fit, a password) fails at once, by name.
 *
 * Every callback is called in a turn of the loop, never from within sink_commit. Nothing of Lua is called from
 * them: whoever receives them defers. */
#ifndef SINK_SINK_H
#define SINK_SINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/log.h"
#include "io/http.h"
#include "io/loop.h"
#include "sink/batch.h"
#include "state/schema.h"
#include "state/store.h"

struct sink;

/* What one row is in the sink, compared with the state (sink_verify). */
enum sink_difference { SINK_MISSING, SINK_EXTRA, SINK_OTHER };

struct sink_host {
    void *user;
    /* It can be committed to. place: how far it has come, good during the call; NULL: it has never been
     * committed to for this stream. e not NULL: it cannot be opened, and all that is left is sink_close. */
    void (*opened)(void *user, struct sink *sink, const struct sink_place *place, const struct error *e);
    /* The batch is stored, or e says why nothing more can be stored here. */
    void (*committed)(void *user, struct sink *sink, const struct error *e);
    /* The sink will never take this row: e says why, without a place. True: it has been kept elsewhere or may be
     * passed over, and the sink commits the rest without it, when sink_may_commit says so; false: it does not commit,
     * and fails with e. */
    bool (*refused)(void *user, struct sink *sink, const struct sink_row *row, struct error *e);
    /* Of sink_verify: one difference (value: of the state, empty for EXTRA) and the end. */
    void (*difference)(void *user, struct sink *sink, enum sink_difference difference,
                       const struct store_row *row, struct slice type);
    void (*verified)(void *user, struct sink *sink, uint64_t rows, const struct error *e);
    /* False: what `refused` has said yes to is not stored yet where it is kept; sink_go_on is called when it is. NULL: it
     * always is. */
    bool (*kept)(void *user);
};

/* An option as the script or the configuration wrote it: checked for its name and form by lua/weir/sink.lua,
 * for its meaning by the sink. */
struct sink_setting {
    const char *name, *value;
};

/* Everything is borrowed and outlives the sink, but settings, stream and name, which it copies. */
struct sink_options {
    struct loop *loop;
    struct http *http;
    const struct log *log;
    const char *stream; /* the stream's URL without its secrets: names its checkpoint in the sink */
    const char *name;   /* of the sink, for messages: "sqlite room.db" */
    const struct sink_setting *settings;
    size_t setting_count;
    /* The schema of a type, or NULL: for layouts that need one. */
    const struct schema *(*schema)(void *user, struct slice type);
    /* Field i of those that the type has indexes on; false: no such i. NULL: there are none. */
    bool (*index)(void *user, struct slice type, size_t i, struct slice *field);
    void *schema_user;        /* of both, which are asked on the loop's thread */
    uint64_t outage_limit_ms; /* 0: 10 min */
    bool read_only; /* for sink_verify without repair: the epoch is not raised, nothing is created */
    struct sink_host host;
};

struct sink_kind {
    const char *name; /* "sqlite" */
    bool exact;       /* rows and place are committed in one transaction */
    /* It keeps no place (opened always gives NULL for it): it is sent every row of its own that is made, and knows by
     * their sequences what it has stored. So it has no part in where to go on, what is quiet and which snapshot is too
     * old; it gets no initial load; and a batch is committed in the sinks of this kind first, in the others, with the
     * place, when it is stored in these. */
    bool placeless;
    /* Checks the settings, and starts opening. NULL with e: out of memory, or a wrong setting, named. */
    struct sink *(*open)(const struct sink_kind *kind, const struct sink_options *options, struct error *e);
    void (*commit)(struct sink *sink, const struct sink_batch *batch);
    /* NULL where it cannot be asked what it holds. */
    void (*verify)(struct sink *sink, const struct store *store, bool repair);
    /* No further callback; a commit under way is given up. The memory goes when the loop has let go of it. */
    void (*close)(struct sink *sink);
};

/* What every sink's struct begins with. */
struct sink {
    const struct sink_kind *kind;
    struct sink_host host;
    char *stream, *name;             /* owned */
    uint64_t epoch;                  /* its own, once it is open */
    void (*held)(struct sink *sink); /* a commit waits: goes on with it. See sink_may_commit */
};

/* A kind's sink of so many bytes, with the common part, which is its first member, filled and the rest 0. NULL: out of
 * memory. The kind frees it, after sink_release. */
void *sink_new(size_t size, const struct sink_kind *kind, const struct sink_options *options,
               struct error *e);
void sink_release(struct sink *sink);

/* The setting's value, or NULL. */
const char *sink_setting(const struct sink_options *options, const char *name);

/* The kinds that this build knows, by name ("sqlite", "postgres", "mysql", "redis", "search", "stream"). NULL with e: there
 * is no such kind, or its library was not found when weir was built: e names the library and what to install. */
const struct sink_kind *sink_kind_named(const char *name, struct error *e);

/* Short for the calls of the sink's kind. batch and store are borrowed until committed or verified is called. */
void sink_commit(struct sink *sink, const struct sink_batch *batch);
void sink_verify(struct sink *sink, const struct store *store, bool repair);
void sink_close(struct sink *sink);

/* Asked by a sink when the host has agreed to pass over rows of a batch, before it commits the rest with its place: a place
 * behind a row whose dead letter is lost would lose the row. False: it must not yet, and should keep no transaction open;
 * `then` is called in a turn of the loop when it may, and never after sink_close. */
bool sink_may_commit(struct sink *sink, void (*then)(struct sink *sink));

/* By the host, in a turn of the loop: calls that `then`, if there is one. */
void sink_go_on(struct sink *sink);

/* e: the sink was taken over by a newer worker. Always returns false. */
bool sink_fenced(const struct sink *sink, uint64_t found_epoch, struct error *e);

#endif
