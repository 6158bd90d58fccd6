#include "cli/headers.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"

enum { VALUE_MAX = 64 * 1024 };

void headers_init(struct headers *headers) {
    *headers = (struct headers){0};
    fields_init(&headers->fields);
}

void headers_free(struct headers *headers) {
    fields_free(&headers->fields);
}

static struct slice trim(struct slice text) {
    while (text.len && strchr(" \t\r\n", text.ptr[0])) {
        text.ptr++;
        text.len--;
    }
    while (text.len && strchr(" \t\r\n", text.ptr[text.len - 1])) {
        text.len--;
    }
    return text;
}

static bool read_value(const char *path, struct buf *value, struct error *e) {
    FILE *file = fopen(path, "rbe");
    if (!file) {
        return error_set(e, ERROR_SYSTEM, "%s: cannot be opened: %s", path, strerror(errno));
    }
    char piece[4096];
    bool ok = true;
    for (size_t got; ok && (got = fread(piece, 1, sizeof piece, file)) > 0;) {
        ok = buf_append(value, piece, got);
    }
    if (!ok) {
        error_set(e, ERROR_LIMIT, "%s: is longer than the %d bytes that a header may have", path, VALUE_MAX);
    } else if (ferror(file)) {
        ok = error_set(e, ERROR_SYSTEM, "%s: cannot be read: %s", path, strerror(errno));
    }
    fclose(file);
    return ok;
}

static bool put_file(struct fields *fields, const char *text, const char *path, struct error *e) {
    struct buf buf;
    struct slice name = slice_of(text, strcspn(text, ":"));
    buf_init(&buf, VALUE_MAX);
    bool ok = read_value(path, &buf, e);
    struct slice value = trim(buf_slice(&buf));
    if (!ok) {
        error_context(e, "the header %.*s", (int)name.len, name.ptr);
    } else if (value.len == 0) {
        ok = error_set(e, ERROR_ARGUMENT, "the header %.*s: %s is empty", (int)name.len, name.ptr, path);
    } else if (memchr(value.ptr, '\n', value.len) || memchr(value.ptr, '\0', value.len)) {
        ok = error_set(e, ERROR_ARGUMENT, "the header %.*s: %s holds more than one line", (int)name.len,
                       name.ptr, path);
    }
    ok = ok && fields_header(fields, name, value, e);
    buf_free(&buf);
    return ok;
}

bool headers_refresh(void *user, struct fields *fields, struct error *e) {
    struct headers *headers = user;
    for (size_t i = 0; i < headers->file_count; i++) {
        if (!put_file(fields, headers->names[i], headers->paths[i], e)) {
            return false;
        }
    }
    return true;
}

/* The letters of a token, RFC 9110 section 5.6.2. */
static bool is_name(struct slice name) {
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!plain && (!c || !strchr("!#$%&'*+-.^_`|~", c))) {
            return false;
        }
    }
    return name.len > 0;
}

static bool add_file(struct headers *headers, const char *text, const char *path, struct error *e) {
    struct fields once;
    if (headers->file_count == HEADERS_FILES_MAX) {
        return error_set(e, ERROR_ARGUMENT, "more than %d headers from files", HEADERS_FILES_MAX);
    }
    fields_init(&once);
    bool ok = put_file(&once, text, path, e);
    fields_free(&once);
    headers->names[headers->file_count] = text;
    headers->paths[headers->file_count] = path;
    headers->file_count += ok;
    if (!ok && e->code == ERROR_ARGUMENT) {
        e->code = ERROR_SYNTAX; /* the file is wrong, not the command line */
    }
    return ok;
}

bool headers_add(struct headers *headers, const char *text, struct error *e) {
    const char *colon = strchr(text, ':');
    struct slice name = slice_of(text, colon ? (size_t)(colon - text) : 0);
    if (!colon || !is_name(name)) {
        return error_set(e, ERROR_ARGUMENT, "--header: expected 'Name: value' or 'Name: @FILE'");
    }
    struct slice value = trim(slice_from(colon + 1));
    if (memchr(value.ptr, '\n', value.len) || memchr(value.ptr, '\r', value.len)) {
        return error_set(e, ERROR_ARGUMENT, "--header: the value of %.*s holds a line end", (int)name.len,
                         name.ptr);
    }
    if (value.len && value.ptr[0] == '@') {
        return add_file(headers, text, value.ptr + 1, e);
    }
    return fields_header(&headers->fields, name, value, e);
}
