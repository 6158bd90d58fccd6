/* What `weir append` does once it knows the stream's content type: what comes in goes to a producer
 * (stream/producer.h), or, with --seq, into one request; as much as the server takes, no faster.
 *
 * Under a producer's name that the user has given, batches are cut by what is in them alone, never by
 * time: the same input, sent again, makes the same batches under the same numbers, and is stored once. */
#ifndef CLI_APPENDING_H
#define CLI_APPENDING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cli/client.h"
#include "cli/input.h"
#include "stream/producer.h"

struct appending_options {
    const char *content_type;
    const char *const *data; /* each is appended; count 0: `path` is read */
    size_t data_count;
    const char *path;
    bool lines;
    const char *producer_id; /* NULL: a random one */
    uint64_t epoch;
    bool claim;
    uint64_t batch;  /* of JSON: messages that are sent together, of others: bytes; 0: the default */
    const char *seq; /* Stream-Seq: everything is one request. NULL: none */
};

struct appending {
    struct client *client;
    struct appending_options o;
    bool json, text;
    enum input_kind kind;
    struct input input;
    bool reading; /* input is open */
    struct producer *producer;
    struct buf body;   /* with --seq: the request */
    struct buf offset; /* the last that was told; empty: none */

    bool fixed; /* batches are cut by content */
    uint64_t batch_items;
    size_t batch_bytes;
    bool flushing;  /* waits for the producer before it goes on */
    bool throttled; /* the producer has enough for now */

    uint64_t stored, before; /* units: messages, or bytes. before: stored by a run before this one */
    bool over;
    struct error e; /* why it ended early */
};

void appending_init(struct appending *a, struct client *client, const struct appending_options *options);
void appending_free(struct appending *a);

/* Until everything is stored. False with e, which says how much is. */
bool appending_run(struct appending *a, struct error *e);

#endif
