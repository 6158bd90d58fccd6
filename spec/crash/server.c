#include "server.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "life.h"

enum { ARGUMENTS_MOST = 24, START_LIMIT_S = 60 };

double seconds_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static _Noreturn void run_server(const struct server *server, const char *const *options, int log) {
    const char *arguments[ARGUMENTS_MOST] = {server->program, "serve",        "--listen", "127.0.0.1:0",
                                             "--data",        server->folder, NULL};
    size_t count = 6;
    for (; options && *options && count + 1 < ARGUMENTS_MOST; options++) {
        arguments[count++] = *options;
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    dup2(log, STDERR_FILENO);
    execv(server->program, (char *const *)arguments);
    _exit(127);
}

static void launch(struct server *server, const char *const *options) {
    int ends[2];
    if (pipe(ends) != 0) {
        fail("pipe: %s", strerror(errno));
    }
    fflush(stdout);
    server->pid = fork();
    if (server->pid < 0) {
        fail("fork: %s", strerror(errno));
    }
    if (server->pid == 0) {
        close(ends[0]);
        run_server(server, options, ends[1]);
    }
    close(ends[1]);
    server->log = ends[0];
}

static int reap(struct server *server) {
    int status = 0;
    if (waitpid(server->pid, &status, 0) != server->pid) {
        fail("waitpid: %s", strerror(errno));
    }
    return status;
}

/* What is left on its standard error, up to the end. */
static void read_rest(const struct server *server, char *out, size_t size) {
    size_t len = 0;
    for (ssize_t got = 1; got > 0 && len + 1 < size; len += got > 0 ? (size_t)got : 0) {
        got = read(server->log, out + len, size - 1 - len);
    }
    out[len] = '\0';
    close(server->log);
}

void server_start(struct server *server, const char *const *options) {
    char text[4096];
    size_t len = 0;
    double begin = seconds_now();
    launch(server, options);
    text[0] = '\0';
    const char *line = NULL;
    while (!(line = strstr(text, "listening on http://127.0.0.1:")) || !strchr(line, '\n')) {
        struct pollfd ready = {.fd = server->log, .events = POLLIN};
        int left = START_LIMIT_S * 1000 - (int)((seconds_now() - begin) * 1000);
        ssize_t got = left > 0 && poll(&ready, 1, left) > 0
                          ? read(server->log, text + len, sizeof text - 1 - len)
                          : 0;
        if (got <= 0) {
            fail("the server does not start: %s", len ? text : "it says nothing");
        }
        len += (size_t)got;
        text[len] = '\0';
    }
    server->started_in = seconds_now() - begin;
    server->port = atoi(line + strlen("listening on http://127.0.0.1:"));
    if (strncmp(text, "weir: listening", 15) != 0) {
        fail("the server says at its start: %s", text);
    }
}

void server_start_and_kill(struct server *server, const char *const *options, long ns) {
    char text[4096];
    launch(server, options);
    nanosleep(&(struct timespec){0, ns}, NULL);
    kill(server->pid, SIGKILL);
    reap(server);
    read_rest(server, text, sizeof text);
    if (text[0] && strncmp(text, "weir: listening", 15) != 0) {
        fail("the server says at its start: %s", text);
    }
}

static void expect_silence(const struct server *server) {
    char text[4096];
    read_rest(server, text, sizeof text);
    if (text[0]) {
        fail("the server says: %s", text);
    }
}

void server_kill(struct server *server) {
    kill(server->pid, SIGKILL);
    int status = reap(server);
    if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL) {
        fail("the server ended by itself, with status %d", status);
    }
    expect_silence(server);
}

void server_stop(struct server *server) {
    kill(server->pid, SIGTERM);
    int status = reap(server);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        fail("the server stopped with status %d", status);
    }
    expect_silence(server);
}

uint64_t server_memory(const struct server *server) {
    char name[64], line[256];
    unsigned long kilobytes = 0;
    snprintf(name, sizeof name, "/proc/%d/status", (int)server->pid);
    FILE *file = fopen(name, "r");
    while (file && fgets(line, sizeof line, file)) {
        sscanf(line, "VmRSS: %lu", &kilobytes);
    }
    if (file) {
        fclose(file);
    }
    return (uint64_t)kilobytes * 1024;
}
