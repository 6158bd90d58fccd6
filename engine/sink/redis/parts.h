/* The parts of a Redis sink, shared by its files. Private to the folder.
 *
 *     job (open, commit, verify) --send--> link --reply--> the job's next step ... --end--> host
 *
 * Where the connection goes down in a job, it is opened again after a pause, and the job resumes: an opening from
 * its start, a commit by looking up whether it is there already, a verification where it was. */
#ifndef SINK_REDIS_PARTS_H
#define SINK_REDIS_PARTS_H

#include <hiredis/hiredis.h>

#include "io/loop.h"
#include "sink/kinds.h"
#include "sink/outage.h"
#include "sink/redis/command.h"
#include "sink/redis/keys.h"
#include "sink/redis/link.h"
#include "sink/redis/plan.h"

struct redis_verify;
struct redis_sink;

struct redis_job {
    /* The connection is up. fresh: it has been ever since the job began. */
    void (*resume)(struct redis_sink *s, bool fresh);
    void (*reply)(struct redis_sink *s, const redisReply *reply);
    /* The job is over: tells the host. */
    void (*end)(struct redis_sink *s, const struct error *e);
};

struct redis_sink {
    struct sink sink; /* first */
    struct loop *loop;
    const struct log *log;
    bool read_only;
    struct redis_address address;
    struct redis_keys keys;
    struct redis_link *link;
    struct redis_command command;
    struct outage outage;
    struct loop_timer timer; /* the pause before the next try */
    struct loop_task ending;
    unsigned closing; /* what libuv has yet to let go of */

    const struct redis_job *job; /* NULL: none is under way */
    bool fresh;
    struct error error; /* what the job ends with */

    struct sink_place place; /* opening: what was found */
    bool has_place, is_asking;

    struct redis_plan plan;
    const struct sink_batch *batch;
    uint64_t commits;   /* of this epoch that are done */
    bool is_looking;    /* up whether the commit is there */
    size_t staged_rows; /* of the batch, behind the last one staged */
    size_t staged_items;
    unsigned stage_try; /* so that no two tries share a list */

    struct redis_verify *verify;
};

/* redis.c: jobs. */
void redis_sink_start(struct redis_sink *s, const struct redis_job *job);
/* The job is over with s->error, at the next drain point. */
void redis_sink_end(struct redis_sink *s);
/* Sends s->command. */
void redis_sink_send(struct redis_sink *s);

/* Begins s->command with the number of keys, and the first two: the script's. */
void redis_sink_call(struct redis_sink *s, size_t more_keys);
void redis_sink_put_key(struct redis_sink *s, const char *name);

/* The text of the reply's element i, or NULL where it is nil or not there. */
const char *redis_sink_text(const redisReply *reply, size_t i);
bool redis_sink_is(const redisReply *reply, const char *verb);

/* The reply is none of those that go on: fills s->error, and ends the job. */
void redis_sink_refuse(struct redis_sink *s, const redisReply *reply);

/* commit.c, verify.c */
void redis_sink_commit(struct sink *sink, const struct sink_batch *batch);
void redis_sink_verify(struct sink *sink, const struct store *store, bool repair);
void redis_verify_free(struct redis_verify *verify);

#endif
