#include "cli/interrupt.h"

#include <stddef.h>

#include "worker/worker.h"

static volatile sig_atomic_t interrupted;
static struct worker *volatile watched;

const volatile sig_atomic_t *interrupt_flag(void) {
    return &interrupted;
}

static void on_signal(int number) {
    (void)number;
    interrupted = 1;
    if (watched) {
        worker_wake(watched);
    }
}

void interrupt_watch(struct worker *worker) {
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND};
    watched = worker;
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    signal(SIGPIPE, SIG_IGN);
}
