#include "sink/redis/address.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int hex(char c) {
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* NULL: out of memory, or a NUL byte within. */
static char *decode(const char *ptr, size_t len) {
    char *out = malloc(len + 1);
    size_t used = 0;
    for (size_t i = 0; out && i < len; i++) {
        if (ptr[i] == '%' && i + 2 < len && hex(ptr[i + 1]) >= 0 && hex(ptr[i + 2]) >= 0) {
            out[used++] = (char)(hex(ptr[i + 1]) * 16 + hex(ptr[i + 2]));
            i += 2;
        } else {
            out[used++] = ptr[i];
        }
    }
    if (out) {
        out[used] = '\0';
    }
    return out;
}

static bool wrong(struct error *e, const char *what) {
    return error_set(e, ERROR_ARGUMENT,
                     "url: %s; expected redis://[user:password@]host[:port][/db] or "
                     "unix://[user:password@]/path/of/the/socket[?db=N]",
                     what);
}

static bool parse_db(struct redis_address *address, const char *text, struct error *e) {
    char *end;
    unsigned long db = strtoul(text, &end, 10);
    if (*text < '0' || *text > '9' || *end || db > 1000000) {
        return wrong(e, "the number of the database is wrong");
    }
    address->db = (unsigned)db;
    return true;
}

static bool memory(struct error *e) {
    return error_set(e, ERROR_MEMORY, "out of memory for a Redis URL");
}

/* "user:password", "user" or ":password". */
static bool parse_login(struct redis_address *address, const char *at, size_t len, struct error *e) {
    const char *colon = memchr(at, ':', len);
    size_t user = colon ? (size_t)(colon - at) : len;
    if (user > 0 && !(address->user = decode(at, user))) {
        return memory(e);
    }
    if (!colon) {
        return user == 0 || wrong(e, "a user without a password");
    }
    address->password = decode(colon + 1, len - user - 1);
    return address->password || memory(e);
}

static bool parse_host(struct redis_address *address, const char *at, size_t len, struct error *e) {
    const char *end = at + len;
    const char *host_end;
    if (len > 0 && *at == '[') {
        at++;
        host_end = memchr(at, ']', (size_t)(end - at));
        if (!host_end) {
            return wrong(e, "\"]\" is missing behind the host");
        }
        len = (size_t)(host_end - at);
        host_end++;
    } else {
        host_end = memchr(at, ':', len);
        host_end = host_end ? host_end : end;
        len = (size_t)(host_end - at);
    }
    snprintf(address->port, sizeof address->port, "6379");
    if (host_end < end) {
        size_t digits = (size_t)(end - host_end) - 1;
        if (*host_end != ':' || digits == 0 || digits > 5 || strspn(host_end + 1, "0123456789") < digits) {
            return wrong(e, "the port is wrong");
        }
        memcpy(address->port, host_end + 1, digits);
        address->port[digits] = '\0';
    }
    if (len == 0) {
        return wrong(e, "the host is missing");
    }
    address->host = decode(at, len);
    return address->host || memory(e);
}

static bool parse_path(struct redis_address *address, const char *at, struct error *e) {
    size_t len = strcspn(at, "?");
    if (len < 2) {
        return wrong(e, "the path of the socket is missing");
    }
    if (!(address->path = decode(at, len))) {
        return memory(e);
    }
    if (at[len] == '\0') {
        return true;
    }
    if (strncmp(at + len, "?db=", 4) != 0) {
        return wrong(e, "behind the socket's path only ?db=N may stand");
    }
    return parse_db(address, at + len + 4, e);
}

bool redis_address_parse(struct redis_address *address, const char *url, struct error *e) {
    *address = (struct redis_address){0};
    bool is_unix = strncmp(url, "unix://", 7) == 0;
    if (strncmp(url, "rediss://", 9) == 0) {
        return error_set(
            e, ERROR_ARGUMENT,
            "url: TLS (rediss://) is not supported; use redis:// through a tunnel (stunnel, ssh)");
    }
    if (!is_unix && strncmp(url, "redis://", 8) != 0) {
        return wrong(e, "it begins neither with redis:// nor with unix://");
    }
    const char *at = url + (is_unix ? 7 : 8);
    size_t authority = strcspn(at, "/?#");
    const char *login_end = memrchr(at, '@', authority);
    if (login_end) {
        if (!parse_login(address, at, (size_t)(login_end - at), e)) {
            return false;
        }
        authority -= (size_t)(login_end - at) + 1;
        at = login_end + 1;
    }
    if (is_unix) {
        return authority ? wrong(e, "a socket's path begins with \"/\"") : parse_path(address, at, e);
    }
    const char *rest = at + authority;
    if (!parse_host(address, at, authority, e)) {
        return false;
    }
    if (*rest == '\0' || strcmp(rest, "/") == 0) {
        return true;
    }
    return *rest == '/' ? parse_db(address, rest + 1, e) : wrong(e, "it has a query");
}

void redis_address_free(struct redis_address *address) {
    free(address->host);
    free(address->path);
    free(address->user);
    free(address->password);
    *address = (struct redis_address){0};
}
