#include "sink/table.h"

#include <inttypes.h>
#include <string.h>

#include <xxhash.h>

/* Bytes of the character at `at`; 0: it is none. */
static size_t character(const unsigned char *at, size_t left) {
    unsigned char first = at[0];
    size_t len = first < 0x80                    ? 1
                 : first >= 0xC2 && first < 0xE0 ? 2
                 : (first & 0xF0) == 0xE0        ? 3
                 : first >= 0xF0 && first < 0xF5 ? 4
                                                 : 0;
    if (len == 0 || len > left) {
        return 0;
    }
    for (size_t i = 1; i < len; i++) {
        if ((at[i] & 0xC0) != 0x80) {
            return 0;
        }
    }
    bool overlong = (first == 0xE0 && at[1] < 0xA0) || (first == 0xF0 && at[1] < 0x90);
    bool beyond = (first == 0xED && at[1] > 0x9F) || (first == 0xF4 && at[1] > 0x8F);
    return overlong || beyond ? 0 : len;
}

/* Eight bytes at once: nothing but ASCII, and no NUL among it. */
static bool is_plain_word(const char *at) {
    uint64_t word = slice_eight_bytes(at);
    uint64_t high = UINT64_C(0x8080808080808080);
    return !(word & high) && !((word - UINT64_C(0x0101010101010101)) & ~word & high);
}

bool table_text_fits(struct slice text) {
    size_t at = 0;
    while (at < text.len) {
        if (text.len - at >= 8 && is_plain_word(text.ptr + at)) {
            at += 8;
            continue;
        }
        size_t len = character((const unsigned char *)text.ptr + at, text.len - at);
        if (len == 0 || !text.ptr[at]) {
            return false;
        }
        at += len;
    }
    return true;
}

bool table_check_text(struct slice text, const char *what, struct error *e) {
    if (table_text_fits(text)) {
        return true;
    }
    return error_set(e, ERROR_SCHEMA, "%s %s, which is no text to a database", what,
                     text.len > 0 && memchr(text.ptr, '\0', text.len)
                         ? "holds the character NUL (\\u0000)"
                         : "holds half of a surrogate pair, or bytes that are not UTF-8");
}

static bool is_name_byte(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

bool table_check_prefix(const char *prefix, struct error *e) {
    size_t len = prefix ? strlen(prefix) : 0;
    bool good = len <= TABLE_PREFIX_MAX;
    for (size_t i = 0; i < len; i++) {
        good = good && is_name_byte(prefix[i]);
    }
    return good ||
           error_set(e, ERROR_ARGUMENT,
                     "setting prefix: expected at most %d ASCII letters, digits and \"_\", got \"%s\"",
                     TABLE_PREFIX_MAX, prefix);
}

static char lower(char c) {
    return (char)(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
}

static bool same_letters(struct slice a, struct slice b) {
    for (size_t i = 0; i < a.len && i < b.len; i++) {
        if (lower(a.ptr[i]) != lower(b.ptr[i])) {
            return false;
        }
    }
    return a.len == b.len;
}

static size_t step(struct slice text, size_t at) {
    size_t len = character((const unsigned char *)text.ptr + at, text.len - at);
    return len ? len : 1;
}

static bool is_letter(char c) {
    return lower(c) >= 'a' && lower(c) <= 'z';
}

/* MySQL takes \u00e9 for e, and which else for which is a matter of its version: what is beyond ASCII may be meant by
 * any other such character and by any letter. By a digit or "_" it never is: so no name takes away all own names. */
static bool similar_letters(struct slice a, struct slice b) {
    size_t i = 0;
    size_t k = 0;
    while (i < a.len && k < b.len) {
        bool beyond_a = a.ptr[i] & 0x80;
        bool beyond_b = b.ptr[k] & 0x80;
        bool same = beyond_a   ? beyond_b || is_letter(b.ptr[k])
                    : beyond_b ? is_letter(a.ptr[i])
                               : lower(a.ptr[i]) == lower(b.ptr[k]);
        if (!same) {
            return false;
        }
        i += step(a, i);
        k += step(b, k);
    }
    return i == a.len && k == b.len;
}

bool table_same(enum table_dialect dialect, struct slice a, struct slice b) {
    switch (dialect) {
    case TABLE_POSTGRES:
        return slice_equal(a, b);
    case TABLE_MYSQL:
        return similar_letters(a, b);
    default:
        return same_letters(a, b);
    }
}

static bool starts(struct slice name, const char *with) {
    struct slice start = slice_from(with);
    return name.len >= start.len && same_letters(slice_of(name.ptr, start.len), start);
}

/* Control characters, and what MySQL does not take in a name: characters past U+FFFF, a blank at the end. */
static bool characters_fit(enum table_dialect dialect, struct slice name, size_t *characters) {
    const unsigned char *at = (const unsigned char *)name.ptr;
    *characters = 0;
    for (size_t i = 0; i < name.len;) {
        size_t len = character(at + i, name.len - i);
        bool control = at[i] < 0x20 || at[i] == 0x7F || (at[i] == 0xC2 && len == 2 && at[i + 1] < 0xA0);
        if (len == 0 || control || (len == 4 && dialect == TABLE_MYSQL)) {
            return false;
        }
        i += len;
        ++*characters;
    }
    return name.len > 0 && !(dialect == TABLE_MYSQL && name.ptr[name.len - 1] == ' ');
}

static bool is_plain(enum table_dialect dialect, struct slice name) {
    static const size_t bytes_max[] = {
        [TABLE_SQLITE] = 200, [TABLE_POSTGRES] = 63, [TABLE_MYSQL] = TABLE_NAME_MAX};
    size_t characters;
    return name.len <= bytes_max[dialect] && characters_fit(dialect, name, &characters) &&
           (dialect != TABLE_MYSQL || characters <= 64);
}

/* Tables of weir itself, and those that a database keeps for itself or finds first. */
static bool is_reserved_table(struct slice name) {
    return starts(name, "_sync_") || starts(name, "sqlite_") || starts(name, "pg_");
}

/* Columns that every table of PostgreSQL has, and what means a row of SQLite's. */
static bool is_reserved_column(struct slice name) {
    static const char *const names[] = {"ctid", "xmin",     "xmax",  "cmin",   "cmax",
                                        "oid",  "tableoid", "rowid", "_rowid_"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (same_letters(name, slice_from(names[i]))) {
            return true;
        }
    }
    return false;
}

/* Letters and digits of it as far as there is room, "_" for each run of others, and a hash of all. */
static bool append_own(struct slice what, unsigned attempt, struct buf *out) {
    enum { HASH_LEN = 17 };
    for (size_t i = 0; i < what.len && out->len < TABLE_OWN_MAX - HASH_LEN; i++) {
        bool fits = is_name_byte(what.ptr[i]);
        if (!fits && out->len > 0 && out->ptr[out->len - 1] == '_') {
            continue;
        }
        if (!buf_append_byte(out, (char)(fits ? what.ptr[i] : '_'))) {
            return false;
        }
    }
    uint64_t hash = XXH3_64bits_withSeed(what.len > 0 ? what.ptr : "", what.len, attempt);
    return buf_printf(out, "_%016" PRIx64, hash);
}

bool table_own_name(struct slice what, unsigned attempt, struct buf *out) {
    buf_clear(out);
    return append_own(what, attempt, out);
}

bool table_name(enum table_dialect dialect, const char *prefix, struct slice type, unsigned attempt,
                struct buf *out) {
    const char *front = prefix ? prefix : "";
    buf_clear(out);
    if (attempt > 0) {
        bool made = buf_append_text(out, front) && append_own(type, attempt, out);
        if (made && is_reserved_table(buf_slice(out))) {
            buf_clear(out);
            made = buf_printf(out, "t_%s", front) && append_own(type, attempt, out);
        }
        return made;
    }
    if (type.len > TABLE_NAME_MAX || !buf_append_text(out, front) || !buf_append_slice(out, type)) {
        return false;
    }
    return is_plain(dialect, buf_slice(out)) && !is_reserved_table(buf_slice(out));
}

bool table_column_name(enum table_dialect dialect, struct slice property, unsigned attempt, struct buf *out) {
    buf_clear(out);
    if (attempt > 0) {
        return append_own(property, attempt, out);
    }
    if (!is_plain(dialect, property) || is_reserved_column(property)) {
        return false;
    }
    return buf_append_slice(out, property);
}

bool table_quote(enum table_dialect dialect, struct slice name, struct buf *out) {
    char quote = dialect == TABLE_MYSQL ? '`' : '"';
    bool ok = buf_append_byte(out, quote);
    for (size_t i = 0; i < name.len && ok; i++) {
        ok = (name.ptr[i] != quote || buf_append_byte(out, quote)) && buf_append_byte(out, name.ptr[i]);
    }
    return ok && buf_append_byte(out, quote);
}
