/* What source.h asks of each kind of source. Private to the room. */
#ifndef STREAM_KIND_H
#define STREAM_KIND_H

#include "stream/source.h"

struct source_kind {
    void (*pause)(struct source *source);
    void (*resume)(struct source *source);
    void (*seek)(struct source *source, const char *offset);
    void (*reject)(struct source *source, const struct error *why);
    void (*close)(struct source *source);
};

/* The first member of each kind. */
struct source {
    const struct source_kind *kind;
};

#endif
