/* What the fuzz targets share. A target is one file, NAME_target.c, that defines LLVMFuzzerTestOneInput:
 * libFuzzer calls it with what it made up, replay.c with the files of corpus/NAME and their beginnings.
 *
 * A target checks what its parser says against an oracle (strict.h, tree.h, peer.h, or its own), and gives
 * every text to the parser in memory of exactly its size, so that the sanitizers see a read past it. */
#ifndef FUZZ_FUZZ_H
#define FUZZ_FUZZ_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/slice.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Says what does not hold, and aborts: a finding. */
#define FUZZ_CHECK(condition, ...)                                                                           \
    do {                                                                                                     \
        if (!(condition)) {                                                                                  \
            fuzz_fail(__FILE__, __LINE__, #condition, __VA_ARGS__);                                          \
        }                                                                                                    \
    } while (0)

_Noreturn void fuzz_fail(const char *file, int line, const char *condition, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* A copy in memory of its own, not terminated, that the caller frees with fuzz_drop. */
struct slice fuzz_copy(struct slice bytes);
void fuzz_drop(struct slice copy);

/* malloc and realloc that do not fail. */
void *fuzz_alloc(size_t size);
void *fuzz_grow(void *ptr, size_t size);

/* The start of an input: options that the fuzzer chooses as it chooses the text behind them. */
struct fuzz_input {
    const uint8_t *at, *end;
};

struct fuzz_input fuzz_open(const uint8_t *data, size_t size);

/* The next byte, 0 where there is none. */
uint8_t fuzz_byte(struct fuzz_input *input);

/* The bytes up to the next 0xff, which is passed over, or all that are left. */
struct slice fuzz_part(struct fuzz_input *input);

/* All that are left. */
struct slice fuzz_rest(struct fuzz_input *input);

/* How a text is cut into pieces: three bytes of the input say it. */
struct fuzz_cut {
    size_t largest; /* pieces have 1 to so many bytes; 0: all in one */
    uint32_t random;
};

struct fuzz_cut fuzz_cut_of(struct fuzz_input *input);

/* The length of the next piece, of the `left` bytes there are. */
size_t fuzz_cut_next(struct fuzz_cut *cut, size_t left);

/* Two logs that must be the same. */
void fuzz_same(const struct buf *expected, const struct buf *got, const char *what);

#endif
