#include "json/compact.h"

#include <string.h>

static bool is_space(char byte) {
    return byte == ' ' || byte == '\n' || byte == '\r' || byte == '\t';
}

/* at is behind an opening quote: behind the closing one. */
static const char *skip_string(const char *at, const char *end) {
    while (at < end && *at != '"') {
        at += *at == '\\' && at + 1 < end ? 2 : 1;
    }
    return at < end ? at + 1 : end;
}

/* To the first white space outside strings, or the end. */
static const char *skip_solid(const char *at, const char *end) {
    while (at < end && !is_space(*at)) {
        at = *at == '"' ? skip_string(at + 1, end) : at + 1;
    }
    return at;
}

bool json_compact(struct buf *out, struct slice text) {
    const char *at = text.ptr;
    const char *end = text.ptr + text.len;
    if (!buf_reserve(out, text.len)) {
        return false;
    }
    while (at < end) {
        const char *solid = skip_solid(at, end);
        buf_append(out, at, (size_t)(solid - at)); /* there is room */
        for (at = solid; at < end && is_space(*at);) {
            at++;
        }
    }
    return true;
}
