/* Faults on demand, for tests (--faults): POST /_test/inject-error plans one for the exact path of a
 * stream, DELETE forgets all. The shape is the reference server's:
 *
 *     {path, status?, count = 1, retryAfter?, delayMs?, jitterMs?, dropConnection?, truncateBodyBytes?,
 *      corruptBody?, injectSseEvent?: {eventType, data}, method?, probability?}
 *
 * One a path. Each request to the path uses one of `count` up, unless `method` names another. */
#ifndef SERVER_FAULTS_H
#define SERVER_FAULTS_H

#include <stdbool.h>

#include "server/conn.h"

struct faults;

/* NULL: out of memory. */
struct faults *faults_new(void);
void faults_free(struct faults *faults);

enum faults_answer {
    FAULTS_NONE,     /* goes on as usual; the exchange may have been told to spoil the body */
    FAULTS_ANSWERED, /* nothing more to do */
    FAULTS_DELAY,    /* handle_deadline comes later, and then faults_delayed */
};

/* The request meets the fault that is planned for it, if there is one. Where the server has no faults:
 * FAULTS_NONE. */
enum faults_answer faults_meet(struct conn *conn);

/* After its delay: true where the fault has answered. */
bool faults_delayed(struct conn *conn);

#endif
