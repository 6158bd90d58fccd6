#include "worker/interrupt.h"

#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <unistd.h>

#include "io/loop.h"

static volatile sig_atomic_t interrupted;
static volatile sig_atomic_t output_closed;
static struct loop *volatile watched;

const volatile sig_atomic_t *interrupt_flag(void) {
    return &interrupted;
}

bool interrupt_output_closed(void) {
    return output_closed;
}

static void interrupt(void) {
    interrupted = 1;
    if (watched) {
        loop_wake(watched);
    }
}

static void on_signal(int number) {
    (void)number;
    interrupt();
}

/* A socket's end is curl's affair; only that of standard output leaves nobody to work for. */
static void on_pipe(int number) {
    int kept = errno;
    struct pollfd output = {.fd = STDOUT_FILENO};
    (void)number;
    if (poll(&output, 1, 0) == 1 && (output.revents & POLLERR)) {
        output_closed = 1;
        interrupt();
    }
    errno = kept;
}

void interrupt_watch(struct loop *loop, struct interrupt_saved *saved) {
    struct sigaction stop = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND};
    struct sigaction pipe = {.sa_handler = on_pipe, .sa_flags = SA_RESTART};
    watched = loop;
    sigemptyset(&stop.sa_mask);
    sigemptyset(&pipe.sa_mask);
    sigaction(SIGINT, &stop, saved ? &saved->on_int : NULL);
    sigaction(SIGTERM, &stop, saved ? &saved->on_term : NULL);
    sigaction(SIGPIPE, &pipe, saved ? &saved->on_pipe : NULL);
}

void interrupt_restore(const struct interrupt_saved *saved) {
    sigaction(SIGINT, &saved->on_int, NULL);
    sigaction(SIGTERM, &saved->on_term, NULL);
    sigaction(SIGPIPE, &saved->on_pipe, NULL);
    watched = NULL;
    interrupted = output_closed = 0;
}
