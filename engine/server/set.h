/* The insides of a set of streams, shared by the files that make it up; nobody else includes this.
 *
 * Who does what: streams.c opens, closes and looks up; create.c, append.c and remove.c judge writes;
 * commit.c gets them to the disk, notify.c to the readers; read.c reads; expiry.c sweeps; checkpoint.c
 * moves content from the journal to the streams' files; recover.c reads a folder.
 *
 * A write goes through three states. Staged: judged and applied, so that the next one is judged against it.
 * Sealed: in the batch that is being written. Committed: safe, acknowledged, and seen by readers. In memory
 * all three are one. */
#ifndef SERVER_SET_H
#define SERVER_SET_H

#include "base/buf.h"
#include "base/strmap.h"
#include "io/background.h"
#include "server/change.h"
#include "server/content.h"
#include "server/folder.h"
#include "server/names.h"
#include "server/streams.h"
#include "server/writers.h"

/* A content type that streams have. */
struct kind {
    bool json, text;
    uint32_t len, plain_len;
    char bytes[]; /* as sent; behind it without parameters, in lower case */
};

struct fork {
    struct stream *source;
    uint64_t anchor, sub; /* as asked for */
};

enum { STREAM_UNLISTED = UINT32_MAX };

struct stream {
    struct streams *set;
    uint64_t id, hash;
    const struct kind *kind;
    uint64_t base;                 /* where its own content begins: what is before is its source's */
    uint64_t tail, sealed, staged; /* its end: committed, in the batch under way, with all that waits */
    struct content content;        /* what is in memory of [base, staged) */
    uint64_t file_end;             /* bytes of its file in use; 0: it has none */
    uint64_t ttl_ms, expires_ms, touched_ms;
    uint64_t batch;          /* the last batch that it is in */
    struct fork *fork;       /* NULL: it is none */
    struct writers *writers; /* NULL: none said who they are */
    struct stream_watch *watches;
    struct openfile *file;       /* NULL: not open */
    struct stream *in_batch[2];  /* the next one in that batch, by the parity of its number */
    struct stream *next_changed; /* of those whose watches are to be woken */
    struct stream *next_dirty;   /* of those that changed since the last checkpoint */
    uint32_t refs;               /* of the names, of batches and lists */
    uint32_t forks;              /* streams that have it as their source */
    uint32_t expiring;           /* its place among those that can expire, or STREAM_UNLISTED */
    uint32_t path_len;
    bool closed : 1, sealed_closed : 1, staged_closed : 1;
    bool has_ttl : 1, has_expires : 1;
    bool deleted : 1;                    /* but forks refer to it */
    bool gone : 1;                       /* not among the names any more */
    bool sealed_gone : 1, gone_safe : 1; /* and that is in the batch under way; is committed */
    bool changed : 1, dirty : 1, flushing : 1;
    char path[];
};

/* Writes that go to the disk together. */
struct batch {
    uint64_t number;
    struct buf bytes;
    struct stream *streams;   /* those that it changes, a reference each, linked by in_batch[number % 2] */
    struct stream_wait waits; /* the list's head */
};

struct commit {
    struct batch batches[2]; /* by the parity of their numbers */
    struct batch *next;      /* takes writes */
    struct batch *flight;    /* being written; NULL: none */
    struct background *background;
    struct loop_task task; /* starts the next batch */
    struct buf meta;       /* of the record that commit_prepare made ready */
    struct change change;
    struct slice payload;
    struct journal journal;
    uint64_t next_at;    /* where the next batch begins in the journal */
    uint64_t warn_after; /* in the loop's milliseconds: that the disk is full */
    int failed;          /* errno of the write that failed: no more of them; 0: all is well */
};

struct checkpoint;

struct streams {
    struct loop *loop;
    struct streams_options options;
    struct names names;
    uint64_t seed; /* of the paths' hashes: who sends paths cannot know it */
    struct strmap kinds;
    uint64_t last_id;
    uint64_t bytes;
    struct buf stored; /* a body as it is stored */

    struct folder *folder; /* NULL: in memory, and then there are no commits */
    struct commit commit;
    struct stream *dirty;
    struct checkpoint *checkpoint;
    struct files *files;

    struct stream *changed;
    struct loop_task notify;
    struct stream_watch *walk; /* the watch to be woken next */

    struct stream **expiring;
    uint32_t expiring_count, expiring_places, expiring_at;
    struct loop_timer sweep;
    bool sweeping;
    bool closing;
};

static inline struct slice stream_path(const struct stream *stream) {
    return slice_of(stream->path, stream->path_len);
}

static inline uint64_t set_now(const struct streams *set) {
    return set->options.clock(set->options.user);
}

uint64_t set_hash(const struct streams *set, struct slice path); /* streams.c */

static inline struct stream *stream_hold(struct stream *stream) {
    stream->refs++;
    return stream;
}

/* streams.c */
void stream_drop(struct stream *stream); /* frees it with its last reference */
struct stream *set_find(const struct streams *set, struct slice path);
/* The stream a request means; NULL with its status where there is none (any more). */
struct stream *set_lookup(struct streams *set, struct slice path, enum stream_status *status);
const struct kind *set_kind(struct streams *set, struct slice type); /* NULL: out of memory, or too many */
bool set_has_kinds(const struct streams *set);                       /* as many as it may have */
bool kind_fits(const struct kind *kind, struct slice type);
/* Fills a result for a status, with what is known of the stream (may be NULL). Returns the status. */
enum stream_status set_answer(struct stream_result *result, enum stream_status status,
                              const struct stream *stream, const char *reason);

/* create.c: a stream of a change, not yet among the names; NULL: out of memory. Then what cannot fail. */
struct stream *stream_make(struct streams *set, const struct change *change, struct stream *source,
                           struct slice payload);
void stream_enter(struct stream *stream, const struct change *change, struct slice payload);

/* append.c: false: out of memory, nothing changed. */
bool stream_apply(struct stream *stream, const struct change *change, struct slice payload);
/* Finds room for what stream_apply needs, so that it cannot fail. */
bool stream_reserve(struct stream *stream, const struct change *change, struct slice payload);

/* remove.c: deletes it, softly while forks refer to it, and what was only kept for it. */
void stream_remove(struct stream *stream);
/* Its time is over: deletes it if that can be written now. */
void stream_expire(struct stream *stream);

/* expiry.c */
bool stream_expired(const struct stream *stream);
void stream_touch(struct stream *stream);
bool expiry_reserve(struct streams *set);
void expiry_add(struct stream *stream);
void expiry_remove(struct stream *stream);
void expiry_init(struct streams *set);
void expiry_close(struct streams *set, void (*closed)(struct loop_timer *timer));

/* notify.c */
void notify_init(struct streams *set);
void notify_changed(struct stream *stream);
void notify_close(struct streams *set);

#endif
