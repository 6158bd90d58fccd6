/* Runs a program and reports what it took.
 *
 *     measure REPORT COMMAND...
 *
 * writes "seconds=S user=S system=S maxrss=BYTES" to the file REPORT: the seconds are those from the fork to
 * the program's end. Exits as the program did. The program may open as many files as the system lets it. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clock.h"

static void raise_file_limit(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static double in_seconds(struct timeval t) {
    return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

static int report(const char *path, double seconds, const struct rusage *usage) {
    FILE *file = fopen(path, "we");
    if (!file) {
        fprintf(stderr, "measure: %s: %s\n", path, strerror(errno));
        return EXIT_FAILURE;
    }
    fprintf(file, "seconds=%.6f user=%.6f system=%.6f maxrss=%ld\n", seconds, in_seconds(usage->ru_utime),
            in_seconds(usage->ru_stime), usage->ru_maxrss * 1024);
    return fclose(file) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

int main(int argc, char **argv) {
    if (argc < 3) {
        fputs("usage: measure REPORT COMMAND...\n", stderr);
        return 2;
    }
    double start = clock_seconds();
    pid_t child = fork();
    if (child == 0) {
        raise_file_limit();
        execvp(argv[2], argv + 2);
        fprintf(stderr, "measure: %s: %s\n", argv[2], strerror(errno));
        _exit(127);
    }
    int status = 0;
    struct rusage usage;
    while (child > 0 && wait4(child, &status, 0, &usage) < 0 && errno == EINTR) {
    }
    double seconds = clock_seconds() - start;
    if (child < 0 || report(argv[1], seconds, &usage) != EXIT_SUCCESS) {
        return EXIT_FAILURE;
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
