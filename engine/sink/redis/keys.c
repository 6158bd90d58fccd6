#include "sink/redis/keys.h"

#include <string.h>

enum { BASE_MAX = 1 << 20 };

bool redis_keys_encode(struct buf *out, struct slice type) {
    bool ok = buf_reserve(out, type.len);
    for (size_t i = 0; ok && i < type.len; i++) {
        unsigned char byte = (unsigned char)type.ptr[i];
        bool plain = byte > 0x20 && byte != 0x7f && byte != '%' && byte != '{' && byte != '}';
        ok = plain ? buf_append_byte(out, (char)byte) : buf_printf(out, "%%%02X", byte);
    }
    return ok;
}

static int hex(char c) {
    return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

bool redis_keys_decode(struct buf *out, struct slice encoded) {
    bool ok = true;
    for (size_t i = 0; ok && i < encoded.len; i++) {
        char byte = encoded.ptr[i];
        if (byte == '%' && i + 2 < encoded.len && hex(encoded.ptr[i + 1]) >= 0 &&
            hex(encoded.ptr[i + 2]) >= 0) {
            byte = (char)(hex(encoded.ptr[i + 1]) * 16 + hex(encoded.ptr[i + 2]));
            i += 2;
        }
        ok = buf_append_byte(out, byte);
    }
    return ok;
}

bool redis_keys_init(struct redis_keys *keys, const char *prefix, const char *stream, struct error *e) {
    buf_init(&keys->base, BASE_MAX);
    if (strpbrk(prefix, "{}")) {
        return error_set(e, ERROR_ARGUMENT,
                         "prefix: \"%s\" has a brace, and braces mark what a cluster goes by", prefix);
    }
    if (!buf_append_text(&keys->base, prefix) || !buf_append_byte(&keys->base, '{') ||
        !redis_keys_encode(&keys->base, slice_from(stream)) || !buf_append_text(&keys->base, "}:")) {
        return error_set(e, ERROR_MEMORY, "out of memory for the names of keys");
    }
    return true;
}

void redis_keys_free(struct redis_keys *keys) {
    buf_free(&keys->base);
}

bool redis_keys_put(const struct redis_keys *keys, struct buf *out, const char *name) {
    return buf_append_slice(out, buf_slice(&keys->base)) && buf_append_text(out, name);
}

bool redis_keys_put_type(const struct redis_keys *keys, struct buf *out, struct slice type) {
    return redis_keys_put(keys, out, "t:") && redis_keys_encode(out, type);
}
