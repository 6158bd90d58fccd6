/* Ctrl-C and SIGTERM, for the one worker of this process. A signal belongs to the whole process, so this
 * is the one place with state outside a worker. A second Ctrl-C ends the process at once. */
#ifndef CLI_INTERRUPT_H
#define CLI_INTERRUPT_H

#include <signal.h>

struct worker;

/* True from the first signal on: worker_options.interrupt. */
const volatile sig_atomic_t *interrupt_flag(void);

/* From now on a signal wakes this worker; NULL for none. */
void interrupt_watch(struct worker *worker);

#endif
