#include "state/schema_number.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A float is decided by its first 20 digits or so but for ties; what follows these is dropped. */
enum { DIGITS_MAX = 100, EXPONENT_MAX = 100000000 };

/* digits (without zeros at either end) times ten to the exponent. */
struct decimal {
    char digits[DIGITS_MAX];
    size_t count;
    long exponent;
    bool negative;
    bool dropped; /* more digits that are not zero followed */
};

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

static void decimal_push(struct decimal *d, char digit, bool fraction) {
    if (d->count == 0 && digit == '0') {
        d->exponent -= fraction;
    } else if (d->count < DIGITS_MAX) {
        d->digits[d->count++] = digit;
        d->exponent -= fraction;
    } else {
        d->dropped = d->dropped || digit != '0';
        d->exponent += !fraction;
    }
}

static long read_exponent(const char *at, const char *end) {
    bool negative = *at == '-';
    long value = 0;
    at += *at == '-' || *at == '+';
    for (; at < end; at++) {
        if (value < EXPONENT_MAX) {
            value = value * 10 + (*at - '0');
        }
    }
    return negative ? -value : value;
}

static void decimal_read(struct decimal *d, struct slice text) {
    const char *at = text.ptr;
    const char *end = text.ptr + text.len;
    bool fraction = false;
    d->count = 0;
    d->exponent = 0;
    d->dropped = false;
    d->negative = *at == '-';
    for (at += d->negative; at < end && (is_digit(*at) || *at == '.'); at++) {
        if (*at == '.') {
            fraction = true;
        } else {
            decimal_push(d, *at, fraction);
        }
    }
    if (at < end) {
        d->exponent += read_exponent(at + 1, end);
    }
    while (d->count > 0 && d->digits[d->count - 1] == '0') {
        d->count--;
        d->exponent++;
    }
}

static enum schema_whole decimal_whole(const struct decimal *d, int64_t *out) {
    uint64_t most = d->negative ? UINT64_C(1) << 63 : INT64_MAX;
    uint64_t value = 0;
    if (d->count == 0) {
        *out = 0;
        return SCHEMA_WHOLE;
    }
    if (d->exponent < 0) {
        return SCHEMA_FRACTION;
    }
    if (d->dropped || d->exponent > 19 || d->count + (size_t)d->exponent > 19) {
        return SCHEMA_TOO_LARGE;
    }
    /* 19 digits always fit 64 bits without a sign. */
    for (size_t i = 0; i < d->count + (size_t)d->exponent; i++) {
        value = value * 10 + (i < d->count ? (uint64_t)(d->digits[i] - '0') : 0);
    }
    if (value > most) {
        return SCHEMA_TOO_LARGE;
    }
    *out = d->negative ? (int64_t)(0 - value) : (int64_t)value;
    return SCHEMA_WHOLE;
}

/* By way of an integer with an exponent, as the decimal point of strtod is the locale's. */
static double decimal_real(const struct decimal *d) {
    char text[DIGITS_MAX + 32];
    snprintf(text, sizeof text, "%s%.*se%ld", d->negative ? "-" : "", d->count ? (int)d->count : 1,
             d->count ? d->digits : "0", d->exponent);
    return strtod(text, NULL);
}

/* The common case, without the decimal: up to 18 digits and nothing else. */
static bool read_short(struct slice text, int64_t *out) {
    bool negative = text.ptr[0] == '-';
    int64_t value = 0;
    if (text.len - negative > 18) {
        return false;
    }
    for (size_t i = negative; i < text.len; i++) {
        if (!is_digit(text.ptr[i])) {
            return false;
        }
        value = value * 10 + (text.ptr[i] - '0');
    }
    *out = negative ? -value : value;
    return true;
}

/* The common cases at once: up to 18 digits and nothing else, or up to 15 with a point among them. These a float
 * holds exactly, and so the power of ten that they are divided by: rounded once, it is the nearest float. */
static bool read_common(struct slice text, struct schema_number *out) {
    static const double tens[] = {1e0, 1e1, 1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                  1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15};
    const char *end = text.ptr + text.len;
    const char *point = NULL;
    bool negative = text.ptr[0] == '-';
    int64_t value = 0;
    if (text.len - negative > 18) {
        return false;
    }
    for (const char *at = text.ptr + negative; at < end; at++) {
        if (is_digit(*at)) {
            value = value * 10 + (*at - '0');
        } else if (*at == '.') {
            point = at;
        } else {
            return false;
        }
    }
    if (!point) {
        *out = schema_number_whole(negative ? -value : value);
        return true;
    }
    if (text.len - negative > 16) {
        return false;
    }
    double real = (double)value / tens[end - point - 1];
    *out = schema_number_real(negative ? -real : real);
    return true;
}

static bool is_plain(struct slice text) {
    for (size_t i = text.ptr[0] == '-'; i < text.len; i++) {
        if (!is_digit(text.ptr[i])) {
            return false;
        }
    }
    return true;
}

struct schema_number schema_number_read(struct slice text) {
    struct schema_number number = {.whole = true};
    struct decimal decimal;
    if (read_common(text, &number)) {
        return number;
    }
    decimal_read(&decimal, text);
    if (is_plain(text) && decimal_whole(&decimal, &number.integer) == SCHEMA_WHOLE) {
        return number;
    }
    return schema_number_real(decimal_real(&decimal));
}

enum schema_whole schema_number_read_whole(struct slice text, struct schema_number *number) {
    struct decimal decimal;
    int64_t integer;
    enum schema_whole whole = SCHEMA_WHOLE;
    if (!read_short(text, &integer)) {
        decimal_read(&decimal, text);
        whole = decimal_whole(&decimal, &integer);
    }
    if (whole == SCHEMA_WHOLE) {
        *number = schema_number_whole(integer);
    }
    return whole;
}

static int compare_mixed(int64_t a, double b) {
    if (b >= 0x1p63) {
        return -1;
    }
    if (b < -0x1p63) {
        return 1;
    }
    /* The conversion drops the fraction, and is exact otherwise. */
    int64_t whole = (int64_t)b;
    if (a != whole) {
        return a < whole ? -1 : 1;
    }
    double rest = b - (double)whole;
    return (rest < 0) - (rest > 0);
}

int schema_number_compare(struct schema_number a, struct schema_number b) {
    if (a.whole && b.whole) {
        return (a.integer > b.integer) - (a.integer < b.integer);
    }
    if (a.whole) {
        return compare_mixed(a.integer, b.real);
    }
    if (b.whole) {
        return -compare_mixed(b.integer, a.real);
    }
    return (a.real > b.real) - (a.real < b.real);
}

size_t schema_number_write(struct schema_number number, char text[SCHEMA_NUMBER_ROOM]) {
    return number.whole ? (size_t)snprintf(text, SCHEMA_NUMBER_ROOM, "%" PRId64, number.integer)
                        : real_write(number.real, text);
}

bool schema_number_append(struct schema_number number, struct buf *out) {
    char text[SCHEMA_NUMBER_ROOM];
    return buf_append(out, text, schema_number_write(number, text));
}
