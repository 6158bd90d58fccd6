#include "server/messages.h"

#include <string.h>

#include "json/compact.h"
#include "json/scan.h"

struct walk {
    const char *at, *end;
    struct buf *out;
    bool lines; /* line ends are somewhere in the body */
    struct json_fault fault;
};

static bool has_line_end(const char *at, size_t len) {
    return memchr(at, '\n', len) || memchr(at, '\r', len);
}

static bool put(struct walk *walk, const char *start, size_t len) {
    bool done = walk->lines && has_line_end(start, len) ? json_compact(walk->out, slice_of(start, len))
                                                        : buf_append(walk->out, start, len);
    return done && buf_append(walk->out, MESSAGES_END, MESSAGES_END_LEN);
}

static enum messages_status bad(struct walk *walk, const char *at, const char *reason) {
    walk->fault.at = at;
    walk->fault.reason = reason;
    return MESSAGES_BAD;
}

/* One value, `depth` containers open around it. */
static enum messages_status take_value(struct walk *walk, unsigned depth) {
    const char *start = walk->at;
    if (start == walk->end) {
        return bad(walk, start, "the body ends where a JSON value is expected");
    }
    if (json_scan_value(&walk->at, walk->end, depth, &walk->fault) != JSON_OK) {
        return MESSAGES_BAD;
    }
    return put(walk, start, (size_t)(walk->at - start)) ? MESSAGES_OK : MESSAGES_MEMORY;
}

static void skip_space(struct walk *walk) {
    walk->at = json_skip_space(walk->at, walk->end);
}

static enum messages_status take_array(struct walk *walk) {
    walk->at++;
    skip_space(walk);
    if (walk->at < walk->end && *walk->at == ']') {
        walk->at++;
        return MESSAGES_OK;
    }
    for (;;) {
        enum messages_status status = take_value(walk, 1);
        if (status != MESSAGES_OK) {
            return status;
        }
        skip_space(walk);
        if (walk->at == walk->end || (*walk->at != ',' && *walk->at != ']')) {
            return bad(walk, walk->at, "expected ',' or ']'");
        }
        if (*walk->at++ == ']') {
            return MESSAGES_OK;
        }
        skip_space(walk);
    }
}

enum messages_status messages_store(struct slice body, struct buf *out, const char **reason,
                                    size_t *position) {
    struct walk walk = {body.ptr, body.ptr + body.len, out, has_line_end(body.ptr, body.len), {0}};
    skip_space(&walk);
    bool array = walk.at < walk.end && *walk.at == '[';
    enum messages_status status = array ? take_array(&walk) : take_value(&walk, 0);
    if (status == MESSAGES_OK) {
        skip_space(&walk);
        if (walk.at < walk.end) {
            status = bad(&walk, walk.at, "expected the end of the body");
        }
    }
    if (status == MESSAGES_BAD) {
        *reason = walk.fault.reason;
        *position = (size_t)(walk.fault.at - body.ptr);
    }
    return status;
}

bool messages_skip(struct slice stored, uint64_t *count, size_t *len) {
    const char *at = stored.ptr, *end = stored.ptr + stored.len;
    while (*count > 0) {
        const char *line = at < end ? memchr(at, '\n', (size_t)(end - at)) : NULL;
        if (!line) {
            break;
        }
        at = line + 1;
        --*count;
    }
    *len = (size_t)(at - stored.ptr);
    return *count == 0;
}
