/* What the configuration and the command line say, and a script that has been loaded has no use for: slips of the pen. */
#ifndef CLI_UNUSED_H
#define CLI_UNUSED_H

#include "base/error.h"
#include "base/log.h"
#include "worker/config.h"

/* Each is a warning in the log. */
void unused_warn(const struct config *config, const char *script, const struct log *log);

/* False with e: the first of them. */
bool unused_check(const struct config *config, const char *script, struct error *e);

#endif
