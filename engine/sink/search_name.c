#include "sink/search_name.h"

#include <inttypes.h>
#include <string.h>
#include <xxhash.h>

enum { PLAIN_MAX = 100, SLUG_MAX = 60 };

static bool is_start(char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

static bool is_part(char c) {
    return is_start(c) || c == '_' || c == '.' || c == '-';
}

static bool is_plain(struct slice type) {
    if (type.len == 0 || type.len > PLAIN_MAX || !is_start(type.ptr[0]) ||
        slice_is(type, SEARCH_STATE_NAME)) {
        return false;
    }
    for (size_t i = 0; i < type.len; i++) {
        bool is_double = type.ptr[i] == '-' && i > 0 && type.ptr[i - 1] == '-'; /* what marks the others */
        if (!is_part(type.ptr[i]) || is_double) {
            return false;
        }
    }
    return true;
}

bool search_name_prefix(const char *prefix) {
    size_t len = strlen(prefix);
    for (size_t i = 0; i < len; i++) {
        if (!is_part(prefix[i]) || (i == 0 && !is_start(prefix[i]))) {
            return false;
        }
    }
    return len <= PLAIN_MAX - SLUG_MAX && !strstr(prefix, "--");
}

static bool put_slug(struct buf *out, struct slice type) {
    bool ok = true;
    size_t used = 0;
    for (size_t i = 0; ok && i < type.len && used < SLUG_MAX; i++) {
        char c = type.ptr[i];
        c = (char)(c >= 'A' && c <= 'Z' ? c | 0x20 : c);
        if (is_start(c)) {
            ok = buf_append_byte(out, c);
            used++;
        } else if (used > 0 && out->ptr[out->len - 1] != '_') {
            ok = buf_append_byte(out, '_');
            used++;
        }
    }
    return ok && (used > 0 || buf_append_byte(out, 'x'));
}

bool search_name_type(struct buf *out, const char *prefix, struct slice type) {
    if (!buf_append_text(out, prefix)) {
        return false;
    }
    if (is_plain(type)) {
        return buf_append_slice(out, type);
    }
    XXH128_hash_t hash = XXH3_128bits(type.ptr, type.len);
    return put_slug(out, type) && buf_printf(out, "--%016" PRIx64 "%016" PRIx64, hash.high64, hash.low64);
}

static bool is_unreserved(unsigned char byte) {
    return is_part((char)byte) || (byte >= 'A' && byte <= 'Z');
}

static bool put_escaped(struct buf *out, struct slice text, char escape) {
    bool ok = buf_reserve(out, text.len);
    for (size_t i = 0; ok && i < text.len; i++) {
        unsigned char byte = (unsigned char)text.ptr[i];
        ok = is_unreserved(byte) || (byte == '~' && escape != '~') ? buf_append_byte(out, (char)byte)
                                                                   : buf_printf(out, "%c%02X", escape, byte);
    }
    return ok;
}

bool search_name_path(struct buf *out, struct slice text) {
    return put_escaped(out, text, '%');
}

/* At the end of a path "." and ".." stand for what is above: deleting such a document would delete the collection. */
bool search_name_id(struct buf *out, struct slice key) {
    if (slice_is(key, ".") || slice_is(key, "..")) {
        return buf_append_text(out, key.len == 1 ? "~2E" : "~2E.");
    }
    return put_escaped(out, key, '~');
}

static int hex(char c) {
    return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

bool search_name_key(struct buf *out, struct slice id) {
    bool ok = true;
    for (size_t i = 0; ok && i < id.len; i++) {
        char byte = id.ptr[i];
        if (byte == '~' && i + 2 < id.len && hex(id.ptr[i + 1]) >= 0 && hex(id.ptr[i + 2]) >= 0) {
            byte = (char)(hex(id.ptr[i + 1]) * 16 + hex(id.ptr[i + 2]));
            i += 2;
        }
        ok = buf_append_byte(out, byte);
    }
    return ok;
}
