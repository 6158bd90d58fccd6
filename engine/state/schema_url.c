/* Whether a text is a URL: what the basic URL parser of https://url.spec.whatwg.org would take without a base.
 * Only the parts that can fail are looked at: the scheme, the host and the port. */
#include <string.h>
#include <strings.h>

#include "state/schema_format.h"

enum { HOST_MAX_BYTES = 4096 };

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

static bool is_letter(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_hex(char c) {
    return is_digit(c) || ((c | 0x20) >= 'a' && (c | 0x20) <= 'f');
}

/* Tabs and line ends are dropped wherever they are. */
static bool is_dropped(char c) {
    return c == '\t' || c == '\n' || c == '\r';
}

static struct slice trimmed(struct slice text) {
    while (text.len > 0 && (unsigned char)text.ptr[0] <= ' ') {
        text = slice_of(text.ptr + 1, text.len - 1);
    }
    while (text.len > 0 && (unsigned char)text.ptr[text.len - 1] <= ' ') {
        text.len--;
    }
    return text;
}

/* The scheme's length; 0: there is none. */
static size_t scheme_length(struct slice text) {
    size_t i = 0;
    if (text.len == 0 || !is_letter(text.ptr[0])) {
        return 0;
    }
    while (i < text.len && (is_letter(text.ptr[i]) || is_digit(text.ptr[i]) || strchr("+-.", text.ptr[i]))) {
        i++;
    }
    return i < text.len && text.ptr[i] == ':' ? i : 0;
}

static bool scheme_is(struct slice scheme, const char *name) {
    return scheme.len == strlen(name) && strncasecmp(scheme.ptr, name, scheme.len) == 0;
}

static bool is_special(struct slice scheme) {
    static const char *const names[] = {"http", "https", "ws", "wss", "ftp"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (scheme_is(scheme, names[i])) {
            return true;
        }
    }
    return false;
}

static bool port_fits(struct slice port) {
    unsigned long value = 0;
    for (size_t i = 0; i < port.len; i++) {
        if (!is_digit(port.ptr[i])) {
            return false;
        }
        value = value * 10 + (unsigned long)(port.ptr[i] - '0');
        if (value > 65535) {
            return false;
        }
    }
    return true;
}

/* One part of an IPv4 address: decimal, 0x and 0. *value is large where it is past 32 bits. */
static bool read_part(struct slice part, unsigned long long *value) {
    unsigned base = 10;
    *value = 0;
    if (part.len == 0) {
        return false;
    }
    if (part.len >= 2 && part.ptr[0] == '0') {
        base = (part.ptr[1] | 0x20) == 'x' ? 16 : 8;
        part = slice_of(part.ptr + (base == 16 ? 2 : 1), part.len - (base == 16 ? 2 : 1));
    }
    for (size_t i = 0; i < part.len; i++) {
        char c = part.ptr[i];
        unsigned digit = is_digit(c) ? (unsigned)(c - '0')
                         : is_hex(c) ? (unsigned)((c | 0x20) - 'a' + 10)
                                     : 99;
        if (digit >= base) {
            return false;
        }
        *value = *value >> 40 ? *value : *value * base + digit;
    }
    return true;
}

/* A host whose last label is a number has to be an address of IPv4. */
static bool ends_in_number(struct slice host, struct slice *all) {
    unsigned long long value;
    if (host.len > 0 && host.ptr[host.len - 1] == '.') {
        host.len--;
    }
    const char *dot = host.len ? memrchr(host.ptr, '.', host.len) : NULL;
    const char *last = dot ? dot + 1 : host.ptr;
    struct slice label = slice_of(last, (size_t)(host.ptr + host.len - last));
    bool digits = label.len > 0;
    for (size_t i = 0; i < label.len; i++) {
        digits = digits && is_digit(label.ptr[i]);
    }
    *all = host;
    return digits || read_part(label, &value);
}

static bool ipv4_fits(struct slice host) {
    unsigned long long value = 0;
    unsigned count = 0;
    const char *end = host.ptr + host.len;
    for (const char *at = host.ptr; at <= end; count++) {
        const char *dot = memchr(at, '.', (size_t)(end - at));
        const char *behind = dot ? dot : end;
        /* Only the last one may be more than a byte: it stands for all that are not there. */
        if (count == 4 || value > 255 || !read_part(slice_of(at, (size_t)(behind - at)), &value)) {
            return false;
        }
        at = behind + 1;
    }
    return count > 0 && value < 1ULL << 8 * (5 - count);
}

/* Digits of one piece of an IPv6 address, at most 4. */
static const char *skip_piece(const char *at, const char *end) {
    const char *start = at;
    while (at < end && at - start < 4 && is_hex(*at)) {
        at++;
    }
    return at;
}

/* Four bytes at the end of an IPv6 address. */
static bool dotted_fits(const char *at, const char *end) {
    for (int i = 0; i < 4; i++) {
        const char *start = at;
        int value = 0;
        while (at < end && is_digit(*at) && at - start < 3) {
            value = value * 10 + (*at++ - '0');
        }
        if (at == start || value > 255 || (*start == '0' && at > start + 1)) {
            return false;
        }
        if (i < 3 && (at == end || *at++ != '.')) {
            return false;
        }
    }
    return at == end;
}

/* What is inside of the brackets. */
static bool ipv6_fits(const char *at, const char *end) {
    int pieces = 0;
    bool gap = false;
    if (end - at >= 2 && at[0] == ':') {
        if (at[1] != ':') {
            return false;
        }
        gap = true;
        at += 2;
    }
    while (at < end) {
        const char *behind = skip_piece(at, end);
        if (pieces == 8) {
            return false;
        }
        if (behind < end && *behind == '.') {
            return behind > at && pieces <= 6 && dotted_fits(at, end) && (gap ? pieces + 2 < 8 : pieces == 6);
        }
        if (behind == at) {
            return false;
        }
        pieces++;
        at = behind;
        if (at == end) {
            break;
        }
        if (*at++ != ':' || at == end) {
            return false;
        }
        if (*at == ':') {
            if (gap) {
                return false;
            }
            gap = true;
            at++;
        }
    }
    return gap ? pieces < 8 : pieces == 8;
}

static bool has_any(struct slice text, const char *bytes) {
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] == '\0' || strchr(bytes, text.ptr[i])) {
            return true;
        }
    }
    return false;
}

/* What %XX stands for, in place. */
static size_t decode(char *host, size_t len) {
    size_t to = 0;
    for (size_t i = 0; i < len; i++, to++) {
        host[to] = host[i];
        if (host[i] == '%' && i + 2 < len && is_hex(host[i + 1]) && is_hex(host[i + 2])) {
            const char digits[] = {host[i + 1], host[i + 2]};
            unsigned value = 0;
            for (size_t d = 0; d < 2; d++) {
                value = value * 16 +
                        (unsigned)(is_digit(digits[d]) ? digits[d] - '0' : (digits[d] | 0x20) - 'a' + 10);
            }
            host[to] = (char)value;
            i += 2;
        }
    }
    return to;
}

/* The length of the character at `at` in UTF-8, or 0: it is none. */
static size_t character(const char *at, size_t len) {
    static const unsigned least[] = {0, 0, 0x80, 0x800, 0x10000};
    unsigned char first = (unsigned char)*at;
    size_t size = first < 0x80   ? 1
                  : first < 0xC2 ? 0
                  : first < 0xE0 ? 2
                  : first < 0xF0 ? 3
                  : first < 0xF5 ? 4
                                 : 0;
    unsigned value = size > 1 ? first & (0x7FU >> size) : first;
    if (size == 0 || size > len) {
        return 0;
    }
    for (size_t i = 1; i < size; i++) {
        if (((unsigned char)at[i] & 0xC0) != 0x80) {
            return 0;
        }
        value = value << 6 | ((unsigned char)at[i] & 0x3F);
    }
    return value >= least[size] && value < 0x110000 && (value < 0xD800 || value > 0xDFFF) ? size : 0;
}

/* What was decoded may be none. */
static bool is_utf8(struct slice text) {
    for (size_t i = 0, size; i < text.len; i += size) {
        size = character(text.ptr + i, text.len - i);
        if (size == 0) {
            return false;
        }
    }
    return true;
}

static bool domain_fits(struct slice raw) {
    char host[HOST_MAX_BYTES];
    struct slice address;
    if (raw.len == 0 || raw.len > sizeof host) {
        return false;
    }
    memcpy(host, raw.ptr, raw.len);
    struct slice domain = slice_of(host, decode(host, raw.len));
    for (size_t i = 0; i < domain.len; i++) {
        if ((unsigned char)host[i] <= ' ' || host[i] == 0x7F) {
            return false;
        }
    }
    if (has_any(domain, "#/:<>?@[\\]^|%") || !is_utf8(domain)) {
        return false;
    }
    return !ends_in_number(domain, &address) || ipv4_fits(address);
}

static bool host_fits(struct slice host, bool special) {
    if (host.len > 0 && host.ptr[0] == '[') {
        return host.ptr[host.len - 1] == ']' && ipv6_fits(host.ptr + 1, host.ptr + host.len - 1);
    }
    return special ? domain_fits(host) : !has_any(host, " #/:<>?@[\\]^|\t\n\r");
}

static bool authority_fits(struct slice authority, bool special) {
    const char *at = authority.len ? memrchr(authority.ptr, '@', authority.len) : NULL;
    const char *end = authority.ptr + authority.len;
    struct slice rest = at ? slice_of(at + 1, (size_t)(end - at - 1)) : authority;
    size_t colon = 0;
    bool brackets = false;
    while (colon < rest.len && (brackets || rest.ptr[colon] != ':')) {
        brackets = rest.ptr[colon] == '[' || (brackets && rest.ptr[colon] != ']');
        colon++;
    }
    struct slice host = slice_of(rest.ptr, colon);
    if (host.len == 0 && (special || at || colon < rest.len)) {
        return false;
    }
    return host_fits(host, special) &&
           (colon == rest.len || port_fits(slice_of(rest.ptr + colon + 1, rest.len - colon - 1)));
}

/* Up to the byte that ends an authority. */
static struct slice authority_of(const char *at, const char *end, bool special) {
    const char *behind = at;
    while (behind < end && *behind != '/' && *behind != '?' && *behind != '#' &&
           !(special && *behind == '\\')) {
        behind++;
    }
    return slice_of(at, (size_t)(behind - at));
}

static bool is_slash(char c) {
    return c == '/' || c == '\\';
}

/* file: URLs may have no host, and a drive's letter in its place. */
static bool file_fits(const char *at, const char *end) {
    if (end - at < 2 || !is_slash(at[0]) || !is_slash(at[1])) {
        return true;
    }
    struct slice host = authority_of(at + 2, end, true);
    bool drive = host.len == 2 && is_letter(host.ptr[0]) && (host.ptr[1] == ':' || host.ptr[1] == '|');
    return host.len == 0 || drive || host_fits(host, true);
}

static bool url_fits(struct slice text) {
    size_t len = scheme_length(text);
    struct slice scheme = slice_of(text.ptr, len);
    const char *at = text.ptr + len + 1;
    const char *end = text.ptr + text.len;
    if (len == 0) {
        return false;
    }
    if (scheme_is(scheme, "file")) {
        return file_fits(at, end);
    }
    if (is_special(scheme)) {
        while (at < end && is_slash(*at)) {
            at++;
        }
        return authority_fits(authority_of(at, end, true), true);
    }
    if (end - at >= 2 && at[0] == '/' && at[1] == '/') {
        return authority_fits(authority_of(at + 2, end, false), false);
    }
    return true;
}

bool schema_format_url(struct slice text) {
    char clean[HOST_MAX_BYTES];
    size_t len = 0;
    text = trimmed(text);
    if (text.len <= sizeof clean) {
        for (size_t i = 0; i < text.len; i++) {
            clean[len] = text.ptr[i];
            len += !is_dropped(text.ptr[i]);
        }
        text = slice_of(clean, len);
    }
    return url_fits(text);
}
