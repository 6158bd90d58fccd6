#include "json/exact.h"

#include <ctype.h>
#include <stdint.h>
#include <string.h>

static enum json_status bad(struct json_fault *fault, const char *at, const char *reason) {
    *fault = (struct json_fault){at, reason};
    return JSON_BAD;
}

static enum json_status cut(struct json_fault *fault, const char *end) {
    *fault = (struct json_fault){end, "the text ends in the middle of a value"};
    return JSON_CUT;
}

/* Moves over bytes of a string that need no look: neither quote, backslash, control nor non-ASCII. */
static const char *skip_plain(const char *at, const char *end) {
    while (at < end && (unsigned char)*at >= 0x20 && (unsigned char)*at < 0x80 && *at != '"' && *at != '\\') {
        at++;
    }
    return at;
}

static bool continues(const char *at) {
    return ((unsigned char)*at & 0xC0) == 0x80;
}

/* One multi-byte UTF-8 sequence (RFC 3629): no overlong form, no surrogate, nothing past U+10FFFF. */
static enum json_status scan_utf8(const char **place, const char *end, struct json_fault *fault) {
    static const char *const reason = "invalid UTF-8";
    const char *at = *place;
    unsigned char first = (unsigned char)*at;
    size_t need = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
    unsigned char low = 0x80;
    unsigned char high = 0xBF;
    if (first < 0xC2 || first > 0xF4) {
        return bad(fault, at, reason);
    }
    switch (first) {
    case 0xE0:
        low = 0xA0;
        break;
    case 0xED:
        high = 0x9F;
        break;
    case 0xF0:
        low = 0x90;
        break;
    case 0xF4:
        high = 0x8F;
        break;
    default:
        break;
    }
    for (size_t i = 1; i < need; i++) {
        if (at + i == end) {
            return cut(fault, end);
        }
        unsigned char next = (unsigned char)at[i];
        bool fits = i == 1 ? next >= low && next <= high : continues(at + i);
        if (!fits) {
            return bad(fault, at + i, reason);
        }
    }
    *place = at + need;
    return JSON_OK;
}

static enum json_status scan_escape(const char **place, const char *end, struct json_fault *fault) {
    const char *at = *place + 1;
    if (at == end) {
        return cut(fault, end);
    }
    if (*at != 'u') {
        if (!*at || !strchr("\"\\/bfnrt", *at)) {
            return bad(fault, at, "unknown escape in a string");
        }
        *place = at + 1;
        return JSON_OK;
    }
    for (int i = 1; i <= 4; i++) {
        if (at + i == end) {
            return cut(fault, end);
        }
        if (!isxdigit((unsigned char)at[i])) {
            return bad(fault, at + i, "expected four hexadecimal digits behind \\u");
        }
    }
    *place = at + 5;
    return JSON_OK;
}

enum json_status json_exact_string(const char **place, const char *end, bool *escaped,
                                   struct json_fault *fault) {
    const char *at = *place + 1;
    *escaped = false;
    for (;;) {
        at = skip_plain(at, end);
        if (at == end) {
            return cut(fault, end);
        }
        if (*at == '"') {
            *place = at + 1;
            return JSON_OK;
        }
        enum json_status status;
        if (*at == '\\') {
            *escaped = true;
            status = scan_escape(&at, end, fault);
        } else if ((unsigned char)*at < 0x20) {
            return bad(fault, at, "a control character in a string must be escaped");
        } else {
            status = scan_utf8(&at, end, fault);
        }
        if (status != JSON_OK) {
            return status;
        }
    }
}

static const char *skip_digits(const char *at, const char *end) {
    while (at < end && *at >= '0' && *at <= '9') {
        at++;
    }
    return at;
}

static enum json_status scan_digits(const char **place, const char *end, const char *reason,
                                    struct json_fault *fault) {
    const char *behind = skip_digits(*place, end);
    if (behind == *place) {
        return behind == end ? cut(fault, end) : bad(fault, behind, reason);
    }
    *place = behind;
    return JSON_OK;
}

static enum json_status scan_number(const char **place, const char *end, struct json_fault *fault) {
    const char *at = *place;
    enum json_status status;
    if (*at == '-') {
        at++;
    }
    if (at < end && *at == '0') {
        at++;
        if (at < end && *at >= '0' && *at <= '9') {
            return bad(fault, at, "a number must not start with 0");
        }
    } else {
        status = scan_digits(&at, end, "expected a digit behind '-'", fault);
        if (status != JSON_OK) {
            return status;
        }
    }
    if (at < end && *at == '.') {
        at++;
        status = scan_digits(&at, end, "expected a digit behind '.'", fault);
        if (status != JSON_OK) {
            return status;
        }
    }
    if (at < end && (*at == 'e' || *at == 'E')) {
        at++;
        if (at < end && (*at == '+' || *at == '-')) {
            at++;
        }
        status = scan_digits(&at, end, "expected a digit in the exponent", fault);
        if (status != JSON_OK) {
            return status;
        }
    }
    *place = at;
    return JSON_OK;
}

static enum json_status scan_word(const char **place, const char *end, const char *word,
                                  struct json_fault *fault) {
    const char *at = *place;
    for (; *word; word++, at++) {
        if (at == end) {
            return cut(fault, end);
        }
        if (*at != *word) {
            return bad(fault, at, "expected a value (true, false, null, a number, a string, '[' or '{')");
        }
    }
    *place = at;
    return JSON_OK;
}

static enum json_status scan_scalar(const char **place, const char *end, struct json_fault *fault) {
    bool escaped;
    switch (**place) {
    case '"':
        return json_exact_string(place, end, &escaped, fault);
    case 't':
        return scan_word(place, end, "true", fault);
    case 'f':
        return scan_word(place, end, "false", fault);
    case 'n':
        return scan_word(place, end, "null", fault);
    default:
        if (**place == '-' || (**place >= '0' && **place <= '9')) {
            return scan_number(place, end, fault);
        }
        return bad(fault, *place, "expected a value");
    }
}

/* Which containers are open: a bit each, 1 for an object. */
struct nest {
    uint64_t bits[JSON_DEPTH_MAX / 64 + 1];
    unsigned depth; /* within this value */
};

static void nest_push(struct nest *nest, bool object) {
    uint64_t bit = UINT64_C(1) << (nest->depth % 64);
    uint64_t *word = &nest->bits[nest->depth / 64];
    if (nest->depth % 64 == 0) {
        *word = 0;
    }
    *word = object ? *word | bit : *word & ~bit;
    nest->depth++;
}

static bool nest_in_object(const struct nest *nest) {
    unsigned top = nest->depth - 1;
    return nest->bits[top / 64] >> (top % 64) & 1;
}

/* A member's name and colon; *place moves onto the value. */
static enum json_status scan_name(const char **place, const char *end, struct json_fault *fault) {
    const char *at = json_skip_space(*place, end);
    bool escaped;
    if (at == end) {
        return cut(fault, end);
    }
    if (*at != '"') {
        return bad(fault, at, "expected a member name in double quotes");
    }
    enum json_status status = json_exact_string(&at, end, &escaped, fault);
    if (status != JSON_OK) {
        return status;
    }
    at = json_skip_space(at, end);
    if (at == end) {
        return cut(fault, end);
    }
    if (*at != ':') {
        return bad(fault, at, "expected ':' behind a member name");
    }
    *place = json_skip_space(at + 1, end);
    return *place == end ? cut(fault, end) : JSON_OK;
}

/* Behind a value: closes containers, or moves onto the next value. *done when none is open. */
static enum json_status scan_after(const char **place, const char *end, struct nest *nest, bool *done,
                                   struct json_fault *fault) {
    const char *at = *place;
    while (nest->depth > 0) {
        bool object = nest_in_object(nest);
        at = json_skip_space(at, end);
        if (at == end) {
            return cut(fault, end);
        }
        if (*at == ',') {
            at = json_skip_space(at + 1, end);
            *place = at;
            if (object) {
                return scan_name(place, end, fault);
            }
            return at == end ? cut(fault, end) : JSON_OK;
        }
        if (*at != (object ? '}' : ']')) {
            return bad(fault, at, object ? "expected ',' or '}'" : "expected ',' or ']'");
        }
        at++;
        nest->depth--;
    }
    *place = at;
    *done = true;
    return JSON_OK;
}

enum json_status json_exact_value(const char **place, const char *end, unsigned depth,
                                  struct json_fault *fault) {
    struct nest nest;
    nest.depth = 0;
    const char *at = *place;
    bool done = false;
    enum json_status status = JSON_OK;
    if (at == end) {
        return cut(fault, end);
    }
    while (!done) {
        if (*at == '{' || *at == '[') {
            bool object = *at == '{';
            if (depth + nest.depth >= JSON_DEPTH_MAX) {
                return bad(fault, at, "nested deeper than 1000 levels");
            }
            nest_push(&nest, object);
            at = json_skip_space(at + 1, end);
            if (at == end) {
                return cut(fault, end);
            }
            if (*at != (object ? '}' : ']')) {
                status = object ? scan_name(&at, end, fault) : JSON_OK;
                if (status != JSON_OK) {
                    return status;
                }
                continue;
            }
            at++;
            nest.depth--;
        } else {
            status = scan_scalar(&at, end, fault);
            if (status != JSON_OK) {
                return status;
            }
        }
        status = scan_after(&at, end, &nest, &done, fault);
        if (status != JSON_OK) {
            return status;
        }
    }
    *place = at;
    return JSON_OK;
}
