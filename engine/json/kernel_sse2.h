/* What json/scan_body.h needs of the machine, with SSE2: 16 bytes at a time. It has no table look-up, so
 * that UTF-8 is left to the body. */
#ifndef JSON_KERNEL_H
#define JSON_KERNEL_H

#include <emmintrin.h>
#include <stdbool.h>
#include <stdint.h>

enum { KERNEL_BLOCK = 16 };

#define KERNEL_HAS_UTF8 0
#define KERNEL_HAS_HALF 0

static inline __m128i kernel_load(const void *at) {
    return _mm_loadu_si128((const __m128i *)at);
}

static inline uint32_t kernel_mask(__m128i bytes) {
    return (uint32_t)_mm_movemask_epi8(bytes);
}

/* The place in its block of the first byte that a mask (not 0) names. */
static inline unsigned kernel_first(uint64_t mask) {
    return (unsigned)__builtin_ctzll(mask);
}

/* The bytes that a string is searched for. */
struct kernel_marks {
    __m128i quote, slash, space;
};

static inline struct kernel_marks kernel_marks(void) {
    return (struct kernel_marks){_mm_set1_epi8('"'), _mm_set1_epi8('\\'), _mm_set1_epi8(0x20)};
}

static inline __m128i kernel_quoting(__m128i bytes, const struct kernel_marks *marks) {
    return _mm_or_si128(_mm_cmpeq_epi8(bytes, marks->quote), _mm_cmpeq_epi8(bytes, marks->slash));
}

/* The bytes of a block that a string cannot pass over: quotes, backslashes, controls and non-ASCII. As
 * signed numbers, the last two are both below 0x20. */
static inline uint64_t kernel_odd(const char *at, const struct kernel_marks *marks) {
    __m128i bytes = kernel_load(at);
    __m128i low = _mm_cmplt_epi8(bytes, marks->space);
    return kernel_mask(_mm_or_si128(kernel_quoting(bytes, marks), low));
}

/* The quotes and backslashes of a block. */
static inline uint64_t kernel_quotes(const char *at, const struct kernel_marks *marks) {
    return kernel_mask(kernel_quoting(kernel_load(at), marks));
}

static inline uint32_t kernel_digits16(const char *at) {
    __m128i values = _mm_sub_epi8(kernel_load(at), _mm_set1_epi8('0'));
    __m128i nine = _mm_set1_epi8(9);
    return kernel_mask(_mm_cmpeq_epi8(_mm_max_epu8(values, nine), nine));
}

/* The digits among 32 bytes, a bit each. */
static inline uint32_t kernel_digits(const char *at) {
    return kernel_digits16(at) | kernel_digits16(at + 16) << 16;
}

/* Whether the first `len` bytes (up to 32) are the same; 32 can be read at both. */
static inline bool kernel_same(const char *a, const char *b, unsigned len) {
    uint32_t low = kernel_mask(_mm_cmpeq_epi8(kernel_load(a), kernel_load(b)));
    uint32_t high = kernel_mask(_mm_cmpeq_epi8(kernel_load(a + 16), kernel_load(b + 16)));
    return (~(low | high << 16) & ((UINT64_C(1) << len) - 1)) == 0;
}

#endif
