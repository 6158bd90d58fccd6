/* io/head.h: the head of an HTTP answer, line by line, against a plain reading of the same lines.
 *
 * The whole input is the head; lines end with LF. */
#include <strings.h>

#include "fuzz.h"
#include "io/head.h"

struct field {
    struct buf name, value;
};

/* What was read plainly: fields of the latest answer. */
struct plain {
    int status;
    bool whole;
    struct field fields[HEAD_FIELDS_MAX];
    size_t count;
};

static struct slice trim(struct slice text) {
    while (text.len && memchr(" \t\r\n", text.ptr[0], 4)) {
        text = slice_of(text.ptr + 1, text.len - 1);
    }
    while (text.len && memchr(" \t\r\n", text.ptr[text.len - 1], 4)) {
        text.len--;
    }
    return text;
}

static void forget(struct plain *plain) {
    for (size_t i = 0; i < plain->count; i++) {
        buf_free(&plain->fields[i].name);
        buf_free(&plain->fields[i].value);
    }
    plain->count = 0;
    plain->status = 0;
    plain->whole = false;
}

static int status_of(struct slice line) {
    size_t i = 0;
    int status = 0;
    while (i < line.len && line.ptr[i] != ' ') {
        i++;
    }
    while (i < line.len && line.ptr[i] == ' ') {
        i++;
    }
    for (size_t from = i; i < line.len && i < from + 3 && line.ptr[i] >= '0' && line.ptr[i] <= '9'; i++) {
        status = status * 10 + line.ptr[i] - '0';
    }
    return status;
}

static void take(struct plain *plain, struct slice line) {
    if (trim(line).len == 0) {
        plain->whole = true;
        return;
    }
    if (line.len >= 5 && memcmp(line.ptr, "HTTP/", 5) == 0) {
        forget(plain);
        plain->status = status_of(line);
        return;
    }
    if (line.ptr[0] == ' ' || line.ptr[0] == '\t') {
        if (plain->count) {
            struct buf *value = &plain->fields[plain->count - 1].value;
            buf_append_byte(value, ' ');
            buf_append_slice(value, trim(line));
        }
        return;
    }
    const char *colon = memchr(line.ptr, ':', line.len);
    if (colon && plain->count < HEAD_FIELDS_MAX) {
        struct field *field = &plain->fields[plain->count++];
        buf_init(&field->name, HEAD_BYTES_MAX);
        buf_init(&field->value, HEAD_BYTES_MAX);
        buf_append_slice(&field->name, trim(slice_of(line.ptr, (size_t)(colon - line.ptr))));
        buf_append_slice(&field->value, trim(slice_of(colon + 1, line.len - (size_t)(colon + 1 - line.ptr))));
    }
}

static void check_same(struct head *head, const struct plain *plain) {
    struct http_response response;
    struct error e = {0};
    FUZZ_CHECK(head_response(head, &response, &e), "%s", e.message);
    FUZZ_CHECK(response.status == plain->status && head->whole == plain->whole, "status %d, expected %d",
               response.status, plain->status);
    FUZZ_CHECK(response.field_count == plain->count, "%zu fields, expected %zu", response.field_count,
               plain->count);
    for (size_t i = 0; i < plain->count; i++) {
        struct slice name = response.fields[i].name;
        struct slice value = response.fields[i].value;
        FUZZ_CHECK(slice_equal(name, buf_slice(&plain->fields[i].name)), "name %.*s", (int)name.len,
                   name.ptr);
        FUZZ_CHECK(slice_equal(value, buf_slice(&plain->fields[i].value)), "value %.*s", (int)value.len,
                   value.ptr);
    }
    (void)http_field(&response, "stream-next-offset");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct plain plain;
    struct fuzz_input input = fuzz_open(data, size);
    struct slice text = fuzz_rest(&input);
    const char *end = text.ptr + text.len;
    struct head head;
    bool ok = true;
    head_init(&head);
    for (const char *at = text.ptr; ok && at < end;) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        stop = stop ? stop + 1 : end;
        struct slice line = fuzz_copy(slice_of(at, (size_t)(stop - at)));
        struct error e = {0};
        ok = head_line(&head, line.ptr, line.len, &e);
        FUZZ_CHECK(ok || e.code == ERROR_LIMIT, "%s: %s", error_name(e.code), e.message);
        if (ok) {
            take(&plain, line);
        }
        fuzz_drop(line);
        at = stop;
    }
    if (ok) {
        check_same(&head, &plain);
    }
    forget(&plain);
    head_free(&head);
    return 0;
}
