/* After a restart: whether all is there that has to be, and nothing else. What was not known before is known then. */
#ifndef CRASH_CHECK_H
#define CRASH_CHECK_H

#include "client.h"
#include "life.h"

/* Ends the test where something is wrong. */
void check_all(struct world *world, struct client *client);

#endif
