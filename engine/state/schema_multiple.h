/* Whether numbers are whole multiples of one, in exact decimal arithmetic: 0.3 is a multiple of 0.1. */
#ifndef STATE_SCHEMA_MULTIPLE_H
#define STATE_SCHEMA_MULTIPLE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"
#include "state/schema_number.h"

/* digits times ten to the exponent. */
struct schema_multiple {
    uint64_t digits; /* 1 to 2^63 - 1, not divisible by ten; 0: every number is one */
    int64_t exponent;
};

/* number: finite and above 0. A float counts as the shortest decimal that reads back as it. */
struct schema_multiple schema_multiple_of(struct schema_number number);

/* Whether a JSON number is a multiple, however many digits it has. */
bool schema_multiple_fits(struct schema_multiple of, struct slice text);

#endif
