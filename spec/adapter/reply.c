#include "reply.h"

#include <stdio.h>
#include <string.h>

#include "json/text.h"

static bool is_continuation(struct slice s, size_t i) {
    return i < s.len && ((unsigned char)s.ptr[i] & 0xc0) == 0x80;
}

/* The length of the well-formed sequence at i, or 0. *skip: bytes that one U+FFFD stands for. */
static size_t sequence(struct slice s, size_t i, size_t *skip) {
    unsigned char a = (unsigned char)s.ptr[i];
    unsigned char b = i + 1 < s.len ? (unsigned char)s.ptr[i + 1] : 0;
    *skip = 1;
    if (a < 0x80) {
        return 1;
    }
    size_t need = a >= 0xc2 && a <= 0xdf ? 2 : (a & 0xf0) == 0xe0 ? 3 : a >= 0xf0 && a <= 0xf4 ? 4 : 0;
    bool bad = need == 0 || !is_continuation(s, i + 1) || (a == 0xe0 && b < 0xa0) ||
               (a == 0xed && b > 0x9f) || (a == 0xf0 && b < 0x90) || (a == 0xf4 && b > 0x8f);
    if (bad) {
        return 0;
    }
    for (size_t n = 2; n < need; n++) {
        if (!is_continuation(s, i + n)) {
            *skip = n;
            return 0;
        }
    }
    return need;
}

void reply_string(struct buf *reply, struct slice value) {
    struct buf clean;
    struct error e;
    buf_init(&clean, reply->max);
    for (size_t i = 0; i < value.len;) {
        size_t skip = 0;
        size_t len = sequence(value, i, &skip);
        if (len) {
            buf_append(&clean, value.ptr + i, len);
            i += len;
        } else {
            buf_append_text(&clean, "\xef\xbf\xbd");
            i += skip;
        }
    }
    json_quote(reply, buf_slice(&clean), &e);
    buf_free(&clean);
}

void reply_name(struct buf *reply, const char *name) {
    buf_printf(reply, ",\"%s\":", name);
}

void reply_start(struct buf *reply, const char *type, bool success) {
    buf_clear(reply);
    buf_printf(reply, "{\"type\":\"%s\",\"success\":%s", type, success ? "true" : "false");
}

void reply_text(struct buf *reply, const char *name, struct slice value) {
    if (value.ptr) {
        reply_name(reply, name);
        reply_string(reply, value);
    }
}

void reply_number(struct buf *reply, const char *name, double value) {
    reply_name(reply, name);
    buf_printf(reply, "%.17g", value);
}

void reply_bool(struct buf *reply, const char *name, bool value) {
    reply_name(reply, name);
    buf_append_text(reply, value ? "true" : "false");
}

static const char *code_of(const struct error *e, bool reading) {
    switch (e->code) {
    case ERROR_CLOSED:
        return "STREAM_CLOSED";
    case ERROR_NOT_FOUND:
        return "NOT_FOUND";
    case ERROR_CONFLICT:
        return strcasestr(e->message, "sequence") ? "SEQUENCE_CONFLICT" : "CONFLICT";
    case ERROR_NETWORK:
        return "NETWORK_ERROR";
    case ERROR_TIMEOUT:
        return "TIMEOUT";
    case ERROR_SYNTAX:
    case ERROR_CUT:
        return "PARSE_ERROR";
    case ERROR_ARGUMENT:
        return "INVALID_ARGUMENT";
    case ERROR_HTTP:
    case ERROR_GONE:
        return e->status == 400 && reading ? "INVALID_OFFSET" : "UNEXPECTED_STATUS";
    default:
        return "INTERNAL_ERROR";
    }
}

void reply_error(struct buf *reply, const char *command, const struct error *e, const char *code,
                 bool reading) {
    reply_start(reply, "error", false);
    reply_text(reply, "commandType", slice_from(command));
    if (e->status) {
        reply_number(reply, "status", e->status);
    }
    reply_text(reply, "errorCode", slice_from(code ? code : code_of(e, reading)));
    reply_text(reply, "message", slice_from(e->message));
}

void reply_end(struct buf *reply) {
    buf_append_byte(reply, '}');
    const char *at = reply->ptr;
    const char *end = at + reply->len;
    while (at < end) {
        const char *found = memmem(at, (size_t)(end - at), "\xe2\x80", 2);
        bool separator = found && found + 2 < end && (found[2] == '\xa8' || found[2] == '\xa9');
        size_t plain = found ? (size_t)(found - at) + (separator ? 0 : 2) : (size_t)(end - at);
        fwrite(at, 1, plain, stdout);
        at += plain;
        if (separator) {
            fputs(found[2] == '\xa8' ? "\\u2028" : "\\u2029", stdout);
            at += 3;
        }
    }
    fputc('\n', stdout);
    fflush(stdout);
}
