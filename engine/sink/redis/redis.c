#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "sink/redis/parts.h"
#include "sink/redis/script.h"

/* ---- jobs ---- */

void redis_sink_start(struct redis_sink *s, const struct redis_job *job) {
    s->job = job;
    error_clear(&s->error);
    s->fresh = redis_link_is_up(s->link);
    if (s->fresh) {
        job->resume(s, true);
    } else {
        redis_link_drop(s->link);
        redis_link_open(s->link);
    }
}

void redis_sink_end(struct redis_sink *s) {
    loop_defer(s->loop, &s->ending);
}

static void run_ending(struct loop_task *task) {
    struct redis_sink *s = task->owner;
    const struct redis_job *job = s->job;
    struct error e = s->error;
    s->job = NULL;
    if (e.code == ERROR_NONE) {
        outage_over(&s->outage, loop_now(s->loop));
    }
    job->end(s, e.code == ERROR_NONE ? NULL : &e);
}

void redis_sink_send(struct redis_sink *s) {
    if (redis_link_is_up(s->link)) {
        redis_link_send(s->link, &s->command);
    }
}

static void on_up(void *user) {
    struct redis_sink *s = user;
    if (s->job && !s->ending.queued) {
        s->job->resume(s, false);
    }
}

static void on_reply(void *user, const redisReply *reply) {
    struct redis_sink *s = user;
    if (s->job && !s->ending.queued) {
        s->job->reply(s, reply);
    }
}

static void on_down(void *user, const struct error *why, bool again) {
    struct redis_sink *s = user;
    if (!s->job || s->ending.queued) {
        log_write(s->log, LOG_DEBUG, "%s: %s", s->sink.name, why->message);
        return;
    }
    uint64_t wait;
    s->error = *why;
    error_context(&s->error, "%s", s->sink.name);
    if (again && outage_wait(&s->outage, loop_now(s->loop), 0, &wait, &s->error)) {
        error_clear(&s->error);
        loop_timer_start(&s->timer, wait);
    } else {
        redis_sink_end(s);
    }
}

static void on_timer(struct loop_task *task) {
    struct redis_sink *s = task->owner;
    redis_link_open(s->link);
}

/* ---- calls of the script, and its answers ---- */

void redis_sink_put_key(struct redis_sink *s, const char *name) {
    struct buf key;
    buf_init(&key, s->keys.base.len + strlen(name) + 1);
    if (redis_keys_put(&s->keys, &key, name)) {
        redis_command_add(&s->command, buf_slice(&key));
    } else {
        s->command.failed = true;
    }
    buf_free(&key);
}

void redis_sink_call(struct redis_sink *s, size_t more_keys) {
    redis_command_start(&s->command);
    redis_command_number(&s->command, 2 + more_keys);
    redis_sink_put_key(s, "sync");
    redis_sink_put_key(s, "types");
}

const char *redis_sink_text(const redisReply *reply, size_t i) {
    if (reply->type != REDIS_REPLY_ARRAY || i >= reply->elements ||
        reply->element[i]->type != REDIS_REPLY_STRING) {
        return NULL;
    }
    return reply->element[i]->str;
}

bool redis_sink_is(const redisReply *reply, const char *verb) {
    const char *text = redis_sink_text(reply, 0);
    return text && strcmp(text, verb) == 0;
}

/* The server holds less than it once confirmed. */
static void say_lost(struct redis_sink *s, const char *epoch, const char *commit) {
    error_set(
        &s->error, ERROR_GONE,
        "%s: the server has lost what it had stored of stream %s: its place is of epoch %s, commit %s, and "
        "ours is %" PRIu64 ", %" PRIu64 " (a restart without appendonly, FLUSHALL, a fail-over?). Start the "
        "worker again: it goes on from what is there",
        s->sink.name, s->sink.stream, epoch ? epoch : "none", commit ? commit : "none", s->sink.epoch,
        s->commits);
}

void redis_sink_refuse(struct redis_sink *s, const redisReply *reply) {
    const char *name = s->sink.name;
    const char *one = redis_sink_text(reply, 1);
    const char *two = redis_sink_text(reply, 2);
    uint64_t epoch = one ? strtoull(one, NULL, 10) : 0;
    if ((redis_sink_is(reply, "FENCED") || redis_sink_is(reply, "LOOK")) && epoch > s->sink.epoch) {
        sink_fenced(&s->sink, epoch, &s->error);
    } else if (redis_sink_is(reply, "LOST") || redis_sink_is(reply, "FENCED") ||
               redis_sink_is(reply, "LOOK")) {
        say_lost(s, one, two);
    } else if (redis_sink_is(reply, "LAYOUT")) {
        error_set(&s->error, ERROR_ARGUMENT,
                  "%s: the keys of stream %s are of layout \"%s\", which this version of weir does not know; "
                  "remove "
                  "them, or set another prefix",
                  name, s->sink.stream, one);
    } else if (redis_sink_is(reply, "FOREIGN")) {
        error_set(&s->error, ERROR_ARGUMENT,
                  "%s: the key %s is not weir's (it is a %s of somebody else, or what is left of a stream): "
                  "remove it, "
                  "or set another prefix",
                  name, one, two);
    } else if (redis_sink_is(reply, "CHANGED")) {
        error_set(
            &s->error, ERROR_CONFLICT,
            "%s: the key %s has %s entities where weir has stored %s: somebody has changed it behind the "
            "worker's back (or the server evicts keys: see maxmemory-policy). `weir verify` with repair puts "
            "it right",
            name, one, two, redis_sink_text(reply, 3));
    } else {
        const char *verb = redis_sink_text(reply, 0);
        error_set(&s->error, ERROR_SYSTEM, "%s: the server's answer is not what weir's script gives: \"%s\"",
                  name, verb ? verb : "?");
    }
    redis_sink_end(s);
}

/* ---- opening ---- */

static void open_resume(struct redis_sink *s, bool fresh) {
    (void)fresh;
    s->is_asking = false;
    redis_sink_call(s, 0);
    redis_command_text(&s->command, s->read_only ? "read" : "open");
    redis_command_text(&s->command, s->sink.stream);
    redis_sink_send(s);
}

static bool take_place(struct redis_sink *s, const redisReply *reply) {
    const char *epoch = redis_sink_text(reply, 1);
    const char *skip = redis_sink_text(reply, 3);
    const char *sequence = redis_sink_text(reply, 4);
    struct sink_place place = {
        .offset = (char *)redis_sink_text(reply, 2),
        .skip = skip ? strtoull(skip, NULL, 10) : 0,
        .sequence = sequence ? strtoull(sequence, NULL, 10) : 0,
        .notes = (char *)redis_sink_text(reply, 5),
    };
    s->sink.epoch = epoch ? strtoull(epoch, NULL, 10) : 0;
    s->has_place = sequence != NULL;
    return sink_place_set(&s->place, &place);
}

/* What the server's settings do to what it has confirmed. */
static void warn_of_settings(struct redis_sink *s, const redisReply *reply) {
    if (reply->type != REDIS_REPLY_STRING) {
        return; /* INFO is not allowed */
    }
    bool evicts = strstr(reply->str, "maxmemory_policy:allkeys") && !strstr(reply->str, "\nmaxmemory:0\r");
    if (evicts) {
        log_write(s->log, LOG_WARN,
                  "%s: the server removes keys when its memory is full: set maxmemory-policy to noeviction",
                  s->sink.name);
    }
    if (strstr(reply->str, "\naof_enabled:0")) {
        log_write(
            s->log, LOG_INFO,
            "%s: the server does not log writes (appendonly no): what it confirms may be lost when it ends",
            s->sink.name);
    }
}

static void open_reply(struct redis_sink *s, const redisReply *reply) {
    if (s->is_asking) {
        warn_of_settings(s, reply);
        redis_sink_end(s);
        return;
    }
    if (!redis_sink_is(reply, "OPEN")) {
        redis_sink_refuse(s, reply);
        return;
    }
    if (!take_place(s, reply)) {
        error_set(&s->error, ERROR_MEMORY, "%s: out of memory for a place", s->sink.name);
        redis_sink_end(s);
        return;
    }
    if (s->read_only) { /* nothing will be confirmed */
        redis_sink_end(s);
        return;
    }
    s->is_asking = true;
    redis_command_start(&s->command);
    s->command.is_plain = s->command.may_fail = true;
    redis_command_text(&s->command, "INFO");
    redis_sink_send(s);
}

static void open_end(struct redis_sink *s, const struct error *e) {
    s->sink.host.opened(s->sink.host.user, &s->sink, !e && s->has_place ? &s->place : NULL, e);
}

static const struct redis_job opening = {open_resume, open_reply, open_end};

/* ---- the kind ---- */

static void drop(struct redis_sink *s) {
    redis_address_free(&s->address);
    redis_keys_free(&s->keys);
    redis_command_free(&s->command);
    redis_plan_free(&s->plan);
    redis_verify_free(s->verify);
    sink_place_free(&s->place);
    sink_release(&s->sink);
    free(s);
}

static bool configure(struct redis_sink *s, const struct sink_options *options, struct error *e) {
    const char *url = sink_setting(options, "url");
    const char *prefix = sink_setting(options, "prefix");
    bool ok = url ? redis_address_parse(&s->address, url, e)
                  : error_set(e, ERROR_ARGUMENT, "url is missing: redis://host:port/db, or unix:///path");
    ok = ok && redis_keys_init(&s->keys, prefix ? prefix : "weir:", options->stream, e);
    return ok || error_context(e, "%s", options->name);
}

static struct sink *redis_open(const struct sink_kind *kind, const struct sink_options *options,
                               struct error *e) {
    struct redis_sink *s = sink_new(sizeof *s, kind, options, e);
    if (!s) {
        return NULL;
    }
    s->loop = options->loop;
    s->log = options->log;
    s->read_only = options->read_only;
    redis_command_init(&s->command, redis_link_gap(redis_script));
    redis_plan_init(&s->plan, &s->keys);
    outage_init(&s->outage, s->log, s->sink.name, options->outage_limit_ms);
    s->ending = (struct loop_task){.run = run_ending, .owner = s};
    bool ok = configure(s, options, e);
    struct redis_link_host host = {s, on_up, on_reply, on_down};
    if (ok && !(s->link = redis_link_new(s->loop, &s->address, redis_script, &host))) {
        ok = error_set(e, ERROR_MEMORY, "%s: out of memory for a sink", options->name);
    }
    if (!ok) {
        drop(s);
        return NULL;
    }
    loop_timer_init(s->loop, &s->timer, on_timer, s);
    redis_sink_start(s, &opening);
    return &s->sink;
}

static void let_go(struct redis_sink *s) {
    if (--s->closing == 0) {
        drop(s);
    }
}

static void on_link_freed(void *user) {
    let_go(user);
}

static void on_timer_closed(struct loop_timer *timer) {
    let_go(timer->task.owner);
}

static void redis_close(struct sink *sink) {
    struct redis_sink *s = (struct redis_sink *)sink;
    loop_cancel(s->loop, &s->ending);
    s->job = NULL;
    s->closing = 2;
    redis_link_free(s->link, on_link_freed);
    loop_timer_close(&s->timer, on_timer_closed);
}

const struct sink_kind sink_redis = {
    .name = "redis",
    .exact = true,
    .open = redis_open,
    .commit = redis_sink_commit,
    .verify = redis_sink_verify,
    .close = redis_close,
};
