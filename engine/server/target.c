#include "server/target.h"

#include <string.h>
#include <strings.h>

static int digit_of(char c) {
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* The byte that the escape at the start of s stands for; -1 where it is none. */
static int escape_of(struct slice s) {
    int high = s.len >= 3 ? digit_of(s.ptr[1]) : -1;
    int low = s.len >= 3 ? digit_of(s.ptr[2]) : -1;
    return high < 0 || low < 0 ? -1 : high * 16 + low;
}

static bool is_unreserved(int c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_' || c == '~';
}

/* What stands for itself in a path (pchar of RFC 3986). */
static bool is_plain(int c) {
    return is_unreserved(c) || (c && strchr("!$&'()*+,;=:@", c));
}

static bool is_control(int c) {
    return c < 0x20 || c == 0x7f;
}

/* Behind "http://host" or "https://host"; absent where the target does not begin so. */
static struct slice behind_authority(struct slice target) {
    static const char *const schemes[] = {"http://", "https://"};
    for (unsigned i = 0; i < 2; i++) {
        size_t len = strlen(schemes[i]);
        if (target.len > len && strncasecmp(target.ptr, schemes[i], len) == 0) {
            size_t at = len;
            while (at < target.len && target.ptr[at] != '/' && target.ptr[at] != '?') {
                at++;
            }
            return slice_of(target.ptr + at, target.len - at);
        }
    }
    return slice_of(NULL, 0);
}

bool target_split(struct slice target, struct slice *path, struct slice *query) {
    struct slice rest = target;
    if (target.len && memchr(target.ptr, '#', target.len)) {
        return false;
    }
    if (target.len == 0 || target.ptr[0] != '/') {
        rest = behind_authority(target);
        if (!rest.ptr) {
            return false;
        }
    }
    const char *mark = rest.len ? memchr(rest.ptr, '?', rest.len) : NULL;
    size_t len = mark ? (size_t)(mark - rest.ptr) : rest.len;
    *path = len ? slice_of(rest.ptr, len) : SLICE("/");
    *query = mark ? slice_of(mark + 1, rest.len - len - 1) : slice_of(NULL, 0);
    return true;
}

static bool refuse(struct error *e, const char *why) {
    return error_set(e, ERROR_ARGUMENT, "the path %s", why);
}

/* One segment, escapes in their one spelling. */
static bool put_segment(struct buf *out, struct slice segment, struct error *e) {
    static const char digits[] = "0123456789ABCDEF";
    bool ok = true;
    for (size_t i = 0; ok && i < segment.len;) {
        unsigned char c = (unsigned char)segment.ptr[i];
        int value = c;
        size_t used = 1;
        if (c == '%') {
            value = escape_of(slice_of(segment.ptr + i, segment.len - i));
            used = 3;
        }
        if (value < 0) {
            return refuse(e, "holds a '%' without two hexadecimal digits behind it");
        }
        if (is_control(value) || value == '\\') {
            return refuse(e, "holds a control character or a backslash");
        }
        bool plain = used == 1 ? is_plain(value) : is_unreserved(value);
        char escape[3] = {'%', digits[value >> 4], digits[value & 15]};
        ok = plain ? buf_append_byte(out, (char)value) : buf_append(out, escape, sizeof escape);
        i += used;
    }
    return ok || refuse(e, "is too long: 2048 bytes at most");
}

/* Takes the last segment away: "/a/b" -> "/a". False at the root. */
static bool go_up(struct buf *out, size_t root) {
    while (out->len > root && out->ptr[out->len - 1] != '/') {
        out->len--;
    }
    if (out->len == root) {
        return false;
    }
    out->len--;
    return true;
}

bool target_normalise(struct buf *out, struct slice path, struct error *e) {
    size_t root = out->len;
    size_t at = 0;
    while (at < path.len) {
        size_t start = at + 1; /* behind the '/' */
        const char *slash = memchr(path.ptr + start, '/', path.len - start);
        size_t end = slash ? (size_t)(slash - path.ptr) : path.len;
        size_t before = out->len;
        if (end == start && end < path.len) {
            return refuse(e, "holds an empty segment ('//')");
        }
        if (!buf_append_byte(out, '/') || !put_segment(out, slice_of(path.ptr + start, end - start), e)) {
            return out->full ? refuse(e, "is too long: 2048 bytes at most") : false;
        }
        struct slice segment = slice_of(out->ptr + before + 1, out->len - before - 1);
        bool up = slice_is(segment, "..");
        if (up || slice_is(segment, ".")) {
            out->len = before;
            if (up && !go_up(out, root)) {
                return refuse(e, "leads above the root ('..')");
            }
            if (end == path.len && !buf_append_byte(out, '/')) {
                return refuse(e, "is too long: 2048 bytes at most");
            }
        }
        at = end;
    }
    return true;
}

bool target_decode(struct buf *out, struct slice text) {
    for (size_t i = 0; i < text.len; i++) {
        int value = (unsigned char)text.ptr[i];
        if (value == '%') {
            value = escape_of(slice_of(text.ptr + i, text.len - i));
            i += 2;
        }
        if (value < 0 || !buf_append_byte(out, (char)value)) {
            return false;
        }
    }
    return true;
}
