/* What json/scan_body.h needs of the machine, with NEON (aarch64): 16 bytes at a time. */
#ifndef JSON_KERNEL_H
#define JSON_KERNEL_H

#include <arm_neon.h>
#include <stdbool.h>
#include <stdint.h>

#include "json/kernel_utf8.h"

enum { KERNEL_BLOCK = 16 };

#define KERNEL_HAS_UTF8 1
#define KERNEL_HAS_HALF 0

static inline uint8x16_t kernel_load(const void *at) {
    return vld1q_u8((const uint8_t *)at);
}

/* Four bits for each byte: a narrowing shift is the cheapest way to a plain register. */
static inline uint64_t kernel_mask(uint8x16_t bytes) {
    uint8x8_t nibbles = vshrn_n_u16(vreinterpretq_u16_u8(bytes), 4);
    return vget_lane_u64(vreinterpret_u64_u8(nibbles), 0);
}

/* The place in its block of the first byte that a mask (not 0) names. */
static inline unsigned kernel_first(uint64_t mask) {
    return (unsigned)__builtin_ctzll(mask) / 4;
}

/* The bytes that a string is searched for. */
struct kernel_marks {
    uint8x16_t quote, slash, space;
};

static inline struct kernel_marks kernel_marks(void) {
    return (struct kernel_marks){vdupq_n_u8('"'), vdupq_n_u8('\\'), vdupq_n_u8(0x20)};
}

static inline uint8x16_t kernel_quoting(uint8x16_t bytes, const struct kernel_marks *marks) {
    return vorrq_u8(vceqq_u8(bytes, marks->quote), vceqq_u8(bytes, marks->slash));
}

/* The bytes of a block that a string cannot pass over: quotes, backslashes, controls and non-ASCII. As
 * signed numbers, the last two are both below 0x20. */
static inline uint64_t kernel_odd(const char *at, const struct kernel_marks *marks) {
    uint8x16_t bytes = kernel_load(at);
    uint8x16_t low = vcltq_s8(vreinterpretq_s8_u8(bytes), vreinterpretq_s8_u8(marks->space));
    return kernel_mask(vorrq_u8(kernel_quoting(bytes, marks), low));
}

/* The quotes and backslashes of a block. */
static inline uint64_t kernel_quotes(const char *at, const struct kernel_marks *marks) {
    return kernel_mask(kernel_quoting(kernel_load(at), marks));
}

/* The digits among 32 bytes, a bit each. */
static inline uint32_t kernel_digits(const char *at) {
    static const uint8_t places[16] = {1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128};
    uint8x16_t bits = kernel_load(places);
    uint8x16_t zero = vdupq_n_u8('0');
    uint8x16_t nine = vdupq_n_u8(9);
    uint8x16_t low = vandq_u8(vcleq_u8(vsubq_u8(kernel_load(at), zero), nine), bits);
    uint8x16_t high = vandq_u8(vcleq_u8(vsubq_u8(kernel_load(at + 16), zero), nine), bits);
    uint8x16_t sums = vpaddq_u8(low, high);
    sums = vpaddq_u8(sums, sums);
    sums = vpaddq_u8(sums, sums);
    return vgetq_lane_u32(vreinterpretq_u32_u8(sums), 0);
}

/* Whether the first `len` bytes (up to 32) are the same; 32 can be read at both. */
static inline bool kernel_same(const char *a, const char *b, unsigned len) {
    uint64_t low = ~kernel_mask(vceqq_u8(kernel_load(a), kernel_load(b)));
    uint64_t high = ~kernel_mask(vceqq_u8(kernel_load(a + 16), kernel_load(b + 16)));
    if (len < 16) {
        return (low & ~(UINT64_MAX << 4 * len)) == 0;
    }
    return low == 0 && (len == 16 || high << (128 - 4 * len) == 0);
}

struct kernel_utf8 {
    uint8x16_t before; /* the block before; zeros where no sequence can be open */
    uint8x16_t wrong;
};

static inline void kernel_utf8_begin(struct kernel_utf8 *utf8) {
    utf8->before = vdupq_n_u8(0);
    utf8->wrong = vdupq_n_u8(0);
}

static inline bool kernel_utf8_ok(const struct kernel_utf8 *utf8) {
    return vmaxvq_u8(utf8->wrong) == 0;
}

static inline void kernel_utf8_take(struct kernel_utf8 *utf8, uint8x16_t bytes) {
    uint8x16_t first = vextq_u8(utf8->before, bytes, 15);
    uint8x16_t second = vextq_u8(utf8->before, bytes, 14);
    uint8x16_t third = vextq_u8(utf8->before, bytes, 13);
    uint8x16_t made = vandq_u8(vqtbl1q_u8(kernel_load(utf8_high), vshrq_n_u8(first, 4)),
                               vqtbl1q_u8(kernel_load(utf8_low), vandq_u8(first, vdupq_n_u8(0x0F))));
    made = vandq_u8(made, vqtbl1q_u8(kernel_load(utf8_next), vshrq_n_u8(bytes, 4)));
    /* 0x80 where the byte two before starts three, or the one three before starts four. */
    uint8x16_t wanted = vorrq_u8(vqsubq_u8(second, vdupq_n_u8(0xE0 - 0x80)),
                                 vqsubq_u8(third, vdupq_n_u8(0xF0 - 0x80)));
    wanted = vandq_u8(wanted, vdupq_n_u8(0x80));
    utf8->wrong = vorrq_u8(utf8->wrong, veorq_u8(wanted, made));
    utf8->before = bytes;
}

/* The bytes of a block that end a run of text (quotes, backslashes and controls); takes what is before the
 * first of them as UTF-8. */
static inline uint64_t kernel_text(struct kernel_utf8 *utf8, const char *at,
                                   const struct kernel_marks *marks) {
    static const uint8_t keep[32] = {255, 255, 255, 255, 255, 255, 255, 255,
                                     255, 255, 255, 255, 255, 255, 255, 255};
    uint8x16_t bytes = kernel_load(at);
    uint64_t stop = kernel_mask(vorrq_u8(kernel_quoting(bytes, marks), vcltq_u8(bytes, marks->space)));
    if (stop) {
        bytes = vandq_u8(bytes, kernel_load(keep + 16 - kernel_first(stop)));
    }
    kernel_utf8_take(utf8, bytes);
    return stop;
}

#endif
