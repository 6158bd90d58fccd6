/* The quick check of scalars, for schema_fast.c, of which it is a part: all of it is to be inlined. */
#ifndef STATE_SCHEMA_FAST_SCALAR_H
#define STATE_SCHEMA_FAST_SCALAR_H

#include <string.h>
#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include "state/schema_format.h"
#include "state/schema_walk.h"
#include "json/scan.h"
#include "json/text.h"

#define FAST_LIKELY(condition) __builtin_expect(!!(condition), 1)
#define FAST_INLINE inline __attribute__((always_inline))

/* Every function gets the first byte of a value and returns the place behind it, or NULL: it may not fit. */
struct fast {
    const char *end;
    uint64_t fuel; /* what unions may still try */
    unsigned room; /* for lazy nodes: see schema_room_take */
};

static FAST_INLINE const char *skip_space(const char *at, const char *end) {
    return FAST_LIKELY((unsigned char)*at > ' ') ? at : json_skip_space(at, end);
}

/* From behind the opening quote to the closing one, or to a backslash before it. */
static FAST_INLINE const char *find_quote(const char *at, const char *end) {
#if defined(__SSE2__)
    const __m128i quote = _mm_set1_epi8('"');
    const __m128i slash = _mm_set1_epi8('\\');
    while (FAST_LIKELY(end - at >= 16)) {
        __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)at);
        __m128i odd = _mm_or_si128(_mm_cmpeq_epi8(bytes, quote), _mm_cmpeq_epi8(bytes, slash));
        unsigned mask = (unsigned)_mm_movemask_epi8(odd);
        if (mask) {
            return at + __builtin_ctz(mask);
        }
        at += 16;
    }
#endif
    while (at < end && *at != '"' && *at != '\\') {
        at++;
    }
    return at;
}

/* The closing quote, from a backslash before it on. */
static const char *find_last_quote(const char *at, const char *end) {
    while (*at == '\\') {
        at = find_quote(at + 2, end);
    }
    return at;
}

/* Behind any value. */
static FAST_INLINE const char *skip_value(const struct fast *f, const char *at) {
    struct json_fault fault;
    if (*at == '"') {
        at = find_quote(at + 1, f->end);
        return (FAST_LIKELY(*at == '"') ? at : find_last_quote(at, f->end)) + 1;
    }
    /* The scanner passes over what is inside by blocks; this text has been through it before. */
    (void)json_scan_value(&at, f->end, 0, &fault);
    return at;
}

/* Strings */

static inline bool count_fits(const struct schema_node *node, size_t count) {
    return (int64_t)count >= node->least && (int64_t)count <= node->most;
}

/* A character has one to four bytes, so that mostly nothing needs to be counted. */
static FAST_INLINE bool length_fits(const struct schema_node *node, struct slice bytes) {
    if (FAST_LIKELY(bytes.len >= node->sure && (int64_t)bytes.len <= node->most)) {
        return true;
    }
    return count_fits(node, schema_format_length(bytes));
}

static bool formats_fit(unsigned formats, struct slice bytes) {
    return (!(formats & SCHEMA_DATETIME) || schema_format_datetime(bytes)) &&
           (!(formats & SCHEMA_EMAIL) || schema_format_email(bytes)) &&
           (!(formats & SCHEMA_UUID) || schema_format_uuid(bytes)) &&
           (!(formats & SCHEMA_URL) || schema_format_url(bytes));
}

static FAST_INLINE bool string_fits(const struct schema_node *node, struct slice bytes) {
    if (!length_fits(node, bytes)) {
        return false;
    }
    if (node->formats && !formats_fit(node->formats, bytes)) {
        return false;
    }
    for (size_t i = 0; i < node->text_count; i++) {
        if (!schema_text_fits(&node->texts[i], bytes)) {
            return false;
        }
    }
    return true;
}

/* A string with escapes. at: its opening quote; slash: the first of them. */
static const char *check_escaped(const struct fast *f, const struct schema_node *node, const char *at,
                                 const char *slash) {
    const char *behind = find_last_quote(slash, f->end) + 1;
    if (!node->rules) {
        return behind;
    }
    struct buf plain;
    buf_init(&plain, (size_t)(behind - at));
    bool fits = json_unquote(&plain, slice_of(at, (size_t)(behind - at))) &&
                string_fits(node, buf_slice(&plain));
    buf_free(&plain);
    return fits ? behind : NULL;
}

static FAST_INLINE const char *check_string(const struct fast *f, const struct schema_node *node,
                                            const char *at) {
    if (*at != '"') {
        return NULL;
    }
    const char *quote = find_quote(at + 1, f->end);
    if (!FAST_LIKELY(*quote == '"')) {
        return check_escaped(f, node, at, quote);
    }
    struct slice bytes = slice_of(at + 1, (size_t)(quote - at - 1));
    return !node->rules || string_fits(node, bytes) ? quote + 1 : NULL;
}

/* Numbers */

static inline bool is_number(char c) {
    return (unsigned char)(c - '0') < 10 || c == '-';
}

static inline bool ends_number(char c) {
    return c == ',' || c == '}' || c == ']' || (unsigned char)c <= ' ';
}

/* Behind a number; *plain: it has digits and perhaps a sign, no more. */
static FAST_INLINE const char *find_number_end(const char *at, const char *end, bool *plain) {
#if defined(__SSE2__)
    if (FAST_LIKELY(end - at > 16)) {
        const __m128i nine = _mm_set1_epi8(9);
        const __m128i space = _mm_set1_epi8(' ');
        __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)(at + 1));
        __m128i values = _mm_sub_epi8(bytes, _mm_set1_epi8('0'));
        __m128i digits = _mm_cmpeq_epi8(_mm_max_epu8(values, nine), nine);
        __m128i ends = _mm_or_si128(_mm_cmpeq_epi8(bytes, _mm_set1_epi8(',')),
                                    _mm_cmpeq_epi8(_mm_max_epu8(bytes, space), space));
        /* Without the bit that tells them apart, brackets and braces are one. */
        __m128i closing = _mm_cmpeq_epi8(_mm_and_si128(bytes, _mm_set1_epi8((char)0xDF)), _mm_set1_epi8(']'));
        unsigned end_mask = (unsigned)_mm_movemask_epi8(_mm_or_si128(ends, closing));
        if (FAST_LIKELY(end_mask)) {
            unsigned before = (end_mask & -end_mask) - 1;
            *plain = !(~(unsigned)_mm_movemask_epi8(digits) & before);
            return at + 1 + __builtin_ctz(end_mask);
        }
    }
#endif
    *plain = true;
    for (at++; at < end && !ends_number(*at); at++) {
        *plain = *plain && (unsigned char)(*at - '0') < 10;
    }
    return at;
}

static inline int64_t read_integer(const char *at, const char *behind) {
    bool negative = *at == '-';
    int64_t value = 0;
    for (at += negative; at < behind; at++) {
        value = value * 10 + (*at - '0');
    }
    return negative ? -value : value;
}

/* Whether bounds leave room for all whole numbers that have so many bytes without a sign, from 1 to 18. */
static FAST_INLINE bool any_fits(const struct schema_node *node, size_t len) {
    static const int64_t nines[19] = {0,
                                      9,
                                      99,
                                      999,
                                      9999,
                                      99999,
                                      999999,
                                      9999999,
                                      99999999,
                                      999999999,
                                      9999999999,
                                      99999999999,
                                      999999999999,
                                      9999999999999,
                                      99999999999999,
                                      999999999999999,
                                      9999999999999999,
                                      99999999999999999,
                                      999999999999999999};
    return node->least <= 0 && nines[len] <= node->most;
}

static const char *check_number_slowly(const struct schema_node *node, struct slice text) {
    struct schema_number number;
    if (node->kind == SCHEMA_INTEGER) {
        if (schema_number_read_whole(text, &number) != SCHEMA_WHOLE) {
            return NULL;
        }
    } else {
        number = schema_number_read(text);
    }
    return schema_number_within(number, node) && schema_multiple_fits(node->multiple, text)
               ? text.ptr + text.len
               : NULL;
}

static FAST_INLINE const char *check_number(const struct fast *f, const struct schema_node *node,
                                            const char *at) {
    bool plain;
    if (!is_number(*at)) {
        return NULL;
    }
    const char *behind = find_number_end(at, f->end, &plain);
    if (plain && FAST_LIKELY(behind - at <= 18) && FAST_LIKELY(!node->multiple.digits)) {
        if (!node->rules || (*at != '-' && any_fits(node, (size_t)(behind - at)))) {
            return behind;
        }
        int64_t value = read_integer(at, behind);
        return value >= node->least && value <= node->most ? behind : NULL;
    }
    if (!node->rules && node->kind == SCHEMA_NUMBER) {
        return behind;
    }
    return check_number_slowly(node, slice_of(at, (size_t)(behind - at)));
}

static FAST_INLINE const char *check_boolean(const char *at) {
    return *at == 't' ? at + 4 : *at == 'f' ? at + 5 : NULL;
}

#endif
