/* The sink "redis" against real servers: full ones, lost replies, kills, servers that come again with less. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "sink_redis_server.h"

/* ---- waiting ---- */

struct later {
    struct server *server;
    const char *command;
    struct loop_timer timer;
};

static void run_later(struct loop_task *task) {
    struct later *later = task->owner;
    server_ask(later->server, later->command);
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
    server_drive(&d, s.url);
    drive_must_open(&d);
    for (unsigned i = 0; i < sizeof faults / sizeof *faults; i++) {
        struct later later = {.server = &s, .command = faults[i][1]};
        server_ask(&s, faults[i][0]);
        loop_timer_init(d.loop, &later.timer, run_later, &later);
        loop_timer_start(&later.timer, 150);
        drive_one_row(batch, "t", "k", "1", i);
        drive_must_commit(&d, batch);
        loop_timer_close(&later.timer, NULL);
        uv_run(loop_uv(d.loop), UV_RUN_NOWAIT);
    }
    drive_close(&d);
    server_ask(&s, "CONFIG SET maxmemory 1");
    d.outage_limit_ms = 300;
    assert_false(drive_open(&d, "redis"));
    drive_expect(&d, ERROR_SYSTEM, "raise maxmemory");
    drive_expect(&d, ERROR_SYSTEM, "gave up after");
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
    server_drive(&d, p.url);
    if (!drive_run(&d, "redis", 5, 60)) {
        fail_msg("%s", d.error.message);
    }
    assert_true(p.lost > 5);
    assert_string_equal(server_ask(&s, "HGET %s commit", TAG "sync"), "60");
    drive_close(&d);
    d.settings[0].value = s.url;
    drive_must_open(&d);
    drive_expect_equal(&d, 5, 60);
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
        server_drive(&d, url);
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
    server_drive(&d, s.url);
    for (unsigned i = 0; i < kills; i++) {
        int status;
        count += 300;
        pid_t pid = spawn_worker(s.url, 7, count);
        drive_pause(3 + (unsigned)(drive_random(&random) % 40));
        kill(pid, SIGKILL);
        waitpid(pid, &status, 0);
        assert_true(WIFSIGNALED(status) || WEXITSTATUS(status) == 0);
        if (i % 4 == 3) { /* what is there is what was there at its place */
            drive_must_open(&d);
            drive_expect_equal(&d, 7, d.has_place ? d.place.sequence / DRIVE_ROWS : 0);
            count = d.place.sequence / DRIVE_ROWS;
            drive_close(&d);
        }
    }
    assert_true(drive_run(&d, "redis", 7, count + 20));
    drive_expect_equal(&d, 7, count + 20);
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
        server_drive(&d, url);
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
    server_drive(&d, s.url);
    for (unsigned i = 0; i < drive_kills(8); i++) {
        int status;
        pid_t pid = spawn_large(s.url);
        drive_pause((unsigned)(drive_random(&random) % 150));
        kill(pid, SIGKILL);
        waitpid(pid, &status, 0);
        assert_true(WIFSIGNALED(status));
        staged += strcmp(server_ask(&s, "HEXISTS %s stage", TAG "sync"), "1") == 0;
        drive_must_open(&d);
        for (; stored < (d.has_place ? d.place.sequence / LARGE_ROWS : 0); stored++) {
            large_batch(NULL, store, stored);
        }
        assert_string_equal(server_ask(&s, "EVAL %s 0", "return #redis.call('KEYS', '*}:stage:*')"), "0");
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
    server_ask(&s, "CONFIG SET appendfsync no");
    waitpid(pid, &status, 0);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    server_drive(&d, s.url);
    drive_must_open(&d);
    assert_int_equal(d.place.sequence, count * DRIVE_ROWS);
    drive_expect_equal(&d, 9, count);
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
    server_drive(&d, s.url);
    assert_true(drive_run(&d, "redis", 2, 5));
    server_end(&s);
    server_launch(&s, "no");
    drive_batch(batch, NULL, 2, 5);
    assert_false(drive_commit(&d, batch));
    drive_expect(&d, ERROR_GONE, "has lost what it had stored");
    assert_string_equal(server_ask(&s, "DBSIZE"), "0");
    drive_close(&d);
    assert_true(drive_run(&d, "redis", 2, 6));
    drive_expect_equal(&d, 2, 6);
    assert_true(drive_free(&d));
    sink_batch_free(batch);
    server_stop(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_waits),           cmocka_unit_test(test_looks_up_lost_replies),
        cmocka_unit_test(test_kills),           cmocka_unit_test(test_kills_between_stages),
        cmocka_unit_test(test_server_restarts), cmocka_unit_test(test_server_forgets),
    };
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
