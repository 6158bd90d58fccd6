#include "io/head.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* The text holds "name:value\n" for each field: no name holds a colon, and neither holds a line end. */

void head_init(struct head *head) {
    *head = (struct head){0};
    buf_init(&head->text, HEAD_BYTES_MAX);
}

void head_free(struct head *head) {
    buf_free(&head->text);
    free(head->fields);
    head->fields = NULL;
}

static bool is_space(char c) {
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static struct slice trim(struct slice s) {
    while (s.len && is_space(s.ptr[0])) {
        s.ptr++;
        s.len--;
    }
    while (s.len && is_space(s.ptr[s.len - 1])) {
        s.len--;
    }
    return s;
}

static bool full(const struct head *head, struct error *e) {
    if (head->lines >= HEAD_FIELDS_MAX) {
        return error_set(e, ERROR_LIMIT, "the answer's head has more than %d fields", HEAD_FIELDS_MAX);
    }
    if (head->text.cap >= HEAD_BYTES_MAX / 2) {
        return error_set(e, ERROR_LIMIT, "the answer's head is longer than %d KB", HEAD_BYTES_MAX / 1024);
    }
    return error_set(e, ERROR_MEMORY, "out of memory for the head of an answer");
}

static void start(struct head *head, struct slice line) {
    buf_clear(&head->text);
    head->lines = 0;
    head->status = 0;
    head->whole = false;
    const char *space = memchr(line.ptr, ' ', line.len);
    const char *end = line.ptr + line.len;
    for (; space && space < end && *space == ' '; space++) {
    }
    for (int digits = 0; space && space < end && digits < 3 && *space >= '0' && *space <= '9'; digits++) {
        head->status = head->status * 10 + (*space++ - '0');
    }
}

/* An obsolete folded line: it goes on the value of the field before. */
static bool extend(struct head *head, struct slice line, struct error *e) {
    if (head->lines == 0) {
        return true;
    }
    head->text.len--;
    bool ok = buf_append_byte(&head->text, ' ') && buf_append_slice(&head->text, trim(line)) &&
              buf_append_byte(&head->text, '\n');
    return ok || full(head, e);
}

bool head_line(struct head *head, const char *ptr, size_t len, struct error *e) {
    struct slice line = slice_of(ptr, len);
    if (trim(line).len == 0) {
        head->whole = true;
        return true;
    }
    if (len >= 5 && memcmp(ptr, "HTTP/", 5) == 0) {
        start(head, line);
        return true;
    }
    if (*ptr == ' ' || *ptr == '\t') {
        return extend(head, line, e);
    }
    const char *colon = memchr(ptr, ':', len);
    if (!colon) {
        return true; /* not a field: ignored */
    }
    struct slice name = trim(slice_of(ptr, (size_t)(colon - ptr)));
    struct slice value = trim(slice_of(colon + 1, len - (size_t)(colon + 1 - ptr)));
    bool ok = head->lines < HEAD_FIELDS_MAX && buf_append_slice(&head->text, name) &&
              buf_append_byte(&head->text, ':') && buf_append_slice(&head->text, value) &&
              buf_append_byte(&head->text, '\n');
    head->lines += ok;
    return ok || full(head, e);
}

bool head_response(struct head *head, struct http_response *response, struct error *e) {
    *response = (struct http_response){.status = head->status};
    if (head->lines == 0) {
        return true;
    }
    struct http_field *fields = realloc(head->fields, head->lines * sizeof *fields);
    if (!fields) {
        return error_set(e, ERROR_MEMORY, "out of memory for the head of an answer");
    }
    head->fields = fields;
    const char *at = head->text.ptr;
    const char *end = at + head->text.len;
    size_t count = 0;
    while (count < head->lines && at < end) {
        const char *line_end = memchr(at, '\n', (size_t)(end - at));
        const char *colon = memchr(at, ':', (size_t)(end - at));
        if (!line_end || !colon || colon > line_end) {
            break;
        }
        fields[count].name = slice_of(at, (size_t)(colon - at));
        fields[count].value = slice_of(colon + 1, (size_t)(line_end - colon - 1));
        count++;
        at = line_end + 1;
    }
    response->fields = fields;
    response->field_count = count;
    return true;
}

struct slice http_field(const struct http_response *response, const char *name) {
    size_t len = strlen(name);
    for (size_t i = 0; i < response->field_count; i++) {
        struct slice have = response->fields[i].name;
        if (have.len == len && strncasecmp(have.ptr, name, len) == 0) {
            return response->fields[i].value;
        }
    }
    return (struct slice){0};
}
