#include "server/parser.h"

#include <llhttp.h>
#include <stdlib.h>
#include <strings.h>

enum { EXTENSIONS_MAX = 4096 };

enum place { IN_HEAD, IN_BODY, AT_END };

struct parser {
    llhttp_t http;
    llhttp_settings_t settings;
    struct request *request;
    enum place place;
    size_t line;       /* where the head's last line begins */
    size_t checked;    /* bytes of the head that were looked at */
    size_t extensions; /* bytes of chunk extensions */
    unsigned fields;
    bool in_value;
    struct slice name, value; /* the field under way */
    struct error *e;          /* of the call under way */
};

static bool refuse(struct error *e, int status, const char *why) {
    error_set(e, ERROR_HTTP, "%s", why);
    e->status = status;
    return false;
}

/* ---- fields ---- */

static struct slice trimmed(struct slice s) {
    while (s.len && (s.ptr[0] == ' ' || s.ptr[0] == '\t')) {
        s = slice_of(s.ptr + 1, s.len - 1);
    }
    while (s.len && (s.ptr[s.len - 1] == ' ' || s.ptr[s.len - 1] == '\t')) {
        s.len--;
    }
    return s;
}

/* Fields that are lists may come in several lines. */
static bool may_repeat(enum request_field field) {
    return field == FIELD_IF_NONE_MATCH;
}

static bool field_done(struct parser *p) {
    if (!p->name.ptr) {
        return true;
    }
    enum request_field field = request_field_find(p->name);
    struct slice value = p->value.ptr ? trimmed(p->value) : slice_of(p->name.ptr + p->name.len, 0);
    p->name = slice_of(NULL, 0);
    p->value = slice_of(NULL, 0);
    p->in_value = false;
    if (++p->fields > REQUEST_FIELDS_MAX) {
        return refuse(p->e, 431, "more than 100 header fields");
    }
    if (field == FIELD_COUNT) {
        return true;
    }
    if (p->request->fields[field].ptr) {
        if (may_repeat(field)) {
            return true;
        }
        error_set(p->e, ERROR_HTTP, "the header field %s is there twice", request_field_name(field));
        p->e->status = 400;
        return false;
    }
    p->request->fields[field] = value;
    return true;
}

/* A span that comes in pieces is one run of bytes: all of it is in the head. */
static void span_add(struct slice *span, const char *at, size_t len) {
    if (span->ptr && span->ptr + span->len == at) {
        span->len += len;
    } else {
        *span = slice_of(at, len);
    }
}

static enum request_method method_of(unsigned method) {
    switch (method) {
    case HTTP_GET:
        return REQUEST_GET;
    case HTTP_HEAD:
        return REQUEST_HEAD;
    case HTTP_POST:
        return REQUEST_POST;
    case HTTP_PUT:
        return REQUEST_PUT;
    case HTTP_DELETE:
        return REQUEST_DELETE;
    case HTTP_OPTIONS:
        return REQUEST_OPTIONS;
    default:
        return REQUEST_OTHER;
    }
}

static int on_url(llhttp_t *http, const char *at, size_t len) {
    struct parser *p = http->data;
    p->request->method = method_of(http->method);
    span_add(&p->request->target, at, len);
    return 0;
}

static int on_field(llhttp_t *http, const char *at, size_t len) {
    struct parser *p = http->data;
    if (p->place != IN_HEAD) {
        refuse(p->e, 400, "trailer fields are not taken");
        return HPE_USER;
    }
    if (p->in_value && !field_done(p)) {
        return HPE_USER;
    }
    span_add(&p->name, at, len);
    return 0;
}

static int on_value(llhttp_t *http, const char *at, size_t len) {
    struct parser *p = http->data;
    if (p->place != IN_HEAD) {
        return HPE_USER;
    }
    p->in_value = true;
    span_add(&p->value, at, len);
    return 0;
}

static int on_value_complete(llhttp_t *http) {
    struct parser *p = http->data;
    p->in_value = true;
    return 0;
}

static int on_extension(llhttp_t *http, const char *at, size_t len) {
    struct parser *p = http->data;
    (void)at;
    p->extensions += len;
    if (p->extensions > EXTENSIONS_MAX) {
        refuse(p->e, 400, "more than 4096 bytes of chunk extensions");
        return HPE_USER;
    }
    return 0;
}

static int refuse_body(const struct parser *p, int status) {
    error_set(p->e, ERROR_HTTP, "the body is longer than %zu bytes (--max-body)", p->request->body.max);
    p->e->status = status;
    return HPE_USER;
}

/* A chunk says how long it is: what cannot be taken need not be waited for. */
static int on_chunk(llhttp_t *http) {
    struct parser *p = http->data;
    const struct buf *body = &p->request->body;
    return http->content_length > body->max - body->len ? refuse_body(p, 413) : 0;
}

static int on_body(llhttp_t *http, const char *at, size_t len) {
    struct parser *p = http->data;
    struct buf *body = &p->request->body;
    return buf_append(body, at, len) ? 0 : refuse_body(p, body->full ? 413 : 503);
}

static bool host_is_plain(struct slice host) {
    for (size_t i = 0; i < host.len; i++) {
        char c = host.ptr[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                     (c && strchr(".-_:[]", c));
        if (!plain) {
            return false;
        }
    }
    return host.len > 0;
}

static bool framing_is_plain(const struct parser *p) {
    const struct request *r = p->request;
    struct slice coding = r->fields[FIELD_TRANSFER_ENCODING];
    if (!coding.ptr) {
        return true;
    }
    if (r->has_length) {
        return refuse(p->e, 400, "Content-Length and Transfer-Encoding exclude each other");
    }
    if (r->http10) {
        return refuse(p->e, 400, "HTTP/1.0 has no Transfer-Encoding");
    }
    if (coding.len != 7 || strncasecmp(coding.ptr, "chunked", 7) != 0) {
        return refuse(p->e, 501, "no Transfer-Encoding but chunked is taken");
    }
    return true;
}

static bool head_is_plain(const struct parser *p) {
    const struct request *r = p->request;
    struct slice host = r->fields[FIELD_HOST];
    if (p->http.http_major != 1 || p->http.http_minor > 1) {
        return refuse(p->e, 505, "HTTP/1.1 and HTTP/1.0 are served, no other version");
    }
    if (!host.ptr && !r->http10) {
        return refuse(p->e, 400, "the header field Host is missing");
    }
    if (host.ptr && !host_is_plain(host)) {
        return refuse(p->e, 400, "the header field Host is not a host name");
    }
    return framing_is_plain(p);
}

static int on_head(llhttp_t *http) {
    struct parser *p = http->data;
    struct request *r = p->request;
    if (!field_done(p)) {
        return HPE_USER;
    }
    r->http10 = http->http_minor == 0;
    r->has_length = http->flags & F_CONTENT_LENGTH;
    r->length = r->has_length ? http->content_length : 0;
    r->has_body = r->length > 0 || (http->flags & F_CHUNKED);
    r->keep_alive = llhttp_should_keep_alive(http);
    if (!head_is_plain(p)) {
        return HPE_USER;
    }
    http->upgrade = 0; /* an offer that nobody has to take */
    p->place = IN_BODY;
    return 0;
}

static int on_end(llhttp_t *http) {
    struct parser *p = http->data;
    p->place = AT_END;
    return HPE_PAUSED;
}

/* ---- life ---- */

struct parser *parser_new(struct request *request) {
    struct parser *p = calloc(1, sizeof *p);
    if (!p) {
        return NULL;
    }
    llhttp_settings_init(&p->settings);
    p->settings.on_url = on_url;
    p->settings.on_header_field = on_field;
    p->settings.on_header_value = on_value;
    p->settings.on_header_value_complete = on_value_complete;
    p->settings.on_headers_complete = on_head;
    p->settings.on_chunk_extension_name = on_extension;
    p->settings.on_chunk_extension_value = on_extension;
    p->settings.on_chunk_header = on_chunk;
    p->settings.on_body = on_body;
    p->settings.on_message_complete = on_end;
    p->request = request;
    parser_reset(p);
    return p;
}

void parser_free(struct parser *parser) {
    free(parser);
}

void parser_reset(struct parser *p) {
    llhttp_init(&p->http, HTTP_REQUEST, &p->settings);
    p->http.data = p;
    p->place = IN_HEAD;
    p->line = 0;
    p->checked = 0;
    p->extensions = 0;
    p->fields = 0;
    p->in_value = false;
    p->name = slice_of(NULL, 0);
    p->value = slice_of(NULL, 0);
}

bool parser_begun(const struct parser *p) {
    return p->place != IN_HEAD || p->request->head.len > 0;
}

/* ---- the head, gathered ---- */

/* One line of the head, without its line end. */
static bool line_is_plain(const struct parser *p, struct slice line, bool first) {
    if (memchr(line.ptr, '\r', line.len)) {
        return refuse(p->e, 400, "a CR stands without its LF in the head");
    }
    if (memchr(line.ptr, '\0', line.len)) {
        return refuse(p->e, 400, "a NUL stands in the head");
    }
    if (first && memmem(line.ptr, line.len, "  ", 2)) {
        return refuse(p->e, 400, "two spaces stand together in the request line");
    }
    if (!first && line.len && line.ptr[0] == ':') {
        return refuse(p->e, 400, "a header field has no name");
    }
    if (!first && line.len && (line.ptr[0] == ' ' || line.ptr[0] == '\t')) {
        return refuse(p->e, 400, "a header field is folded over two lines");
    }
    return true;
}

/* Looks at what of the head is new. True with *whole: its blank line is there, *end behind it. */
static bool head_scan(struct parser *p, bool *whole, size_t *end) {
    const struct buf *head = &p->request->head;
    *whole = false;
    while (p->checked < head->len) {
        const char *lf = memchr(head->ptr + p->checked, '\n', head->len - p->checked);
        if (!lf) {
            p->checked = head->len;
            return true;
        }
        size_t at = (size_t)(lf - head->ptr);
        if (at == p->line || head->ptr[at - 1] != '\r') {
            return refuse(p->e, 400, "a line of the head ends without a CR");
        }
        struct slice line = slice_of(head->ptr + p->line, at - 1 - p->line);
        if (!line_is_plain(p, line, p->line == 0)) {
            return false;
        }
        p->line = at + 1;
        p->checked = at + 1;
        if (line.len == 0) {
            *whole = true;
            *end = at + 1;
            return true;
        }
    }
    return true;
}

static bool fail_llhttp(const struct parser *p, int code) {
    if (p->e->code != ERROR_NONE) {
        return false; /* a callback has said why */
    }
    const char *reason = llhttp_get_error_reason(&p->http);
    error_set(p->e, ERROR_HTTP, "this is not HTTP: %s", reason && *reason ? reason : llhttp_errno_name(code));
    p->e->status = 400;
    return false;
}

/* The head is whole: all of it at once, so that spans are slices of it. */
static bool head_parse(struct parser *p) {
    const struct buf *head = &p->request->head;
    int code = llhttp_execute(&p->http, head->ptr, head->len);
    if (code != HPE_OK && code != HPE_PAUSED) {
        return fail_llhttp(p, code);
    }
    if (p->place == IN_HEAD && p->http.method == HTTP_PRI) {
        return refuse(p->e, 505, "HTTP/2 is not served, HTTP/1.1 and HTTP/1.0 are");
    }
    if (p->place == IN_HEAD) {
        return refuse(p->e, 400, "this is not HTTP: the head has no end");
    }
    return true;
}

/* Line ends in front of a request are to be ignored (RFC 9112 section 2.2). */
static size_t leading_ends_of(struct slice bytes) {
    size_t at = 0;
    while (at + 1 < bytes.len && bytes.ptr[at] == '\r' && bytes.ptr[at + 1] == '\n') {
        at += 2;
    }
    return at;
}

static enum parser_step feed_head(struct parser *p, const char *ptr, size_t len, size_t *used) {
    struct buf *head = &p->request->head;
    size_t before = head->len;
    size_t skipped = before ? 0 : leading_ends_of(slice_of(ptr, len));
    size_t room = head->max - before;
    size_t taken = len - skipped < room ? len - skipped : room;
    bool whole;
    size_t end = 0;
    if (!buf_append(head, ptr + skipped, taken)) {
        refuse(p->e, 503, "out of memory");
        return PARSER_BAD;
    }
    *used = skipped + taken;
    bool plain = head_scan(p, &whole, &end);
    if (plain && whole && end == 2) { /* a line end in front that came in two pieces */
        buf_consume(head, end);
        p->line = 0;
        p->checked = 0;
        skipped = leading_ends_of(buf_slice(head));
        buf_consume(head, skipped);
        plain = head_scan(p, &whole, &end);
    }
    if (!plain) {
        return PARSER_BAD;
    }
    if (!whole) {
        if (head->len == head->max) {
            refuse(p->e, 431, "the head is longer than 32 KB");
            return PARSER_BAD;
        }
        return PARSER_MORE;
    }
    *used -= head->len - end;
    head->len = end;
    return head_parse(p) ? PARSER_HEAD : PARSER_BAD;
}

static enum parser_step feed_body(struct parser *p, const char *ptr, size_t len, size_t *used) {
    int code = llhttp_execute(&p->http, ptr, len);
    *used = len;
    if (p->place == AT_END) {
        *used = (size_t)(llhttp_get_error_pos(&p->http) - ptr);
        return PARSER_DONE;
    }
    if (code != HPE_OK) {
        fail_llhttp(p, code);
        return PARSER_BAD;
    }
    return PARSER_MORE;
}

enum parser_step parser_feed(struct parser *p, const char *ptr, size_t len, size_t *used, struct error *e) {
    p->e = e;
    e->code = ERROR_NONE;
    *used = 0;
    if (p->place == AT_END) {
        return PARSER_DONE;
    }
    if (len == 0) {
        return PARSER_MORE;
    }
    return p->place == IN_HEAD ? feed_head(p, ptr, len, used) : feed_body(p, ptr, len, used);
}
