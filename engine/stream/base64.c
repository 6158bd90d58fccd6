#include "stream/base64.h"

#include <stdint.h>

static int value_of(char c) {
    if (c >= 'A' && c <= 'Z') {
        return c - 'A';
    }
    if (c >= 'a' && c <= 'z') {
        return c - 'a' + 26;
    }
    if (c >= '0' && c <= '9') {
        return c - '0' + 52;
    }
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* The group of four is whole: up to three bytes. */
static void put_group(struct buf *out, uint32_t bits, unsigned padding) {
    out->ptr[out->len++] = (char)(bits >> 16);
    if (padding < 2) {
        out->ptr[out->len++] = (char)(bits >> 8);
    }
    if (padding < 1) {
        out->ptr[out->len++] = (char)bits;
    }
}

bool base64_decode(struct buf *out, struct slice text, struct error *e) {
    size_t before = out->len;
    uint32_t bits = 0;
    unsigned digits = 0;
    unsigned padding = 0;
    if (!buf_reserve(out, text.len / 4 * 3 + 3)) {
        return buf_error(out, e, "base64 data", "append smaller batches");
    }
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if (c == '\n' || c == '\r') {
            continue;
        }
        int value = c == '=' && digits + padding >= 2 ? 0 : value_of(c);
        padding += c == '=';
        if (value < 0 || (padding && c != '=') || padding > 2) {
            out->len = before;
            return error_set(e, ERROR_SYNTAX, "byte %zu is not base64", i);
        }
        bits = bits << 6 | (uint32_t)value;
        if (++digits == 4) {
            put_group(out, bits, padding);
            bits = 0;
            digits = 0;
        }
    }
    if (digits) {
        out->len = before;
        return error_set(e, ERROR_SYNTAX, "base64 of a length that is not a multiple of 4");
    }
    return true;
}
