#include "strict.h"

#include <string.h>

enum state {
    VALUE,        /* a value must follow */
    FIRST_ITEM,   /* a value or ']' */
    FIRST_MEMBER, /* a name or '}' */
    MEMBER,       /* a name */
    COLON,
    AFTER, /* behind a value: ',' or the end of its container */
    STRING,
    ESCAPE, /* behind a backslash */
    HEX,    /* digits of \u that are to come: `left` */
    UTF8,   /* bytes of a sequence that are to come: `left`, the next from `low` to `high` */
    WORD,   /* the letters that are to come: `word` */
    MINUS,
    ZERO,
    DIGITS,
    POINT,
    FRACTION,
    EXPONENT, /* behind e */
    SIGN,     /* behind its sign */
    POWER,
};

struct automaton {
    enum state state;
    bool naming; /* the string is a member's name */
    unsigned left;
    unsigned char low, high;
    const char *word;
    size_t depth;
    char open[STRICT_DEPTH_MAX]; /* '[' or '{' of each container around this place */
    struct strict_verdict seen;
};

static bool is_space(unsigned char c) {
    return c == 0x20 || c == 0x0a || c == 0x0d || c == 0x09;
}

static bool is_digit(unsigned char c) {
    return c >= 0x30 && c <= 0x39;
}

static bool move(struct automaton *a, enum state state) {
    a->state = state;
    return true;
}

static bool open_container(struct automaton *a, unsigned char c) {
    if (a->depth == STRICT_DEPTH_MAX) {
        return false;
    }
    a->open[a->depth++] = (char)c;
    a->seen.deepest = a->depth > a->seen.deepest ? a->depth : a->seen.deepest;
    return move(a, c == '[' ? FIRST_ITEM : FIRST_MEMBER);
}

static bool open_string(struct automaton *a, bool naming) {
    a->naming = naming;
    return move(a, STRING);
}

static bool open_word(struct automaton *a, const char *rest) {
    a->word = rest;
    return move(a, WORD);
}

static bool begin_value(struct automaton *a, unsigned char c) {
    switch (c) {
    case '[':
    case '{':
        return open_container(a, c);
    case '"':
        return open_string(a, false);
    case 't':
        return open_word(a, "rue");
    case 'f':
        return open_word(a, "alse");
    case 'n':
        return open_word(a, "ull");
    case '-':
        return move(a, MINUS);
    case '0':
        return move(a, ZERO);
    default:
        return is_digit(c) && move(a, DIGITS);
    }
}

static bool close_container(struct automaton *a, char open) {
    if (a->depth == 0 || a->open[a->depth - 1] != open) {
        return false;
    }
    a->depth--;
    return move(a, AFTER);
}

static bool after_value(struct automaton *a, unsigned char c) {
    if (is_space(c)) {
        return true;
    }
    if (c == ',' && a->depth > 0) {
        return move(a, a->open[a->depth - 1] == '[' ? VALUE : MEMBER);
    }
    return (c == ']' && close_container(a, '[')) || (c == '}' && close_container(a, '{'));
}

static bool between_tokens(struct automaton *a, unsigned char c) {
    if (is_space(c)) {
        return true;
    }
    switch (a->state) {
    case FIRST_ITEM:
        return c == ']' ? close_container(a, '[') : begin_value(a, c);
    case FIRST_MEMBER:
        return c == '}' ? close_container(a, '{') : c == '"' && open_string(a, true);
    case MEMBER:
        return c == '"' && open_string(a, true);
    case COLON:
        return c == ':' && move(a, VALUE);
    default:
        return begin_value(a, c);
    }
}

static bool begin_sequence(struct automaton *a, unsigned char c) {
    /* The table 3-7 of Unicode: which second bytes go with a first one. */
    static const struct {
        unsigned char first, last, low, high;
        unsigned left;
    } rows[] = {
        {0xc2, 0xdf, 0x80, 0xbf, 1}, {0xe0, 0xe0, 0xa0, 0xbf, 2}, {0xe1, 0xec, 0x80, 0xbf, 2},
        {0xed, 0xed, 0x80, 0x9f, 2}, {0xee, 0xef, 0x80, 0xbf, 2}, {0xf0, 0xf0, 0x90, 0xbf, 3},
        {0xf1, 0xf3, 0x80, 0xbf, 3}, {0xf4, 0xf4, 0x80, 0x8f, 3},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (c >= rows[i].first && c <= rows[i].last) {
            a->low = rows[i].low;
            a->high = rows[i].high;
            a->left = rows[i].left;
            return move(a, UTF8);
        }
    }
    return false;
}

static bool in_string(struct automaton *a, unsigned char c) {
    if (c == '"') {
        return move(a, a->naming ? COLON : AFTER);
    }
    if (c == '\\') {
        return move(a, ESCAPE);
    }
    return c >= 0x80 ? begin_sequence(a, c) : c >= 0x20;
}

static bool in_escape(struct automaton *a, unsigned char c) {
    if (c == 'u') {
        a->left = 4;
        return move(a, HEX);
    }
    return c != 0 && strchr("\"\\/bfnrt", c) && move(a, STRING);
}

static bool in_hex(struct automaton *a, unsigned char c) {
    if (!is_digit(c) && !(c >= 'a' && c <= 'f') && !(c >= 'A' && c <= 'F')) {
        return false;
    }
    return --a->left > 0 || move(a, STRING);
}

static bool in_sequence(struct automaton *a, unsigned char c) {
    if (c < a->low || c > a->high) {
        return false;
    }
    a->low = 0x80;
    a->high = 0xbf;
    return --a->left > 0 || move(a, STRING);
}

static bool in_word(struct automaton *a, unsigned char c) {
    if (c != (unsigned char)*a->word) {
        return false;
    }
    a->word++;
    return *a->word || move(a, AFTER);
}

/* A byte of a number. *over: it is none, and the number may end before it. */
static bool in_number(struct automaton *a, unsigned char c, bool *over) {
    bool digit = is_digit(c);
    bool power = c == 'e' || c == 'E';
    *over = false;
    switch (a->state) {
    case MINUS:
        return digit && move(a, c == '0' ? ZERO : DIGITS);
    case POINT:
        return digit && move(a, FRACTION);
    case EXPONENT:
        return digit ? move(a, POWER) : (c == '+' || c == '-') && move(a, SIGN);
    case SIGN:
        return digit && move(a, POWER);
    case ZERO:
    case DIGITS:
        if (digit) {
            return a->state == DIGITS;
        }
        if (c == '.') {
            return move(a, POINT);
        }
        break;
    default:
        if (digit) {
            return true;
        }
        break;
    }
    if (power && a->state != POWER) {
        return move(a, EXPONENT);
    }
    *over = true;
    return false;
}

static bool may_end(enum state state) {
    return state == ZERO || state == DIGITS || state == FRACTION || state == POWER;
}

/* Takes one byte; false: no valid text begins so. *whole: the value that began first ended before it. */
static bool feed(struct automaton *a, unsigned char c, bool *whole) {
    bool over;
    *whole = false;
    switch (a->state) {
    case STRING:
        return in_string(a, c);
    case ESCAPE:
        return in_escape(a, c);
    case HEX:
        return in_hex(a, c);
    case UTF8:
        return in_sequence(a, c);
    case WORD:
        return in_word(a, c);
    case VALUE:
    case FIRST_ITEM:
    case FIRST_MEMBER:
    case MEMBER:
    case COLON:
        return between_tokens(a, c);
    case AFTER:
        *whole = a->depth == 0;
        return after_value(a, c);
    default:
        if (in_number(a, c, &over)) {
            return true;
        }
        if (!over) {
            return false;
        }
        a->state = AFTER;
        *whole = a->depth == 0;
        return after_value(a, c);
    }
}

static bool is_number(enum state state) {
    return state >= MINUS;
}

/* With `alone` the text is one value; without it ends with its first value. */
static struct strict_verdict judge(struct slice text, bool alone) {
    struct automaton a = {.state = VALUE};
    size_t number = 0;
    bool ended = false;
    for (size_t i = 0; i < text.len; i++) {
        bool whole;
        bool fits = feed(&a, (unsigned char)text.ptr[i], &whole);
        if (whole && !ended) {
            ended = true;
            a.seen.at = i;
        }
        if (ended && !alone) {
            break;
        }
        if (!fits) {
            a.seen.end = STRICT_BAD;
            a.seen.at = i;
            return a.seen;
        }
        number = is_number(a.state) ? number + 1 : 0;
        a.seen.longest_number = number > a.seen.longest_number ? number : a.seen.longest_number;
    }
    if (!ended) {
        ended = a.depth == 0 && (a.state == AFTER || may_end(a.state));
        a.seen.at = text.len;
    }
    a.seen.end = ended ? STRICT_WHOLE : STRICT_CUT;
    return a.seen;
}

struct strict_verdict strict_text(struct slice text) {
    return judge(text, true);
}

struct strict_verdict strict_value(struct slice text) {
    return judge(text, false);
}

long strict_code_at(struct slice bytes, size_t at, size_t *len) {
    static const long least[] = {0, 0, 0x80, 0x800, 0x10000};
    unsigned char first = (unsigned char)bytes.ptr[at];
    *len = first < 0x80 ? 1 : first >> 5 == 6 ? 2 : first >> 4 == 14 ? 3 : first >> 3 == 30 ? 4 : 0;
    if (*len == 0 || *len > bytes.len - at) {
        return -1;
    }
    long code = *len == 1 ? first : first & (0x7f >> *len);
    for (size_t i = 1; i < *len; i++) {
        unsigned char next = (unsigned char)bytes.ptr[at + i];
        if (next >> 6 != 2) {
            return -1;
        }
        code = code * 64 + (next & 63);
    }
    return code < least[*len] || code > 0x10ffff ? -1 : code;
}

size_t strict_utf8_end(struct slice bytes, bool surrogates) {
    size_t len;
    for (size_t at = 0; at < bytes.len; at += len) {
        long code = strict_code_at(bytes, at, &len);
        if (code < 0 || (!surrogates && code >> 11 == 0xd800 >> 11)) {
            return at;
        }
    }
    return bytes.len;
}
