/* Live readers beside the load, by SSE and by long-poll, each of one stream from its start. What they were told has to
 * be there after every crash, and they go on where they were told to. */
#ifndef CRASH_READERS_H
#define CRASH_READERS_H

#include "client.h"
#include "life.h"

struct readers;

struct readers *readers_new(struct world *world);
void readers_free(struct readers *readers);

/* Sends and takes what can be now: of the server on that port, while it runs. */
void readers_move(struct readers *readers, int port);

/* The server is dead: takes what had come. */
void readers_end(struct readers *readers);

/* The server has started again: is all there that they were told? Before check_all. */
void readers_check(struct readers *readers, struct client *client);

#endif
