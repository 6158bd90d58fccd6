/* A second opinion on JSON text, by other means than json/scan.h: an automaton that is fed one byte after
 * the other and knows after each whether a valid text can still begin so (RFC 8259; UTF-8 by RFC 3629).
 * The first byte after which none can is the one that is wrong. */
#ifndef FUZZ_STRICT_H
#define FUZZ_STRICT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/slice.h"

enum { STRICT_DEPTH_MAX = 1000 };

enum strict_end {
    STRICT_WHOLE, /* valid */
    STRICT_CUT,   /* valid so far, and not at its end */
    STRICT_BAD,
};

struct strict_verdict {
    enum strict_end end;
    size_t at;             /* WHOLE: behind the value. CUT: the text's length. BAD: the byte that is wrong */
    size_t longest_number; /* bytes */
    size_t deepest;        /* containers inside each other */
};

/* One value with white space around it, and nothing else. */
struct strict_verdict strict_text(struct slice text);

/* The value that the text begins with, whatever is behind it. A number goes on as far as its bytes do:
 * "01" is wrong at the 1. */
struct strict_verdict strict_value(struct slice text);

/* Where the first byte is that is not UTF-8, or the length. Here by arithmetic. With `surrogates` the three
 * bytes of a lone one count as UTF-8. */
size_t strict_utf8_end(struct slice bytes, bool surrogates);

/* The number that UTF-8 gives the sequence at `at`, surrogates too, and its length; -1: it is none. */
long strict_code_at(struct slice bytes, size_t at, size_t *len);

#endif
