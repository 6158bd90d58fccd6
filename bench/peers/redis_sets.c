/* HSET and HDEL over a file of one change a line, as bench/tools/generate writes them.
 *
 *     redis_sets FILE SOCKET ROWS single|pipelined
 *
 * A hash for each type, and one with the place for every ROWS changes. single: a command for each change, its reply
 * awaited before the next, nothing else; readers see each change by itself. pipelined: ROWS changes and the place are one
 * MULTI ... EXEC, which is sent as a whole before a reply is read. */
#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "batches.h"

struct peer {
    redisContext *redis;
    int single;
    size_t sent; /* replies to come */
};

static void fail(const char *message) {
    fprintf(stderr, "redis_sets: %s\n", message);
    exit(EXIT_FAILURE);
}

static void take_reply(struct peer *peer) {
    redisReply *reply = NULL;
    if (redisGetReply(peer->redis, (void **)&reply) != REDIS_OK) {
        fail(peer->redis->errstr);
    }
    if (reply->type == REDIS_REPLY_ERROR) {
        fail(reply->str);
    }
    freeReplyObject(reply);
    peer->sent--;
}

static void send(struct peer *peer, int count, const char **words, const size_t *lengths) {
    if (redisAppendCommandArgv(peer->redis, count, words, lengths) != REDIS_OK) {
        fail(peer->redis->errstr);
    }
    peer->sent++;
    if (peer->single) {
        take_reply(peer);
    }
}

static void send_text(struct peer *peer, const char *word) {
    send(peer, 1, &word, NULL);
}

static void begin(void *of) {
    struct peer *peer = of;
    if (!peer->single) {
        send_text(peer, "MULTI");
    }
}

static void apply(void *peer, size_t type, const struct change *change) {
    (void)type;
    const char *words[] = {change->value ? "HSET" : "HDEL", change->type, change->key, change->value};
    const size_t lengths[] = {4, change->type_len, change->key_len, change->value_len};
    send(peer, change->value ? 4 : 3, words, lengths);
}

static void commit(void *of, const char *place) {
    struct peer *peer = of;
    const char *words[] = {"HSET", "_sync_state", "file", place};
    send(peer, 4, words, NULL);
    if (!peer->single) {
        send_text(peer, "EXEC");
        while (peer->sent > 0) {
            take_reply(peer);
        }
    }
}

int main(int argc, char **argv) {
    struct changes changes;
    size_t rows = argc == 5 ? strtoul(argv[3], NULL, 10) : 0;
    struct peer peer = {.single = argc == 5 && strcmp(argv[4], "single") == 0};
    if (rows == 0 || !changes_open(&changes, argv[1])) {
        fputs("usage: redis_sets FILE SOCKET ROWS single|pipelined\n", stderr);
        return 2;
    }
    peer.redis = redisConnectUnix(argv[2]);
    if (!peer.redis || peer.redis->err) {
        fail(peer.redis ? peer.redis->errstr : "out of memory");
    }
    batches_apply(&changes, rows, &(struct steps){NULL, begin, apply, commit}, &peer);
    changes_close(&changes);
    redisFree(peer.redis);
    return EXIT_SUCCESS;
}
