/* Whether an event fits the schemas of a script now: of the stream with that name, or of the only one that the script
 * declares. Rules and handlers are not asked, nor what a schema asks in Lua; a patch is not checked, since what it
 * leaves depends on the state. */
#ifndef CLI_RECHECK_H
#define CLI_RECHECK_H

#include <stdbool.h>

#include "base/error.h"
#include "base/slice.h"
#include "worker/config.h"

struct recheck;

/* Loads the script. config is borrowed. NULL with e. */
struct recheck *recheck_open(const char *script, struct config *config, struct error *e);
void recheck_close(struct recheck *recheck);

/* False with e: it does not fit, and why; or there is no stream of that name. */
bool recheck_event(struct recheck *recheck, struct slice stream, struct slice event, struct error *e);

#endif
