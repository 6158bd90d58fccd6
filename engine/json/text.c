#include "json/text.h"

#include <stdint.h>

static unsigned hex4(const char *at) {
    unsigned value = 0;
    for (int i = 0; i < 4; i++) {
        char c = at[i];
        unsigned digit = c <= '9' ? (unsigned)(c - '0') : (unsigned)((c | 0x20) - 'a' + 10);
        value = value << 4 | digit;
    }
    return value;
}

static bool is_high(unsigned code) {
    return code >= 0xD800 && code < 0xDC00;
}

static bool is_low(unsigned code) {
    return code >= 0xDC00 && code < 0xE000;
}

static size_t put_utf8(char *out, unsigned code) {
    if (code < 0x80) {
        out[0] = (char)code;
        return 1;
    }
    if (code < 0x800) {
        out[0] = (char)(0xC0 | code >> 6);
        out[1] = (char)(0x80 | (code & 0x3F));
        return 2;
    }
    if (code < 0x10000) {
        out[0] = (char)(0xE0 | code >> 12);
        out[1] = (char)(0x80 | (code >> 6 & 0x3F));
        out[2] = (char)(0x80 | (code & 0x3F));
        return 3;
    }
    out[0] = (char)(0xF0 | code >> 18);
    out[1] = (char)(0x80 | (code >> 12 & 0x3F));
    out[2] = (char)(0x80 | (code >> 6 & 0x3F));
    out[3] = (char)(0x80 | (code & 0x3F));
    return 4;
}

/* at is behind "\u"; returns the place behind the escape (or the pair of escapes). */
static const char *take_unicode(const char *at, const char *end, char *out, size_t *len) {
    unsigned code = hex4(at);
    at += 4;
    if (is_high(code) && end - at >= 6 && at[0] == '\\' && at[1] == 'u' && is_low(hex4(at + 2))) {
        code = 0x10000 + ((code - 0xD800) << 10) + (hex4(at + 2) - 0xDC00);
        at += 6;
    }
    *len = put_utf8(out, code);
    return at;
}

static char plain_escape(char c) {
    switch (c) {
    case 'b':
        return '\b';
    case 'f':
        return '\f';
    case 'n':
        return '\n';
    case 'r':
        return '\r';
    case 't':
        return '\t';
    default:
        return c; /* quote, backslash, slash */
    }
}

const char *json_take_escape(const char *at, const char *end, char *out, size_t *len) {
    if (at[1] == 'u') {
        return take_unicode(at + 2, end, out, len);
    }
    out[0] = plain_escape(at[1]);
    *len = 1;
    return at + 2;
}

bool json_unquote(struct buf *out, struct slice string) {
    const char *at = string.ptr + 1;
    const char *end = string.ptr + string.len - 1;
    /* What comes out is never longer than what went in. */
    if (!buf_reserve(out, string.len)) {
        return false;
    }
    char *to = out->ptr + out->len;
    while (at < end) {
        const char *slash = memchr(at, '\\', (size_t)(end - at));
        size_t run = (size_t)((slash ? slash : end) - at);
        memcpy(to, at, run);
        to += run;
        at += run;
        if (!slash) {
            break;
        }
        size_t len;
        at = json_take_escape(at, end, to, &len);
        to += len;
    }
    out->len = (size_t)(to - out->ptr);
    return true;
}

/* The length of the UTF-8 sequence at `at`, 0 where it is none. Lone surrogates count as sequences of
 * three and set *surrogate. */
static size_t sequence(const unsigned char *at, size_t left, bool *surrogate) {
    *surrogate = false;
    unsigned char first = at[0];
    size_t need = first < 0x80                     ? 1
                  : first >= 0xC2 && first < 0xE0  ? 2
                  : (first & 0xF0) == 0xE0         ? 3
                  : first >= 0xF0 && first <= 0xF4 ? 4
                                                   : 0;
    if (need == 0 || need > left) {
        return 0;
    }
    for (size_t i = 1; i < need; i++) {
        if ((at[i] & 0xC0) != 0x80) {
            return 0;
        }
    }
    if ((first == 0xE0 && at[1] < 0xA0) || (first == 0xF0 && at[1] < 0x90) ||
        (first == 0xF4 && at[1] > 0x8F)) {
        return 0;
    }
    *surrogate = first == 0xED && at[1] >= 0xA0;
    return need;
}

static bool put_control(struct buf *out, unsigned char byte) {
    switch (byte) {
    case '\b':
        return buf_append(out, "\\b", 2);
    case '\f':
        return buf_append(out, "\\f", 2);
    case '\n':
        return buf_append(out, "\\n", 2);
    case '\r':
        return buf_append(out, "\\r", 2);
    case '\t':
        return buf_append(out, "\\t", 2);
    default:
        return buf_printf(out, "\\u%04x", byte);
    }
}

/* One byte or sequence that does not go out as it is; returns its length, 0 on failure. */
static size_t put_special(struct buf *out, const unsigned char *at, size_t left, bool *bad) {
    bool surrogate;
    if (*at == '"' || *at == '\\') {
        return buf_append(out, (char[]){'\\', (char)*at}, 2) ? 1 : 0;
    }
    if (*at < 0x20) {
        return put_control(out, *at) ? 1 : 0;
    }
    size_t len = sequence(at, left, &surrogate);
    if (len == 0) {
        *bad = true;
        return 0;
    }
    if (surrogate) {
        unsigned code = (at[0] & 0x0Fu) << 12 | (at[1] & 0x3Fu) << 6 | (at[2] & 0x3Fu);
        return buf_printf(out, "\\u%04x", code) ? 3 : 0;
    }
    return buf_append(out, at, len) ? len : 0;
}

bool json_quote(struct buf *out, struct slice bytes, struct error *e) {
    const unsigned char *start = (const unsigned char *)bytes.ptr;
    const unsigned char *end = start + bytes.len;
    const unsigned char *at = start;
    bool bad = false;
    if (!buf_append_byte(out, '"')) {
        return buf_error(out, e, "the text", NULL);
    }
    while (at < end) {
        const unsigned char *run = at;
        while (at < end && *at >= 0x20 && *at < 0x80 && *at != '"' && *at != '\\') {
            at++;
        }
        size_t len = 0;
        bool ok = buf_append(out, run, (size_t)(at - run));
        if (ok && at < end) {
            len = put_special(out, at, (size_t)(end - at), &bad);
            ok = len > 0;
        }
        if (bad) {
            error_set(e, ERROR_SYNTAX, "byte %zu of a string is not UTF-8", (size_t)(at - start) + 1);
            if (e) {
                e->position = (size_t)(at - start);
            }
            return false;
        }
        if (!ok) {
            return buf_error(out, e, "the text", NULL);
        }
        at += len;
    }
    return buf_append_byte(out, '"') || buf_error(out, e, "the text", NULL);
}
