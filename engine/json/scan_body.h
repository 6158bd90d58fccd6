/* The body of the scanners: compiled once for each kernel (json/kernel_*.h), which has to be included
 * before it, and included by nothing else. See json/scanner.h for what it promises.
 *
 * NULL is the answer to everything that is not right, and to what is not there. */
#ifndef JSON_SCAN_BODY_H
#define JSON_SCAN_BODY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "json/scan.h"

#define BODY_LIKELY(condition) __builtin_expect(!!(condition), 1)

/* What is run for every member: calls would cost as much as the work. */
#define BODY_INLINE inline __attribute__((always_inline))

/* Strings */

/* Fewer than a block of bytes, with zeros behind them: controls, at which every search stops. */
static inline void body_tail(char tail[KERNEL_BLOCK], const char *at, size_t len) {
    memset(tail, 0, KERNEL_BLOCK);
    memcpy(tail, at, len);
}

/* The first byte from `at` on that is not plain; `end` where there is none. */
static BODY_INLINE const char *body_plain(const char *at, const char *end, const struct kernel_marks *marks) {
#if KERNEL_HAS_HALF
    /* Most strings are short, and half a block is known sooner than a whole one. */
    if (end - at >= KERNEL_BLOCK / 2) {
        uint64_t odd = kernel_odd_half(at, marks);
        if (BODY_LIKELY(odd)) {
            return at + kernel_first(odd);
        }
        at += KERNEL_BLOCK / 2;
    }
#endif
    while (end - at >= KERNEL_BLOCK) {
        uint64_t odd = kernel_odd(at, marks);
        if (BODY_LIKELY(odd)) {
            return at + kernel_first(odd);
        }
        at += KERNEL_BLOCK;
    }
    char tail[KERNEL_BLOCK];
    body_tail(tail, at, (size_t)(end - at));
    return at + kernel_first(kernel_odd(tail, marks));
}

#if KERNEL_HAS_UTF8

/* From a non-ASCII byte to the quote, backslash or control that ends the run of text. */
static inline const char *body_utf8(const char *at, const char *end, const struct kernel_marks *marks) {
    struct kernel_utf8 utf8;
    kernel_utf8_begin(&utf8);
    for (;;) {
        char tail[KERNEL_BLOCK];
        const char *block = at;
        if (end - at < KERNEL_BLOCK) {
            body_tail(tail, at, (size_t)(end - at));
            block = tail;
        }
        uint64_t stop = kernel_text(&utf8, block, marks);
        if (stop) {
            return kernel_utf8_ok(&utf8) ? at + kernel_first(stop) : NULL;
        }
        at += KERNEL_BLOCK;
    }
}

#else

static inline bool body_continues(const char *at) {
    return ((unsigned char)*at & 0xC0) == 0x80;
}

/* Over the multi-byte sequences from a non-ASCII byte to the next ASCII byte. */
static inline const char *body_utf8(const char *at, const char *end, const struct kernel_marks *marks) {
    (void)marks;
    while (at < end && (unsigned char)*at >= 0x80) {
        unsigned char first = (unsigned char)at[0];
        ptrdiff_t len = first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
        if (first < 0xC2 || first > 0xF4 || end - at < len || !body_continues(at + 1)) {
            return NULL;
        }
        unsigned two = (unsigned)first << 8 | (unsigned char)at[1];
        if (len == 3 && (two < 0xE0A0 || (two >= 0xEDA0 && two <= 0xEDBF) || !body_continues(at + 2))) {
            return NULL;
        }
        if (len == 4 &&
            (two < 0xF090 || two > 0xF48F || !body_continues(at + 2) || !body_continues(at + 3))) {
            return NULL;
        }
        at += len;
    }
    return at;
}

#endif

static inline bool body_is_hex(char c) {
    return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'f');
}

/* Behind the escape whose backslash is at `at`. */
static inline const char *body_escape(const char *at, const char *end) {
    if (end - at < 2) {
        return NULL;
    }
    switch (at[1]) {
    case '"':
    case '\\':
    case '/':
    case 'b':
    case 'f':
    case 'n':
    case 'r':
    case 't':
        return at + 2;
    case 'u':
        return end - at >= 6 && body_is_hex(at[2]) && body_is_hex(at[3]) && body_is_hex(at[4]) &&
                       body_is_hex(at[5])
                   ? at + 6
                   : NULL;
    default:
        return NULL;
    }
}

/* From a byte of a string's content that is not plain to the closing quote. */
static const char *body_rest_of_text(const char *at, const char *end, bool *escaped) {
    const struct kernel_marks marks = kernel_marks();
    while (at < end && *at != '"') {
        if (*at == '\\') {
            *escaped = true;
            at = body_escape(at, end);
        } else if ((unsigned char)*at < 0x20) {
            return NULL;
        } else {
            at = body_utf8(at, end, &marks);
        }
        if (!at) {
            return NULL;
        }
        at = body_plain(at, end, &marks);
    }
    return at < end ? at : NULL;
}

/* From behind the opening quote to the closing one. */
static BODY_INLINE const char *body_text(const char *at, const char *end, const struct kernel_marks *marks,
                                         bool *escaped) {
    at = body_plain(at, end, marks);
    if (BODY_LIKELY(at < end && *at == '"')) {
        return at;
    }
    return body_rest_of_text(at, end, escaped);
}

static const char *body_string(const char *at, const char *end, bool *escaped) {
    const struct kernel_marks marks = kernel_marks();
    *escaped = false;
    at = body_text(at + 1, end, &marks, escaped);
    return at ? at + 1 : NULL;
}

static const char *body_quotes(const char *at, const char *end) {
    const struct kernel_marks marks = kernel_marks();
    for (; end - at >= KERNEL_BLOCK; at += KERNEL_BLOCK) {
        uint64_t quotes = kernel_quotes(at, &marks);
        if (quotes) {
            return at + kernel_first(quotes);
        }
    }
    while (at < end && *at != '"' && *at != '\\') {
        at++;
    }
    return at;
}

/* Other scalars */

/* Behind one digit or more. */
static inline const char *body_digits(const char *at, const char *end) {
    const char *start = at;
    while (at < end && *at >= '0' && *at <= '9') {
        at++;
    }
    return at > start ? at : NULL;
}

/* A number near the end of the text, or a very long one. */
static const char *body_number_slowly(const char *at, const char *end) {
    at += *at == '-';
    const char *first = at;
    at = body_digits(at, end);
    if (!at || (*first == '0' && at > first + 1)) {
        return NULL;
    }
    if (at < end && *at == '.') {
        at = body_digits(at + 1, end);
    }
    if (at && at < end && (*at == 'e' || *at == 'E')) {
        at++;
        at += at < end && (*at == '+' || *at == '-');
        at = body_digits(at, end);
    }
    return at;
}

/* *place is on a digit or '-'. The digits of the next 32 bytes are looked at together; the other parts are
 * found by their gaps. */
static BODY_INLINE const char *body_number(const char *at, const char *end) {
    if (end - at < 32) {
        return body_number_slowly(at, end);
    }
    /* A gap past the 32 bytes stops every search. */
    uint64_t gaps = ~(uint64_t)kernel_digits(at);
    unsigned first = at[0] == '-';
    unsigned i = first + (unsigned)__builtin_ctzll(gaps >> first);
    if (i == first || (at[first] == '0' && i > first + 1)) {
        return NULL;
    }
    if (i < 32 && at[i] == '.') {
        unsigned start = i + 1;
        i = start + (unsigned)__builtin_ctzll(gaps >> start);
        if (i == start && i < 32) {
            return NULL;
        }
    }
    if (i < 32 && (at[i] | 0x20) == 'e') {
        unsigned start = i + 1;
        start += start < 32 && (at[start] == '+' || at[start] == '-');
        i = start + (unsigned)__builtin_ctzll(gaps >> start);
        if (i == start && i < 32) {
            return NULL;
        }
    }
    return BODY_LIKELY(i < 32) ? at + i : body_number_slowly(at, end);
}

static inline const char *body_word(const char *at, const char *end, const char *word, ptrdiff_t len) {
    return end - at >= len && memcmp(at, word, (size_t)len) == 0 ? at + len : NULL;
}

/* A number, true, false or null. */
static BODY_INLINE const char *body_bare(const char *at, const char *end) {
    if ((*at >= '0' && *at <= '9') || *at == '-') {
        return body_number(at, end);
    }
    switch (*at) {
    case 't':
        return body_word(at, end, "true", 4);
    case 'f':
        return body_word(at, end, "false", 5);
    case 'n':
        return body_word(at, end, "null", 4);
    default:
        return NULL;
    }
}

/* Structure */

static inline const char *body_space(const char *at, const char *end) {
    return BODY_LIKELY(at<end && * at> ' ') ? at : json_skip_space(at, end);
}

/* From in front of a member's name onto its value. */
static BODY_INLINE const char *body_name(const char *at, const char *end, const struct kernel_marks *marks) {
    bool escaped;
    at = body_space(at, end);
    if (at == end || *at != '"') {
        return NULL;
    }
    at = body_text(at + 1, end, marks, &escaped);
    if (!at) {
        return NULL;
    }
    at = body_space(at + 1, end);
    return at < end && *at == ':' ? body_space(at + 1, end) : NULL;
}

/* The containers that are open: the bytes that close them. */
struct body_nest {
    char closing[JSON_DEPTH_MAX];
    unsigned depth;
};

/* Behind a value: closes containers, or moves onto the next value. *done when none is open. */
static BODY_INLINE const char *body_behind(const char *at, const char *end, const struct kernel_marks *marks,
                                           struct body_nest *nest, bool *done) {
    while (nest->depth > 0) {
        char closing = nest->closing[nest->depth - 1];
        at = body_space(at, end);
        if (at == end) {
            return NULL;
        }
        if (*at == ',') {
            return closing == '}' ? body_name(at + 1, end, marks) : body_space(at + 1, end);
        }
        if (*at != closing) {
            return NULL;
        }
        at++;
        nest->depth--;
    }
    *done = true;
    return at;
}

static const char *body_value(const char *at, const char *end, unsigned depth) {
    const struct kernel_marks marks = kernel_marks();
    struct body_nest nest;
    bool done = false;
    bool escaped;
    nest.depth = 0;
    while (at && !done) {
        if (at == end) {
            return NULL;
        }
        if (*at == '"') {
            at = body_text(at + 1, end, &marks, &escaped);
            at = at ? at + 1 : NULL;
        } else if (*at == '{' || *at == '[') {
            bool object = *at == '{';
            if (depth + nest.depth >= JSON_DEPTH_MAX) {
                return NULL;
            }
            nest.closing[nest.depth++] = object ? '}' : ']';
            at = body_space(at + 1, end);
            if (at == end) {
                return NULL;
            }
            if (*at != (object ? '}' : ']')) {
                at = object ? body_name(at, end, &marks) : at;
                continue;
            }
            at++;
            nest.depth--;
        } else {
            at = body_bare(at, end);
        }
        at = at ? body_behind(at, end, &marks, &nest, &done) : NULL;
    }
    return at;
}

#endif
