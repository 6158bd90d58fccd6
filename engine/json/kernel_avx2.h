/* What json/scan_body.h needs of the machine, with AVX2 and BMI2: 32 bytes at a time. */
#ifndef JSON_KERNEL_H
#define JSON_KERNEL_H

#include <immintrin.h>
#include <stdbool.h>
#include <stdint.h>

#include "json/kernel_utf8.h"

enum { KERNEL_BLOCK = 32 };

#define KERNEL_HAS_UTF8 1
#define KERNEL_HAS_HALF 1

static inline __m256i kernel_load(const void *at) {
    return _mm256_loadu_si256((const __m256i *)at);
}

static inline uint64_t kernel_mask(__m256i bytes) {
    return (uint32_t)_mm256_movemask_epi8(bytes);
}

/* The place in its block of the first byte that a mask (not 0) names. */
static inline unsigned kernel_first(uint64_t mask) {
    return (unsigned)__builtin_ctzll(mask);
}

/* The bytes that a string is searched for. The compiler would build these again for each search. */
struct kernel_marks {
    __m256i quote, slash, space;
};

static inline struct kernel_marks kernel_marks(void) {
    struct kernel_marks marks = {_mm256_set1_epi8('"'), _mm256_set1_epi8('\\'), _mm256_set1_epi8(0x20)};
    __asm__("" : "+x"(marks.quote), "+x"(marks.slash), "+x"(marks.space));
    return marks;
}

static inline __m256i kernel_quoting(__m256i bytes, const struct kernel_marks *marks) {
    return _mm256_or_si256(_mm256_cmpeq_epi8(bytes, marks->quote), _mm256_cmpeq_epi8(bytes, marks->slash));
}

/* The bytes of a block that a string cannot pass over: quotes, backslashes, controls and non-ASCII. As
 * signed numbers, the last two are both below 0x20. */
static inline uint64_t kernel_odd(const char *at, const struct kernel_marks *marks) {
    __m256i bytes = kernel_load(at);
    __m256i low = _mm256_cmpgt_epi8(marks->space, bytes);
    return kernel_mask(_mm256_or_si256(kernel_quoting(bytes, marks), low));
}

/* The same for the first half of a block. */
static inline uint64_t kernel_odd_half(const char *at, const struct kernel_marks *marks) {
    __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)at);
    __m128i quoting = _mm_or_si128(_mm_cmpeq_epi8(bytes, _mm256_castsi256_si128(marks->quote)),
                                   _mm_cmpeq_epi8(bytes, _mm256_castsi256_si128(marks->slash)));
    __m128i low = _mm_cmpgt_epi8(_mm256_castsi256_si128(marks->space), bytes);
    return (uint32_t)_mm_movemask_epi8(_mm_or_si128(quoting, low));
}

/* The quotes and backslashes of a block. */
static inline uint64_t kernel_quotes(const char *at, const struct kernel_marks *marks) {
    return kernel_mask(kernel_quoting(kernel_load(at), marks));
}

/* The digits among 32 bytes, a bit each. */
static inline uint32_t kernel_digits(const char *at) {
    __m256i values = _mm256_sub_epi8(kernel_load(at), _mm256_set1_epi8('0'));
    __m256i nine = _mm256_set1_epi8(9);
    return (uint32_t)kernel_mask(_mm256_cmpeq_epi8(_mm256_max_epu8(values, nine), nine));
}

/* Whether the first `len` bytes (up to 32) are the same; 32 can be read at both. */
static inline bool kernel_same(const char *a, const char *b, unsigned len) {
    uint32_t equal = (uint32_t)kernel_mask(_mm256_cmpeq_epi8(kernel_load(a), kernel_load(b)));
    return _bzhi_u32(~equal, len) == 0;
}

struct kernel_utf8 {
    __m256i before; /* the block before; zeros where no sequence can be open */
    __m256i wrong;
};

static inline void kernel_utf8_begin(struct kernel_utf8 *utf8) {
    utf8->before = _mm256_setzero_si256();
    utf8->wrong = _mm256_setzero_si256();
}

static inline bool kernel_utf8_ok(const struct kernel_utf8 *utf8) {
    return _mm256_testz_si256(utf8->wrong, utf8->wrong);
}

static inline __m256i kernel_table(const uint8_t *table, __m256i places) {
    __m128i half = _mm_loadu_si128((const __m128i *)(const void *)table);
    return _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(half), places);
}

static inline __m256i kernel_high_half(__m256i bytes) {
    return _mm256_and_si256(_mm256_srli_epi16(bytes, 4), _mm256_set1_epi8(0x0F));
}

static inline void kernel_utf8_take(struct kernel_utf8 *utf8, __m256i bytes) {
    __m256i middle = _mm256_permute2x128_si256(utf8->before, bytes, 0x21);
    __m256i first = _mm256_alignr_epi8(bytes, middle, 15);
    __m256i second = _mm256_alignr_epi8(bytes, middle, 14);
    __m256i third = _mm256_alignr_epi8(bytes, middle, 13);
    __m256i low_half = _mm256_and_si256(first, _mm256_set1_epi8(0x0F));
    __m256i made = _mm256_and_si256(kernel_table(utf8_high, kernel_high_half(first)),
                                    kernel_table(utf8_low, low_half));
    made = _mm256_and_si256(made, kernel_table(utf8_next, kernel_high_half(bytes)));
    /* 0x80 where the byte two before starts three, or the one three before starts four. */
    __m256i wanted = _mm256_or_si256(_mm256_subs_epu8(second, _mm256_set1_epi8(0xE0 - 0x80)),
                                     _mm256_subs_epu8(third, _mm256_set1_epi8((char)(0xF0 - 0x80))));
    wanted = _mm256_and_si256(wanted, _mm256_set1_epi8((char)0x80));
    utf8->wrong = _mm256_or_si256(utf8->wrong, _mm256_xor_si256(wanted, made));
    utf8->before = bytes;
}

/* The bytes of a block that end a run of text (quotes, backslashes and controls); takes what is before the
 * first of them as UTF-8. */
static inline uint64_t kernel_text(struct kernel_utf8 *utf8, const char *at,
                                   const struct kernel_marks *marks) {
    static const uint8_t keep[64] = {255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255,
                                     255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255,
                                     255, 255, 255, 255, 255, 255, 255, 255, 255, 255};
    __m256i bytes = kernel_load(at);
    __m256i limit = _mm256_set1_epi8(0x1F);
    __m256i control = _mm256_cmpeq_epi8(_mm256_max_epu8(bytes, limit), limit);
    uint64_t stop = kernel_mask(_mm256_or_si256(kernel_quoting(bytes, marks), control));
    if (stop) {
        bytes = _mm256_and_si256(bytes, kernel_load(keep + 32 - kernel_first(stop)));
    }
    kernel_utf8_take(utf8, bytes);
    return stop;
}

#endif
