/* Ctrl-C, SIGTERM, and a standard output that nobody reads any more, for the one loop that a process runs in its
 * foreground. A signal belongs to the whole process, so this is the one place with state outside a worker. While
 * it watches, a second Ctrl-C ends the process at once. */
#ifndef WORKER_INTERRUPT_H
#define WORKER_INTERRUPT_H

#include <signal.h>
#include <stdbool.h>

struct loop;

/* True from the first signal on: worker_options.interrupt. */
const volatile sig_atomic_t *interrupt_flag(void);

/* What the process did on signals before. */
struct interrupt_saved {
    struct sigaction on_int, on_term, on_pipe;
};

/* From now on a signal sets the flag, breaks system calls off and wakes this loop (NULL: none). saved may be NULL. */
void interrupt_watch(struct loop *loop, struct interrupt_saved *saved);

/* Gives signals back, and clears the flag. */
void interrupt_restore(const struct interrupt_saved *saved);

/* True where the flag was set because standard output is a pipe that was closed. */
bool interrupt_output_closed(void);

#endif
