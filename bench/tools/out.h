/* Buffered output: write(2) with as little in between as can be, since data for a pipe must not be what is
 * waited for. */
#ifndef BENCH_OUT_H
#define BENCH_OUT_H

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct out {
    size_t len;
    char bytes[1 << 16];
};

/* Ends the process where nobody reads any more, or the disk is full. */
static inline void out_flush(struct out *o) {
    for (size_t done = 0; done < o->len;) {
        ssize_t n = write(STDOUT_FILENO, o->bytes + done, o->len - done);
        if (n < 0 && errno != EINTR) {
            _exit(EXIT_FAILURE);
        }
        done += n > 0 ? (size_t)n : 0;
    }
    o->len = 0;
}

/* len is less than the buffer. */
static inline void out_bytes(struct out *o, const char *bytes, size_t len) {
    if (o->len + len > sizeof o->bytes) {
        out_flush(o);
    }
    memcpy(o->bytes + o->len, bytes, len);
    o->len += len;
}

static inline void out_text(struct out *o, const char *text) {
    out_bytes(o, text, strlen(text));
}

/* With zeros in front up to `width` digits (20 at most). */
static inline void out_number(struct out *o, uint64_t n, int width) {
    char digits[20];
    int at = sizeof digits;
    do {
        digits[--at] = (char)('0' + n % 10);
        n /= 10;
    } while (n || (int)sizeof digits - at < width);
    out_bytes(o, digits + at, sizeof digits - (size_t)at);
}

#endif
