#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sink/redis/parts.h"

enum { STAGE_TRIES = 100 };

/* ---- commands ---- */

static void put_stage_key(struct redis_sink *s) {
    char name[96];
    snprintf(name, sizeof name, "stage:%" PRIu64 ":%" PRIu64 ":%u", s->sink.epoch, s->commits + 1,
             s->stage_try);
    redis_sink_put_key(s, name);
}

static void put_optional(struct redis_command *command, const char *text) {
    redis_command_text(command, text ? "1" : "0");
    redis_command_text(command, text ? text : "");
}

static void put_place(struct redis_command *command, const struct sink_place *place) {
    char now[LOG_STAMP];
    log_stamp(now);
    put_optional(command, place->offset);
    redis_command_number(command, place->skip);
    redis_command_number(command, place->sequence);
    put_optional(command, place->notes);
    redis_command_text(command, now);
}

static void send_commit(struct redis_sink *s) {
    bool is_direct = redis_plan_is_direct(&s->plan);
    redis_sink_call(s, 1 + s->plan.type_count);
    put_stage_key(s);
    redis_plan_put_keys(&s->plan, &s->command);
    redis_command_text(&s->command, "commit");
    redis_command_number(&s->command, s->sink.epoch);
    redis_command_number(&s->command, s->commits);
    redis_command_number(&s->command, s->commits + 1);
    redis_command_text(&s->command, is_direct ? "direct" : "staged");
    redis_command_number(&s->command, s->staged_items);
    put_place(&s->command, sink_batch_place(s->batch));
    if (is_direct) {
        size_t at = 0;
        redis_plan_put_rows(&s->plan, &s->command, &at, true);
    }
    redis_sink_send(s);
}

static void send_stage(struct redis_sink *s) {
    redis_sink_call(s, 1);
    put_stage_key(s);
    redis_command_text(&s->command, "stage");
    redis_command_number(&s->command, s->sink.epoch);
    redis_command_number(&s->command, s->commits);
    redis_command_number(&s->command, s->staged_items);
    s->staged_items += redis_plan_put_rows(&s->plan, &s->command, &s->staged_rows, false);
    redis_sink_send(s);
}

/* What comes next: the rest of the rows, or the place. */
static void go_on(struct redis_sink *s) {
    if (!redis_plan_is_direct(&s->plan) && s->staged_rows < sink_batch_count(s->batch)) {
        send_stage(s);
    } else {
        send_commit(s);
    }
}

static void begin(struct redis_sink *s) {
    s->staged_rows = s->staged_items = 0;
    s->stage_try++;
    go_on(s);
}

/* ---- the job ---- */

static void commit_resume(struct redis_sink *s, bool fresh) {
    s->is_looking = !fresh;
    if (fresh) {
        begin(s);
        return;
    }
    redis_sink_call(s, 0);
    redis_command_text(&s->command, "look");
    redis_sink_send(s);
}

static void finish(struct redis_sink *s) {
    s->commits++;
    redis_sink_end(s);
}

static void take_look(struct redis_sink *s, const redisReply *reply) {
    const char *epoch = redis_sink_text(reply, 1);
    const char *commit = redis_sink_text(reply, 2);
    s->is_looking = false;
    bool is_own = redis_sink_is(reply, "LOOK") && epoch && commit &&
                  strtoull(epoch, NULL, 10) == s->sink.epoch;
    uint64_t found = is_own ? strtoull(commit, NULL, 10) : 0;
    if (is_own && found == s->commits + 1) {
        finish(s);
    } else if (is_own && found == s->commits) {
        begin(s);
    } else {
        redis_sink_refuse(s, reply);
    }
}

static void commit_reply(struct redis_sink *s, const redisReply *reply) {
    if (s->is_looking) {
        take_look(s, reply);
    } else if (redis_sink_is(reply, "DONE") || redis_sink_is(reply, "HERE")) {
        finish(s);
    } else if (redis_sink_is(reply, "STAGED")) {
        go_on(s);
    } else if (redis_sink_is(reply, "STAGE") && s->stage_try < STAGE_TRIES) {
        begin(s);
    } else {
        redis_sink_refuse(s, reply);
    }
}

static void commit_end(struct redis_sink *s, const struct error *e) {
    s->batch = NULL;
    s->sink.host.committed(s->sink.host.user, &s->sink, e);
}

static const struct redis_job committing = {commit_resume, commit_reply, commit_end};

/* False with s->error: a row that Redis cannot take, and that nobody else keeps. */
static bool refuse_rows(struct redis_sink *s) {
    for (size_t i = 0; i < sink_batch_count(s->batch); i++) {
        struct sink_row row = sink_batch_row(s->batch, i);
        if (row.op == SINK_EMIT || !redis_plan_is_too_long(&row)) {
            continue;
        }
        error_set(&s->error, ERROR_LIMIT,
                  "%s: an entity of type \"%.*s\" is longer than the 512 MB of a Redis string", s->sink.name,
                  row.type.len < 100 ? (int)row.type.len : 100, row.type.ptr);
        if (!s->sink.host.refused || !s->sink.host.refused(s->sink.host.user, &s->sink, &row, &s->error)) {
            return false;
        }
        error_clear(&s->error);
    }
    return true;
}

static void begin_later(struct sink *sink) {
    redis_sink_start((struct redis_sink *)sink, &committing);
}

void redis_sink_commit(struct sink *sink, const struct sink_batch *batch) {
    struct redis_sink *s = (struct redis_sink *)sink;
    s->batch = batch;
    s->stage_try = 0;
    error_clear(&s->error);
    if (!redis_plan_make(&s->plan, batch, &s->error) ||
        (sink_batch_bytes(batch) > PLAN_DIRECT_BYTES && !refuse_rows(s))) {
        s->job = &committing;
        redis_sink_end(s);
        return;
    }
    if (sink_may_commit(sink, begin_later)) {
        redis_sink_start(s, &committing);
    }
}
