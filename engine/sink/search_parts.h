/* The parts of a search sink, shared by its files. Private to the room.
 *
 *     job (open, commit) --search_send--> request, again and again while the server cannot --then--> next step ... end
 *
 * One request at a time. Every request may be repeated: it is idempotent, or conditional. What is stored where, and
 * how a dialect says it, is in search_elastic.c and search_typesense.c. */
#ifndef SINK_SEARCH_PARTS_H
#define SINK_SEARCH_PARTS_H

#include "base/buf.h"
#include "sink/kinds.h"
#include "sink/outage.h"
#include "sink/search_plan.h"

struct search_sink;
struct search_verify;

/* How one row of a request fared. */
enum search_outcome {
    SEARCH_DONE,
    SEARCH_AGAIN,   /* it has to be sent once more: the server was too busy */
    SEARCH_REFUSED, /* the server will never take it: the reason says why */
    SEARCH_GONE,    /* what it was to be stored in is no longer there */
};

/* A job's next step. status: of the answer in s->answer. */
typedef void search_then(struct search_sink *s, int status);

/* What is stored under this name is of this stream and type (raw JSON strings). False: out of memory. */
typedef bool search_heard(struct search_sink *s, struct slice name, struct slice type);

struct search_dialect {
    const char *name;
    size_t id_max; /* bytes of a key; 0: any */
    /* Asks for the place document; takes the answer (false: the job has ended). */
    void (*ask_place)(struct search_sink *s, search_then *then);
    bool (*take_place)(struct search_sink *s, int status);
    /* Makes what place documents are stored in, then does what raise does. */
    void (*make_places)(struct search_sink *s);
    /* Writes the place document with the epoch that comes after the one found, ends the job. */
    void (*raise)(struct search_sink *s);
    /* Makes ready what s->type is stored in, then calls search_bulk_next. */
    void (*prepare)(struct search_sink *s);
    /* Calls s->heard for each index or collection of this stream, then search_listed. */
    void (*list)(struct search_sink *s);
    /* Deletes what that one has that is not newer than s->plan.cleared_at, then calls search_clear_done. */
    void (*clear_one)(struct search_sink *s, const char *name);
    /* Appends entry i to the request; false with nothing appended: the request is full, or memory. */
    bool (*put)(struct search_sink *s, const struct search_entry *entry, size_t in_request);
    /* Sends the request that `put` has filled for entries s->from to s->to; at its answer sets s->outcome_at to 0, calls
     * search_bulk_outcome for each of them, in their order, then search_bulk_next. */
    void (*send)(struct search_sink *s);
    /* Stores the place of the batch, if the epoch is its own; ends the job. */
    void (*reach)(struct search_sink *s);

    /* For search_verify.c, which says what each of them calls: asks for the rows of the page, walks through the
     * documents of the type. */
    void (*ask_rows)(struct search_sink *s);
    void (*scan)(struct search_sink *s);
};

extern const struct search_dialect search_elastic;
extern const struct search_dialect search_typesense;

struct search_sink {
    struct sink sink; /* first */
    struct loop *loop;
    struct http *http;
    const struct log *log;
    const struct search_dialect *dialect;
    char *url, *prefix, *api_key; /* owned; the url without a slash at its end */
    bool read_only;
    struct outage outage;
    struct loop_timer timer;
    struct loop_task ending, answered;

    /* The request under way. */
    const char *method, *content_type;
    struct buf path, body, answer;
    struct http_request *request;
    search_then *then;
    int status;
    bool waiting;      /* for a pause to be over: then it is sent once more */
    uint64_t floor_ms; /* Retry-After */
    struct error failure;

    /* The job. */
    void (*end)(struct search_sink *s, const struct error *e);
    struct error error;

    /* The place document: what the server says about it. */
    struct sink_place place;
    bool has_place, has_document;
    char *owner; /* Typesense: who wrote it last, so that two who open at once are told apart */
    uint64_t found_epoch, found_commit, commits;
    uint64_t seq_no, primary_term; /* Elasticsearch */
    unsigned tries;
    char *found_owner;

    /* The commit. */
    const struct sink_batch *batch;
    struct search_types types;
    struct search_plan plan;
    size_t at, from, to, rows_max; /* entries: the next, and those of the request under way */
    bool cleared, retrying;
    size_t *again; /* entries that have to be sent once more, one by one */
    size_t again_count, again_room, again_at;
    size_t outcome_at;
    struct search_type *type; /* to be prepared */
    struct buf names;         /* while clearing: names of this stream's indices, each with its NUL */
    size_t name_at;
    search_heard *heard; /* while listing; and what comes after it */
    void (*after_list)(struct search_sink *s);
    void (*after_refresh)(struct search_sink *s); /* Elasticsearch */
    void (*after_rows)(
        struct search_sink *s); /* when all rows are stored: the dialect's reach, or the next page */

    struct search_verify *verify;
    bool repairing; /* rows replace what is of the same version, too */
};

/* ---- search.c: requests and jobs ---- */

/* Begins a request: path (behind the url) and body are empty. */
void search_begin(struct search_sink *s, const char *method, const char *content_type);

/* Sends it, and calls `then` for its answer, whose status is neither 408, 429, 5xx nor 401, 403. ok: path and body are
 * whole (false: memory ran out). */
void search_send(struct search_sink *s, bool ok, search_then *then);

/* Sends the same request once more after a pause; it ends the job where that has gone on for too long. */
void search_again(struct search_sink *s, const char *reason);

/* The job is over, at the next drain point; s->error says how. */
void search_end(struct search_sink *s);
void search_fail(struct search_sink *s, enum error_code code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* The answer is none that was expected: names it. */
void search_unexpected(struct search_sink *s, const char *what, int status);

/* The answer as JSON; ptr NULL: it is none. Members of it: as text, or as a number (0 where it is none). */
struct slice search_json(const struct search_sink *s);
struct slice search_member(struct slice object, const char *name);
uint64_t search_number(struct slice value);
bool search_string_is(struct slice value, const char *text);
/* {"stream":...,"type":...}, which stands by what s->type is stored in: appends it; and whether it names this stream,
 * *type: and which type (raw JSON). */
bool search_put_own(struct search_sink *s);
bool search_says_own(const struct search_sink *s, struct slice weir, struct slice *type);
/* For messages: the raw text, cut. */
void search_excerpt(struct slice text, char *out, size_t size);

/* Asks what there is of this stream, then goes on with `after`. */
void search_list(struct search_sink *s, search_heard *heard, void (*after)(struct search_sink *s));
/* For the dialects: all has been heard; not ok: it could not be kept. */
void search_listed(struct search_sink *s, bool ok);

/* ---- search_place.c: the place document ---- */

/* Finds the place, raises the epoch (unless it is only read), ends the job. */
void search_place_open(struct search_sink *s);

/* Before a batch: finds out whether the document is as this sink left it, and begins with the rows; else refuses. */
void search_place_check(struct search_sink *s);

/* Appends its members, without braces: before is the number of commits of `epoch`; place NULL: none. */
bool search_place_put(struct search_sink *s, struct buf *out, uint64_t epoch, uint64_t commit,
                      const struct sink_place *place);

/* Takes the document found. False: it is no place of this stream (the job has ended). */
bool search_place_take(struct search_sink *s, struct slice document);

/* The document found says that the epoch is no longer ours, or that the server has lost something: ends the job. */
bool search_place_is_own(struct search_sink *s);
void search_place_refuse(struct search_sink *s);

/* ---- search_bulk.c: commits ---- */

void search_commit(struct sink *sink, const struct sink_batch *batch);
void search_bulk_begin(struct search_sink *s);
void search_bulk_next(struct search_sink *s);
void search_bulk_outcome(struct search_sink *s, enum search_outcome outcome, struct slice reason);
/* The request was too large for the server: smaller ones. */
void search_bulk_split(struct search_sink *s);
/* Appends what a document begins with: its version, and the members of the value but for those whose names are weir's
 * ("weir_version", and "id" where has_id). What is no object becomes the member "value". Without braces. */
bool search_bulk_put_members(struct buf *body, const struct sink_row *row, bool has_id);
/* Entry i of the plan, and its row. */
struct sink_row search_bulk_row(const struct search_sink *s, size_t i, const struct search_entry **entry);

/* ---- search_clear.c: resets ---- */

/* Deletes all of this stream's that is not newer than s->plan.cleared_at, then calls search_bulk_next. */
void search_clear(struct search_sink *s);
void search_clear_done(struct search_sink *s);

enum { SEARCH_BODY_MAX = 4 << 20, SEARCH_ROWS_MAX = 1000 };

#endif
