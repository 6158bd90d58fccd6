/* The crash test of weir serve:
 *
 *     serve_crash kill WEIR FOLDER KILLS SEED   load, kill -9 at any moment, restart, check: KILLS times
 *     serve_crash many WEIR FOLDER STREAMS      restarts with many streams, timed
 *
 * Prints what it did. Where something is wrong: what, and exit code 1; the folder is as it was then. */
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "load.h"
#include "many.h"
#include "readers.h"
#include "server.h"

struct times {
    double *all;
    size_t count;
};

struct test {
    struct world world;
    struct server server;
    struct client client;
    struct load *load;
    struct readers *readers;
    uint64_t killed_starting;
    struct times starts;
};

/* Options of a start: small journals, so that there is a checkpoint under way at most moments, and large ones. */
static void choose_options(struct random *random, const char *options[5]) {
    static const char *const sizes[] = {"4KB", "64KB", "1MB", "64MB"};
    static const char *const modes[] = {"batch", "batch", "always", "none"};
    options[0] = "--checkpoint-size";
    options[1] = sizes[random_below(random, 4)];
    options[2] = "--fsync";
    options[3] = modes[random_below(random, 4)];
    options[4] = NULL;
}

static void start_and_check(struct test *test) {
    struct random *random = &test->world.random;
    const char *options[5];
    choose_options(random, options);
    while (once_in(random, 5)) {
        server_start_and_kill(&test->server, options, (long)random_below(random, 25000000));
        test->killed_starting++;
    }
    server_start(&test->server, options);
    test->starts.all[test->starts.count++] = test->server.started_in;
    client_connect(&test->client, test->server.port);
    readers_check(test->readers, &test->client);
    check_all(&test->world, &test->client);
    client_close(&test->client);
}

static void kill_once(struct test *test) {
    struct random *random = &test->world.random;
    start_and_check(test);
    load_run(test->load, test->server.port, random_below(random, 10000), random_below(random, 400000000));
    server_kill(&test->server);
    load_end(test->load);
}

static int compare_times(const void *a, const void *b) {
    double left = *(const double *)a, right = *(const double *)b;
    return (left > right) - (left < right);
}

static void report(struct test *test, unsigned kills, double seconds) {
    const struct totals *t = &test->world.totals;
    struct times *starts = &test->starts;
    qsort(starts->all, starts->count, sizeof *starts->all, compare_times);
    printf("%u kills under load, %llu while starting, in %.1f s\n", kills,
           (unsigned long long)test->killed_starting, seconds);
    printf("%llu appends acknowledged, %llu retries found stored, %llu reads under load, %.1f MB sent, %.1f "
           "MB told to live "
           "readers\n",
           (unsigned long long)t->acks, (unsigned long long)t->duplicates, (unsigned long long)t->reads,
           (double)t->bytes / 1e6, (double)t->told / 1e6);
    printf("%llu streams, %llu of them forks, %llu closed, %llu deleted\n", (unsigned long long)t->streams,
           (unsigned long long)t->forks, (unsigned long long)t->closes, (unsigned long long)t->deletes);
    printf("started in %.1f ms (median), %.1f ms at most\n", starts->all[starts->count / 2] * 1000,
           starts->all[starts->count - 1] * 1000);
}

static void run_kills(const char *program, const char *folder, unsigned kills, uint64_t seed) {
    struct test test = {.world.random = {seed}, .server = {.program = program, .folder = folder}};
    double begin = seconds_now();
    test.readers = readers_new(&test.world);
    test.load = load_new(&test.world, test.readers);
    test.starts.all = calloc(kills + 2, sizeof *test.starts.all);
    client_init(&test.client);
    for (unsigned i = 0; i < kills; i++) {
        kill_once(&test);
    }
    start_and_check(&test);
    server_stop(&test.server);
    start_and_check(&test);
    server_stop(&test.server);
    report(&test, kills, seconds_now() - begin);
    load_free(test.load);
    readers_free(test.readers);
    world_free(&test.world);
    free(test.starts.all);
}

int main(int argc, char **argv) {
    if (argc == 6 && strcmp(argv[1], "kill") == 0) {
        run_kills(argv[2], argv[3], (unsigned)atoi(argv[4]), strtoull(argv[5], NULL, 10));
    } else if (argc == 5 && strcmp(argv[1], "many") == 0) {
        many_run(argv[2], argv[3], (unsigned)atoi(argv[4]));
    } else {
        fprintf(stderr, "usage: serve_crash kill WEIR FOLDER KILLS SEED | many WEIR FOLDER STREAMS\n");
        return 2;
    }
    return 0;
}
