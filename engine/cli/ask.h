/* One call to the stream of a client (stream/call.h), waited for. */
#ifndef CLI_ASK_H
#define CLI_ASK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "cli/client.h"
#include "stream/call.h"

/* What came back. It owns its text; what the server did not say is empty. */
struct answer {
    int status;
    struct buf offset, content_type, expires_at; /* ended by a NUL that len does not count */
    bool has_ttl, closed, created, duplicate;
    uint64_t ttl_s;
};

void answer_init(struct answer *answer);
void answer_free(struct answer *answer);

/* Makes the call that options describe, whose loop, http, log, url, fields, ca_file, limits, hooks and
 * callback are filled in here. False with e, which says what the user may do about it. */
bool ask(struct client *client, struct call_options options, struct answer *answer, struct error *e);

/* The same for CALL_HEAD. */
bool ask_head(struct client *client, struct answer *answer, struct error *e);

/* Appends to the message of a failed request what the user may do about it. */
void ask_advise(const struct client *client, enum call_kind kind, struct error *e);

/* Writes the offset and a line end to standard output, asking the server for the tail where offset is
 * empty. False with e. */
bool ask_put_offset(struct client *client, struct slice offset, struct error *e);

/* True for application/json, whatever its parameters. */
bool ask_is_json(const char *content_type);

#endif
