/* A member of an entity's value as look-ups compare it: strings by the bytes they stand for, numbers by what
 * they are worth (1 is 1.0), true, false and null. Arrays and objects are like nothing. */
#ifndef STATE_FIELD_H
#define STATE_FIELD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"
#include "state/schema_number.h"

enum field_kind { FIELD_NULL, FIELD_FALSE, FIELD_TRUE, FIELD_NUMBER, FIELD_STRING };

/* What a field is compared with. */
struct field_value {
    enum field_kind kind;
    struct schema_number number; /* FIELD_NUMBER; a NaN is like nothing */
    struct slice string;         /* FIELD_STRING: bytes, not owned */
};

/* The member of that name, of a value that is valid JSON. ptr NULL where the value is no object or has none. */
struct slice field_of(struct slice value, struct slice name);

/* text is a member's (ptr may be NULL). */
bool field_is(struct slice text, const struct field_value *value);

/* A hash that is the same for all texts of one value. False where the text is like nothing. */
bool field_hash(struct slice text, uint64_t seed, uint32_t *hash);
uint32_t field_value_hash(const struct field_value *value, uint64_t seed);

#endif
