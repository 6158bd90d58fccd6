/* What texts are made of. */
#ifndef BENCH_WORDS_H
#define BENCH_WORDS_H

#include "out.h"
#include "random.h"

enum words_kind {
    WORDS_PLAIN,    /* English, now and then a word that is not ASCII, an escape or a line end */
    WORDS_MULTIBYTE /* no letter of less than two bytes */
};

/* `count` words as a JSON string, with its quotes. */
void words_string(struct out *o, struct random *r, enum words_kind kind, uint32_t count);

/* One word, without quotes. */
void words_one(struct out *o, struct random *r, enum words_kind kind);

#endif
