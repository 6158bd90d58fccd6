#include "cli/session.h"

#include <signal.h>

#include "cli/command.h"
#include "worker/interrupt.h"

bool session_start(struct session *session, struct worker_options options, struct error *e) {
    options.config = session->config;
    options.interrupt = interrupt_flag();
    options.alone = true;
    signal(SIGXFSZ, SIG_IGN); /* a limit of file sizes is to sinks and snapshots as a full disk is */
    session->worker = worker_new(&options, e);
    if (session->worker) {
        interrupt_watch(worker_loop(session->worker), NULL);
    }
    return session->worker != NULL;
}

static int session_close(const struct session *session, int code) {
    struct error e;
    interrupt_watch(NULL, NULL);
    bool clean = worker_free(session->worker, &e);
    config_free(session->config);
    if (!clean && code != EXIT_FAILED) {
        return command_fail(&e);
    }
    return code;
}

int session_run(const struct command *command, int argc, char **argv, session_work *work) {
    struct session session = {.config = config_new()};
    if (!session.config) {
        struct error e;
        error_set(&e, ERROR_MEMORY, "out of memory");
        return command_fail(&e);
    }
    return session_close(&session, work(command, argc, argv, &session));
}
