#include "tree.h"

#include <stdlib.h>
#include <string.h>

#include "fuzz.h"

struct reading {
    const char *at, *end;
    struct tree_facts *facts;
};

static void skip_space(struct reading *r) {
    while (r->at < r->end && strchr(" \t\r\n", *r->at) && *r->at) {
        r->at++;
    }
}

static void put(struct tree_bytes *out, unsigned byte) {
    out->ptr[out->len++] = (char)byte;
}

static void put_code(struct tree_bytes *out, unsigned long code) {
    if (code < 0x80) {
        put(out, (unsigned)code);
    } else if (code < 0x800) {
        put(out, 0xc0 | (unsigned)(code / 0x40));
        put(out, 0x80 | (unsigned)(code % 0x40));
    } else if (code < 0x10000) {
        put(out, 0xe0 | (unsigned)(code / 0x1000));
        put(out, 0x80 | (unsigned)(code / 0x40 % 0x40));
        put(out, 0x80 | (unsigned)(code % 0x40));
    } else {
        put(out, 0xf0 | (unsigned)(code / 0x40000));
        put(out, 0x80 | (unsigned)(code / 0x1000 % 0x40));
        put(out, 0x80 | (unsigned)(code / 0x40 % 0x40));
        put(out, 0x80 | (unsigned)(code % 0x40));
    }
}

/* The four digits behind \u. */
static unsigned long take_unit(struct reading *r) {
    char digits[5] = {0};
    memcpy(digits, r->at, 4);
    r->at += 4;
    return strtoul(digits, NULL, 16);
}

static void take_unicode(struct reading *r, struct tree_bytes *out) {
    unsigned long code = take_unit(r);
    bool high = code >= 0xd800 && code <= 0xdbff;
    bool low = code >= 0xdc00 && code <= 0xdfff;
    if (high && r->end - r->at >= 6 && r->at[0] == '\\' && r->at[1] == 'u') {
        struct reading ahead = {r->at + 2, r->end, r->facts};
        unsigned long next = take_unit(&ahead);
        if (next >= 0xdc00 && next <= 0xdfff) {
            r->at = ahead.at;
            put_code(out, 0x10000 + (code - 0xd800) * 0x400 + (next - 0xdc00));
            return;
        }
    }
    r->facts->lone_surrogate = r->facts->lone_surrogate || high || low;
    r->facts->nul = r->facts->nul || code == 0;
    put_code(out, code);
}

static void take_escape(struct reading *r, struct tree_bytes *out) {
    static const char letters[] = "\"\\/bfnrt";
    static const char meanings[] = "\"\\/\b\f\n\r\t";
    char letter = *r->at++;
    if (letter == 'u') {
        take_unicode(r, out);
    } else {
        put(out, (unsigned char)meanings[strchr(letters, letter) - letters]);
    }
}

/* r->at is on the opening quote. */
static struct tree_bytes take_string(struct reading *r, struct slice *raw) {
    const char *start = r->at++;
    struct tree_bytes out = {fuzz_alloc((size_t)(r->end - start) + 1), 0};
    while (*r->at != '"') {
        char c = *r->at++;
        if (c == '\\') {
            take_escape(r, &out);
        } else {
            put(&out, (unsigned char)c);
        }
    }
    r->at++;
    *raw = slice_of(start, (size_t)(r->at - start));
    out.ptr[out.len] = '\0';
    out.ptr = fuzz_grow(out.ptr, out.len + 1);
    return out;
}

static struct tree take_value(struct reading *r);

static void take_members(struct reading *r, struct tree *tree) {
    char close = *r->at == '{' ? '}' : ']';
    r->at++;
    for (skip_space(r); *r->at != close; skip_space(r)) {
        if (*r->at == ',') {
            r->at++;
            continue;
        }
        struct tree_member member = {0};
        if (close == '}') {
            member.name = take_string(r, &member.raw);
            skip_space(r);
            r->at++; /* over the colon */
            skip_space(r);
        }
        member.value = take_value(r);
        tree->members = fuzz_grow(tree->members, (tree->count + 1) * sizeof member);
        tree->members[tree->count++] = member;
    }
    r->at++;
}

static void take_plain(struct reading *r) {
    while (r->at < r->end && !(*r->at && strchr(" \t\r\n,]}", *r->at))) {
        r->at++;
    }
}

static enum tree_kind kind_of(char first) {
    switch (first) {
    case '{':
        return TREE_OBJECT;
    case '[':
        return TREE_ARRAY;
    case '"':
        return TREE_STRING;
    case 't':
        return TREE_TRUE;
    case 'f':
        return TREE_FALSE;
    case 'n':
        return TREE_NULL;
    default:
        return TREE_NUMBER;
    }
}

static struct tree take_value(struct reading *r) {
    struct tree tree = {.kind = kind_of(*r->at)};
    const char *start = r->at;
    if (tree.kind == TREE_STRING) {
        tree.text = take_string(r, &tree.raw);
    } else if (tree.kind == TREE_OBJECT || tree.kind == TREE_ARRAY) {
        take_members(r, &tree);
    } else {
        take_plain(r);
    }
    tree.raw = slice_of(start, (size_t)(r->at - start));
    return tree;
}

struct tree tree_read(struct slice text, struct tree_facts *facts) {
    struct reading r = {text.ptr, text.ptr + text.len, facts};
    skip_space(&r);
    return take_value(&r);
}

void tree_free(struct tree *tree) {
    for (size_t i = 0; i < tree->count; i++) {
        free(tree->members[i].name.ptr);
        tree_free(&tree->members[i].value);
    }
    free(tree->members);
    free(tree->text.ptr);
    *tree = (struct tree){0};
}

const struct tree_member *tree_find(const struct tree *object, struct slice name) {
    for (size_t i = object->count; i > 0; i--) {
        const struct tree_member *member = &object->members[i - 1];
        if (slice_equal(tree_slice(&member->name), name)) {
            return member;
        }
    }
    return NULL;
}
