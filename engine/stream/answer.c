#include "stream/answer.h"

#include <string.h>
#include <strings.h>

enum { SHOWN_MAX = 200 };

bool answer_is_success(int status) {
    return status >= 200 && status < 300;
}

bool answer_may_change(int status) {
    return status == 429 || (status >= 500 && status != 501 && status != 505);
}

static enum error_code code_of(int status) {
    switch (status) {
    case 404:
        return ERROR_NOT_FOUND;
    case 409:
        return ERROR_CONFLICT;
    case 410:
        return ERROR_GONE;
    default:
        return ERROR_HTTP;
    }
}

static const char *meaning_of(int status) {
    switch (status) {
    case 400:
        return "the request was refused";
    case 401:
        return "it asks for credentials: give an Authorization header";
    case 403:
        return "the credentials do not allow this";
    case 404:
        return "there is no such stream";
    case 405:
    case 501:
        return "the server does not do this";
    case 409:
        return "conflict";
    case 410:
        return "the stream, or this offset of it, is gone";
    case 413:
        return "too large for the server";
    case 429:
        return "too many requests";
    default:
        return status >= 500 ? "the server failed" : "an unexpected answer";
    }
}

bool answer_error(int status, struct slice body, struct error *e) {
    size_t len = 0;
    while (len < body.len && len < SHOWN_MAX && body.ptr[len] != '\n' && body.ptr[len] != '\r') {
        len++;
    }
    const char *meaning = meaning_of(status);
    if (len == strlen(meaning) && memcmp(body.ptr, meaning, len) == 0) {
        len = 0; /* the server says the same */
    }
    error_set(e, code_of(status), "%d: %s%s%.*s", status, meaning, len ? ": " : "", (int)len,
              len ? body.ptr : "");
    if (e) {
        e->status = status;
    }
    return false;
}

/* The media type without its parameters. */
static bool is_type(struct slice field, const char *type) {
    size_t len = strlen(type);
    return field.len >= len && strncasecmp(field.ptr, type, len) == 0 &&
           (field.len == len || strchr("; \t", field.ptr[len]));
}

/* How the data events of SSE are to be read; they do not tell the stream's own content type. */
static enum answer check_encoding(const struct http_response *response, struct answer_form *form,
                                  struct error *e) {
    struct slice encoding = http_field(response, "Stream-SSE-Data-Encoding");
    form->base64 = encoding.ptr != NULL;
    if (!encoding.ptr) {
        form->format = form->format != SOURCE_AUTO ? form->format
                       : form->any_type            ? SOURCE_BYTES
                                                   : SOURCE_ARRAY;
        return ANSWER_BODY;
    }
    if (!form->any_type) {
        error_set(e, ERROR_HTTP,
                  "the stream's content is binary (%.*s in SSE): expected a stream of application/json",
                  (int)encoding.len, encoding.ptr);
        return ANSWER_NO;
    }
    if (encoding.len != strlen("base64") || strncasecmp(encoding.ptr, "base64", encoding.len) != 0) {
        error_set(e, ERROR_HTTP, "its SSE data is encoded as %.*s: expected base64", (int)encoding.len,
                  encoding.ptr);
        return ANSWER_NO;
    }
    form->format = SOURCE_BYTES;
    return ANSWER_BODY;
}

static enum answer check_type(const struct http_response *response, struct answer_form *form,
                              struct error *e) {
    struct slice type = http_field(response, "Content-Type");
    if (form->sse && is_type(type, "text/event-stream")) {
        return check_encoding(response, form, e);
    }
    bool json = is_type(type, "application/json");
    if (!form->sse && (json || form->any_type)) {
        form->format = json && form->format != SOURCE_BYTES ? SOURCE_ARRAY : SOURCE_BYTES;
        return ANSWER_BODY;
    }
    if (is_type(type, "application/x-ndjson") || is_type(type, "application/ndjson")) {
        error_set(e, ERROR_HTTP,
                  "answered %.*s: streams of lines are not read yet, expected application/json",
                  (int)type.len, type.ptr);
        return ANSWER_NO;
    }
    error_set(e, ERROR_HTTP, "answered %.*s: expected %s; is this the URL of a stream?",
              type.ptr ? (int)type.len : 15, type.ptr ? type.ptr : "no content type",
              form->sse ? "text/event-stream" : "application/json");
    return form->sse ? ANSWER_NO_SSE : ANSWER_NO;
}

enum answer answer_of_read(const struct http_response *response, struct answer_form *form, struct error *e) {
    int status = response->status;
    if (status == 200) {
        return check_type(response, form, e);
    }
    if (status == 204) {
        return ANSWER_NOTHING;
    }
    if (status == 304) {
        return ANSWER_SAME;
    }
    answer_error(status, (struct slice){0}, e);
    if (answer_may_change(status)) {
        return ANSWER_RETRY;
    }
    bool unsupported = status == 400 || status == 405 || status == 406 || status == 415 || status == 501;
    return form->sse && unsupported ? ANSWER_NO_SSE : ANSWER_NO;
}
