/* What json/scan_body.h needs of the machine, in plain C: eight bytes of a number at a time. */
#ifndef JSON_KERNEL_H
#define JSON_KERNEL_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

enum { KERNEL_BLOCK = 8 };

#define KERNEL_HAS_UTF8 0
#define KERNEL_HAS_HALF 0

/* `byte` in each of the eight. */
#define KERNEL_ALL(byte) (UINT64_C(0x0101010101010101) * (byte))

/* The first byte is the lowest. */
static inline uint64_t kernel_load(const char *at) {
    uint64_t bytes;
    memcpy(&bytes, at, sizeof bytes);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    bytes = __builtin_bswap64(bytes);
#endif
    return bytes;
}

/* The place in its block of the first byte that a mask (not 0) names. */
static inline unsigned kernel_first(uint64_t mask) {
    return (unsigned)__builtin_ctzll(mask) / 8;
}

/* The top bit of each byte below `limit` (at most 0x80). A borrow can name the bytes above one that is, too:
 * only the first is sure. */
static inline uint64_t kernel_below(uint64_t bytes, unsigned limit) {
    return (bytes - KERNEL_ALL(limit)) & ~bytes & KERNEL_ALL(0x80);
}

/* The bytes that a string is searched for. */
struct kernel_marks {
    uint64_t quote, slash;
};

static inline struct kernel_marks kernel_marks(void) {
    return (struct kernel_marks){KERNEL_ALL('"'), KERNEL_ALL('\\')};
}

static inline uint64_t kernel_quoting(uint64_t bytes, const struct kernel_marks *marks) {
    return kernel_below(bytes ^ marks->quote, 1) | kernel_below(bytes ^ marks->slash, 1);
}

/* The bytes of a block that a string cannot pass over: quotes, backslashes, controls and non-ASCII. */
static inline uint64_t kernel_odd(const char *at, const struct kernel_marks *marks) {
    uint64_t bytes = kernel_load(at);
    return kernel_quoting(bytes, marks) | kernel_below(bytes, 0x20) | (bytes & KERNEL_ALL(0x80));
}

/* The quotes and backslashes of a block. */
static inline uint64_t kernel_quotes(const char *at, const struct kernel_marks *marks) {
    return kernel_quoting(kernel_load(at), marks);
}

static inline uint32_t kernel_digits8(const char *at) {
    uint64_t values = kernel_load(at) ^ KERNEL_ALL('0');
    uint64_t others = ((values & KERNEL_ALL(0x7F)) + KERNEL_ALL(0x80 - 10)) | values;
    /* The multiplication moves bit 8 * i to bit 56 + i. */
    return (uint32_t)(((~others & KERNEL_ALL(0x80)) >> 7) * UINT64_C(0x0102040810204080) >> 56);
}

/* The digits among 32 bytes, a bit each. */
static inline uint32_t kernel_digits(const char *at) {
    return kernel_digits8(at) | kernel_digits8(at + 8) << 8 | kernel_digits8(at + 16) << 16 |
           kernel_digits8(at + 24) << 24;
}

/* Whether the first `len` bytes (up to 32) are the same; 32 can be read at both. */
static inline bool kernel_same(const char *a, const char *b, unsigned len) {
    for (; len >= 8; len -= 8, a += 8, b += 8) {
        if (kernel_load(a) != kernel_load(b)) {
            return false;
        }
    }
    if (len == 0) {
        return true;
    }
    return ((kernel_load(a) ^ kernel_load(b)) & ((UINT64_C(1) << 8 * len) - 1)) == 0;
}

#endif
