#include "state/field.h"

#include <math.h>
#include <string.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "json/read.h"
#include "json/text.h"

struct slice field_of(struct slice value, struct slice name) {
    return json_kind_of(value) == JSON_OBJECT ? json_member(value, name) : (struct slice){0};
}

static bool kind_of(struct slice text, enum field_kind *kind) {
    switch (json_kind_of(text)) {
    case JSON_NULL:
        *kind = FIELD_NULL;
        return true;
    case JSON_BOOLEAN:
        *kind = text.ptr[0] == 't' ? FIELD_TRUE : FIELD_FALSE;
        return true;
    case JSON_NUMBER:
        *kind = FIELD_NUMBER;
        return true;
    case JSON_STRING:
        *kind = FIELD_STRING;
        return true;
    default:
        return false;
    }
}

bool field_is(struct slice text, const struct field_value *value) {
    enum field_kind kind;
    if (!text.ptr || !kind_of(text, &kind) || kind != value->kind) {
        return false;
    }
    if (kind == FIELD_NUMBER) {
        return !(!value->number.whole && isnan(value->number.real)) &&
               schema_number_compare(schema_number_read(text), value->number) == 0;
    }
    return kind != FIELD_STRING || json_string_is(text, value->string);
}

/* The upper half, with the kind in the seed: "1" is not 1. */
static uint32_t hash(const void *bytes, size_t len, enum field_kind kind, uint64_t seed) {
    return (uint32_t)(XXH3_64bits_withSeed(bytes, len, seed + (uint64_t)kind) >> 32);
}

static uint32_t hash_number(struct schema_number number, uint64_t seed) {
    if (!number.whole && number.real >= -0x1p63 && number.real < 0x1p63 &&
        (double)(int64_t)number.real == number.real) {
        number = schema_number_whole((int64_t)number.real);
    }
    return number.whole ? hash(&number.integer, sizeof number.integer, FIELD_NUMBER, seed)
                        : hash(&number.real, sizeof number.real, FIELD_NUMBER, seed);
}

/* Of what a string with escapes stands for. */
static uint32_t hash_escaped(struct slice string, uint64_t seed) {
    const char *end = string.ptr + string.len - 1;
    XXH3_state_t state = {0}; /* of which the first reset looks at a part */
    XXH3_64bits_reset_withSeed(&state, seed + FIELD_STRING);
    for (const char *at = string.ptr + 1; at < end;) {
        const char *escape = memchr(at, '\\', (size_t)(end - at));
        const char *plain_end = escape ? escape : end;
        XXH3_64bits_update(&state, at, (size_t)(plain_end - at));
        at = plain_end;
        if (at < end) {
            char bytes[4];
            size_t len;
            at = json_take_escape(at, end, bytes, &len);
            XXH3_64bits_update(&state, bytes, len);
        }
    }
    return (uint32_t)(XXH3_64bits_digest(&state) >> 32);
}

bool field_hash(struct slice text, uint64_t seed, uint32_t *out) {
    enum field_kind kind;
    if (!text.ptr || !kind_of(text, &kind)) {
        return false;
    }
    if (kind == FIELD_STRING && memchr(text.ptr, '\\', text.len)) {
        *out = hash_escaped(text, seed);
    } else if (kind == FIELD_STRING) {
        *out = hash(text.ptr + 1, text.len - 2, FIELD_STRING, seed);
    } else if (kind == FIELD_NUMBER) {
        *out = hash_number(schema_number_read(text), seed);
    } else {
        *out = hash("", 0, kind, seed);
    }
    return true;
}

uint32_t field_value_hash(const struct field_value *value, uint64_t seed) {
    switch (value->kind) {
    case FIELD_STRING:
        return hash(value->string.ptr, value->string.len, FIELD_STRING, seed);
    case FIELD_NUMBER:
        return hash_number(value->number, seed);
    default:
        return hash("", 0, value->kind, seed);
    }
}
