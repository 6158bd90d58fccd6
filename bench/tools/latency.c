/* How long it takes from an append to the follower that handles it.
 *
 *     latency URL COUNT READY COMMAND...
 *
 * COMMAND follows the stream and prints a line with READY in it when it is up to date, and for each change a
 * line with its key in it, at once. COUNT times a change is appended, and the next only when the line of the
 * last has come. The clock runs from before the request is sent to when the line is read. A request that the
 * server has not answered by then is waited for outside of the clock.
 *
 * Prints "p50=S p99=S max=S count=N", in seconds. The first tenth warms up and is not in it. */
#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clock.h"

enum { COUNT_MAX = 1000000, WAIT_MAX = 30 };

/* What the thread that reads the follower's lines has seen. */
struct follower {
    pid_t pid;
    FILE *lines;
    const char *ready_text;
    pthread_mutex_t lock;
    pthread_cond_t news;
    bool ready, ended;
    char wanted[32]; /* the key that is waited for; "" once it has come */
    double came;     /* when */
};

static void on_line(struct follower *f, const char *line, double now) {
    pthread_mutex_lock(&f->lock);
    if (f->wanted[0] && strstr(line, f->wanted)) {
        f->wanted[0] = '\0';
        f->came = now;
    } else if (strstr(line, f->ready_text)) {
        f->ready = true;
    }
    pthread_cond_signal(&f->news);
    pthread_mutex_unlock(&f->lock);
}

static void *read_lines(void *user) {
    struct follower *f = user;
    char *line = NULL;
    size_t room = 0;
    while (getline(&line, &room, f->lines) > 0) {
        on_line(f, line, clock_seconds());
    }
    free(line);
    pthread_mutex_lock(&f->lock);
    f->ended = true;
    pthread_cond_signal(&f->news);
    pthread_mutex_unlock(&f->lock);
    return NULL;
}

static bool is_ready(const struct follower *f) {
    return f->ready;
}

static bool has_come(const struct follower *f) {
    return !f->wanted[0];
}

/* False where the follower ends first, or WAIT_MAX seconds pass. */
static bool wait_till(struct follower *f, bool (*condition)(const struct follower *f)) {
    struct timespec limit;
    clock_gettime(CLOCK_REALTIME, &limit);
    limit.tv_sec += WAIT_MAX;
    pthread_mutex_lock(&f->lock);
    int late = 0;
    while (!condition(f) && !f->ended && !late) {
        late = pthread_cond_timedwait(&f->news, &f->lock, &limit);
    }
    bool ok = condition(f);
    pthread_mutex_unlock(&f->lock);
    return ok;
}

static bool start(struct follower *f, char **command) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) {
        return false;
    }
    f->pid = fork();
    if (f->pid == 0) {
        dup2(ends[1], STDOUT_FILENO);
        execvp(command[0], command);
        fprintf(stderr, "latency: %s: %s\n", command[0], strerror(errno));
        _exit(127);
    }
    close(ends[1]);
    f->lines = fdopen(ends[0], "r");
    return f->pid > 0 && f->lines;
}

/* NOLINTNEXTLINE(readability-non-const-parameter): the signature is libcurl's. */
static size_t drop(char *bytes, size_t size, size_t count, void *user) {
    (void)bytes;
    (void)user;
    return size * count;
}

/* Negative where it failed. */
static double append(struct follower *f, CURL *curl, unsigned long i) {
    char body[128];
    pthread_mutex_lock(&f->lock);
    snprintf(f->wanted, sizeof f->wanted, "key-%08lu", i);
    snprintf(body, sizeof body,
             "{\"type\":\"ticks\",\"key\":\"%s\",\"value\":%lu,\"headers\":{\"operation\":\"insert\"}}",
             f->wanted, i);
    pthread_mutex_unlock(&f->lock);
    curl_easy_setopt(curl, CURLOPT_COPYPOSTFIELDS, body);
    double before = clock_seconds();
    CURLcode code = curl_easy_perform(curl);
    if (code != CURLE_OK || !wait_till(f, has_come)) {
        fprintf(stderr, "latency: change %lu: %s\n", i,
                code ? curl_easy_strerror(code) : "it did not come back in time");
        return -1;
    }
    return f->came - before;
}

static int compare(const void *left, const void *right) {
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

static void report(double *times, size_t count) {
    qsort(times, count, sizeof *times, compare);
    printf("p50=%.9f p99=%.9f max=%.9f count=%zu\n", times[count / 2], times[count * 99 / 100],
           times[count - 1], count);
}

static bool run(struct follower *f, CURL *curl, size_t count) {
    size_t warm = count / 10;
    double *times = malloc(count * sizeof *times);
    bool ok = times && wait_till(f, is_ready);
    if (!ok) {
        fputs("latency: the follower did not get ready\n", stderr);
    }
    for (size_t i = 0; ok && i < warm + count; i++) {
        double seconds = append(f, curl, i);
        ok = seconds >= 0;
        if (i >= warm) {
            times[i - warm] = seconds;
        }
    }
    if (ok) {
        report(times, count);
    }
    free(times);
    return ok;
}

static CURL *connection(const char *url, struct curl_slist *headers) {
    CURL *curl = curl_easy_init();
    if (curl) {
        curl_easy_setopt(curl, CURLOPT_URL, url);
        curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
        curl_easy_setopt(curl, CURLOPT_FAILONERROR, 1L);
        curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, drop);
        curl_easy_setopt(curl, CURLOPT_TIMEOUT, (long)WAIT_MAX);
    }
    return curl;
}

int main(int argc, char **argv) {
    unsigned long count = argc > 4 ? strtoul(argv[2], NULL, 10) : 0;
    if (count < 1 || count > COUNT_MAX) {
        fputs("usage: latency URL COUNT READY COMMAND...\n", stderr);
        return 2;
    }
    struct follower f = {
        .ready_text = argv[3], .lock = PTHREAD_MUTEX_INITIALIZER, .news = PTHREAD_COND_INITIALIZER};
    struct curl_slist *headers = curl_slist_append(NULL, "Content-Type: application/json");
    CURL *curl = connection(argv[1], headers);
    pthread_t reader;
    bool ok = curl && start(&f, argv + 4) && pthread_create(&reader, NULL, read_lines, &f) == 0;
    if (ok) {
        ok = run(&f, curl, count);
        kill(f.pid, SIGTERM);
        pthread_join(reader, NULL);
        waitpid(f.pid, NULL, 0);
    }
    if (f.lines) {
        fclose(f.lines);
    }
    curl_easy_cleanup(curl);
    curl_slist_free_all(headers);
    return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}
