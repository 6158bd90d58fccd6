/* What `run`, `check` and `state` have in common: a configured worker with a script in it. */
#ifndef CLI_SESSION_H
#define CLI_SESSION_H

#include <stdbool.h>

#include "worker/worker.h"

struct session {
    struct config *config;
    struct worker *worker;
};

/* A configuration with the environment in it. */
bool session_open(struct session *session, struct error *e);

/* Makes the worker; config and interrupt of options are filled in. */
bool session_start(struct session *session, struct worker_options options, struct error *e);

/* Closes everything. `code` is the exit code so far; a leaked handle makes a success a failure. */
int session_close(struct session *session, int code);

#endif
