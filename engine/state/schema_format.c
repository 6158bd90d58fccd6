#include "state/schema_format.h"

/* Text that is taken from the front. */
struct cursor {
    const char *at, *end;
};

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

static bool is_letter(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool take_byte(struct cursor *c, char byte) {
    if (c->at == c->end || *c->at != byte) {
        return false;
    }
    c->at++;
    return true;
}

/* Exactly `count` digits with a value from least to most. */
static bool take_number(struct cursor *c, size_t count, int least, int most, int *out) {
    int value = 0;
    if ((size_t)(c->end - c->at) < count) {
        return false;
    }
    for (size_t i = 0; i < count; i++, c->at++) {
        if (!is_digit(*c->at)) {
            return false;
        }
        value = value * 10 + (*c->at - '0');
    }
    *out = value;
    return value >= least && value <= most;
}

static int days_in(int year, int month) {
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    return month == 2 && leap ? 29 : days[month - 1];
}

static bool take_date(struct cursor *c) {
    int year;
    int month;
    int day;
    return take_number(c, 4, 0, 9999, &year) && take_byte(c, '-') && take_number(c, 2, 1, 12, &month) &&
           take_byte(c, '-') && take_number(c, 2, 1, days_in(year, month), &day);
}

static bool take_clock(struct cursor *c) {
    int part;
    return take_number(c, 2, 0, 23, &part) && take_byte(c, ':') && take_number(c, 2, 0, 59, &part);
}

static bool take_time(struct cursor *c) {
    int second;
    if (!take_clock(c) || !take_byte(c, ':') || !take_number(c, 2, 0, 59, &second)) {
        return false;
    }
    if (!take_byte(c, '.')) {
        return true;
    }
    const char *digits = c->at;
    while (c->at < c->end && is_digit(*c->at)) {
        c->at++;
    }
    return c->at > digits;
}

static bool take_zone(struct cursor *c) {
    return take_byte(c, 'Z') || ((take_byte(c, '+') || take_byte(c, '-')) && take_clock(c));
}

bool schema_format_datetime(struct slice text) {
    struct cursor c = {text.ptr, text.ptr + text.len};
    return take_date(&c) && take_byte(&c, 'T') && take_time(&c) && take_zone(&c) && c.at == c.end;
}

static bool is_local(char c) {
    return is_letter(c) || is_digit(c) || c == '_' || c == '\'' || c == '+' || c == '-' || c == '.';
}

static bool local_fits(struct slice local) {
    if (local.len == 0 || local.ptr[0] == '.') {
        return false;
    }
    for (size_t i = 0; i < local.len; i++) {
        if (!is_local(local.ptr[i]) || (i > 0 && local.ptr[i] == '.' && local.ptr[i - 1] == '.')) {
            return false;
        }
    }
    char last = local.ptr[local.len - 1];
    return last != '.' && last != '\'';
}

static bool label_fits(const char *at, const char *end) {
    if (at == end || *at == '-') {
        return false;
    }
    for (; at < end; at++) {
        if (!is_letter(*at) && !is_digit(*at) && *at != '-') {
            return false;
        }
    }
    return true;
}

static bool last_label_fits(const char *at, const char *end) {
    if (end - at < 2) {
        return false;
    }
    for (; at < end; at++) {
        if (!is_letter(*at)) {
            return false;
        }
    }
    return true;
}

static bool domain_fits(const char *at, const char *end) {
    const char *dot = memchr(at, '.', (size_t)(end - at));
    if (!dot) {
        return false;
    }
    for (; dot; dot = memchr(at, '.', (size_t)(end - at))) {
        if (!label_fits(at, dot)) {
            return false;
        }
        at = dot + 1;
    }
    return last_label_fits(at, end);
}

bool schema_format_email(struct slice text) {
    const char *at = memchr(text.ptr, '@', text.len);
    return at && local_fits(slice_of(text.ptr, (size_t)(at - text.ptr))) &&
           domain_fits(at + 1, text.ptr + text.len);
}

size_t schema_format_length(struct slice text) {
    size_t count = 0;
    for (size_t i = 0; i < text.len; i++) {
        count += ((unsigned char)text.ptr[i] & 0xC0) != 0x80;
    }
    return count;
}
