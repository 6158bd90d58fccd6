/* Why a connection came to nothing, out of what libpq says. Pure. */
#ifndef SINK_POSTGRES_REASON_H
#define SINK_POSTGRES_REASON_H

#include "sink/postgres/link.h"

/* Fills error, state and tls. The message tells the state only within its text ("FATAL:  28P01: ..."), and only where the
 * connection was asked for all it knows; it may have several lines, and several for each address that was tried. */
void pg_reason_read(struct pg_failure *failure, const char *message);

#endif
