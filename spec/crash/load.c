#include "load.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "content.h"
#include "message.h"
#include "server.h"

/* Requests under way on a connection; how long a stream may get, about. */
enum { UNDER_WAY = 4, LONG = 500000 };

enum op { OP_CREATE, OP_APPEND, OP_CLOSE, OP_DELETE, OP_READ };

struct task {
    enum op op;
    struct life *life;
    unsigned writer;
    uint32_t number; /* of the message; OP_CLOSE: 1 without one */
};

struct lane {
    unsigned writer;
    struct client client;
    struct task tasks[UNDER_WAY]; /* a ring */
    unsigned first, count;
};

struct load {
    struct world *world;
    struct readers *readers;
    struct lane lanes[CONNECTIONS];
    struct buf body, stored;
    uint64_t answers;
};

struct load *load_new(struct world *world, struct readers *readers) {
    struct load *load = calloc(1, sizeof *load);
    if (!load) {
        fail("out of memory");
    }
    load->world = world;
    load->readers = readers;
    buf_init(&load->body, SIZE_MAX);
    buf_init(&load->stored, SIZE_MAX);
    for (unsigned i = 0; i < CONNECTIONS; i++) {
        load->lanes[i].writer = i;
        client_init(&load->lanes[i].client);
    }
    return load;
}

void load_free(struct load *load) {
    for (unsigned i = 0; i < CONNECTIONS; i++) {
        client_close(&load->lanes[i].client);
    }
    buf_free(&load->body);
    buf_free(&load->stored);
    free(load);
}

/* Asking */

static void ask(struct load *load, struct lane *lane, struct task task, const char *fields) {
    static const char *const methods[] = {"PUT", "POST", "POST", "DELETE", "GET"};
    char path[160];
    snprintf(path, sizeof path, "%s", task.life->path);
    if (task.op == OP_READ) {
        snprintf(path, sizeof path, "%s?offset=%s", task.life->path, fields);
        fields = "";
    }
    client_ask(&lane->client, methods[task.op], path, fields, buf_slice(&load->body));
    lane->tasks[(lane->first + lane->count++) % UNDER_WAY] = task;
    task.life->under_way++;
}

static const char *type_of(const struct life *life) {
    return life->json ? "Content-Type: application/json\r\n" : "Content-Type: application/octet-stream\r\n";
}

static void put_message(struct load *load, const struct task *task) {
    message_body(&load->body, task->life->json, (struct message){task->life->id, task->writer, task->number});
    load->world->totals.bytes += load->body.len;
    task->life->bytes += load->body.len;
}

/* Makes it a fork of any stream that has a mark. */
static void choose_source(struct world *world, struct life *life, char *fields, size_t size) {
    struct life *source = world->slots[random_below(&world->random, SLOTS)];
    const struct mark *mark = source ? life_mark(source, &world->random) : NULL;
    if (!mark || source == life || source->created != YES || source->deleted != NO) {
        return;
    }
    life->source = source;
    life->fork = *mark;
    life->json = source->json;
    source->forks++;
    size_t len = strlen(fields);
    snprintf(fields + len, size - len, "Stream-Forked-From: %s\r\nStream-Fork-Offset: %s\r\n", source->path,
             mark->offset);
}

static void ask_create(struct load *load, struct lane *lane, unsigned slot) {
    struct world *world = load->world;
    char fields[320] = "";
    struct task task = {OP_CREATE, life_new(world, slot), CREATOR, 0};
    if (once_in(&world->random, 4)) {
        choose_source(world, task.life, fields, sizeof fields);
    }
    if (once_in(&world->random, 2)) {
        put_message(load, &task);
        task.life->writers[CREATOR].sent = 1;
    }
    size_t len = strlen(fields);
    snprintf(fields + len, sizeof fields - len, "%s", type_of(task.life));
    task.life->created = ASKED;
    ask(load, lane, task, fields);
}

static void ask_append(struct load *load, struct lane *lane, struct life *life) {
    char fields[160];
    struct progress *w = &life->writers[lane->writer];
    struct task task = {OP_APPEND, life, lane->writer, w->next};
    size_t len = (size_t)snprintf(fields, sizeof fields, "%s", type_of(life));
    if (is_producer(lane->writer)) {
        if (w->next > 0 && once_in(&load->world->random, 50)) { /* for a second time */
            task.number = random_below(&load->world->random, w->next);
        }
        snprintf(fields + len, sizeof fields - len,
                 "Producer-Id: p%u\r\nProducer-Epoch: 0\r\nProducer-Seq: %u\r\n", lane->writer, task.number);
    }
    put_message(load, &task);
    w->next += task.number == w->next;
    w->sent = w->sent > task.number ? w->sent : task.number + 1;
    ask(load, lane, task, fields);
}

/* With a last message or without, by a producer or not; where a producer did it, it may say so again. */
static void ask_close(struct load *load, struct lane *lane, struct life *life) {
    char fields[160];
    struct task task = {OP_CLOSE, life, CLOSER, 0};
    if (life->closed == NO) {
        life->closed_by_producer = once_in(&load->world->random, 2);
        life->writers[CLOSER].sent = life->closed_by_producer || once_in(&load->world->random, 2);
        life->closed = ASKED;
    }
    size_t len = (size_t)snprintf(fields, sizeof fields, "Stream-Closed: true\r\n");
    if (life->writers[CLOSER].sent) {
        put_message(load, &task);
        len += (size_t)snprintf(fields + len, sizeof fields - len, "%s", type_of(life));
    } else {
        task.number = 1;
    }
    if (life->closed_by_producer) {
        snprintf(fields + len, sizeof fields - len,
                 "Producer-Id: c\r\nProducer-Epoch: 0\r\nProducer-Seq: 0\r\n");
    }
    ask(load, lane, task, fields);
}

static void ask_delete(struct load *load, struct lane *lane, struct life *life) {
    life->deleted = ASKED;
    ask(load, lane, (struct task){.op = OP_DELETE, .life = life}, "");
}

static void ask_one(struct load *load, struct lane *lane) {
    struct world *world = load->world;
    struct random *random = &world->random;
    unsigned slot = random_below(random, SLOTS);
    struct life *life = world->slots[slot];
    buf_clear(&load->body);
    if (!life || life->created == NO || (life->deleted == YES && life->under_way == 0)) {
        ask_create(load, lane, slot);
        return;
    }
    const struct mark *mark = life_mark(life, random);
    if (life->created != YES || life->deleted == YES) {
        return;
    }
    if (life->deleted == NO && once_in(random, life->bytes > LONG || life->closed == YES ? 20 : 1000)) {
        ask_delete(load, lane, life);
    } else if (mark && once_in(random, 20)) {
        ask(load, lane, (struct task){.op = OP_READ, .life = life}, mark->offset);
    } else if (life->closed == NO ? once_in(random, 800)
                                  : life->closed == YES && life->closed_by_producer && once_in(random, 3)) {
        ask_close(load, lane, life);
    } else if (life->closed == NO || once_in(random, 5)) {
        ask_append(load, lane, life);
    }
}

/* Answers */

static _Noreturn void refuse(const struct task *task, const struct answer *answer) {
    static const char *const names[] = {"creating", "appending", "closing", "deleting", "reading"};
    life_fail(task->life, "%s (message %u of writer %u) gives %d %.*s", names[task->op], task->number,
              task->writer, answer->status, (int)answer->body.len, answer->body.ptr);
}

/* It may be deleted meanwhile. */
static bool is_deleted(const struct task *task, const struct answer *answer) {
    return task->life->deleted != NO && (answer->status == 404 || answer->status == 410);
}

static void add_mark(const struct task *task, const struct answer *answer) {
    if (answer->offset.ptr && answer->offset.len < sizeof task->life->marks[0].offset) {
        struct mark *mark = life_add_mark(task->life);
        *mark = (struct mark){.writer = task->writer, .count = task->number + 1};
        memcpy(mark->offset, answer->offset.ptr, answer->offset.len);
    }
}

static void on_created(struct world *world, const struct task *task, const struct answer *answer) {
    struct life *life = task->life;
    const struct life *source = life->source;
    if (answer->status == 201) {
        life->created = YES;
        world->totals.streams++;
        world->totals.forks += source != NULL;
        if (life->writers[CREATOR].sent) {
            life->writers[CREATOR].there = 1;
            add_mark(task, answer);
        }
    } else if (source && source->deleted != NO && (answer->status == 404 || answer->status == 409)) {
        life->created = NO;
    } else {
        refuse(task, answer);
    }
}

static void on_appended(struct world *world, const struct task *task, const struct answer *answer) {
    struct progress *w = &task->life->writers[task->writer];
    bool again = is_producer(task->writer) && (task->number < w->stored || task->number < w->acked);
    if (answer->status == (is_producer(task->writer) && !again ? 200 : 204)) {
        world->totals.acks += !again;
        world->totals.duplicates += again;
        w->there = w->there > task->number ? w->there : task->number + 1;
        w->acked = w->acked > task->number ? w->acked : task->number + 1;
        if (!again) {
            add_mark(task, answer);
        }
    } else if (answer->status == 409 && answer->closed && task->life->closed != NO) {
        if (!again && w->sent > task->number) {
            w->sent = task->number > w->there ? task->number : w->there; /* it is not stored */
        }
    } else if (!is_deleted(task, answer)) {
        refuse(task, answer);
    }
}

static void on_closed(struct world *world, const struct task *task, const struct answer *answer) {
    struct life *life = task->life;
    if (answer->status == 204 || answer->status == 200) {
        world->totals.closes += life->closed == ASKED;
        life->closed = YES;
        life->writers[CLOSER].there = life->writers[CLOSER].sent;
    } else if (!is_deleted(task, answer)) {
        refuse(task, answer);
    }
}

static void on_deleted(struct world *world, const struct task *task, const struct answer *answer) {
    if (answer->status != 204) {
        refuse(task, answer);
    }
    world->totals.deletes++;
    task->life->deleted = YES;
}

/* What a reader has seen has to be there for good. */
static void on_read(struct load *load, const struct task *task, const struct answer *answer) {
    struct life *life = task->life;
    size_t at = 0;
    if (is_deleted(task, answer)) {
        return;
    }
    if (answer->status != 200) {
        refuse(task, answer);
    }
    load->world->totals.reads++;
    buf_clear(&load->stored);
    content_add(&load->stored, life->json, answer->body);
    while (at < load->stored.len) {
        struct message message;
        enum message_found found = message_read(buf_slice(&load->stored), life->json, &at, &message);
        if (found == MESSAGE_CUT && !answer->up_to_date) {
            return;
        }
        if (found != MESSAGE_WHOLE || message.stream != life->id || message.writer >= WRITERS ||
            message.number >= life->writers[message.writer].sent) {
            life_fail(life, "a read gives what nobody wrote, at byte %zu of its %zu", at, load->stored.len);
        }
        struct progress *w = &life->writers[message.writer];
        w->there = w->there > message.number ? w->there : message.number + 1;
    }
}

static void take_answer(struct load *load, struct lane *lane, const struct answer *answer) {
    struct task *task = &lane->tasks[lane->first];
    if (lane->count == 0) {
        fail("an answer that nobody asked for: %d", answer->status);
    }
    switch (task->op) {
    case OP_CREATE:
        on_created(load->world, task, answer);
        break;
    case OP_APPEND:
        on_appended(load->world, task, answer);
        break;
    case OP_CLOSE:
        on_closed(load->world, task, answer);
        break;
    case OP_DELETE:
        on_deleted(load->world, task, answer);
        break;
    case OP_READ:
        on_read(load, task, answer);
        break;
    }
    task->life->under_way--;
    lane->first = (lane->first + 1) % UNDER_WAY;
    lane->count--;
    load->answers++;
}

static bool move(struct load *load, struct lane *lane) {
    struct answer answer;
    bool open = client_move(&lane->client);
    while (client_answer(&lane->client, &answer)) {
        take_answer(load, lane, &answer);
        client_drop(&lane->client);
    }
    return open;
}

/* Running */

static void wait_for(struct load *load, uint64_t ns) {
    struct pollfd ready[CONNECTIONS];
    for (unsigned i = 0; i < CONNECTIONS; i++) {
        const struct client *client = &load->lanes[i].client;
        ready[i] = (struct pollfd){.fd = client->fd,
                                   .events = (short)(POLLIN | (client->out.len ? POLLOUT : 0))};
    }
    struct timespec limit = {(time_t)(ns / 1000000000), (long)(ns % 1000000000)};
    if (ppoll(ready, CONNECTIONS, &limit, NULL) < 0 && errno != EINTR) {
        fail("ppoll: %s", strerror(errno));
    }
}

void load_run(struct load *load, int port, uint64_t answers, uint64_t ns) {
    double end = seconds_now() + (double)ns / 1e9;
    for (unsigned i = 0; i < CONNECTIONS; i++) {
        load->lanes[i].first = load->lanes[i].count = 0;
        client_connect(&load->lanes[i].client, port);
    }
    load->answers = 0;
    for (double left = (double)ns / 1e9; left > 0 && load->answers < answers; left = end - seconds_now()) {
        for (unsigned i = 0; i < CONNECTIONS; i++) {
            struct lane *lane = &load->lanes[i];
            unsigned most = 1 + random_below(&load->world->random, UNDER_WAY);
            for (unsigned tries = 0; lane->count < most && tries < UNDER_WAY; tries++) {
                ask_one(load, lane);
            }
            if (!move(load, lane)) {
                fail("the server ended a connection");
            }
        }
        readers_move(load->readers, port);
        left = end - seconds_now();
        wait_for(load, left > 0 ? (uint64_t)(left * 1e9) : 0);
    }
}

void load_end(struct load *load) {
    readers_end(load->readers);
    for (unsigned i = 0; i < CONNECTIONS; i++) {
        struct lane *lane = &load->lanes[i];
        while (move(load, lane)) {
        }
        for (; lane->count > 0; lane->count--, lane->first = (lane->first + 1) % UNDER_WAY) {
            lane->tasks[lane->first].life->under_way--;
        }
        client_close(&lane->client);
    }
}
