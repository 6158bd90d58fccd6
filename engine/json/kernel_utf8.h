/* UTF-8 (RFC 3629) by three tables: which mistakes the high and the low half of a byte, and the high half
 * of the byte behind it, allow. A mistake that all three allow has been made. Third and fourth bytes show
 * as "two continuations", which is a mistake unless a lead byte wants them.
 *
 * The method is Keiser and Lemire's: "Validating UTF-8 In Less Than One Instruction Per Byte" (2021). */
#ifndef JSON_KERNEL_UTF8_H
#define JSON_KERNEL_UTF8_H

#include <stdint.h>

enum {
    UTF8_SHORT = 1 << 0,     /* a lead byte, no continuation behind it */
    UTF8_LONG = 1 << 1,      /* an ASCII byte, a continuation behind it */
    UTF8_OVERLONG3 = 1 << 2, /* E0 80 to E0 9F */
    UTF8_LARGE = 1 << 3,     /* F4 90 and more, F5 90 and more */
    UTF8_SURROGATE = 1 << 4, /* ED A0 to ED BF */
    UTF8_OVERLONG2 = 1 << 5, /* C0, C1 */
    UTF8_OVERLONG4 = 1 << 6, /* F0 80 to F0 8F */
    UTF8_LARGE_LOW = 1 << 6, /* F5 80 to F5 8F */
    UTF8_TWO = 1 << 7,       /* two continuations */
    UTF8_ANY_LOW = UTF8_SHORT | UTF8_LONG | UTF8_TWO,
    UTF8_SECOND = UTF8_LONG | UTF8_OVERLONG2 | UTF8_TWO,
};

/* By the high half of a byte. */
static const uint8_t utf8_high[16] = {
    UTF8_LONG,
    UTF8_LONG,
    UTF8_LONG,
    UTF8_LONG,
    UTF8_LONG,
    UTF8_LONG,
    UTF8_LONG,
    UTF8_LONG,
    UTF8_TWO,
    UTF8_TWO,
    UTF8_TWO,
    UTF8_TWO,
    UTF8_SHORT | UTF8_OVERLONG2,
    UTF8_SHORT,
    UTF8_SHORT | UTF8_OVERLONG3 | UTF8_SURROGATE,
    UTF8_SHORT | UTF8_LARGE | UTF8_LARGE_LOW | UTF8_OVERLONG4,
};

/* By the low half of the same byte. */
static const uint8_t utf8_low[16] = {
    UTF8_ANY_LOW | UTF8_OVERLONG2 | UTF8_OVERLONG3 | UTF8_OVERLONG4,
    UTF8_ANY_LOW | UTF8_OVERLONG2,
    UTF8_ANY_LOW,
    UTF8_ANY_LOW,
    UTF8_ANY_LOW | UTF8_LARGE,
    UTF8_ANY_LOW | UTF8_LARGE | UTF8_LARGE_LOW,
    UTF8_ANY_LOW | UTF8_LARGE | UTF8_LARGE_LOW,
    UTF8_ANY_LOW | UTF8_LARGE | UTF8_LARGE_LOW,
    UTF8_ANY_LOW | UTF8_LARGE | UTF8_LARGE_LOW,
    UTF8_ANY_LOW | UTF8_LARGE | UTF8_LARGE_LOW,
    UTF8_ANY_LOW | UTF8_LARGE | UTF8_LARGE_LOW,
    UTF8_ANY_LOW | UTF8_LARGE | UTF8_LARGE_LOW,
    UTF8_ANY_LOW | UTF8_LARGE | UTF8_LARGE_LOW,
    UTF8_ANY_LOW | UTF8_LARGE | UTF8_LARGE_LOW | UTF8_SURROGATE,
    UTF8_ANY_LOW | UTF8_LARGE | UTF8_LARGE_LOW,
    UTF8_ANY_LOW | UTF8_LARGE | UTF8_LARGE_LOW,
};

/* By the high half of the byte behind it. */
static const uint8_t utf8_next[16] = {
    UTF8_SHORT,
    UTF8_SHORT,
    UTF8_SHORT,
    UTF8_SHORT,
    UTF8_SHORT,
    UTF8_SHORT,
    UTF8_SHORT,
    UTF8_SHORT,
    UTF8_SECOND | UTF8_OVERLONG3 | UTF8_OVERLONG4 | UTF8_LARGE_LOW,
    UTF8_SECOND | UTF8_OVERLONG3 | UTF8_LARGE,
    UTF8_SECOND | UTF8_SURROGATE | UTF8_LARGE,
    UTF8_SECOND | UTF8_SURROGATE | UTF8_LARGE,
    UTF8_SHORT,
    UTF8_SHORT,
    UTF8_SHORT,
    UTF8_SHORT,
};

#endif
