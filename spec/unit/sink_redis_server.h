/* A redis-server of a test's own, and a sink that writes to it. Included by one file of a program. */
#ifndef UNIT_SINK_REDIS_SERVER_H
#define UNIT_SINK_REDIS_SERVER_H

#include <hiredis/hiredis.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "sink_seeded.h"

#define STREAM "http://h/{s}/1"
#define TAG "weir:{http://h/%7Bs%7D/1}:"

struct server {
    char folder[DRIVE_PATH];
    char socket[100], url[120];
    pid_t pid;
    redisContext *c;
};

static inline void server_launch(struct server *s, const char *appendonly) {
    const char *const argv[] = {"redis-server",
                                "--port",
                                "0",
                                "--unixsocket",
                                s->socket,
                                "--save",
                                "",
                                "--appendonly",
                                appendonly,
                                "--appendfsync",
                                "always",
                                "--dir",
                                s->folder,
                                "--loglevel",
                                "warning",
                                "--logfile",
                                "/dev/null",
                                NULL};
    s->pid = drive_spawn(argv);
    for (int i = 0; i < 6000; i++) { /* a minute: the machine may stand still */
        s->c = redisConnectUnix(s->socket);
        if (s->c && !s->c->err) {
            redisReply *reply = redisCommand(s->c, "PING");
            bool ok = reply && reply->type == REDIS_REPLY_STATUS;
            freeReplyObject(reply);
            if (ok) {
                return;
            }
        }
        redisFree(s->c);
        drive_pause(10);
    }
    fail_msg("redis-server does not come up");
}

static inline void server_start(struct server *s, const char *appendonly) {
    memset(s, 0, sizeof *s);
    drive_folder(s->folder);
    snprintf(s->socket, sizeof s->socket, "%s/s", s->folder);
    snprintf(s->url, sizeof s->url, "unix://%s", s->socket);
    server_launch(s, appendonly);
}

static inline void server_end(struct server *s) {
    redisFree(s->c);
    drive_kill(s->pid, SIGKILL);
}

static inline void server_stop(struct server *s) {
    server_end(s);
    drive_remove(s->folder);
}

/* A command's reply as text. */
static const char *server_ask(struct server *s, const char *format, ...) {
    static char out[4096];
    va_list args;
    va_start(args, format);
    redisReply *reply = redisvCommand(s->c, format, args);
    va_end(args);
    assert_non_null(reply);
    if (reply->type == REDIS_REPLY_INTEGER) {
        snprintf(out, sizeof out, "%lld", reply->integer);
    } else {
        snprintf(out, sizeof out, "%s", reply->str ? reply->str : "nil");
    }
    freeReplyObject(reply);
    return out;
}

static inline void server_drive(struct drive *d, const char *url) {
    drive_init(d, STREAM);
    drive_set(d, "url", url);
}

static inline void drive_must_open(struct drive *d) {
    if (!drive_open(d, "redis")) {
        fail_msg("%s", d->error.message);
    }
}

static inline void drive_must_commit(struct drive *d, struct sink_batch *batch) {
    if (!drive_commit(d, batch)) {
        fail_msg("%s", d->error.message);
    }
}

static inline void drive_expect_equal(struct drive *d, uint64_t seed, uint64_t count) {
    struct store *store = drive_state(seed, count);
    if (!drive_verify(d, store, false)) {
        fail_msg("%s", d->error.message);
    }
    assert_int_equal(d->missing + d->extra + d->other, 0);
    assert_int_equal(d->rows, store_count(store, slice_of(NULL, 0)));
    store_free(store);
}

static inline void drive_one_row(struct sink_batch *batch, const char *type, const char *key,
                                 const char *value, uint64_t sequence) {
    sink_batch_clear(batch);
    drive_row(batch, NULL, value ? SINK_PUT : SINK_DELETE, slice_from(type), slice_from(key),
              slice_from(value ? value : ""), sequence);
    struct sink_place place = {.offset = (char *)"o", .sequence = sequence + 1};
    sink_batch_reach(batch, &place);
}

#endif
