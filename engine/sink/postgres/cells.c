#include "sink/postgres/cells.h"

#include <string.h>

/* ---- what cannot be kept ---- */

static unsigned hex(char c) {
    return c <= '9' ? (unsigned)(c - '0') : (unsigned)((c | 0x20) - 'a' + 10);
}

/* The code unit of the escape \uXXXX at `at`; 0x10000 where there is none. */
static unsigned unit(const char *at, const char *end) {
    if (end - at < 6 || at[0] != '\\' || at[1] != 'u') {
        return 0x10000;
    }
    return hex(at[2]) << 12 | hex(at[3]) << 8 | hex(at[4]) << 4 | hex(at[5]);
}

bool pg_check_json(struct slice json, struct error *e) {
    const char *end = json.ptr + json.len;
    for (const char *at = json.ptr; (at = memchr(at, '\\', (size_t)(end - at)));) {
        unsigned first = unit(at, end);
        if (first == 0) {
            return error_set(e, ERROR_SCHEMA,
                             "the value holds the character NUL (\\u0000), which is no text to "
                             "a database");
        }
        if (first >= 0xD800 && first < 0xE000) {
            unsigned second = unit(at + 6, end);
            if (first >= 0xDC00 || second < 0xDC00 || second > 0xDFFF) {
                return error_set(e, ERROR_SCHEMA,
                                 "the value holds half of a surrogate pair (\\u%04x), which is no "
                                 "text to a database",
                                 first);
            }
            at += 12;
        } else {
            at += first < 0x10000 ? 6 : 2;
        }
    }
    return true;
}

/* ---- arrays ---- */

enum { HEAD = 20 }; /* dimensions, whether there are nulls, the element's type, length, lower bound */

static void put32(char *at, uint32_t value) {
    unsigned char bytes[4] = {(unsigned char)(value >> 24), (unsigned char)(value >> 16),
                              (unsigned char)(value >> 8), (unsigned char)value};
    memcpy(at, bytes, sizeof bytes);
}

bool pg_array_begin(struct pg_array *array, struct buf *out, unsigned element) {
    *array = (struct pg_array){.out = out, .element = element};
    buf_clear(out);
    char head[HEAD] = {0};
    put32(head, 1);
    put32(head + 4, 1);
    put32(head + 8, element);
    put32(head + 16, 1);
    return buf_append(out, head, sizeof head);
}

bool pg_array_add(struct pg_array *array, struct slice value) {
    struct buf *out = array->out;
    bool jsonb = array->element == PG_JSONB && value.ptr;
    if (!buf_reserve(out, 5 + value.len)) {
        return false;
    }
    char head[5];
    put32(head, value.ptr ? (uint32_t)value.len + jsonb : UINT32_MAX);
    head[4] = 1; /* the version of jsonb's binary form */
    array->count++;
    return buf_append(out, head, jsonb ? 5 : 4) && buf_append_slice(out, value);
}

void pg_array_end(struct pg_array *array) {
    put32(array->out->ptr + 12, array->count);
    if (array->count == 0) {
        put32(array->out->ptr, 0);
        array->out->len = 12;
    }
}

/* ---- lines of COPY ---- */

bool pg_copy_cell(struct buf *out, struct slice value) {
    if (!value.ptr) {
        return buf_append_text(out, "\\N");
    }
    const char *end = value.ptr + value.len;
    const char *from = value.ptr;
    for (const char *at = from; at < end; at++) {
        char c = *at;
        if ((unsigned char)c > '\r' && c != '\\') {
            continue;
        }
        const char *escape = c == '\\'   ? "\\\\"
                             : c == '\n' ? "\\n"
                             : c == '\r' ? "\\r"
                             : c == '\t' ? "\\t"
                                         : NULL;
        if (escape) {
            if (!buf_append(out, from, (size_t)(at - from)) || !buf_append(out, escape, 2)) {
                return false;
            }
            from = at + 1;
        }
    }
    return buf_append(out, from, (size_t)(end - from));
}
