#include "sink/mysql/address.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/slice.h"

static int hex_value(char c) {
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    char low = (char)(c | 0x20);
    return low >= 'a' && low <= 'f' ? low - 'a' + 10 : -1;
}

/* What percent-encoded text stands for; NULL: it is none (or has a NUL), or memory is short. */
static char *decode(struct slice text) {
    char *out = malloc(text.len + 1);
    size_t len = 0;
    for (size_t i = 0; out && i < text.len; i++) {
        char c = text.ptr[i];
        if (c == '%') {
            int high = i + 2 < text.len ? hex_value(text.ptr[i + 1]) : -1;
            int low = i + 2 < text.len ? hex_value(text.ptr[i + 2]) : -1;
            if (high < 0 || low < 0 || high + low == 0) {
                free(out);
                return NULL;
            }
            c = (char)(high * 16 + low);
            i += 2;
        }
        out[len++] = c;
    }
    if (out) {
        out[len] = '\0';
    }
    return out;
}

/* Up to the first of the marks, and behind it. */
static struct slice take(const char **at, const char *marks) {
    size_t len = strcspn(*at, marks);
    struct slice part = slice_of(*at, len);
    *at += len;
    return part;
}

static bool set(char **to, struct slice text) {
    free(*to);
    *to = decode(text);
    return *to;
}

static bool parse_user(struct my_address *address, struct slice user) {
    const char *colon = memchr(user.ptr, ':', user.len);
    size_t len = colon ? (size_t)(colon - user.ptr) : user.len;
    return set(&address->user, slice_of(user.ptr, len)) &&
           (!colon || set(&address->password, slice_of(colon + 1, user.len - len - 1)));
}

static bool parse_port(struct my_address *address, struct slice port) {
    unsigned number = 0;
    for (size_t i = 0; i < port.len; i++) {
        if (port.ptr[i] < '0' || port.ptr[i] > '9' || number > UINT16_MAX) {
            return false;
        }
        number = number * 10 + (unsigned)(port.ptr[i] - '0');
    }
    address->port = number;
    return port.len > 0 && number > 0 && number <= UINT16_MAX;
}

static bool parse_host(struct my_address *address, struct slice host) {
    const char *colon;
    if (host.len > 0 && host.ptr[0] == '[') {
        const char *close = memchr(host.ptr, ']', host.len);
        if (!close || !set(&address->host, slice_of(host.ptr + 1, (size_t)(close - host.ptr) - 1))) {
            return false;
        }
        colon = close + 1 < host.ptr + host.len ? close + 1 : NULL;
        if (colon && *colon != ':') {
            return false;
        }
    } else {
        colon = memchr(host.ptr, ':', host.len);
        size_t len = colon ? (size_t)(colon - host.ptr) : host.len;
        if (len > 0 && !set(&address->host, slice_of(host.ptr, len))) {
            return false;
        }
    }
    return !colon || parse_port(address, slice_of(colon + 1, (size_t)(host.ptr + host.len - colon) - 1));
}

static bool parse_option(struct my_address *address, struct slice name, struct slice value) {
    static const char *const modes[] = {[MY_TLS_OFF] = "off", [MY_TLS_ON] = "on", [MY_TLS_VERIFY] = "verify"};
    if (slice_is(name, "socket")) {
        return value.len > 0 && set(&address->socket, value);
    }
    if (slice_is(name, "ca")) {
        address->tls = MY_TLS_VERIFY;
        return value.len > 0 && set(&address->ca, value);
    }
    for (size_t i = 0; slice_is(name, "tls") && i < sizeof modes / sizeof *modes; i++) {
        if (slice_is(value, modes[i])) {
            address->tls = (enum my_tls)i;
            return true;
        }
    }
    return false;
}

static bool parse_options(struct my_address *address, const char *at) {
    while (*at) {
        struct slice name = take(&at, "=&");
        if (*at != '=') {
            return false;
        }
        at++;
        struct slice value = take(&at, "&");
        if (!parse_option(address, name, value)) {
            return false;
        }
        at += *at == '&';
    }
    return true;
}

static bool parse(struct my_address *address, const char *at) {
    struct slice authority = take(&at, "/?#");
    const char *sign = NULL;
    for (size_t i = 0; i < authority.len; i++) {
        sign = authority.ptr[i] == '@' ? authority.ptr + i : sign;
    }
    struct slice host = authority;
    if (sign) {
        size_t len = (size_t)(sign - authority.ptr);
        host = slice_of(sign + 1, authority.len - len - 1);
        if (!parse_user(address, slice_of(authority.ptr, len))) {
            return false;
        }
    }
    if (!parse_host(address, host) || *at != '/') {
        return false;
    }
    at++;
    struct slice database = take(&at, "?#/");
    return database.len > 0 && set(&address->database, database) &&
           (!*at || (*at == '?' && parse_options(address, at + 1)));
}

bool my_address_parse(struct my_address *address, const char *url, struct error *e) {
    static const char *const schemes[] = {"mysql://", "mariadb://"};
    *address = (struct my_address){0};
    for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++) {
        size_t len = strlen(schemes[i]);
        if (strncmp(url, schemes[i], len) == 0 && parse(address, url + len)) {
            return true;
        }
    }
    my_address_free(address);
    return error_set(
        e, ERROR_ARGUMENT,
        "setting url: expected mysql://user:password@host:port/database, with ?socket=PATH, tls=off, on or "
        "verify, ca=FILE (special characters as %%XX)");
}

void my_address_free(struct my_address *address) {
    free(address->user);
    free(address->password);
    free(address->host);
    free(address->database);
    free(address->socket);
    free(address->ca);
    *address = (struct my_address){0};
}
