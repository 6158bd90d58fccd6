/* What an error reply of Redis means for a sink. Pure. */
#ifndef SINK_REDIS_FAULT_H
#define SINK_REDIS_FAULT_H

#include <stdbool.h>

enum redis_fault {
    REDIS_WAITS, /* it passes: loading, busy, out of memory, a replica, a disk that is full, a cluster that is down */
    REDIS_NO_SCRIPT, /* the script has to be sent with its text */
    REDIS_MOVED,     /* "MOVED slot host:port": another node of the cluster has the keys */
    REDIS_FORBIDDEN, /* NOAUTH, WRONGPASS, NOPERM */
    REDIS_FOREIGN,   /* WRONGTYPE: a key is of another kind than weir's */
    REDIS_OTHER,     /* what nobody expects: no use to try again */
};

/* text: as the server sent it, "CODE message". A code is also found within what older servers wrap around errors of
 * a script. */
enum redis_fault redis_fault_of(const char *text);

/* What to do about it, as the end of a sentence ("free memory there, or raise maxmemory"), or "". */
const char *redis_fault_advice(const char *text);

#endif
