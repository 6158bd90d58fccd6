#include "state/schema_issue.h"

#include "json/read.h"
#include "json/scan.h"
#include "json/text.h"

enum {
    PATH_MAX_BYTES = 4096,
    KEYS_MAX_BYTES = 64 << 10,
    MESSAGE_MAX_BYTES = 1024,
    NAME_MAX_BYTES = 128, /* of one step in a path */
    QUOTE_MAX_BYTES = 40,
};

void schema_issues_init(struct schema_issues *issues) {
    for (size_t i = 0; i < SCHEMA_ISSUES_MAX; i++) {
        buf_init(&issues->issues[i].path, PATH_MAX_BYTES);
        buf_init(&issues->issues[i].keys, KEYS_MAX_BYTES);
        buf_init(&issues->issues[i].message, MESSAGE_MAX_BYTES);
        issues->issues[i].value = (struct slice){0};
    }
    issues->count = 0;
}

void schema_issues_clear(struct schema_issues *issues) {
    issues->count = 0;
}

void schema_issues_free(struct schema_issues *issues) {
    for (size_t i = 0; i < SCHEMA_ISSUES_MAX; i++) {
        buf_free(&issues->issues[i].path);
        buf_free(&issues->issues[i].keys);
        buf_free(&issues->issues[i].message);
    }
    issues->count = 0;
}

bool schema_issues_describe(const struct schema_issues *issues, struct buf *out) {
    for (size_t i = 0; i < issues->count; i++) {
        const struct schema_issue *issue = &issues->issues[i];
        if ((i > 0 && !buf_append_text(out, "; ")) || !buf_append_slice(out, buf_slice(&issue->path)) ||
            (issue->path.len > 0 && !buf_append_text(out, ": ")) ||
            !buf_append_slice(out, buf_slice(&issue->message))) {
            return false;
        }
    }
    return true;
}

/* At most `most` bytes of UTF-8 text, without a part of a sequence at the end. */
static struct slice shortened(struct slice text, size_t most) {
    if (text.len <= most) {
        return text;
    }
    size_t len = most;
    while (len > 0 && ((unsigned char)text.ptr[len] & 0xC0) == 0x80) {
        len--;
    }
    return slice_of(text.ptr, len);
}

void schema_issue_quote(struct slice json, struct buf *out) {
    struct slice part = shortened(json, QUOTE_MAX_BYTES);
    buf_append_slice(out, part);
    if (part.len < json.len) {
        buf_append_text(out, json.ptr[0] == '"' ? "...\"" : "...");
    }
}

void schema_issue_quote_bytes(struct slice bytes, struct buf *out) {
    struct slice part = shortened(bytes, QUOTE_MAX_BYTES);
    size_t start = out->len;
    if (!json_quote(out, part, NULL)) {
        out->len = start;
        return;
    }
    if (part.len < bytes.len) {
        out->len--;
        buf_append_text(out, "...\"");
    }
}

void schema_issue_describe_value(struct slice json, struct buf *out) {
    enum json_kind kind = json_kind_of(json);
    if (kind == JSON_NULL) {
        buf_append_text(out, "null");
        return;
    }
    if (kind == JSON_ARRAY || kind == JSON_OBJECT) {
        struct json_walk walk;
        json_walk_open(&walk, json);
        bool empty = json_skip_space(walk.at, walk.end) == walk.end;
        buf_append_text(out, empty ? "an empty " : "an ");
        buf_append_text(out, json_kind_name(kind));
    } else {
        buf_printf(out, "a %s", json_kind_name(kind));
        buf_append_text(out, " (");
        schema_issue_quote(json, out);
        buf_append_byte(out, ')');
    }
}

/* A name that can stand behind a dot: letters, digits, _ and $, and whatever is not ASCII. */
static bool is_word(struct slice name) {
    for (size_t i = 0; i < name.len; i++) {
        unsigned char c = (unsigned char)name.ptr[i];
        bool word = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
                    c == '$' || c >= 0x80;
        if (!word) {
            return false;
        }
    }
    return name.len > 0;
}

static void append_name(const struct schema_step *step, struct buf *out) {
    struct slice name = step->name;
    if (step->raw) {
        name = slice_of(name.ptr + 1, name.len - 2);
    }
    struct slice part = shortened(name, NAME_MAX_BYTES);
    bool cut = part.len < name.len;
    if (is_word(part)) {
        if (out->len > 0) {
            buf_append_byte(out, '.');
        }
        buf_append_slice(out, part);
        buf_append_text(out, cut ? "..." : "");
        return;
    }
    buf_append_byte(out, '[');
    if (step->raw) {
        buf_append_byte(out, '"');
        buf_append_slice(out, part);
        buf_append_byte(out, '"');
    } else {
        json_quote(out, part, NULL);
    }
    buf_append_text(out, cut ? "...]" : "]");
}

/* Recursion is bounded: there are no more steps than the schema has levels. */
static void append_path(const struct schema_step *step, struct buf *out) {
    if (!step) {
        return;
    }
    append_path(step->parent, out);
    if (step->name.ptr) {
        append_name(step, out);
    } else {
        buf_printf(out, "[%zu]", step->index);
    }
}

static bool append_steps(const struct schema_step *step, struct buf *out) {
    if (!step) {
        return true;
    }
    if (!append_steps(step->parent, out) || (step->parent && !buf_append_byte(out, ','))) {
        return false;
    }
    if (!step->name.ptr) {
        return buf_printf(out, "%zu", step->index);
    }
    return step->raw ? buf_append_slice(out, step->name) : json_quote(out, step->name, NULL);
}

static bool append_keys(const struct schema_step *last, struct buf *out) {
    return buf_append_byte(out, '[') && append_steps(last, out) && buf_append_byte(out, ']');
}

struct buf *schema_issue_add(struct schema_issues *issues, const struct schema_step *last,
                             struct slice value) {
    if (!issues || issues->count == SCHEMA_ISSUES_MAX) {
        return NULL;
    }
    struct schema_issue *issue = &issues->issues[issues->count++];
    buf_clear(&issue->path);
    buf_clear(&issue->keys);
    buf_clear(&issue->message);
    issue->value = value;
    append_path(last, &issue->path);
    if (!append_keys(last, &issue->keys)) {
        buf_clear(&issue->keys);
    }
    return &issue->message;
}

static bool is_below(struct slice path, struct slice above) {
    if (path.len < above.len || memcmp(path.ptr, above.ptr, above.len) != 0) {
        return false;
    }
    return path.len == above.len || path.ptr[above.len] == '.' || path.ptr[above.len] == '[';
}

void schema_issue_drop(struct schema_issues *issues, size_t first, const struct schema_step *last) {
    struct buf above;
    if (!issues) {
        return;
    }
    buf_init(&above, PATH_MAX_BYTES);
    append_path(last, &above);
    size_t kept = first;
    for (size_t i = first; i < issues->count; i++) {
        if (!is_below(buf_slice(&issues->issues[i].path), buf_slice(&above))) {
            struct schema_issue issue = issues->issues[i];
            issues->issues[i] = issues->issues[kept];
            issues->issues[kept++] = issue;
        }
    }
    issues->count = kept;
    buf_free(&above);
}
