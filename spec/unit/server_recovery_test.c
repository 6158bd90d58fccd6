/* What a folder holds after it was cut, damaged, or its server killed. WEIR_KILLS: how often. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include "server/record.h"
#include "server_world.h"

#define TEXT "text/plain"
#define JSON "application/json"

static uint64_t random_state = 88172645463325252u;

static uint64_t random_below(uint64_t limit) {
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state % limit;
}

/* Files as bytes */

struct bytes {
    char *ptr;
    size_t len;
};

static void name_of(const struct world *world, const char *name, char out[256]) {
    snprintf(out, 256, "%s/%s", world->folder, name);
}

static struct bytes load(const struct world *world, const char *name) {
    char path[256];
    struct stat about;
    name_of(world, name, path);
    int fd = open(path, O_RDONLY);
    assert_true(fd >= 0);
    assert_int_equal(fstat(fd, &about), 0);
    struct bytes bytes = {malloc((size_t)about.st_size + 1), (size_t)about.st_size};
    assert_int_equal(read(fd, bytes.ptr, bytes.len), bytes.len);
    close(fd);
    return bytes;
}

static void store(const struct world *world, const char *name, const char *ptr, size_t len) {
    char path[256];
    name_of(world, name, path);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, ptr, len), len);
    close(fd);
}

static bool is_there(const struct world *world, const char *name) {
    char path[256];
    name_of(world, name, path);
    return access(path, F_OK) == 0;
}

#define JOURNAL "journal-0000000000000001"

/* Where the last record ends: zeros may follow. */
static size_t journal_end(const struct world *world) {
    struct bytes journal = load(world, JOURNAL);
    struct record record;
    size_t at = RECORD_FILE_HEADER;
    while (record_next(slice_of(journal.ptr, journal.len), 0, &at, &record) == RECORD_OK) {
    }
    free(journal.ptr);
    return at;
}

/* What all streams of a small set look like, as text. */
static const char *const paths[] = {"/a", "/b", "/fork", "/json", "/gone"};

static void describe(struct world *world, char *out, size_t size) {
    size_t len = 0;
    out[0] = '\0';
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        struct stream_info info;
        enum stream_status status = streams_head(world->set, slice_from(paths[i]), &info);
        len += (size_t)snprintf(out + len, size - len, "%s %s", paths[i], stream_status_name(status));
        if (status == STREAM_OK) {
            len += (size_t)snprintf(out + len, size - len, " %d %s", info.closed, read_all(world, paths[i]));
        }
        len += (size_t)snprintf(out + len, size - len, "\n");
    }
    assert_true(len < size);
}

enum { STEPS = 13, DESCRIPTION = 1024 };

static void take_step(struct world *world, int step) {
    struct stream_append final = {
        .path = SLICE("/json"), .type = SLICE(JSON), .body = SLICE("[3]"), .close = true, .seq = SLICE("s1")};
    switch (step) {
    case 0:
        put(world, "/a", TEXT, "one");
        return;
    case 1:
        post(world, "/a", TEXT, "two");
        return;
    case 2:
        put(world, "/b", TEXT, NULL);
        return;
    case 3:
        post_as(world, "/b", "x", "p", 0, 0);
        return;
    case 4:
        fork_at(world, "/fork", "/a", token(3), -1);
        return;
    case 5:
        post(world, "/fork", TEXT, "forked");
        return;
    case 6:
        put(world, "/json", JSON, "[1,2]");
        return;
    case 7:
        post_as(world, "/b", "y", "p", 0, 1);
        return;
    case 8:
        world_append(world, &final);
        return;
    case 9:
        put(world, "/gone", TEXT, "soon");
        return;
    case 10:
        world_delete(world, "/gone");
        return;
    case 11:
        world_delete(world, "/a");
        return;
    default:
        post(world, "/fork", TEXT, "!");
        return;
    }
}

struct history {
    size_t ends[STEPS + 1]; /* of the journal */
    char states[STEPS + 1][DESCRIPTION];
};

static void make_history(struct world *world, struct history *history) {
    for (int step = 0; step <= STEPS; step++) {
        history->ends[step] = journal_end(world);
        describe(world, history->states[step], DESCRIPTION);
        if (step < STEPS) {
            take_step(world, step);
        }
    }
}

/* The last step that is whole in so many bytes. */
static int step_at(const struct history *history, size_t len) {
    int step = 0;
    while (step < STEPS && history->ends[step + 1] <= len) {
        step++;
    }
    return step;
}

static void test_cut_at_every_byte(void **state) {
    struct world world;
    static struct history history;
    char now[DESCRIPTION];
    (void)state;
    world_begin(&world, true);
    make_history(&world, &history);
    world_close(&world);
    struct bytes journal = load(&world, JOURNAL);
    assert_int_equal(journal.len, history.ends[STEPS]);
    for (size_t len = 0; len <= journal.len; len++) {
        store(&world, JOURNAL, journal.ptr, len);
        world_open(&world);
        describe(&world, now, sizeof now);
        assert_string_equal(now, history.states[step_at(&history, len)]);
        assert_int_equal(put(&world, "/new", TEXT, "written after the cut"), STREAM_CREATED);
        world_reopen(&world);
        assert_string_equal(read_all(&world, "/new"), "written after the cut");
        describe(&world, now, sizeof now);
        assert_string_equal(now, history.states[step_at(&history, len)]);
        world_close(&world);
    }
    free(journal.ptr);
    world_end(&world);
}

/* False: it was refused. */
static bool try_open(struct world *world) {
    struct error e = {0};
    world->loop = loop_new(&e);
    world->set = streams_open(world->loop, &world->options, &e);
    if (!world->set) {
        assert_int_equal(e.code, ERROR_SYSTEM);
        assert_non_null(strstr(e.message, world->folder));
        loop_run_until(world->loop, world_never, NULL);
        assert_true(loop_free(world->loop, &e));
        world->loop = NULL;
    }
    return world->set;
}

/* A byte that changes is noticed: what is before it is kept if nothing that was safe is behind it. */
static void test_any_byte_damaged(void **state) {
    struct world world;
    static struct history history;
    char now[DESCRIPTION];
    int refused = 0;
    (void)state;
    world_begin(&world, true);
    make_history(&world, &history);
    world_close(&world);
    struct bytes journal = load(&world, JOURNAL);
    for (size_t at = 0; at < journal.len; at++) {
        journal.ptr[at] = (char)(journal.ptr[at] ^ (int)(1 + random_below(255)));
        store(&world, JOURNAL, journal.ptr, journal.len);
        int step = step_at(&history, at);
        if (try_open(&world)) {
            /* Only the last two batches may be missing: the last one may have been torn. */
            assert_true(step >= STEPS - 2);
            describe(&world, now, sizeof now);
            assert_string_equal(now, history.states[step]);
            world_close(&world);
        } else {
            refused++;
        }
        free(journal.ptr);
        /* A fresh copy of what it was: opening may have cut it. */
        world_end(&world);
        world_begin(&world, true);
        make_history(&world, &history);
        world_close(&world);
        journal = load(&world, JOURNAL);
        at += random_below(7);
    }
    assert_true(refused > 0);
    free(journal.ptr);
    world_end(&world);
}

/* Of the batch written last, any of its blocks may be missing. */
static void test_last_batch_with_holes(void **state) {
    struct world world;
    char before[DESCRIPTION], now[DESCRIPTION];
    static char large[6000];
    (void)state;
    world_begin(&world, true);
    put(&world, "/a", TEXT, "safe");
    put(&world, "/b", TEXT, "as well");
    describe(&world, before, sizeof before);
    size_t safe = journal_end(&world);
    memset(large, 'x', sizeof large - 1);
    struct world_answer answers[4];
    struct stream_result result;
    struct stream_append append = {.path = SLICE("/b"), .type = SLICE(TEXT), .body = slice_from(large)};
    for (int i = 0; i < 4; i++) { /* one batch */
        answers[i] = (struct world_answer)WORLD_ANSWER(&world);
        answers[i].wait.user = &answers[i];
        assert_int_equal(streams_append(world.set, &append, &answers[i].wait, &result), STREAM_WAITING);
    }
    world_settle(&world);
    world_close(&world);
    struct bytes journal = load(&world, JOURNAL);
    char *torn = malloc(journal.len);
    for (int round = 0; round < 100; round++) {
        memcpy(torn, journal.ptr, journal.len);
        size_t first = (safe + 511) / 512 * 512;
        for (size_t block = first; block < journal.len; block += 512) {
            if (random_below(3) == 0) {
                memset(torn + block, 0, journal.len - block < 512 ? journal.len - block : 512);
            }
        }
        store(&world, JOURNAL, torn, journal.len);
        world_open(&world);
        uint64_t tail = tail_of(&world, "/b");
        assert_int_equal((tail - 7) % (sizeof large - 1), 0);
        assert_string_equal(read_all(&world, "/a"), "safe");
        world_close(&world);
    }
    store(&world, JOURNAL, journal.ptr, safe);
    world_open(&world);
    describe(&world, now, sizeof now);
    assert_string_equal(now, before);
    free(torn);
    free(journal.ptr);
    world_end(&world);
}

/* Checkpoints */

/* The number of the index, once the journal before it is gone. */
static uint64_t index_of(const struct world *world, uint64_t most) {
    char name[64];
    for (uint64_t number = most; number > 0; number--) {
        snprintf(name, sizeof name, "index-%016llx", (unsigned long long)number);
        if (is_there(world, name)) {
            return number;
        }
    }
    return 0;
}

static void test_checkpoints_keep_everything(void **state) {
    struct world world;
    static struct history history;
    char now[DESCRIPTION];
    (void)state;
    world_begin(&world, true);
    make_history(&world, &history);
    world.options.checkpoint_bytes = 1;
    world_reopen(&world);
    for (int i = 0; i < 5; i++) {
        put(&world, "/more", TEXT, NULL);
        post(&world, "/more", TEXT, "more");
        world_reopen(&world);
        describe(&world, now, sizeof now);
        assert_string_equal(now, history.states[STEPS]);
    }
    assert_string_equal(read_all(&world, "/more"), "moremoremoremoremore");
    assert_false(is_there(&world, JOURNAL));
    assert_true(index_of(&world, 100) > 1);
    /* The producer of /b and the closer of /json are remembered as well. */
    assert_int_equal(post_as(&world, "/b", "y", "p", 0, 1), STREAM_DUPLICATE);
    assert_int_equal(post_as(&world, "/b", "z", "p", 0, 2), STREAM_OK);
    world_end(&world);
}

static void test_damaged_index_is_refused(void **state) {
    struct world world;
    char name[64];
    (void)state;
    world_begin(&world, true);
    world.options.checkpoint_bytes = 1;
    world_reopen(&world);
    for (int step = 0; step < STEPS; step++) {
        take_step(&world, step);
    }
    world_close(&world);
    uint64_t number = index_of(&world, 100);
    assert_true(number > 0);
    snprintf(name, sizeof name, "index-%016llx", (unsigned long long)number);
    struct bytes index = load(&world, name);
    for (size_t at = 0; at < index.len; at++) {
        index.ptr[at] ^= 4;
        store(&world, name, index.ptr, index.len);
        assert_false(try_open(&world));
        index.ptr[at] ^= 4;
        store(&world, name, index.ptr, at);
        assert_false(try_open(&world));
    }
    store(&world, name, index.ptr, index.len);
    assert_true(try_open(&world));
    free(index.ptr);
    world_end(&world);
}

/* A crash leaves a half written index, or more in a stream's file than its state says. */
static void test_unfinished_checkpoint(void **state) {
    struct world world;
    static struct history history;
    char now[DESCRIPTION];
    (void)state;
    world_begin(&world, true);
    make_history(&world, &history);
    world_close(&world);
    char path[256];
    name_of(&world, "streams", path);
    mkdir(path, 0700);
    name_of(&world, "streams/01", path);
    mkdir(path, 0700);
    name_of(&world, "streams/77", path);
    mkdir(path, 0700);
    store(&world, "streams/01/0000000000000001.log", "half a file that is longer than the one to come", 47);
    store(&world, "streams/77/0000000000000077.log", "nobody's", 8);
    store(&world, "index.new", "half", 4);
    world.options.checkpoint_bytes = 1;
    world_open(&world);
    assert_false(is_there(&world, "streams/77/0000000000000077.log"));
    assert_false(is_there(&world, "index.new"));
    for (int i = 0; i < 2; i++) {
        post_as(&world, "/b", "z", "p", 0, (uint64_t)i);
        world_reopen(&world);
        describe(&world, now, sizeof now);
        assert_string_equal(now, history.states[STEPS]);
    }
    world_end(&world);
}

/* Frames are checked when they are read. */
static void test_damaged_content_is_not_given_out(void **state) {
    struct world world;
    struct stream_body body;
    (void)state;
    world_begin(&world, true);
    world.options.checkpoint_bytes = 1;
    world_reopen(&world);
    put(&world, "/a", TEXT, "some content");
    put(&world, "/b", TEXT, "other content");
    world_close(&world);
    const char *name = "streams/01/0000000000000001.log";
    struct bytes file = load(&world, name);
    file.ptr[file.len - 2] ^= 1;
    store(&world, name, file.ptr, file.len);
    world_open(&world);
    assert_int_equal(stream_read(stream_at(&world, "/a"), 0, &body), STREAM_FAILED);
    assert_string_equal(read_all(&world, "/b"), "other content");
    store(&world, name, file.ptr, file.len - 3);
    assert_int_equal(stream_read(stream_at(&world, "/a"), 0, &body), STREAM_FAILED);
    file.ptr[file.len - 2] ^= 1;
    store(&world, name, file.ptr, file.len);
    assert_string_equal(read_all(&world, "/a"), "some content");
    free(file.ptr);
    world_end(&world);
}

/* Large content through files: every part of it can be read, whatever the frames are. */
static void test_large_content(void **state) {
    struct world world;
    (void)state;
    world_begin(&world, true);
    world.options.checkpoint_bytes = 300000;
    world_reopen(&world);
    size_t most = 700000;
    char *block = malloc(most), *all = malloc(20 * most);
    size_t len = 0;
    assert_int_equal(put(&world, "/l", NULL, NULL), STREAM_CREATED);
    for (int i = 0; i < 20; i++) {
        size_t part = 1 + random_below(most);
        for (size_t at = 0; at < part; at++) {
            block[at] = (char)random_below(256);
        }
        struct stream_append append = {
            .path = SLICE("/l"), .type = SLICE("application/octet-stream"), .body = {block, part}};
        assert_int_equal(world_append(&world, &append), STREAM_OK);
        memcpy(all + len, block, part);
        len += part;
    }
    for (int round = 0; round < 2; round++) {
        for (uint64_t at = 0; at < len;) {
            struct stream_body body;
            assert_int_equal(stream_read(stream_at(&world, "/l"), at, &body), STREAM_OK);
            assert_memory_equal(body_text(&world, &body), all + at, body.len);
            at = body.next;
            stream_body_free(&body);
        }
        world_reopen(&world);
    }
    for (int i = 0; i < 200; i++) {
        struct stream_body body;
        uint64_t at = random_below(len);
        assert_int_equal(stream_read(stream_at(&world, "/l"), at, &body), STREAM_OK);
        assert_memory_equal(body_text(&world, &body), all + at, body.len);
        stream_body_free(&body);
    }
    free(block);
    free(all);
    world_end(&world);
}

static void test_one_server_a_folder(void **state) {
    struct world world;
    struct error e = {0};
    (void)state;
    world_begin(&world, true);
    struct loop *loop = loop_new(&e);
    assert_null(streams_open(loop, &world.options, &e));
    assert_non_null(strstr(e.message, "another server"));
    loop_run_until(loop, world_never, NULL);
    assert_true(loop_free(loop, &e));
    world_end(&world);
}

/* Killing */

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
    for (int i = 0; i < 20000 && __atomic_load_n(&shared->acks, __ATOMIC_RELAXED) == before; i++) {
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
        cmocka_unit_test(test_cut_at_every_byte),
        cmocka_unit_test(test_any_byte_damaged),
        cmocka_unit_test(test_last_batch_with_holes),
        cmocka_unit_test(test_checkpoints_keep_everything),
        cmocka_unit_test(test_damaged_index_is_refused),
        cmocka_unit_test(test_unfinished_checkpoint),
        cmocka_unit_test(test_damaged_content_is_not_given_out),
        cmocka_unit_test(test_large_content),
        cmocka_unit_test(test_one_server_a_folder),
        cmocka_unit_test(test_killed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
