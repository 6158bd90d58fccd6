#include "state/schema_multiple.h"

#include <stdbool.h>

/* Past it an exponent says no more: see fits. */
enum { EXPONENT_MAX = 1000000000 };

/* A power of ten with more zeros has every factor 2 and 5 that 64 bits can hold. */
enum { ZEROS_MAX = 64 };

/* A decimal whose digits are taken one by one, modulo a number below 2^63. Zeros wait until another digit comes, so
 * that those at the end are in the exponent. */
struct remainder {
    uint64_t modulus;
    uint64_t rest; /* of the digits so far, but for the zeros at their end */
    int64_t zeros; /* at their end */
    int64_t exponent;
    bool zero; /* there was no other digit yet */
};

static uint64_t sum(uint64_t a, uint64_t b, uint64_t modulus) {
    uint64_t both = a + b;
    return both >= modulus ? both - modulus : both;
}

static void shift(struct remainder *r) {
    uint64_t two = sum(r->rest, r->rest, r->modulus);
    uint64_t four = sum(two, two, r->modulus);
    r->rest = sum(sum(four, four, r->modulus), two, r->modulus);
}

static void push(struct remainder *r, unsigned digit) {
    if (digit == 0) {
        r->zeros += !r->zero;
        return;
    }
    for (; r->zeros > 0 && r->rest > 0; r->zeros--) {
        shift(r);
    }
    shift(r);
    r->zeros = 0;
    r->rest = sum(r->rest, digit % r->modulus, r->modulus);
    r->zero = false;
}

static int64_t read_exponent(const char *at, const char *end) {
    bool negative = *at == '-';
    int64_t value = 0;
    for (at += *at == '-' || *at == '+'; at < end && value < EXPONENT_MAX; at++) {
        value = value * 10 + (*at - '0');
    }
    return negative ? -value : value;
}

static void read_decimal(struct remainder *r, struct slice text) {
    const char *end = text.ptr + text.len;
    bool fraction = false;
    int64_t behind = 0; /* digits after the point */
    const char *at = text.ptr + (text.ptr[0] == '-');
    for (; at < end && *at != 'e' && *at != 'E'; at++) {
        if (*at == '.') {
            fraction = true;
        } else {
            push(r, (unsigned)(*at - '0'));
            behind += fraction;
        }
    }
    r->exponent = (at < end ? read_exponent(at + 1, end) : 0) - behind + r->zeros;
}

/* By its text, which is below 2^63 without its point: modulo that, the digits are the rest. */
struct schema_multiple schema_multiple_of(struct schema_number number) {
    struct remainder r = {.modulus = UINT64_C(1) << 63, .zero = true};
    char text[SCHEMA_NUMBER_ROOM];
    read_decimal(&r, slice_of(text, schema_number_write(number, text)));
    return (struct schema_multiple){r.rest, r.exponent};
}

bool schema_multiple_fits(struct schema_multiple of, struct slice text) {
    struct remainder r = {.modulus = of.digits, .zero = true};
    if (of.digits == 0) {
        return true;
    }
    read_decimal(&r, text);
    if (r.zero) {
        return true;
    }
    /* Neither is divisible by ten. So no multiple has a lower exponent; and where it is higher, by zeros. */
    int64_t zeros = r.exponent - of.exponent;
    if (zeros < 0) {
        return false;
    }
    for (int64_t i = 0; i < zeros && i < ZEROS_MAX && r.rest > 0; i++) {
        shift(&r);
    }
    return r.rest == 0;
}
