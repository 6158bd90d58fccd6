#include "io/url.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

enum { PARAMS_MAX = 64 };

/* ---- what may be shown ---- */

static const char *const secret_words[] = {"token", "key", "secret", "password", "auth", "sig"};

static bool is_secret(const char *name, size_t len) {
    for (size_t i = 0; i < sizeof secret_words / sizeof *secret_words; i++) {
        size_t word = strlen(secret_words[i]);
        for (size_t at = 0; at + word <= len; at++) {
            if (strncasecmp(name + at, secret_words[i], word) == 0) {
                return true;
            }
        }
    }
    return false;
}

struct writing {
    char *out;
    size_t used, size;
};

static void put(struct writing *w, const char *ptr, size_t len) {
    size_t room = w->size - 1 - w->used;
    size_t take = len < room ? len : room;
    memcpy(w->out + w->used, ptr, take);
    w->used += take;
}

static void put_query(struct writing *w, const char *at) {
    while (*at && *at != '#') {
        size_t len = strcspn(at, "&#");
        size_t name = strcspn(at, "=&#");
        if (name < len && is_secret(at, name)) {
            put(w, at, name + 1);
            put(w, "...", 3);
        } else {
            put(w, at, len);
        }
        at += len;
        if (*at == '&') {
            put(w, at++, 1);
        }
    }
}

static void redact(const char *url, bool marked, char *out, size_t size) {
    if (size == 0) {
        return;
    }
    struct writing w = {.out = out, .size = size};
    const char *host = strstr(url, "://");
    if (host) {
        host += 3;
        put(&w, url, (size_t)(host - url));
        size_t authority = strcspn(host, "/?#");
        const char *at = memrchr(host, '@', authority);
        if (at && marked) {
            put(&w, "...@", 4);
        }
        url = at ? at + 1 : host;
    }
    size_t plain = strcspn(url, "?#");
    put(&w, url, plain);
    if (url[plain] == '?') {
        put(&w, "?", 1);
        put_query(&w, url + plain + 1);
    }
    out[w.used] = '\0';
}

void url_redact(const char *url, char *out, size_t size) {
    redact(url, false, out, size);
}

void url_redact_marked(const char *url, char *out, size_t size) {
    redact(url, true, out, size);
}

bool url_is_redacted(const char *url) {
    const char *host = strstr(url, "://");
    if (host && strncmp(host + 3, "...@", 4) == 0) {
        return true;
    }
    for (const char *at = strchr(url, '?'); at && *at && *at != '#'; at += strcspn(at, "&#")) {
        at++;
        size_t len = strcspn(at, "&#");
        size_t name = strcspn(at, "=&#");
        if (len == name + 4 && strncmp(at + name, "=...", 4) == 0 && is_secret(at, name)) {
            return true;
        }
    }
    return false;
}

bool url_is_loopback(const char *url) {
    const char *host = strstr(url, "://");
    host = host ? host + 3 : url;
    size_t authority = strcspn(host, "/?#");
    const char *at = memrchr(host, '@', authority);
    const char *end = host + authority;
    host = at ? at + 1 : host;
    size_t len = *host == '[' ? strcspn(host, "]") + 1 : strcspn(host, ":/?#");
    len = host + len > end ? (size_t)(end - host) : len;
    return (len == 9 && strncasecmp(host, "localhost", 9) == 0) ||
           (len == 5 && memcmp(host, "[::1]", 5) == 0) ||
           (len > 4 && memcmp(host, "127.", 4) == 0 && strspn(host, "0123456789.") >= len);
}

/* The host and port; absent where it is no URL. */
static struct slice authority_of(const char *url) {
    const char *host = strstr(url, "://");
    if (!host) {
        return (struct slice){0};
    }
    host += 3;
    size_t len = strcspn(host, "/?#");
    const char *at = memrchr(host, '@', len);
    return at ? slice_of(at + 1, (size_t)(host + len - at - 1)) : slice_of(host, len);
}

bool url_same_server(const char *a, const char *b) {
    struct slice first = authority_of(a);
    struct slice second = authority_of(b);
    size_t scheme = strcspn(a, ":");
    return first.ptr && second.ptr && first.len == second.len &&
           strncasecmp(first.ptr, second.ptr, first.len) == 0 && strcspn(b, ":") == scheme &&
           strncasecmp(a, b, scheme) == 0;
}

/* ---- the query ---- */

/* One parameter of the query to be written: as it stood in the URL, or a new one. */
struct part {
    struct slice name;
    struct slice raw;              /* "name=value" from the URL, or absent */
    const struct url_param *param; /* NULL for one from the URL */
};

static bool put_encoded(struct buf *out, struct slice value) {
    for (size_t i = 0; i < value.len; i++) {
        unsigned char byte = (unsigned char)value.ptr[i];
        bool plain = (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
                     (byte >= '0' && byte <= '9') || (byte && strchr("-._~", byte));
        if (plain ? !buf_append_byte(out, (char)byte) : !buf_printf(out, "%%%02X", byte)) {
            return false;
        }
    }
    return true;
}

static bool is_given(struct slice name, const struct url_param *params, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (slice_is(name, params[i].name)) {
            return true;
        }
    }
    return false;
}

/* Keeps parts sorted; those of one name in the order they came. */
static bool parts_add(struct part *parts, size_t *count, struct part part) {
    if (*count == PARAMS_MAX) {
        return false;
    }
    size_t at = *count;
    while (at > 0 && slice_compare(parts[at - 1].name, part.name) > 0) {
        parts[at] = parts[at - 1];
        at--;
    }
    parts[at] = part;
    (*count)++;
    return true;
}

static bool put_part(struct buf *out, const struct part *part) {
    if (!part->param) {
        return buf_append_slice(out, part->raw);
    }
    return put_encoded(out, part->name) && buf_append_byte(out, '=') && put_encoded(out, part->param->value);
}

bool url_query(struct buf *out, const char *url, const struct url_param *params, size_t count) {
    struct part parts[PARAMS_MAX];
    size_t used = 0;
    size_t plain = strcspn(url, "?#");
    const char *at = url + plain;
    if (*at == '?') {
        at++;
        while (*at && *at != '#') {
            struct slice raw = slice_of(at, strcspn(at, "&#"));
            struct slice name = slice_of(at, strcspn(at, "=&#"));
            if (raw.len && !is_given(name, params, count) &&
                !parts_add(parts, &used, (struct part){.name = name, .raw = raw})) {
                return false;
            }
            at += raw.len;
            at += *at == '&';
        }
    }
    for (size_t i = 0; i < count; i++) {
        struct part part = {.name = slice_from(params[i].name), .param = &params[i]};
        if (params[i].value.ptr && !parts_add(parts, &used, part)) {
            return false;
        }
    }
    if (!buf_append(out, url, plain)) {
        return false;
    }
    for (size_t i = 0; i < used; i++) {
        if (!buf_append_byte(out, i ? '&' : '?') || !put_part(out, &parts[i])) {
            return false;
        }
    }
    if (!buf_append_byte(out, '\0')) {
        return false;
    }
    out->len--;
    return true;
}
