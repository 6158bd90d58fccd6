/* A call of the sink's script as the bytes that go to the server (RESP). It is kept until its reply is there: the
 * same call can be sent once more, by the script's hash or with its text. */
#ifndef SINK_REDIS_COMMAND_H
#define SINK_REDIS_COMMAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/slice.h"

struct redis_command {
    struct buf body; /* a gap for the head, and the arguments behind it */
    size_t gap;
    size_t count;  /* arguments in the body */
    bool failed;   /* one did not fit, or memory */
    bool is_plain; /* it begins with its own name, and calls no script */
    bool may_fail; /* the server may not allow it: its error is a reply, too */
};

/* gap: bytes that its head may need. */
void redis_command_init(struct redis_command *command, size_t gap);
void redis_command_free(struct redis_command *command);

/* Forgets the arguments. */
void redis_command_start(struct redis_command *command);

/* What fails is remembered for redis_command_finish. */
void redis_command_add(struct redis_command *command, struct slice argument);
void redis_command_text(struct redis_command *command, const char *argument);
void redis_command_number(struct redis_command *command, uint64_t argument);

/* Bytes of the arguments so far. */
size_t redis_command_bytes(const struct redis_command *command);

/* The whole command, with `head` in front of the arguments: good until it is changed. ptr NULL with e: it was too
 * long, or memory. */
struct slice redis_command_finish(struct redis_command *command, const struct slice *head, size_t count,
                                  struct error *e);

#endif
