/* What a snapshot says of itself, as a JSON object: which stream it is of, what that stream's state depends on
 * beside its messages, and where reading goes on.
 *
 *     { "stream": NAME, "source": URL or path, "settings": { NAME: VALUE, ... }, "made": TIME,
 *       "offset": TEXT, "skip": N, "sequence": N, "digest": N,
 *       "format": "array" | "lines",                              numbers of 64 bits are text
 *       "file": { "reached": N, "head": HASH, "tail": HASH },                     of a file
 *       "resets": { ... } }                                                       see worker/reset.h */
#ifndef WORKER_ABOUT_H
#define WORKER_ABOUT_H

#include <stdbool.h>

#include "base/buf.h"
#include "worker/filemark.h"
#include "worker/handled.h"
#include "worker/reset.h"

enum { ABOUT_SETTINGS = 5 };

/* A stream as it is now; texts are borrowed. */
struct about {
    const char *stream;
    const char *source; /* no secret is in it */
    struct {
        const char *name, *value;
    } settings[ABOUT_SETTINGS];
    bool file; /* the source is one */
};

/* What a snapshot told; about_free. */
struct about_told {
    struct buf offset; /* with its NUL; empty: the beginning */
    char made[32];
    struct place place; /* its offset lies above */
    struct filemark mark;
};

/* mark: NULL where the source is no file. */
bool about_write(const struct about *about, const struct place *place, const struct filemark *mark,
                 const struct reset_history *resets, struct buf *out, struct error *e);

/* Reads it. False with e: it is of something else (ERROR_ARGUMENT: it says of what), or no such text. told is
 * to be freed in any case. */
bool about_read(const struct about *about, struct slice text, struct about_told *told,
                struct reset_history *resets, struct error *e);

void about_free(struct about_told *told);

#endif
