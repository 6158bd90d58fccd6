/* What `weir read` does: hands a stream's messages, or its bytes, to standard output, each once, whatever
 * happens to connections.
 *
 *     source -> slicer -> skip what was handed over before -> compact -> output
 *
 * Of a JSON stream the unit is a message, of others a byte. */
#ifndef CLI_FOLLOW_H
#define CLI_FOLLOW_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "cli/client.h"
#include "message/slicer.h"
#include "stream/source.h"

struct follow {
    /* What is asked for: to be set between follow_init and follow_run. */
    const char *from; /* an offset; NULL: the beginning */
    enum source_live live;
    bool raw;     /* messages keep their white space */
    bool limited; /* to `left` units */
    uint64_t left;
    uint64_t skip;    /* units to pass over */
    struct buf *into; /* messages go there, one a line, and not to standard output; NULL */

    /* Where it stands. */
    struct client *client;
    struct source *source;
    struct slicer slicer;
    struct buf window; /* the start of a message whose end has not come */
    struct buf offset; /* behind the last whole chunk; empty: none has come */
    uint64_t since;    /* units taken since then, those passed over too */
    bool in_array, bytes;
    bool over;
    struct error e;
};

void follow_init(struct follow *follow);
void follow_free(struct follow *follow);

/* Until the stream's end, its tail where it is not live, or the limit. False with e. */
bool follow_run(struct follow *follow, struct client *client, struct error *e);

/* From where to go on after follow_run, whatever it said: the offset, and the units behind it that have
 * been handed over. */
struct slice follow_offset(const struct follow *follow);
uint64_t follow_skip(const struct follow *follow);

#endif
