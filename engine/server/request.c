#include "server/request.h"

#include <strings.h>

#include "server/target.h"

enum { BODY_KEPT = 64 * 1024, PARAM_NAME_MAX = 32 };

static const struct slice names[FIELD_COUNT] = {
    [FIELD_HOST] = SLICE_INIT("Host"),
    [FIELD_EXPECT] = SLICE_INIT("Expect"),
    [FIELD_AUTHORIZATION] = SLICE_INIT("Authorization"),
    [FIELD_CONTENT_TYPE] = SLICE_INIT("Content-Type"),
    [FIELD_CONTENT_ENCODING] = SLICE_INIT("Content-Encoding"),
    [FIELD_IF_NONE_MATCH] = SLICE_INIT("If-None-Match"),
    [FIELD_TRANSFER_ENCODING] = SLICE_INIT("Transfer-Encoding"),
    [FIELD_STREAM_SEQ] = SLICE_INIT("Stream-Seq"),
    [FIELD_STREAM_TTL] = SLICE_INIT("Stream-TTL"),
    [FIELD_STREAM_EXPIRES_AT] = SLICE_INIT("Stream-Expires-At"),
    [FIELD_STREAM_CLOSED] = SLICE_INIT("Stream-Closed"),
    [FIELD_STREAM_FORKED_FROM] = SLICE_INIT("Stream-Forked-From"),
    [FIELD_STREAM_FORK_OFFSET] = SLICE_INIT("Stream-Fork-Offset"),
    [FIELD_STREAM_FORK_SUB_OFFSET] = SLICE_INIT("Stream-Fork-Sub-Offset"),
    [FIELD_PRODUCER_ID] = SLICE_INIT("Producer-Id"),
    [FIELD_PRODUCER_EPOCH] = SLICE_INIT("Producer-Epoch"),
    [FIELD_PRODUCER_SEQ] = SLICE_INIT("Producer-Seq"),
};

void request_init(struct request *request, size_t body_max) {
    *request = (struct request){0};
    buf_init(&request->head, REQUEST_HEAD_MAX);
    buf_init(&request->path, REQUEST_PATH_MAX);
    buf_init(&request->body, body_max);
}

void request_free(struct request *request) {
    buf_free(&request->head);
    buf_free(&request->path);
    buf_free(&request->body);
}

void request_reset(struct request *request) {
    struct buf head = request->head;
    struct buf path = request->path;
    struct buf body = request->body;
    buf_clear(&head);
    buf_clear(&path);
    buf_clear(&body);
    buf_shrink(&body, BODY_KEPT);
    *request = (struct request){.head = head, .path = path, .body = body};
}

const char *request_method_name(enum request_method method) {
    static const char *const methods[] = {
        [REQUEST_GET] = "GET", [REQUEST_HEAD] = "HEAD",     [REQUEST_POST] = "POST",
        [REQUEST_PUT] = "PUT", [REQUEST_DELETE] = "DELETE", [REQUEST_OPTIONS] = "OPTIONS",
        [REQUEST_OTHER] = "-",
    };
    return methods[method];
}

enum request_field request_field_find(struct slice name) {
    for (unsigned field = 0; field < FIELD_COUNT; field++) {
        if (names[field].len == name.len && strncasecmp(names[field].ptr, name.ptr, name.len) == 0) {
            return (enum request_field)field;
        }
    }
    return FIELD_COUNT;
}

const char *request_field_name(enum request_field field) {
    return names[field].ptr;
}

bool request_field_true(const struct request *request, enum request_field field) {
    struct slice value = request->fields[field];
    return value.len == 4 && strncasecmp(value.ptr, "true", 4) == 0;
}

/* The next "name=value" of the query; false at its end. */
static bool next_param(struct slice *rest, struct slice *name, struct slice *value) {
    if (rest->len == 0) {
        return false;
    }
    const char *amp = memchr(rest->ptr, '&', rest->len);
    size_t len = amp ? (size_t)(amp - rest->ptr) : rest->len;
    const char *equals = memchr(rest->ptr, '=', len);
    size_t name_len = equals ? (size_t)(equals - rest->ptr) : len;
    *name = slice_of(rest->ptr, name_len);
    *value = equals ? slice_of(equals + 1, len - name_len - 1) : slice_of(rest->ptr + len, 0);
    size_t used = len + (amp ? 1 : 0);
    *rest = slice_of(rest->ptr + used, rest->len - used);
    return true;
}

/* Names may be percent-encoded as values are. */
static bool is_named(struct slice key, const char *name) {
    if (key.len == 0 || !memchr(key.ptr, '%', key.len)) {
        return slice_is(key, name);
    }
    struct buf plain;
    buf_init(&plain, PARAM_NAME_MAX);
    bool same = target_decode(&plain, key) && slice_is(buf_slice(&plain), name);
    buf_free(&plain);
    return same;
}

int request_param(const struct request *request, const char *name, struct buf *out) {
    struct slice rest = request->query;
    struct slice key;
    struct slice value;
    int count = 0;
    buf_clear(out);
    while (next_param(&rest, &key, &value)) {
        if (!is_named(key, name)) {
            continue;
        }
        if (count++ == 0 && !target_decode(out, value)) {
            return -1;
        }
    }
    return count;
}
