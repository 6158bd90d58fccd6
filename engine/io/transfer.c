#include "io/transfer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/buf.h"
#include "io/head.h"
#include "io/url.h"

enum {
    CONNECT_MS = 10 * 1000,
    REDIRECTS_MAX = 5,
    LARGE_BYTES = 64 * 1024, /* also what a paused transfer may hold back, before decoding */
    SMALL_BYTES = 2 * 1024,
};

static bool has_line_end(struct slice s) {
    return s.len && (memchr(s.ptr, '\r', s.len) || memchr(s.ptr, '\n', s.len) || memchr(s.ptr, '\0', s.len));
}

static bool add_line(struct transfer *t, const char *line) {
    struct curl_slist *more = curl_slist_append(t->fields, line);
    if (more) {
        t->fields = more;
    }
    return more != NULL;
}

/* curl takes "Name: value", and "Name;" for an empty value ("Name:" removes the field). */
static bool add_field(struct transfer *t, const struct http_field *field, struct error *e) {
    if (field->name.len == 0 || has_line_end(field->name) || memchr(field->name.ptr, ':', field->name.len)) {
        return error_set(e, ERROR_ARGUMENT, "\"%.*s\" is not a header name", (int)field->name.len,
                         field->name.ptr ? field->name.ptr : "");
    }
    if (has_line_end(field->value)) {
        return error_set(e, ERROR_ARGUMENT, "the value of header %.*s holds a line end or a NUL",
                         (int)field->name.len, field->name.ptr);
    }
    struct buf line;
    buf_init(&line, HEAD_BYTES_MAX);
    bool ok = buf_append_slice(&line, field->name) && buf_append_text(&line, field->value.len ? ": " : ";") &&
              buf_append_slice(&line, field->value) && buf_append_byte(&line, '\0');
    if (!ok) {
        buf_error(&line, e, "a request header", "shorten it");
    } else if (!add_line(t, line.ptr)) {
        ok = error_set(e, ERROR_MEMORY, "out of memory for a request");
    }
    buf_free(&line);
    return ok;
}

static bool set_fields(struct transfer *t, const struct http_options *o, struct error *e) {
    bool typed = false;
    for (size_t i = 0; i < o->field_count; i++) {
        if (!add_field(t, &o->fields[i], e)) {
            return false;
        }
        struct http_response one = {.fields = &o->fields[i], .field_count = 1};
        typed = typed || http_field(&one, "Content-Type").ptr;
    }
    /* No wait for "100 Continue", and no invented content type. */
    if (!add_line(t, "Expect:") || (!typed && !add_line(t, "Content-Type:"))) {
        return error_set(e, ERROR_MEMORY, "out of memory for a request");
    }
    curl_easy_setopt(t->easy, CURLOPT_HTTPHEADER, t->fields);
    return true;
}

static bool set_method(struct transfer *t, const struct http_options *o, struct error *e) {
    if (strcmp(o->method, "HEAD") == 0) {
        curl_easy_setopt(t->easy, CURLOPT_NOBODY, 1L);
        return true;
    }
    if (o->body.ptr) {
        t->body = malloc(o->body.len ? o->body.len : 1);
        if (!t->body) {
            return error_set(e, ERROR_MEMORY, "out of memory for a request of %zu bytes", o->body.len);
        }
        memcpy(t->body, o->body.ptr, o->body.len);
    }
    bool sends = o->body.ptr || strcmp(o->method, "POST") == 0 || strcmp(o->method, "PUT") == 0;
    if (sends) {
        curl_easy_setopt(t->easy, CURLOPT_POST, 1L);
        curl_easy_setopt(t->easy, CURLOPT_POSTFIELDS, t->body ? t->body : "");
        curl_easy_setopt(t->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)o->body.len);
    }
    if (strcmp(o->method, sends ? "POST" : "GET") != 0) {
        curl_easy_setopt(t->easy, CURLOPT_CUSTOMREQUEST, o->method);
    }
    return true;
}

static void set_transport(struct transfer *t, const struct http_options *o) {
    CURL *easy = t->easy;
    bool plain = o->plain || url_is_loopback(o->url);
    curl_easy_setopt(easy, CURLOPT_URL, o->url);
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS);
    curl_easy_setopt(easy, CURLOPT_ACCEPT_ENCODING, plain ? "identity" : "gzip, deflate");
    curl_easy_setopt(easy, CURLOPT_USERAGENT, "weir");
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_TCP_NODELAY, 1L);
    curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, (long)(o->size == HTTP_SMALL ? SMALL_BYTES : LARGE_BYTES));
    curl_easy_setopt(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    uint64_t connect_ms = o->connect_timeout_ms ? o->connect_timeout_ms : CONNECT_MS;
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)connect_ms);
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)o->total_timeout_ms);
    if (t->ca_file) {
        curl_easy_setopt(easy, CURLOPT_CAINFO, t->ca_file);
    }
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, t->error);
}

bool transfer_init(struct transfer *t, const struct http_options *o, struct error *e) {
    char url[TRANSFER_NAME];
    *t = (struct transfer){0};
    url_redact(o->url, url, sizeof url);
    snprintf(t->name, sizeof t->name, "%.16s %.480s", o->method, url);
    t->easy = curl_easy_init();
    t->ca_file = o->ca_file ? strdup(o->ca_file) : NULL;
    if (!t->easy || (o->ca_file && !t->ca_file)) {
        return error_set(e, ERROR_MEMORY, "out of memory for a request");
    }
    set_transport(t, o);
    return set_method(t, o, e) && set_fields(t, o, e);
}

/* ---- redirects ---- */

/* "scheme://host:port", without user and password in *host. */
static void split_origin(const char *url, struct slice *scheme, struct slice *host) {
    const char *mark = strstr(url, "://");
    const char *start = mark ? mark + 3 : url;
    size_t len = strcspn(start, "/?#");
    const char *at = memrchr(start, '@', len);
    *scheme = slice_of(url, mark ? (size_t)(mark - url) : 0);
    *host = at ? slice_of(at + 1, len - (size_t)(at + 1 - start)) : slice_of(start, len);
}

static bool same_text(struct slice a, struct slice b) {
    return a.len == b.len && strncasecmp(a.ptr, b.ptr, a.len) == 0;
}

static bool same_origin(const char *a, const char *b) {
    struct slice schemes[2];
    struct slice hosts[2];
    split_origin(a, &schemes[0], &hosts[0]);
    split_origin(b, &schemes[1], &hosts[1]);
    return same_text(schemes[0], schemes[1]) && same_text(hosts[0], hosts[1]);
}

/* Fields that say what is wanted, not who wants it. */
static bool is_public(const char *line) {
    static const char *const names[] = {"Accept", "Content-Type", "Expect", "If-None-Match"};
    size_t len = strcspn(line, ":;");
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (same_text(slice_of(line, len), slice_from(names[i]))) {
            return true;
        }
    }
    return strncasecmp(line, "Stream-", 7) == 0 || strncasecmp(line, "Producer-", 9) == 0;
}

static bool drop_private(struct transfer *t, struct error *e) {
    struct curl_slist *all = t->fields;
    bool ok = true;
    t->fields = NULL;
    for (const struct curl_slist *at = all; at && ok; at = at->next) {
        ok = !is_public(at->data) || add_line(t, at->data);
    }
    curl_slist_free_all(all);
    curl_easy_setopt(t->easy, CURLOPT_HTTPHEADER, t->fields);
    return ok || error_set(e, ERROR_MEMORY, "out of memory for a request");
}

bool transfer_redirect(struct transfer *t, struct error *e) {
    char *to = NULL;
    char *from = NULL;
    char shown[256];
    curl_easy_getinfo(t->easy, CURLINFO_REDIRECT_URL, &to);
    curl_easy_getinfo(t->easy, CURLINFO_EFFECTIVE_URL, &from);
    if (++t->redirects > REDIRECTS_MAX) {
        return error_set(e, ERROR_HTTP, "%s: more than %d redirects", t->name, REDIRECTS_MAX);
    }
    if (!to || !from || (strncasecmp(to, "http://", 7) != 0 && strncasecmp(to, "https://", 8) != 0)) {
        url_redact(to ? to : "", shown, sizeof shown);
        return error_set(e, ERROR_ARGUMENT, "%s: redirected to \"%s\": expected an http or https URL",
                         t->name, shown);
    }
    if (!same_origin(from, to) && !drop_private(t, e)) {
        return false;
    }
    return curl_easy_setopt(t->easy, CURLOPT_URL, to) == CURLE_OK ||
           error_set(e, ERROR_MEMORY, "out of memory for a request");
}

void transfer_free(struct transfer *t) {
    curl_easy_cleanup(t->easy);
    curl_slist_free_all(t->fields);
    free(t->body);
    free(t->ca_file);
    *t = (struct transfer){0};
}

static enum error_code code_of(CURLcode rc) {
    switch (rc) {
    case CURLE_OPERATION_TIMEDOUT:
        return ERROR_TIMEOUT;
    case CURLE_OUT_OF_MEMORY:
        return ERROR_MEMORY;
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_BAD_FUNCTION_ARGUMENT:
    case CURLE_SSL_CACERT_BADFILE:
        return ERROR_ARGUMENT;
    default:
        return ERROR_NETWORK;
    }
}

/* What curl and OpenSSL say of a server that speaks another protocol is about theirs. */
static const char *hint_of(CURLcode rc, const char *why) {
    if (rc == CURLE_SSL_CONNECT_ERROR && strstr(why, "wrong version number")) {
        return ": no TLS is spoken there; is the URL an http:// one?";
    }
    return rc == CURLE_UNSUPPORTED_PROTOCOL && strstr(why, "HTTP/0.9") ? ": no HTTP is spoken there" : "";
}

void transfer_error(const struct transfer *t, CURLcode rc, struct error *e) {
    const char *why = t->error[0] ? t->error : curl_easy_strerror(rc);
    error_set(e, code_of(rc), "%s: %s%s", t->name, why, hint_of(rc, why));
}
