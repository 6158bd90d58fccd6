/* A connection to the server: requests are put into it, answers come out in their order. */
#ifndef CRASH_CLIENT_H
#define CRASH_CLIENT_H

#include <stdbool.h>

#include "base/buf.h"

struct client {
    int fd; /* -1: none */
    struct buf out, in;
};

/* Slices are good until the next call. */
struct answer {
    int status;
    struct slice offset; /* Stream-Next-Offset; absent: none */
    bool closed;         /* Stream-Closed: true */
    bool up_to_date;     /* Stream-Up-To-Date: true */
    struct slice body;
};

void client_init(struct client *client);
void client_connect(struct client *client, int port);
void client_close(struct client *client);

/* Appends a request to what is to be sent. `fields`: further header lines, each with its CR LF. */
void client_ask(struct client *client, const char *method, const char *path, const char *fields,
                struct slice body);

/* Sends and takes what can be now. False: the connection has ended. */
bool client_move(struct client *client);

/* The next answer, if it is there as a whole; client_drop takes it off. */
bool client_answer(struct client *client, struct answer *answer);
void client_drop(struct client *client);

/* Asks and waits for the answer. Ends the test where none comes. */
void client_get(struct client *client, const char *method, const char *path, struct answer *answer);

#endif
