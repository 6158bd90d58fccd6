#include "state/schema_pattern.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { CAPTURES_MAX = 32 };

enum item_kind {
    ITEM_SET,      /* one byte of a set, perhaps repeated */
    ITEM_OPEN,     /* a capture starts; number */
    ITEM_CLOSE,    /* it ends */
    ITEM_POSITION, /* an empty capture; number */
    ITEM_BACK,     /* what a capture holds; number */
    ITEM_BALANCED, /* from one byte to the other that balances it */
    ITEM_FRONTIER, /* between a byte that is not of the set and one that is */
    ITEM_END,      /* the end of the string */
    ITEM_DONE,
};

enum repeat { ONCE, MAYBE, MANY, SOME, FEW }; /* nothing, ? * + - */

struct set {
    uint64_t bits[4];
};

struct item {
    enum item_kind kind;
    enum repeat repeat;
    unsigned number;
    unsigned char first, last; /* of ITEM_BALANCED */
    struct set set;
};

struct schema_pattern {
    bool anchored;
    size_t count;
    struct item items[];
};

/* Sets */

static bool has(const struct set *set, unsigned char byte) {
    return set->bits[byte / 64] >> (byte % 64) & 1;
}

static void put(struct set *set, unsigned first, unsigned last) {
    for (unsigned byte = first; byte <= last; byte++) {
        set->bits[byte / 64] |= UINT64_C(1) << (byte % 64);
    }
}

static void put_all(struct set *set, const struct set *other, bool negated) {
    for (size_t i = 0; i < 4; i++) {
        set->bits[i] |= negated ? ~other->bits[i] : other->bits[i];
    }
}

/* What is behind a '%': a class, or the byte itself. */
static void put_class(struct set *set, unsigned char letter) {
    struct set own = {{0}};
    bool known = true;
    switch (letter | 0x20) {
    case 'a':
        put(&own, 'A', 'Z');
        put(&own, 'a', 'z');
        break;
    case 'c':
        put(&own, 0, 31);
        put(&own, 127, 127);
        break;
    case 'd':
        put(&own, '0', '9');
        break;
    case 'g':
        put(&own, 33, 126);
        break;
    case 'l':
        put(&own, 'a', 'z');
        break;
    case 'p':
        put(&own, '!', '/');
        put(&own, ':', '@');
        put(&own, '[', '`');
        put(&own, '{', '~');
        break;
    case 's':
        put(&own, '\t', '\r');
        put(&own, ' ', ' ');
        break;
    case 'u':
        put(&own, 'A', 'Z');
        break;
    case 'w':
        put(&own, '0', '9');
        put(&own, 'A', 'Z');
        put(&own, 'a', 'z');
        break;
    case 'x':
        put(&own, '0', '9');
        put(&own, 'A', 'F');
        put(&own, 'a', 'f');
        break;
    case 'z': /* of older Luas, and still there */
        put(&own, 0, 0);
        break;
    default:
        known = false;
    }
    if (known) {
        put_all(set, &own, !(letter & 0x20));
    } else {
        put(set, letter, letter);
    }
}

/* Compiling. A cursor on the rest of the pattern; false: it is none. */

struct compiler {
    const unsigned char *at, *end;
    unsigned open[CAPTURES_MAX]; /* captures that are not closed */
    unsigned open_count, captures;
    bool closed[CAPTURES_MAX];
};

/* Where the set whose first byte is at `at` ends: on its ']', or NULL. That first byte is never the end. */
static const unsigned char *find_set_end(const unsigned char *at, const unsigned char *end) {
    for (bool first = true; at < end; first = false) {
        if (*at == ']' && !first) {
            return at;
        }
        at += *at == '%' ? 2 : 1;
    }
    return NULL;
}

/* Behind the '['. */
static bool take_set(struct compiler *c, struct set *out) {
    struct set set = {{0}};
    bool negated = c->at < c->end && *c->at == '^';
    const unsigned char *at = c->at + negated;
    const unsigned char *end = find_set_end(at, c->end);
    if (!end) {
        return false;
    }
    while (at < end) {
        if (*at == '%') {
            put_class(&set, at[1]);
            at += 2;
        } else if (end - at > 2 && at[1] == '-') {
            put(&set, at[0], at[2]);
            at += 3;
        } else {
            put(&set, *at, *at);
            at++;
        }
    }
    *out = (struct set){{0}};
    put_all(out, &set, negated);
    c->at = end + 1;
    return true;
}

static void take_repeat(struct compiler *c, struct item *item) {
    static const unsigned char signs[] = {[MAYBE] = '?', [MANY] = '*', [SOME] = '+', [FEW] = '-'};
    for (unsigned repeat = MAYBE; repeat <= FEW && c->at < c->end; repeat++) {
        if (*c->at == signs[repeat]) {
            item->repeat = (enum repeat)repeat;
            c->at++;
            return;
        }
    }
}

static bool open_capture(struct compiler *c, struct item *item) {
    if (c->captures == CAPTURES_MAX) {
        return false;
    }
    item->number = c->captures++;
    if (c->at < c->end && *c->at == ')') {
        c->at++;
        c->closed[item->number] = true;
        item->kind = ITEM_POSITION;
    } else {
        c->open[c->open_count++] = item->number;
        item->kind = ITEM_OPEN;
    }
    return true;
}

static bool close_capture(struct compiler *c, struct item *item) {
    if (c->open_count == 0) {
        return false;
    }
    item->kind = ITEM_CLOSE;
    item->number = c->open[--c->open_count];
    c->closed[item->number] = true;
    return true;
}

/* Behind a '%' that is not in a set. */
static bool take_escape(struct compiler *c, struct item *item) {
    if (c->at == c->end) {
        return false;
    }
    unsigned char byte = *c->at++;
    if (byte == 'b') {
        item->kind = ITEM_BALANCED;
        if (c->end - c->at < 2) {
            return false;
        }
        item->first = c->at[0];
        item->last = c->at[1];
        c->at += 2;
        return true;
    }
    if (byte == 'f') {
        item->kind = ITEM_FRONTIER;
        return c->at < c->end && *c->at++ == '[' && take_set(c, &item->set);
    }
    if (byte >= '0' && byte <= '9') {
        item->kind = ITEM_BACK;
        item->number = (unsigned)(byte - '1');
        return byte > '0' && item->number < c->captures && c->closed[item->number];
    }
    put_class(&item->set, byte);
    take_repeat(c, item);
    return true;
}

static bool take_item(struct compiler *c, struct item *item) {
    unsigned char byte = *c->at++;
    item->kind = ITEM_SET;
    switch (byte) {
    case '(':
        return open_capture(c, item);
    case ')':
        return close_capture(c, item);
    case '%':
        return take_escape(c, item);
    case '[':
        if (!take_set(c, &item->set)) {
            return false;
        }
        break;
    case '.':
        put(&item->set, 0, 255);
        break;
    case '$':
        if (c->at == c->end) {
            item->kind = ITEM_END;
            return true;
        }
        put(&item->set, byte, byte);
        break;
    default:
        put(&item->set, byte, byte);
    }
    take_repeat(c, item);
    return true;
}

struct schema_pattern *schema_pattern_new(struct slice pattern, struct error *e) {
    /* An item for each byte at most, and the last. */
    struct schema_pattern *made = calloc(1, sizeof *made + (pattern.len + 1) * sizeof *made->items);
    struct compiler c = {.at = (const unsigned char *)pattern.ptr};
    if (!made) {
        error_set(e, ERROR_MEMORY, "out of memory while building a schema");
        return NULL;
    }
    c.end = c.at + pattern.len;
    made->anchored = pattern.len > 0 && *c.at == '^';
    c.at += made->anchored;
    bool ok = true;
    while (ok && c.at < c.end) {
        ok = take_item(&c, &made->items[made->count++]);
    }
    made->items[made->count].kind = ITEM_DONE;
    if (!ok || c.open_count > 0) {
        free(made);
        error_set(e, ERROR_ARGUMENT, "%.*s is no Lua pattern", (int)pattern.len, pattern.ptr);
        return NULL;
    }
    return made;
}

void schema_pattern_free(struct schema_pattern *pattern) {
    free(pattern);
}

/* Matching */

struct match {
    const unsigned char *start, *end;
    uint64_t steps; /* left */
    unsigned depth;
    const unsigned char *from[CAPTURES_MAX], *to[CAPTURES_MAX];
};

static bool match(struct match *m, const struct item *item, const unsigned char *at);

/* The rest of the pattern from another place: what may have to be taken back. */
static bool match_rest(struct match *m, const struct item *item, const unsigned char *at) {
    if (m->depth == SCHEMA_PATTERN_DEPTH) {
        m->steps = 0;
        return false;
    }
    m->depth++;
    bool found = match(m, item, at);
    m->depth--;
    return found;
}

static bool spend(struct match *m, uint64_t steps) {
    m->steps = m->steps > steps ? m->steps - steps : 0;
    return m->steps > 0;
}

/* As many as there are, then fewer, down to `least`. */
static bool match_many(struct match *m, const struct item *item, const unsigned char *at, size_t least) {
    size_t count = 0;
    while (at + count < m->end && has(&item->set, at[count])) {
        count++;
    }
    if (!spend(m, count)) {
        return false;
    }
    for (; count >= least; count--) {
        if (match_rest(m, item + 1, at + count)) {
            return true;
        }
        if (count == 0 || !spend(m, 1)) {
            return false;
        }
    }
    return false;
}

/* As few as it takes. */
static bool match_few(struct match *m, const struct item *item, const unsigned char *at) {
    for (;; at++) {
        if (match_rest(m, item + 1, at)) {
            return true;
        }
        if (at == m->end || !has(&item->set, *at) || !spend(m, 1)) {
            return false;
        }
    }
}

/* Behind what balances, or NULL. */
static const unsigned char *balanced(struct match *m, const struct item *item, const unsigned char *at) {
    if (at == m->end || *at != item->first) {
        return NULL;
    }
    size_t open = 1;
    for (const unsigned char *behind = at + 1; behind < m->end; behind++) {
        if (*behind == item->last) {
            if (--open == 0) {
                return behind + 1;
            }
        } else if (*behind == item->first) {
            open++;
        }
        if (!spend(m, 1)) {
            return NULL;
        }
    }
    return NULL;
}

static bool at_frontier(const struct match *m, const struct item *item, const unsigned char *at) {
    unsigned char before = at == m->start ? '\0' : at[-1];
    unsigned char behind = at == m->end ? '\0' : *at;
    return !has(&item->set, before) && has(&item->set, behind);
}

/* Behind the same text as the capture's, or NULL. */
static const unsigned char *same_again(struct match *m, const struct item *item, const unsigned char *at) {
    if (!m->to[item->number]) {
        return NULL;
    }
    size_t len = (size_t)(m->to[item->number] - m->from[item->number]);
    bool same = (size_t)(m->end - at) >= len && memcmp(m->from[item->number], at, len) == 0;
    return same && spend(m, len / 8 + 1) ? at + len : NULL;
}

static bool match_set(struct match *m, const struct item *item, const unsigned char **at, bool *over) {
    bool one = *at < m->end && has(&item->set, **at);
    *over = true;
    switch (item->repeat) {
    case MANY:
        return match_many(m, item, *at, 0);
    case SOME:
        return match_many(m, item, *at, 1);
    case FEW:
        return match_few(m, item, *at);
    case MAYBE:
        if (one && match_rest(m, item + 1, *at + 1)) {
            return true;
        }
        *over = false;
        return true;
    case ONCE:
        break;
    }
    *over = false;
    *at += one;
    return one;
}

/* Captures that were tried and failed are written over by the next try: only those on the way are read. */
static bool match(struct match *m, const struct item *item, const unsigned char *at) {
    for (; spend(m, 1); item++) {
        bool over;
        switch (item->kind) {
        case ITEM_DONE:
            return true;
        case ITEM_SET:
            if (!match_set(m, item, &at, &over)) {
                return false;
            }
            if (over) {
                return true;
            }
            continue;
        case ITEM_OPEN:
            m->from[item->number] = at;
            continue;
        case ITEM_CLOSE:
            m->to[item->number] = at;
            continue;
        case ITEM_POSITION:
            m->to[item->number] = NULL; /* nothing is the same as a position */
            continue;
        case ITEM_BACK:
            at = same_again(m, item, at);
            break;
        case ITEM_BALANCED:
            at = balanced(m, item, at);
            break;
        case ITEM_FRONTIER:
            at = at_frontier(m, item, at) ? at : NULL;
            break;
        case ITEM_END:
            at = at == m->end ? at : NULL;
            break;
        }
        if (!at) {
            return false;
        }
    }
    return false;
}

bool schema_pattern_finds(const struct schema_pattern *pattern, struct slice string) {
    const unsigned char *start = (const unsigned char *)string.ptr;
    struct match m = {.start = start, .end = start + string.len};
    m.steps = SCHEMA_PATTERN_STEPS + 16 * (uint64_t)string.len;
    for (const unsigned char *at = start;; at++) {
        if (match(&m, pattern->items, at)) {
            return true;
        }
        if (pattern->anchored || at == m.end || m.steps == 0) {
            return false;
        }
    }
}
