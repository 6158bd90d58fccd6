#include "json/read.h"

#include "json/scan.h"
#include "json/text.h"

enum json_kind json_kind_of(struct slice value) {
    switch (value.ptr[0]) {
    case '{':
        return JSON_OBJECT;
    case '[':
        return JSON_ARRAY;
    case '"':
        return JSON_STRING;
    case 't':
    case 'f':
        return JSON_BOOLEAN;
    case 'n':
        return JSON_NULL;
    default:
        return JSON_NUMBER;
    }
}

const char *json_kind_name(enum json_kind kind) {
    static const char *const names[] = {"null", "boolean", "number", "string", "array", "object"};
    return names[kind];
}

/* at is on the opening quote. */
static const char *skip_string(const char *at, const char *end) {
    for (at++; at < end && *at != '"'; at++) {
        if (*at == '\\') {
            at++;
        }
    }
    return at + 1;
}

static const char *skip_scalar(const char *at, const char *end) {
    while (at < end && *at != ',' && *at != '}' && *at != ']' && *at != ' ' && *at != '\n' && *at != '\r' &&
           *at != '\t') {
        at++;
    }
    return at;
}

const char *json_skip_value(const char *at, const char *end) {
    if (*at == '"') {
        return skip_string(at, end);
    }
    if (*at != '{' && *at != '[') {
        return skip_scalar(at, end);
    }
    unsigned depth = 0;
    while (at < end) {
        switch (*at) {
        case '"':
            at = skip_string(at, end);
            continue;
        case '{':
        case '[':
            depth++;
            break;
        case '}':
        case ']':
            if (--depth == 0) {
                return at + 1;
            }
            break;
        default:
            break;
        }
        at++;
    }
    return at;
}

void json_walk_open(struct json_walk *walk, struct slice container) {
    *walk = (struct json_walk){container.ptr + 1, container.ptr + container.len - 1};
}

/* Onto the next element, over a comma if there is one; false at the container's end. */
static bool walk_to_next(struct json_walk *walk) {
    walk->at = json_skip_space(walk->at, walk->end);
    if (walk->at < walk->end && *walk->at == ',') {
        walk->at = json_skip_space(walk->at + 1, walk->end);
    }
    return walk->at < walk->end;
}

bool json_walk_item(struct json_walk *walk, struct slice *value) {
    if (!walk_to_next(walk)) {
        return false;
    }
    const char *start = walk->at;
    walk->at = json_skip_value(start, walk->end);
    *value = slice_of(start, (size_t)(walk->at - start));
    return true;
}

bool json_walk_member(struct json_walk *walk, struct slice *name, struct slice *value) {
    if (!walk_to_next(walk)) {
        return false;
    }
    const char *start = walk->at;
    walk->at = skip_string(start, walk->end);
    *name = slice_of(start, (size_t)(walk->at - start));
    walk->at = json_skip_space(walk->at, walk->end) + 1; /* over the colon */
    walk->at = json_skip_space(walk->at, walk->end);
    return json_walk_item(walk, value);
}

bool json_string_is(struct slice string, struct slice bytes) {
    struct slice inside = slice_of(string.ptr + 1, string.len - 2);
    if (!memchr(inside.ptr, '\\', inside.len)) {
        return slice_equal(inside, bytes);
    }
    /* Escapes make text longer, up to six bytes for one: what cannot match is not looked at. */
    if (inside.len < bytes.len || inside.len > bytes.len * 6) {
        return false;
    }
    const char *end = inside.ptr + inside.len;
    size_t same = 0;
    for (const char *at = inside.ptr; at < end;) {
        char plain[4];
        size_t len = 1;
        if (*at == '\\') {
            at = json_take_escape(at, end, plain, &len);
        } else {
            plain[0] = *at++;
        }
        if (len > bytes.len - same || memcmp(bytes.ptr + same, plain, len) != 0) {
            return false;
        }
        same += len;
    }
    return same == bytes.len;
}

struct slice json_member(struct slice object, struct slice name) {
    struct json_walk walk;
    struct slice found = {0};
    struct slice each_name;
    struct slice value;
    json_walk_open(&walk, object);
    while (json_walk_member(&walk, &each_name, &value)) {
        if (json_string_is(each_name, name)) {
            found = value;
        }
    }
    return found;
}

struct slice json_trim(struct slice text) {
    const char *end = text.ptr + text.len;
    const char *at = json_skip_space(text.ptr, end);
    while (end > at && (end[-1] == ' ' || end[-1] == '\n' || end[-1] == '\t' || end[-1] == '\r')) {
        end--;
    }
    return slice_of(at, (size_t)(end - at));
}
