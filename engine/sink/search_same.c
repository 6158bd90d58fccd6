#include "sink/search_same.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "json/read.h"
#include "json/text.h"

enum { NUMBER_MAX = 400 };

static bool same_number(struct slice a, struct slice b) {
    char left[NUMBER_MAX];
    char right[NUMBER_MAX];
    if (a.len >= sizeof left || b.len >= sizeof right) {
        return false;
    }
    memcpy(left, a.ptr, a.len);
    memcpy(right, b.ptr, b.len);
    left[a.len] = right[b.len] = '\0';
    return strtod(left, NULL) == strtod(right, NULL);
}

static bool same_string(struct slice a, struct slice b) {
    struct buf text;
    buf_init(&text, a.len);
    bool same = json_unquote(&text, a) && json_string_is(b, buf_slice(&text));
    buf_free(&text);
    return same;
}

static bool same_array(struct slice a, struct slice b) {
    struct json_walk left;
    struct json_walk right;
    struct slice one;
    struct slice other;
    json_walk_open(&left, a);
    json_walk_open(&right, b);
    for (;;) {
        bool has_one = json_walk_item(&left, &one);
        bool has_other = json_walk_item(&right, &other);
        if (!has_one || !has_other) {
            return has_one == has_other;
        }
        if (!search_same(one, other)) {
            return false;
        }
    }
}

/* Which members are passed over. */
struct own {
    bool version, id;
};

static bool is_own(struct slice name, struct own own) {
    return (own.version && json_string_is(name, SLICE("weir_version"))) ||
           (own.id && json_string_is(name, SLICE("id")));
}

static size_t count_members(struct slice object, struct own own) {
    struct json_walk walk;
    struct slice name;
    struct slice value;
    size_t count = 0;
    for (json_walk_open(&walk, object); json_walk_member(&walk, &name, &value);) {
        count += !is_own(name, own);
    }
    return count;
}

static bool same_object(struct slice a, struct slice b, struct own own) {
    struct json_walk walk;
    struct slice name;
    struct slice value;
    struct buf text;
    bool same = count_members(a, own) == count_members(b, own);
    buf_init(&text, a.len);
    for (json_walk_open(&walk, a); same && json_walk_member(&walk, &name, &value);) {
        if (is_own(name, own)) {
            continue;
        }
        buf_clear(&text);
        same = json_unquote(&text, name);
        struct slice other = same ? json_member(b, buf_slice(&text)) : slice_of(NULL, 0);
        same = other.ptr && search_same(value, other);
    }
    buf_free(&text);
    return same;
}

bool search_same(struct slice a, struct slice b) {
    if (slice_equal(a, b)) {
        return true;
    }
    enum json_kind kind = json_kind_of(a);
    if (kind != json_kind_of(b)) {
        return false;
    }
    switch (kind) {
    case JSON_NUMBER:
        return same_number(a, b);
    case JSON_STRING:
        return same_string(a, b);
    case JSON_ARRAY:
        return same_array(a, b);
    case JSON_OBJECT:
        return same_object(a, b, (struct own){false, false});
    default:
        return false;
    }
}

bool search_same_document(struct slice document, struct slice value, bool has_id) {
    struct own own = {true, has_id};
    value = json_trim(value);
    document = json_trim(document);
    if (json_kind_of(document) != JSON_OBJECT) {
        return false;
    }
    if (json_kind_of(value) == JSON_OBJECT) {
        return same_object(document, value, own);
    }
    struct slice only = json_member(document, SLICE("value"));
    return only.ptr && count_members(document, own) == 1 && search_same(only, value);
}
