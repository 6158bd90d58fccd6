/* A sink that writes down what a source reports, as one line of text:
 *
 *     <bytes>OFFSET^   a chunk: begin, its bytes, end at OFFSET; ^ up to date, $ closed
 *     !                abort        EOF, FAIL: the last report
 *
 * For unit tests only. */
#ifndef UNIT_RECORDER_H
#define UNIT_RECORDER_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "stream/source.h"

struct recorder {
    struct buf text;
    struct source *source;
    struct error error;
    enum source_format format;
    unsigned begins, ends, aborts, eofs, fails;
    uint64_t bytes;
    bool quiet; /* counts bytes, does not keep them */
    /* What the test does within a report; may be NULL. */
    void (*on_bytes)(struct recorder *recorder);
    void (*on_end)(struct recorder *recorder, const struct source_chunk *chunk);
    void *user;
};

static inline void recorder_begin(void *user, enum source_format format) {
    struct recorder *r = user;
    r->begins++;
    r->format = format;
    buf_append_byte(&r->text, '<');
}

static inline void recorder_bytes(void *user, const char *ptr, size_t len) {
    struct recorder *r = user;
    r->bytes += len;
    if (!r->quiet) {
        buf_append(&r->text, ptr, len);
    }
    if (r->on_bytes) {
        r->on_bytes(r);
    }
}

static inline void recorder_end(void *user, const struct source_chunk *chunk) {
    struct recorder *r = user;
    r->ends++;
    buf_printf(&r->text, ">%.*s%s%s;", (int)chunk->offset.len, chunk->offset.ptr,
               chunk->up_to_date ? "^" : "", chunk->closed ? "$" : "");
    if (r->on_end) {
        r->on_end(r, chunk);
    }
}

static inline void recorder_abort(void *user) {
    struct recorder *r = user;
    r->aborts++;
    buf_append_byte(&r->text, '!');
}

static inline void recorder_eof(void *user) {
    struct recorder *r = user;
    r->eofs++;
    buf_append_text(&r->text, "EOF");
}

static inline void recorder_fail(void *user, const struct error *e) {
    struct recorder *r = user;
    r->fails++;
    r->error = *e;
    buf_append_text(&r->text, "FAIL");
}

static inline void recorder_init(struct recorder *r) {
    *r = (struct recorder){0};
    buf_init(&r->text, 1 << 26);
}

static inline struct source_sink recorder_sink(struct recorder *r) {
    return (struct source_sink){
        .user = r,
        .begin = recorder_begin,
        .bytes = recorder_bytes,
        .end = recorder_end,
        .abort = recorder_abort,
        .eof = recorder_eof,
        .fail = recorder_fail,
    };
}

static inline const char *recorder_text(struct recorder *r) {
    buf_append_byte(&r->text, '\0');
    r->text.len--;
    return r->text.ptr;
}

static inline bool recorder_over(void *arg) {
    struct recorder *r = arg;
    return r->eofs + r->fails > 0;
}

#endif
