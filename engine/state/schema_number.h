/* Numbers as schemas compare them: an integer of 64 bits where it is one, a float otherwise. */
#ifndef STATE_SCHEMA_NUMBER_H
#define STATE_SCHEMA_NUMBER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/real.h"
#include "base/slice.h"

struct schema_number {
    bool whole; /* integer counts, otherwise real */
    int64_t integer;
    double real; /* not a NaN */
};

enum schema_whole {
    SCHEMA_WHOLE,     /* an integer of 64 bits */
    SCHEMA_FRACTION,  /* not a whole number */
    SCHEMA_TOO_LARGE, /* whole, but past 64 bits */
};

static inline struct schema_number schema_number_whole(int64_t integer) {
    return (struct schema_number){.whole = true, .integer = integer};
}

static inline struct schema_number schema_number_real(double real) {
    return (struct schema_number){.real = real};
}

/* The value of a JSON number: an integer where the text has neither fraction nor exponent and fits 64
 * bits, otherwise the float nearest to it (an infinity past the range). Independent of the locale. */
struct schema_number schema_number_read(struct slice text);

/* Whether a JSON number is whole, in exact decimal arithmetic (1e3 and 9007199254740993.0 are);
 * *number is set only with SCHEMA_WHOLE. */
enum schema_whole schema_number_read_whole(struct slice text, struct schema_number *number);

/* Below 0, 0 or above 0, exactly, whichever the two are. */
int schema_number_compare(struct schema_number a, struct schema_number b);

/* Writes it in the fewest digits that read back as the same number. Returns the length; there is no NUL behind it. */
#define SCHEMA_NUMBER_ROOM REAL_ROOM
size_t schema_number_write(struct schema_number number, char text[SCHEMA_NUMBER_ROOM]);

/* Appends the same. */
bool schema_number_append(struct schema_number number, struct buf *out);

#endif
