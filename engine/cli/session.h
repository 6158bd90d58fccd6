/* What `run`, `check` and `state` have in common: a configured worker with a script in it. */
#ifndef CLI_SESSION_H
#define CLI_SESSION_H

#include <stdbool.h>

#include "worker/worker.h"

struct command;

struct session {
    struct config *config; /* empty at first */
    struct worker *worker; /* NULL before session_start */
};

/* What a command does in its session; returns an exit code. */
typedef int session_work(const struct command *command, int argc, char **argv, struct session *session);

/* Opens a session, works in it, and closes everything. A leaked handle makes a success a failure. */
int session_run(const struct command *command, int argc, char **argv, session_work *work);

/* Makes the worker; config and interrupt of options are filled in. */
bool session_start(struct session *session, struct worker_options options, struct error *e);

#endif
