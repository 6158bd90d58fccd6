#include "state/schema_format.h"

#include <stdint.h>
#include <string.h>
#if defined(__SSE2__)
#include <emmintrin.h>
#endif

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

static bool is_letter(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* Two digits, or something far above 99. */
static inline unsigned read_two(const char *at) {
    unsigned tens = (unsigned)(at[0] - '0');
    unsigned ones = (unsigned)(at[1] - '0');
    return tens < 10 && ones < 10 ? tens * 10 + ones : 100000;
}

static unsigned days_in(unsigned year, unsigned month) {
    bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    return month == 2 ? 28U + leap : 30 + ((month + (month > 7)) & 1);
}

/* "2024-02-29T23:59:59", at fixed places. */
static bool date_and_time_fit(const char *at) {
    unsigned century = read_two(at);
    unsigned year = century * 100 + read_two(at + 2);
    unsigned month = read_two(at + 5);
    unsigned day = read_two(at + 8);
    bool marks = at[4] == '-' && at[7] == '-' && at[10] == 'T' && at[13] == ':' && at[16] == ':';
    bool time = read_two(at + 11) < 24 && read_two(at + 14) < 60 && read_two(at + 17) < 60;
    return marks && time && year < 10000 && month - 1 < 12 && day - 1 < days_in(year, month);
}

/* "Z", or an offset. */
static bool zone_fits(const char *at, const char *end) {
    if (end - at == 1) {
        return *at == 'Z';
    }
    return end - at == 6 && (at[0] == '+' || at[0] == '-') && at[3] == ':' && read_two(at + 1) < 24 &&
           read_two(at + 4) < 60;
}

bool schema_format_datetime(struct slice text) {
    enum { SECONDS = 19 };
    const char *at = text.ptr + SECONDS;
    const char *end = text.ptr + text.len;
    if (text.len <= SECONDS || !date_and_time_fit(text.ptr)) {
        return false;
    }
    if (*at == '.') {
        const char *digits = ++at;
        while (at < end && is_digit(*at)) {
            at++;
        }
        if (at == digits) {
            return false;
        }
    }
    return zone_fits(at, end);
}

static bool is_hex(char c) {
    return is_digit(c) || ((c | 0x20) >= 'a' && (c | 0x20) <= 'f');
}

static bool is_all(struct slice text, char digit) {
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] != '-' && (text.ptr[i] | 0x20) != (digit | 0x20)) {
            return false;
        }
    }
    return true;
}

bool schema_format_uuid(struct slice text) {
    enum { VERSION = 14, VARIANT = 19 };
    if (text.len != 36) {
        return false;
    }
    for (size_t i = 0; i < text.len; i++) {
        bool dash = i == 8 || i == 13 || i == 18 || i == 23;
        if (dash ? text.ptr[i] != '-' : !is_hex(text.ptr[i])) {
            return false;
        }
    }
    char version = text.ptr[VERSION];
    char variant = text.ptr[VARIANT];
    bool known = version >= '1' && version <= '8' &&
                 (variant == '8' || variant == '9' || (variant | 0x20) == 'a' || (variant | 0x20) == 'b');
    return known || is_all(text, '0') || is_all(text, 'f');
}

static bool is_local(char c) {
    return is_letter(c) || is_digit(c) || c == '_' || c == '\'' || c == '+' || c == '-' || c == '.';
}

static bool local_fits(struct slice local) {
    if (local.len == 0 || local.ptr[0] == '.') {
        return false;
    }
    for (size_t i = 0; i < local.len; i++) {
        if (!is_local(local.ptr[i]) || (i > 0 && local.ptr[i] == '.' && local.ptr[i - 1] == '.')) {
            return false;
        }
    }
    char last = local.ptr[local.len - 1];
    return last != '.' && last != '\'';
}

static bool label_fits(const char *at, const char *end) {
    if (at == end || *at == '-') {
        return false;
    }
    for (; at < end; at++) {
        if (!is_letter(*at) && !is_digit(*at) && *at != '-') {
            return false;
        }
    }
    return true;
}

static bool last_label_fits(const char *at, const char *end) {
    if (end - at < 2) {
        return false;
    }
    for (; at < end; at++) {
        if (!is_letter(*at)) {
            return false;
        }
    }
    return true;
}

static bool domain_fits(const char *at, const char *end) {
    const char *dot = memchr(at, '.', (size_t)(end - at));
    if (!dot) {
        return false;
    }
    for (; dot; dot = memchr(at, '.', (size_t)(end - at))) {
        if (!label_fits(at, dot)) {
            return false;
        }
        at = dot + 1;
    }
    return last_label_fits(at, end);
}

static bool email_fits(struct slice text) {
    const char *at = memchr(text.ptr, '@', text.len);
    return at && local_fits(slice_of(text.ptr, (size_t)(at - text.ptr))) &&
           domain_fits(at + 1, text.ptr + text.len);
}

#if defined(__SSE2__)

/* Which of up to 64 bytes are what, a bit each. */
struct email_marks {
    uint64_t letters, locals, domains, ats, dots, dashes;
};

static inline uint64_t mask_of(__m128i lanes) {
    return (uint32_t)_mm_movemask_epi8(lanes);
}

static inline __m128i is_below(__m128i bytes, char first, char count) {
    __m128i last = _mm_set1_epi8((char)(count - 1));
    return _mm_cmpeq_epi8(_mm_max_epu8(_mm_sub_epi8(bytes, _mm_set1_epi8(first)), last), last);
}

static inline __m128i is_byte(__m128i bytes, char byte) {
    return _mm_cmpeq_epi8(bytes, _mm_set1_epi8(byte));
}

static inline void email_mark(struct email_marks *marks, __m128i bytes, size_t place) {
    __m128i letters = is_below(_mm_or_si128(bytes, _mm_set1_epi8(0x20)), 'a', 26);
    __m128i dots = is_byte(bytes, '.');
    __m128i dashes = is_byte(bytes, '-');
    __m128i domains = _mm_or_si128(_mm_or_si128(letters, is_below(bytes, '0', 10)),
                                   _mm_or_si128(dots, dashes));
    __m128i locals = _mm_or_si128(_mm_or_si128(is_byte(bytes, '_'), is_byte(bytes, '+')),
                                  _mm_or_si128(is_byte(bytes, '\''), domains));
    marks->letters |= mask_of(letters) << place;
    marks->locals |= mask_of(locals) << place;
    marks->domains |= mask_of(domains) << place;
    marks->ats |= mask_of(is_byte(bytes, '@')) << place;
    marks->dots |= mask_of(dots) << place;
    marks->dashes |= mask_of(dashes) << place;
}

/* The last `count` bytes, less than 16, with zeros behind them; reads nothing outside of the text. */
static inline __m128i last_bytes(struct slice text, size_t count) {
    const char *from = text.ptr + text.len - count;
    char block[32];
    _mm_storeu_si128((__m128i *)(void *)block, _mm_setzero_si128());
    if (text.len >= 16) {
        _mm_storeu_si128((__m128i *)(void *)(block + 16), _mm_setzero_si128());
        _mm_storeu_si128((__m128i *)(void *)block,
                         _mm_loadu_si128((const __m128i *)(const void *)(text.ptr + text.len - 16)));
        return _mm_loadu_si128((const __m128i *)(const void *)(block + 16 - count));
    }
    for (size_t i = 0; i < count; i++) {
        block[i] = from[i];
    }
    return _mm_loadu_si128((const __m128i *)(const void *)block);
}

/* All rules at once; at least a byte, at most 64. */
static bool email_fits_at_once(struct slice text) {
    struct email_marks marks = {0};
    size_t place = 0;
    for (; text.len - place >= 16; place += 16) {
        email_mark(&marks, _mm_loadu_si128((const __m128i *)(const void *)(text.ptr + place)), place);
    }
    if (place < text.len) {
        email_mark(&marks, last_bytes(text, text.len - place), place);
    }
    uint64_t all = UINT64_MAX >> (64 - text.len) % 64;
    uint64_t local = marks.ats - 1; /* what is below the first @; all, where there is none */
    uint64_t domain = all & ~local & ~marks.ats;
    uint64_t domain_dots = marks.dots & domain;
    if (!marks.ats || !(local & 1) || !domain_dots) {
        return false;
    }
    uint64_t last = ~(UINT64_MAX >> __builtin_clzll(domain_dots)) & all; /* behind the last dot */
    uint64_t starts = (marks.ats | domain_dots) << 1;
    char before = text.ptr[__builtin_ctzll(marks.ats) - 1];
    uint64_t wrong = (local & ~marks.locals) | (domain & ~marks.domains) | (last & ~marks.letters) |
                     (marks.dots & (marks.dots << 1 | 1)) | (starts & (marks.dots | marks.dashes));
    return !wrong && before != '.' && before != '\'' && (last & (last - 1));
}

bool schema_format_email(struct slice text) {
    return text.len > 0 && text.len <= 64 ? email_fits_at_once(text) : email_fits(text);
}

#else

bool schema_format_email(struct slice text) {
    return email_fits(text);
}

#endif

size_t schema_format_length(struct slice text) {
    size_t count = 0;
    for (size_t i = 0; i < text.len; i++) {
        count += ((unsigned char)text.ptr[i] & 0xC0) != 0x80;
    }
    return count;
}
