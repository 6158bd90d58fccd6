#include "content.h"

#include <stdlib.h>

#include "message.h"

enum { DEPTH_MOST = 64 };

void content_add(struct buf *stored, bool json, struct slice body) {
    if (!json) {
        buf_append_slice(stored, body);
    } else if (body.len > 2) {
        buf_append(stored, body.ptr + 1, body.len - 2);
        buf_append_text(stored, ",\n");
    }
}

static void check_page(const struct life *life, const struct answer *answer) {
    bool framed = !life->json || (answer->body.len >= 2 && answer->body.ptr[0] == '[' &&
                                  answer->body.ptr[answer->body.len - 1] == ']');
    if (answer->status != 200 || !answer->offset.ptr || !framed) {
        life_fail(life, "a read gives %d %.*s", answer->status, (int)answer->body.len, answer->body.ptr);
    }
}

int content_read(struct client *client, const struct life *life, const char *offset, struct buf *stored,
                 bool *closed) {
    char path[160], next[64];
    struct answer answer;
    bool more = true;
    snprintf(next, sizeof next, "%s", offset);
    buf_clear(stored);
    while (more) {
        snprintf(path, sizeof path, "%s?offset=%s", life->path, next);
        client_get(client, "GET", path, &answer);
        int status = answer.status;
        if (status == 404 || status == 410) {
            client_drop(client);
            return status;
        }
        check_page(life, &answer);
        content_add(stored, life->json, answer.body);
        snprintf(next, sizeof next, "%.*s", (int)answer.offset.len, answer.offset.ptr);
        more = !answer.up_to_date;
        *closed = answer.closed;
        client_drop(client);
    }
    return 200;
}

/* The stream and those that it has content of, the oldest first. */
static unsigned chain_of(const struct life *life, const struct life **chain) {
    unsigned depth = 1;
    for (const struct life *at = life; at->source && at->fork.offset[0]; at = at->source) {
        depth++;
    }
    if (depth > DEPTH_MOST) {
        life_fail(life, "too many forks of forks");
    }
    for (unsigned i = depth; i > 0; i--, life = life->source) {
        chain[i - 1] = life;
    }
    return depth;
}

/* A fork has what was before its mark, and nothing else. */
static void check_fork(const struct life *fork, const struct counts *source) {
    uint32_t count = source->of[fork->fork.writer];
    if (count != fork->fork.count) {
        life_fail(fork, "it has %u messages of its source's writer %u, not %u", count, fork->fork.writer,
                  fork->fork.count);
    }
}

void content_check(const struct life *life, struct slice stored, struct counts *counts,
                   const struct mark *mark, size_t *behind) {
    const struct life *chain[DEPTH_MOST];
    struct counts all[DEPTH_MOST] = {0};
    unsigned depth = chain_of(life, chain), of = 0;
    unsigned marked = mark == &life->fork ? depth - 2 : depth - 1;
    size_t at = 0;
    *behind = 0;
    while (at < stored.len) {
        struct message message;
        size_t start = at;
        if (message_read(stored, life->json, &at, &message) != MESSAGE_WHOLE) {
            life_fail(life, "at byte %zu of %zu there is no whole message: %.*s", start, stored.len,
                      stored.len - start < 60 ? (int)(stored.len - start) : 60, stored.ptr + start);
        }
        while (of < depth && chain[of]->id != message.stream) {
            of++;
        }
        if (of == depth || message.writer >= WRITERS || message.number != all[of].of[message.writer]) {
            life_fail(life, "at byte %zu of %zu: message %u of writer %u of stream %u is out of place", start,
                      stored.len, message.number, message.writer, message.stream);
        }
        all[of].of[message.writer]++;
        if (mark && of == marked && message.writer == mark->writer && message.number + 1 == mark->count) {
            *behind = at;
        }
    }
    for (unsigned i = 1; i < depth; i++) {
        check_fork(chain[i], &all[i - 1]);
    }
    *counts = all[depth - 1];
}
