/* A set of streams whose process is killed while it writes. WEIR_KILLS: how often. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>

#include "server_folder.h"

enum { SLOTS = 24, UNDER_WAY = 16 };

/* Shared with the child. Messages are numbered from 1 in each stream; a slot's streams come one after
 * another. */
struct slot {
    uint64_t life;          /* the stream is /<slot>/<life>; 0: none yet */
    uint64_t sent, acked;   /* messages of this life */
    bool created;           /* acknowledged */
    bool deleting, deleted; /* asked for; acknowledged */
};

struct shared {
    struct slot slots[SLOTS];
    uint64_t acks;
};

struct task {
    struct stream_wait wait;
    struct stream_result result;
    struct shared *shared;
    struct streams *set;
    unsigned slot;
    uint64_t number; /* of the message; 0: the creation or the deletion */
    bool busy;
    char path[64], body[400];
};

static void finish_task(struct task *task, enum stream_status status) {
    struct slot *slot = &task->shared->slots[task->slot];
    task->busy = false;
    task->shared->acks++;
    if (status == STREAM_CREATED) {
        slot->created = true;
    } else if (status == STREAM_OK && slot->deleting) {
        slot->deleted = true;
    } else if (status == STREAM_OK) {
        slot->acked = task->number > slot->acked ? task->number : slot->acked;
    } else {
        _exit(3);
    }
}

static void on_task_done(struct stream_wait *wait, const struct stream_result *result) {
    finish_task(wait->user, result->status);
}

/* A stream takes one append at a time here, so that what is acknowledged is a prefix of what was sent. */
static bool slot_is_busy(const struct task *tasks, unsigned slot) {
    for (int i = 0; i < UNDER_WAY; i++) {
        if (tasks[i].busy && tasks[i].slot == slot) {
            return true;
        }
    }
    return false;
}

static enum stream_status start_task(struct task *task) {
    struct slot *slot = &task->shared->slots[task->slot];
    task->wait.done = on_task_done;
    task->wait.user = task;
    task->busy = true;
    task->number = 0;
    if (!slot->life || slot->deleted) {
        *slot = (struct slot){.life = slot->life + 1};
        snprintf(task->path, sizeof task->path, "/%u/%llu", task->slot, (unsigned long long)slot->life);
        struct stream_create create = {.path = slice_from(task->path), .type = SLICE(TEXT)};
        return streams_create(task->set, &create, &task->wait, &task->result);
    }
    snprintf(task->path, sizeof task->path, "/%u/%llu", task->slot, (unsigned long long)slot->life);
    if (random_below(100) == 0) {
        slot->deleting = true;
        return streams_delete(task->set, slice_from(task->path), &task->wait, &task->result);
    }
    task->number = ++slot->sent;
    int len = snprintf(task->body, sizeof task->body, "%llu:", (unsigned long long)task->number);
    size_t padding = random_below(300);
    memset(task->body + len, '.', padding);
    strcpy(task->body + len + padding, "\n");
    struct stream_append append = {.path = slice_from(task->path),
                                   .type = SLICE(TEXT),
                                   .body = slice_from(task->body),
                                   .producer = SLICE("writer"),
                                   .producer_seq = task->number - 1};
    return streams_append(task->set, &append, &task->wait, &task->result);
}

static _Noreturn void run_child(struct world *world, struct shared *shared) {
    struct error e;
    static struct task tasks[UNDER_WAY];
    world->loop = loop_new(&e);
    world->set = streams_open(world->loop, &world->options, &e);
    if (!world->set) {
        fprintf(stderr, "%s\n", e.message);
        _exit(2);
    }
    for (;;) {
        for (int i = 0; i < UNDER_WAY; i++) {
            unsigned slot = (unsigned)random_below(SLOTS);
            if (tasks[i].busy || slot_is_busy(tasks, slot)) {
                continue;
            }
            tasks[i].slot = slot;
            tasks[i].shared = shared;
            tasks[i].set = world->set;
            enum stream_status status = start_task(&tasks[i]);
            if (status != STREAM_WAITING) {
                finish_task(&tasks[i], status);
            }
        }
        loop_run_until(world->loop, world_settled, world);
    }
}

/* How many messages a stream has: all of them, in order, each once. */
static uint64_t count_messages(struct world *world, const char *path) {
    uint64_t count = 0, at = 0, tail = tail_of(world, path);
    while (at < tail) {
        struct stream_body body;
        assert_int_equal(stream_read(stream_at(world, path), at, &body), STREAM_OK);
        const char *text = body_text(world, &body);
        const char *line = text;
        for (const char *end = strchr(line, '\n'); end; end = strchr(line, '\n')) {
            assert_int_equal(strtoull(line, NULL, 10), ++count);
            line = end + 1;
        }
        at += (uint64_t)(line - text);
        assert_true(line > text);
        stream_body_free(&body);
    }
    return count;
}

static void check_slot(struct world *world, struct slot *slot, unsigned number) {
    char path[64];
    struct stream_info info;
    if (!slot->life) {
        return;
    }
    snprintf(path, sizeof path, "/%u/%llu", number, (unsigned long long)slot->life);
    enum stream_status status = streams_head(world->set, slice_from(path), &info);
    if (slot->deleted || (slot->deleting && status != STREAM_OK) || (!slot->created && status != STREAM_OK)) {
        assert_int_equal(status, STREAM_NOT_FOUND);
        slot->deleted = true; /* the next child goes on with another one */
        return;
    }
    assert_int_equal(status, STREAM_OK);
    uint64_t count = count_messages(world, path);
    assert_true(count >= slot->acked && count <= slot->sent);
    slot->sent = slot->acked = count;
    slot->created = true;
    slot->deleting = false;
    if (count > 0) { /* nothing is doubled: the producer's state is as old as the data */
        assert_int_equal(post_as(world, path, "again", "writer", 0, count - 1), STREAM_DUPLICATE);
    }
}

static void kill_once(struct world *world, struct shared *shared) {
    uint64_t seed = random_below(UINT64_MAX);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        random_state = seed | 1;
        run_child(world, shared);
    }
    uint64_t before = shared->acks;
    struct timespec pause = {0, (long)random_below(3000000) + 100000};
    for (int i = 0; i < 100000 && __atomic_load_n(&shared->acks, __ATOMIC_RELAXED) == before; i++) {
        nanosleep(&(struct timespec){0, 500000}, NULL);
    }
    for (uint64_t turns = random_below(10); turns > 0; turns--) {
        nanosleep(&pause, NULL);
    }
    kill(child, SIGKILL);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    assert_true(shared->acks > before);
}

static void test_killed(void **state) {
    struct world world;
    const char *kills = getenv("WEIR_KILLS");
    int rounds = kills ? atoi(kills) : 20;
    (void)state;
    struct shared *shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
                                 0);
    assert_true(shared != MAP_FAILED);
    world_begin(&world, true);
    world.options.checkpoint_bytes = 30000;
    world_close(&world);
    for (int round = 0; round < rounds; round++) {
        static const enum streams_fsync modes[] = {STREAMS_FSYNC_BATCH, STREAMS_FSYNC_NONE,
                                                   STREAMS_FSYNC_BATCH, STREAMS_FSYNC_ALWAYS};
        world.options.fsync = modes[round % 4];
        kill_once(&world, shared);
        world_open(&world);
        for (unsigned slot = 0; slot < SLOTS; slot++) {
            check_slot(&world, &shared->slots[slot], slot);
        }
        world_close(&world);
    }
    munmap(shared, sizeof *shared);
    world_end(&world);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_killed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
