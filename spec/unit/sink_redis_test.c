/* The sink "redis" against real servers: what is stored and where, fencing, lost replies, lost servers, kills. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <hiredis/hiredis.h>
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "sink_seeded.h"

#define STREAM "http://h/{s}/1"
#define TAG "weir:{http://h/%7Bs%7D/1}:"

struct server {
    char folder[DRIVE_PATH];
    char socket[100], url[120];
    pid_t pid;
    redisContext *c;
};

static void server_launch(struct server *s, const char *appendonly) {
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
    for (int i = 0; i < 6000; i++) {
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

static void server_start(struct server *s, const char *appendonly) {
    memset(s, 0, sizeof *s);
    drive_folder(s->folder);
    snprintf(s->socket, sizeof s->socket, "%s/s", s->folder);
    snprintf(s->url, sizeof s->url, "unix://%s", s->socket);
    server_launch(s, appendonly);
}

static void server_end(struct server *s) {
    redisFree(s->c);
    drive_kill(s->pid, SIGKILL);
}

static void server_stop(struct server *s) {
    server_end(s);
    drive_remove(s->folder);
}

/* A command's reply as text. */
static const char *ask(struct server *s, const char *format, ...) {
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

static void begin(struct drive *d, const char *url) {
    drive_init(d, STREAM);
    drive_set(d, "url", url);
}

static void must_open(struct drive *d) {
    if (!drive_open(d, "redis")) {
        fail_msg("%s", d->error.message);
    }
}

static void must_commit(struct drive *d, struct sink_batch *batch) {
    if (!drive_commit(d, batch)) {
        fail_msg("%s", d->error.message);
    }
}

static void expect_error(const struct drive *d, enum error_code code, const char *text) {
    if (d->error.code != code || !strstr(d->error.message, text)) {
        fail_msg("expected \"%s\", found %d: %s", text, (int)d->error.code, d->error.message);
    }
}

static void expect_equal(struct drive *d, uint64_t seed, uint64_t count) {
    struct store *store = drive_state(seed, count);
    if (!drive_verify(d, store, false)) {
        fail_msg("%s", d->error.message);
    }
    assert_int_equal(d->missing + d->extra + d->other, 0);
    assert_int_equal(d->rows, store_count(store, slice_of(NULL, 0)));
    store_free(store);
}

static void one_row(struct sink_batch *batch, const char *type, const char *key, const char *value,
                    uint64_t sequence) {
    sink_batch_clear(batch);
    drive_row(batch, NULL, value ? SINK_PUT : SINK_DELETE, slice_from(type), slice_from(key),
              slice_from(value ? value : ""), sequence);
    struct sink_place place = {.offset = (char *)"o", .sequence = sequence + 1};
    sink_batch_reach(batch, &place);
}

/* Rows, place and names of keys, and that an opening finds them. */
static void test_stores(void **state) {
    (void)state;
    struct server s;
    struct drive d;
    struct sink_batch *batch = sink_batch_new(DRIVE_BATCH);
    server_start(&s, "no");
    begin(&d, s.url);
    must_open(&d);
    assert_false(d.has_place);
    assert_int_equal(d.sink->epoch, 1);
    one_row(batch, "a{b} c", "k}\n", "{\"v\":1}", 7);
    must_commit(&d, batch);
    assert_string_equal(ask(&s, "HGET %s %s", TAG "t:a%7Bb%7D%20c", "k}\n"), "{\"v\":1}");
    assert_string_equal(ask(&s, "HGET %s sequence", TAG "sync"), "8");
    assert_string_equal(ask(&s, "HGET %s notes", TAG "sync"), "nil");
    drive_close(&d);
    must_open(&d);
    assert_true(d.has_place);
    assert_int_equal(d.place.sequence, 8);
    assert_string_equal(d.place.offset, "o");
    assert_null(d.place.notes);
    assert_int_equal(d.sink->epoch, 2);
    one_row(batch, "a{b} c", "k}\n", NULL, 8);
    must_commit(&d, batch);
    assert_string_equal(ask(&s, "DBSIZE"), "1"); /* but for the place nothing is left */
    assert_true(drive_free(&d));
    sink_batch_free(batch);
    server_stop(&s);
}

/* Many batches of hostile names; every key has the one tag, and nothing else in braces. */
static void test_equals_the_state(void **state) {
    (void)state;
    struct server s;
    struct drive d;
    server_start(&s, "no");
    begin(&d, s.url);
    assert_true(drive_run(&d, "redis", 1, 60));
    expect_equal(&d, 1, 60);
    assert_true(d.rows > 0);
    redisReply *keys = redisCommand(s.c, "KEYS *");
    assert_true(keys->elements > 5);
    for (size_t i = 0; i < keys->elements; i++) {
        const char *key = keys->element[i]->str;
        assert_memory_equal(key, TAG, strlen(TAG));
        assert_null(strpbrk(key + strlen(TAG), "{} \n"));
    }
    freeReplyObject(keys);
    assert_true(drive_free(&d));
    server_stop(&s);
}

/* More than one call takes: staged, applied at once; what a dead worker has staged goes. */
static void test_stages_large_batches(void **state) {
    (void)state;
    struct server s;
    struct drive d;
    struct sink_batch *batch = sink_batch_new(DRIVE_BATCH);
    struct store *store = store_new(1 << 20);
    char *value = malloc(400000);
    memset(value, 'x', 400000);
    value[0] = '"';
    server_start(&s, "no");
    begin(&d, s.url);
    must_open(&d);
    for (unsigned i = 0; i < 60000; i++) {
        char key[32];
        size_t len = i % 1000 == 7 ? 300000 : 50 + i % 100;
        size_t key_len = (size_t)snprintf(key, sizeof key, "k%u", i % 40000);
        value[len - 1] = '"';
        enum sink_op op = i == 100 ? SINK_CLEAR : i % 11 == 3 ? SINK_DELETE : SINK_PUT;
        drive_row(batch, store, op, op == SINK_CLEAR ? SLICE("") : slice_from(i / 500 % 2 ? "a" : "b"),
                  slice_of(key, key_len), slice_of(value, len), i);
        value[len - 1] = 'x';
    }
    struct sink_place place = {.sequence = 60000};
    sink_batch_reach(batch, &place);
    ask(&s, "CONFIG RESETSTAT");
    must_commit(&d, batch);
    assert_true(drive_verify(&d, store, false));
    assert_int_equal(d.missing + d.extra + d.other, 0);
    assert_int_equal(d.rows, store_count(store, slice_of(NULL, 0)));
    assert_string_equal(ask(&s, "DBSIZE"), "4");
    assert_string_equal(ask(&s, "HEXISTS %s stage", TAG "sync"), "0");
    ask(&s, "HSET %s stage %s", TAG "sync", TAG "stage:1:2:1");
    ask(&s, "RPUSH %s x", TAG "stage:1:2:1");
    drive_close(&d);
    must_open(&d);
    assert_null(d.place.offset);
    assert_string_equal(ask(&s, "DBSIZE"), "4");
    assert_true(drive_free(&d));
    free(value);
    store_free(store);
    sink_batch_free(batch);
    server_stop(&s);
}

static void test_fences(void **state) {
    (void)state;
    struct server s;
    struct drive a;
    struct drive b;
    struct sink_batch *batch = sink_batch_new(DRIVE_BATCH);
    server_start(&s, "no");
    begin(&a, s.url);
    begin(&b, s.url);
    must_open(&a);
    one_row(batch, "t", "k", "1", 0);
    must_commit(&a, batch);
    must_open(&b);
    one_row(batch, "t", "k", "2", 1);
    assert_false(drive_commit(&a, batch));
    expect_error(&a, ERROR_CONFLICT, "its epoch is 2, ours 1");
    assert_string_equal(ask(&s, "HGET %s k", TAG "t:t"), "1");
    must_commit(&b, batch);
    assert_string_equal(ask(&s, "HGET %s k", TAG "t:t"), "2");
    assert_true(drive_free(&a));
    assert_true(drive_free(&b));
    sink_batch_free(batch);
    server_stop(&s);
}

/* A key that was removed, or that holds something else, stops the worker by name; a repair mends it. */
static void test_names_what_others_changed(void **state) {
    (void)state;
    struct server s;
    struct drive d;
    struct store *store = drive_state(3, 5);
    struct sink_batch *batch = sink_batch_new(DRIVE_BATCH);
    server_start(&s, "no");
    begin(&d, s.url);
    assert_true(drive_run(&d, "redis", 3, 5));
    ask(&s, "DEL %s", TAG "t:users");
    ask(&s, "HSET %s added 1", TAG "t:Users");
    ask(&s, "HSET %s more 1", TAG "t:more");
    ask(&s, "HSET %s more 1", TAG "types");
    one_row(batch, "users", "k", "1", 200);
    assert_false(drive_commit(&d, batch));
    expect_error(&d, ERROR_CONFLICT, TAG "t:users has 0 entities");
    assert_true(drive_verify(&d, store, false));
    assert_true(d.missing > 0);
    assert_int_equal(d.extra, 2);
    assert_true(drive_verify(&d, store, true));
    assert_true(d.missing > 0);
    assert_int_equal(d.extra, 2);
    assert_true(drive_verify(&d, store, false));
    assert_int_equal(d.missing + d.extra + d.other, 0);
    must_commit(&d, batch);
    ask(&s, "SET %s x", TAG "t:strings");
    one_row(batch, "strings", "k", "1", 201);
    assert_false(drive_commit(&d, batch));
    expect_error(&d, ERROR_ARGUMENT, TAG "t:strings is not weir's");
    drive_close(&d);
    ask(&s, "DEL %s", TAG "sync");
    assert_false(drive_open(&d, "redis"));
    expect_error(&d, ERROR_ARGUMENT, TAG "types is not weir's");
    assert_true(drive_free(&d));
    sink_batch_free(batch);
    store_free(store);
    server_stop(&s);
}

/* Nothing is changed, not even the epoch. */
static void test_reads_only(void **state) {
    (void)state;
    struct server s;
    struct drive d;
    struct store *store = drive_state(3, 5);
    server_start(&s, "no");
    begin(&d, s.url);
    d.read_only = true;
    must_open(&d);
    assert_false(d.has_place);
    assert_string_equal(ask(&s, "DBSIZE"), "0");
    drive_close(&d);
    d.read_only = false;
    assert_true(drive_run(&d, "redis", 3, 5));
    drive_close(&d);
    ask(&s, "CONFIG SET min-replicas-to-write 1"); /* no write would succeed */
    d.read_only = true;
    must_open(&d);
    assert_true(d.has_place);
    assert_true(drive_verify(&d, store, true));
    assert_int_equal(d.missing + d.extra + d.other, 0);
    assert_true(drive_free(&d));
    store_free(store);
    server_stop(&s);
}

/* ---- waiting ---- */

struct later {
    struct server *server;
    const char *command;
    struct loop_timer timer;
};

static void run_later(struct loop_task *task) {
    struct later *later = task->owner;
    ask(later->server, later->command);
}

static void test_waits(void **state) {
    (void)state;
    static const char *const faults[][2] = {
        {"CONFIG SET maxmemory 1", "CONFIG SET maxmemory 0"},
        {"CONFIG SET min-replicas-to-write 1", "CONFIG SET min-replicas-to-write 0"},
        {"REPLICAOF 127.0.0.1 1", "REPLICAOF NO ONE"},
        {"SCRIPT FLUSH", "PING"},
        {"CLIENT KILL TYPE normal", "PING"},
    };
    struct server s;
    struct drive d;
    struct sink_batch *batch = sink_batch_new(DRIVE_BATCH);
    server_start(&s, "no");
    begin(&d, s.url);
    must_open(&d);
    for (unsigned i = 0; i < sizeof faults / sizeof *faults; i++) {
        struct later later = {.server = &s, .command = faults[i][1]};
        ask(&s, faults[i][0]);
        loop_timer_init(d.loop, &later.timer, run_later, &later);
        loop_timer_start(&later.timer, 150);
        one_row(batch, "t", "k", "1", i);
        must_commit(&d, batch);
        loop_timer_close(&later.timer, NULL);
        uv_run(loop_uv(d.loop), UV_RUN_NOWAIT);
    }
    drive_close(&d);
    ask(&s, "CONFIG SET maxmemory 1");
    d.outage_limit_ms = 300;
    assert_false(drive_open(&d, "redis"));
    expect_error(&d, ERROR_SYSTEM, "raise maxmemory");
    expect_error(&d, ERROR_SYSTEM, "gave up after");
    assert_true(drive_free(&d));
    sink_batch_free(batch);
    server_stop(&s);
}

/* ---- a proxy that loses replies ---- */

struct proxy {
    const struct server *server;
    char path[100], url[120];
    int listener;
    pthread_t thread;
    unsigned every; /* this many-th piece of a reply is lost, with the connection */
    unsigned lost;
    volatile bool stop;
};

static int dial(const char *path) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

static bool move(int from, int to, bool lose) {
    char bytes[65536];
    ssize_t len = read(from, bytes, sizeof bytes);
    for (ssize_t at = 0; !lose && at < len;) {
        ssize_t wrote = write(to, bytes + at, (size_t)(len - at));
        if (wrote <= 0) {
            return false;
        }
        at += wrote;
    }
    return len > 0 && !lose;
}

static void *run_proxy(void *arg) {
    struct proxy *p = arg;
    unsigned pieces = 0;
    while (!p->stop) {
        struct pollfd wait = {p->listener, POLLIN, 0};
        if (poll(&wait, 1, 20) <= 0) {
            continue;
        }
        struct pollfd fds[2] = {{accept(p->listener, NULL, NULL), POLLIN, 0},
                                {dial(p->server->socket), POLLIN, 0}};
        bool open = fds[1].fd >= 0;
        while (open && !p->stop) {
            if (poll(fds, 2, 20) <= 0) {
                continue;
            }
            if (fds[0].revents) {
                open = move(fds[0].fd, fds[1].fd, false);
            } else if (fds[1].revents) {
                bool lose = ++pieces % p->every == 0;
                p->lost += lose;
                open = move(fds[1].fd, fds[0].fd, lose);
            }
        }
        close(fds[0].fd);
        if (fds[1].fd >= 0) {
            close(fds[1].fd);
        }
    }
    return NULL;
}

static void proxy_start(struct proxy *p, const struct server *server, unsigned every) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    *p = (struct proxy){.server = server, .every = every};
    snprintf(p->path, sizeof p->path, "%s/proxy", server->folder);
    snprintf(p->url, sizeof p->url, "unix://%s", p->path);
    snprintf(address.sun_path, sizeof address.sun_path, "%s", p->path);
    p->listener = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(p->listener, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(p->listener, 8), 0);
    assert_int_equal(pthread_create(&p->thread, NULL, run_proxy, p), 0);
}

static void proxy_stop(struct proxy *p) {
    p->stop = true;
    pthread_join(p->thread, NULL);
    close(p->listener);
}

/* Every seventh reply is lost after the server has done what was asked: nothing is done twice, nothing is missing. */
static void test_looks_up_lost_replies(void **state) {
    (void)state;
    struct server s;
    struct proxy p;
    struct drive d;
    server_start(&s, "no");
    proxy_start(&p, &s, 7);
    begin(&d, p.url);
    if (!drive_run(&d, "redis", 5, 60)) {
        fail_msg("%s", d.error.message);
    }
    assert_true(p.lost > 5);
    assert_string_equal(ask(&s, "HGET %s commit", TAG "sync"), "60");
    drive_close(&d);
    d.settings[0].value = s.url;
    must_open(&d);
    expect_equal(&d, 5, 60);
    assert_true(drive_free(&d));
    proxy_stop(&p);
    server_stop(&s);
}

/* ---- kills ---- */

/* A worker of its own, which ends by itself when it has committed everything. */
static pid_t spawn_worker(const char *url, uint64_t seed, uint64_t count) {
    pid_t pid = fork();
    if (pid == 0) {
        struct drive d;
        begin(&d, url);
        bool ok = drive_run(&d, "redis", seed, count);
        if (!ok) {
            fprintf(stderr, "worker: %s\n", d.error.message);
        }
        _exit(ok ? 0 : 1);
    }
    return pid;
}

static void test_kills(void **state) {
    (void)state;
    struct server s;
    struct drive d;
    uint64_t random = 11;
    uint64_t count = 0;
    unsigned kills = drive_kills(8);
    server_start(&s, "no");
    begin(&d, s.url);
    for (unsigned i = 0; i < kills; i++) {
        int status;
        count += 300;
        pid_t pid = spawn_worker(s.url, 7, count);
        drive_pause(3 + (unsigned)(drive_random(&random) % 40));
        kill(pid, SIGKILL);
        waitpid(pid, &status, 0);
        assert_true(WIFSIGNALED(status) || WEXITSTATUS(status) == 0);
        if (i % 4 == 3) { /* what is there is what was there at its place */
            must_open(&d);
            expect_equal(&d, 7, d.has_place ? d.place.sequence / DRIVE_ROWS : 0);
            count = d.place.sequence / DRIVE_ROWS;
            drive_close(&d);
        }
    }
    assert_true(drive_run(&d, "redis", 7, count + 20));
    expect_equal(&d, 7, count + 20);
    assert_true(drive_free(&d));
    server_stop(&s);
}

enum { LARGE_ROWS = 600 };

/* Batch i of those that go by stages: 12 MB, and every fourth one begins anew in its midst. */
static void large_batch(struct sink_batch *batch, struct store *store, uint64_t i) {
    static char value[20000];
    struct sink_place place = {.sequence = (i + 1) * LARGE_ROWS};
    if (batch) {
        sink_batch_clear(batch);
    }
    memset(value, 'x', sizeof value);
    value[0] = '"';
    for (uint64_t r = 0; r < LARGE_ROWS; r++) {
        char key[32];
        size_t key_len = (size_t)snprintf(key, sizeof key, "k%u", (unsigned)((i + r) % 900));
        size_t len = (size_t)snprintf(value + 1, 40, "%u %u", (unsigned)i, (unsigned)r);
        value[len + 1] = 'x'; /* where the number has ended */
        value[sizeof value - 1] = '"';
        enum sink_op op = i % 4 == 3 && r == 300 ? SINK_CLEAR : r % 7 == 3 ? SINK_DELETE : SINK_PUT;
        drive_row(batch, store, op, op == SINK_CLEAR ? SLICE("") : slice_from(r % 2 ? "a" : "b"),
                  slice_of(key, key_len), slice_of(value, sizeof value), i * LARGE_ROWS + r);
    }
    if (batch) {
        sink_batch_reach(batch, &place);
    }
}

static pid_t spawn_large(const char *url) {
    pid_t pid = fork();
    if (pid == 0) {
        struct drive d;
        begin(&d, url);
        bool ok = drive_open(&d, "redis");
        for (uint64_t i = d.has_place ? d.place.sequence / LARGE_ROWS : 0; ok; i++) {
            large_batch(d.batch, NULL, i);
            ok = drive_commit(&d, d.batch);
        }
        fprintf(stderr, "worker: %s\n", d.error.message);
        _exit(1);
    }
    return pid;
}

/* Killed between the stages of a batch: nothing of it is there, nor what it had staged. */
static void test_kills_between_stages(void **state) {
    (void)state;
    struct server s;
    struct drive d;
    struct store *store = store_new(1 << 20);
    uint64_t random = 19;
    uint64_t stored = 0;
    unsigned staged = 0;
    server_start(&s, "no");
    begin(&d, s.url);
    for (unsigned i = 0; i < drive_kills(8); i++) {
        int status;
        pid_t pid = spawn_large(s.url);
        drive_pause((unsigned)(drive_random(&random) % 150));
        kill(pid, SIGKILL);
        waitpid(pid, &status, 0);
        assert_true(WIFSIGNALED(status));
        staged += strcmp(ask(&s, "HEXISTS %s stage", TAG "sync"), "1") == 0;
        must_open(&d);
        for (; stored < (d.has_place ? d.place.sequence / LARGE_ROWS : 0); stored++) {
            large_batch(NULL, store, stored);
        }
        assert_string_equal(ask(&s, "EVAL %s 0", "return #redis.call('KEYS', '*}:stage:*')"), "0");
        assert_true(drive_verify(&d, store, false));
        assert_int_equal(d.missing + d.extra + d.other, 0);
        assert_int_equal(d.rows, store_count(store, slice_of(NULL, 0)));
        drive_close(&d);
    }
    print_message("%u of %u kills were between stages\n", staged, drive_kills(8));
    assert_true(drive_free(&d));
    store_free(store);
    server_stop(&s);
}

/* The server dies and comes back with what it had confirmed: the same worker goes on. */
static void test_server_restarts(void **state) {
    (void)state;
    struct server s;
    struct drive d;
    uint64_t random = 13;
    unsigned kills = drive_kills(8) / 2;
    uint64_t count = 4000;
    server_start(&s, "yes");
    pid_t pid = spawn_worker(s.url, 9, count);
    for (unsigned i = 0; i < kills; i++) {
        drive_pause(20 + (unsigned)(drive_random(&random) % 60));
        server_end(&s);
        server_launch(&s, "yes");
    }
    int status;
    ask(&s, "CONFIG SET appendfsync no");
    waitpid(pid, &status, 0);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    begin(&d, s.url);
    must_open(&d);
    assert_int_equal(d.place.sequence, count * DRIVE_ROWS);
    expect_equal(&d, 9, count);
    assert_true(drive_free(&d));
    server_stop(&s);
}

/* The server comes back empty: by name, and a new start fills it. */
static void test_server_forgets(void **state) {
    (void)state;
    struct server s;
    struct drive d;
    struct sink_batch *batch = sink_batch_new(DRIVE_BATCH);
    server_start(&s, "no");
    begin(&d, s.url);
    assert_true(drive_run(&d, "redis", 2, 5));
    server_end(&s);
    server_launch(&s, "no");
    drive_batch(batch, NULL, 2, 5);
    assert_false(drive_commit(&d, batch));
    expect_error(&d, ERROR_GONE, "has lost what it had stored");
    assert_string_equal(ask(&s, "DBSIZE"), "0");
    drive_close(&d);
    assert_true(drive_run(&d, "redis", 2, 6));
    expect_equal(&d, 2, 6);
    assert_true(drive_free(&d));
    sink_batch_free(batch);
    server_stop(&s);
}

/* ---- settings, passwords ---- */

static void test_settings(void **state) {
    (void)state;
    static const char *const wrong[][2] = {
        {"http://h", "begins neither"},
        {"rediss://h", "TLS"},
        {"redis://", "host is missing"},
        {"redis://h:x", "port is wrong"},
        {"redis://h/x", "number of the database"},
        {"redis://u@h", "user without a password"},
        {"unix://relative", "begins with"},
        {"unix:///s?x=1", "?db=N"},
        {"redis://[::1", "\"]\" is missing"},
    };
    struct drive d;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        begin(&d, wrong[i][0]);
        assert_false(drive_start(&d, "redis"));
        expect_error(&d, ERROR_ARGUMENT, wrong[i][1]);
        assert_true(drive_free(&d));
    }
    begin(&d, "redis://localhost");
    drive_set(&d, "prefix", "a{b");
    assert_false(drive_start(&d, "redis"));
    expect_error(&d, ERROR_ARGUMENT, "has a brace");
    assert_true(drive_free(&d));
}

static void test_passwords(void **state) {
    (void)state;
    struct server s;
    struct drive d;
    char url[400];
    server_start(&s, "no");
    ask(&s, "ACL SETUSER default on >geheim%%1");
    begin(&d, s.url);
    assert_false(drive_open(&d, "redis"));
    expect_error(&d, ERROR_ARGUMENT, "give it in the url");
    snprintf(url, sizeof url, "unix://:falsch@%s?db=2", s.socket);
    d.settings[0].value = url;
    drive_close(&d);
    assert_false(drive_open(&d, "redis"));
    expect_error(&d, ERROR_ARGUMENT, "is wrong");
    assert_null(strstr(d.error.message, "falsch"));
    snprintf(url, sizeof url, "unix://default:geheim%%251@%s?db=2", s.socket);
    drive_close(&d);
    must_open(&d);
    drive_close(&d);
    /* As little as will do: neither SCRIPT LOAD nor INFO. */
    ask(&s, "ACL SETUSER little on >x ~weir:* +evalsha +eval +hset +hdel +hget +hmget +hlen +hkeys +hincrby "
            "+type "
            "+exists +del +unlink +select +lrange +llen +rpush +auth +hscan");
    snprintf(url, sizeof url, "unix://little:x@%s?db=3", s.socket);
    assert_true(drive_run(&d, "redis", 2, 6));
    expect_equal(&d, 2, 6);
    assert_true(drive_free(&d));
    server_stop(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stores),
        cmocka_unit_test(test_equals_the_state),
        cmocka_unit_test(test_stages_large_batches),
        cmocka_unit_test(test_fences),
        cmocka_unit_test(test_names_what_others_changed),
        cmocka_unit_test(test_reads_only),
        cmocka_unit_test(test_waits),
        cmocka_unit_test(test_looks_up_lost_replies),
        cmocka_unit_test(test_kills),
        cmocka_unit_test(test_kills_between_stages),
        cmocka_unit_test(test_server_restarts),
        cmocka_unit_test(test_server_forgets),
        cmocka_unit_test(test_settings),
        cmocka_unit_test(test_passwords),
    };
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
