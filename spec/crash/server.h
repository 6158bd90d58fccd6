/* A `weir serve` of its own: started, killed, stopped. */
#ifndef CRASH_SERVER_H
#define CRASH_SERVER_H

#include <stdint.h>
#include <sys/types.h>

struct server {
    const char *program, *folder;
    pid_t pid;
    int log; /* the pipe of its standard error */
    int port;
    double started_in; /* seconds, until it listened */
};

/* Starts it and waits until it listens. Options NULL-terminated; may be NULL. Ends the test where it does not. */
void server_start(struct server *server, const char *const *options);

/* Starts it, and kills it after so many nanoseconds. */
void server_start_and_kill(struct server *server, const char *const *options, long ns);

/* kill -9. What it said on standard error meanwhile is printed; where that was anything, the test ends. */
void server_kill(struct server *server);

/* SIGTERM; ends the test where that does not end it well. */
void server_stop(struct server *server);

/* Its resident memory, in bytes. */
uint64_t server_memory(const struct server *server);

double seconds_now(void);

#endif
