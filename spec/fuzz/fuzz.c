#include "fuzz.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void fuzz_fail(const char *file, int line, const char *condition, const char *format, ...) {
    const char *name = strrchr(file, '/');
    fprintf(stderr, "\n%s:%d: does not hold: %s\n", name ? name + 1 : file, line, condition);
    va_list args;
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    fflush(stderr);
    abort();
}

void *fuzz_alloc(size_t size) {
    void *ptr = malloc(size ? size : 1);
    FUZZ_CHECK(ptr, "out of memory in the target itself");
    return ptr;
}

void *fuzz_grow(void *ptr, size_t size) {
    void *grown = realloc(ptr, size);
    FUZZ_CHECK(grown, "out of memory in the target itself");
    return grown;
}

struct slice fuzz_copy(struct slice bytes) {
    char *copy = fuzz_alloc(bytes.len);
    if (bytes.len) {
        memcpy(copy, bytes.ptr, bytes.len);
    }
    return slice_of(copy, bytes.len);
}

void fuzz_drop(struct slice copy) {
    free((void *)copy.ptr);
}

struct fuzz_input fuzz_open(const uint8_t *data, size_t size) {
    static const uint8_t nothing;
    return data ? (struct fuzz_input){data, data + size} : (struct fuzz_input){&nothing, &nothing};
}

uint8_t fuzz_byte(struct fuzz_input *input) {
    return input->at < input->end ? *input->at++ : 0;
}

struct slice fuzz_part(struct fuzz_input *input) {
    const uint8_t *start = input->at;
    while (input->at < input->end && *input->at != 0xff) {
        input->at++;
    }
    struct slice part = slice_of((const char *)start, (size_t)(input->at - start));
    input->at += input->at < input->end;
    return part;
}

struct slice fuzz_rest(struct fuzz_input *input) {
    struct slice rest = slice_of((const char *)input->at, (size_t)(input->end - input->at));
    input->at = input->end;
    return rest;
}

struct fuzz_cut fuzz_cut_of(struct fuzz_input *input) {
    struct fuzz_cut cut;
    cut.largest = fuzz_byte(input);
    cut.random = (uint32_t)fuzz_byte(input) << 8;
    cut.random = (cut.random | fuzz_byte(input)) * 2654435761U | 1;
    return cut;
}

size_t fuzz_cut_next(struct fuzz_cut *cut, size_t left) {
    if (cut->largest == 0) {
        return left;
    }
    cut->random ^= cut->random << 13;
    cut->random ^= cut->random >> 17;
    cut->random ^= cut->random << 5;
    size_t take = 1 + cut->random % cut->largest;
    return take < left ? take : left;
}

void fuzz_same(const struct buf *expected, const struct buf *got, const char *what) {
    FUZZ_CHECK(slice_equal(buf_slice(expected), buf_slice(got)), "%s\n--- expected\n%.*s\n--- got\n%.*s",
               what, (int)expected->len, expected->ptr ? expected->ptr : "", (int)got->len,
               got->ptr ? got->ptr : "");
}
