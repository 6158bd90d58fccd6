#include "json/read.h"

#include <stdint.h>
#if defined(__SSE2__)
#include <emmintrin.h>
#endif

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

/* Bytes that are compared at once. The compiler makes SSE2, NEON or plain code of it. */
typedef uint8_t block __attribute__((vector_size(16)));
typedef uint64_t block_halves __attribute__((vector_size(16)));

static inline block load(const char *at) {
    block bytes;
    memcpy(&bytes, at, sizeof bytes);
    return bytes;
}

static inline bool any(block lanes) {
    block_halves halves = (block_halves)lanes;
    return (halves[0] | halves[1]) != 0;
}

#if defined(__SSE2__)
/* A bit for each byte, all of whose bits are set or none. */
static inline unsigned bits_of(block lanes) {
    return (unsigned)_mm_movemask_epi8((__m128i)lanes);
}
#else
static inline unsigned eight_bits(uint64_t half) {
    char bytes[sizeof half];
    unsigned bits = 0;
    memcpy(bytes, &half, sizeof half);
    for (unsigned i = 0; i < sizeof half; i++) {
        bits |= (unsigned)(bytes[i] != 0) << i;
    }
    return bits;
}

static inline unsigned bits_of(block lanes) {
    block_halves halves = (block_halves)lanes;
    return halves[0] | halves[1] ? eight_bits(halves[0]) | eight_bits(halves[1]) << 8 : 0;
}
#endif

const char *json_find_special(const char *at, const char *end) {
    for (; end - at >= (ptrdiff_t)sizeof(block); at += sizeof(block)) {
        block bytes = load(at);
        unsigned found = bits_of((block)(bytes == '"') | (block)(bytes == '\\'));
        if (found != 0) {
            return at + __builtin_ctz(found);
        }
    }
    while (at < end && *at != '"' && *at != '\\') {
        at++;
    }
    return at;
}

/* at is on the opening quote. */
static const char *skip_string(const char *at, const char *end) {
    at = json_find_special(at + 1, end);
    while (at < end && *at == '\\') {
        at = json_find_special(at + 2, end);
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

/* ---- one member by its name ---- */

/* Whether a name's bytes between two quotes are nothing but that name: between the end of one string and the
 * start of the next there is other than its first byte, and inside of a string the second quote would have a
 * backslash before it. (The first one may have one.) And no escape but \u stands for any of its bytes. */
static bool is_searchable(struct slice name) {
    if (name.len == 0) {
        return false;
    }
    char first = name.ptr[0];
    bool fits = first != ' ' && first != ',' && first != ':' && first != ']' && first != '}';
    for (size_t i = 0; fits && i < name.len; i++) {
        unsigned char c = (unsigned char)name.ptr[i];
        fits = c >= ' ' && c != '"' && c != '\\' && c != '/';
    }
    return fits;
}

/* Where there is a string at `quote` that is as long as the name: the value behind it, if it is that name. */
static const char *value_of_name(const char *quote, const char *end, struct slice name,
                                 const char *otherwise) {
    if (quote[-1] == '\\' || memcmp(quote + 1, name.ptr, name.len) != 0) {
        return otherwise;
    }
    const char *at = json_skip_space(quote + name.len + 2, end);
    return at < end && *at == ':' ? json_skip_space(at + 1, end) : otherwise;
}

/* A search by the name's raw bytes, and what it has come across. */
struct search {
    struct slice name;
    const char *end;
    const char *value; /* of the last string that is such a name, in whatever object; NULL: none */
};

/* Goes through the strings that start where `quotes` has bits, and are as long as the name. */
static void search_hits(struct search *search, const char *at, unsigned quotes) {
    for (; quotes != 0; quotes &= quotes - 1) {
        const char *quote = at + __builtin_ctz(quotes);
        search->value = value_of_name(quote, search->end, search->name, search->value);
    }
}

/* Strings that start within the block, as long as the name and with its first and last byte. nested gets
 * lanes where objects are inside the object, unicode those where escapes are, by which the name may have been
 * written differently. */
static inline unsigned search_block(const char *at, struct slice name, block *nested, block *unicode) {
    block bytes = load(at);
    block behind = load(at + 1);
    block first = (block){0} + (uint8_t)name.ptr[0];
    block last = (block){0} + (uint8_t)name.ptr[name.len - 1];
    *nested |= (block)(bytes == '{');
    *unicode |= (block)(bytes == '\\') & (block)(behind == 'u');
    block starts = (block)(bytes == '"') & (block)(behind == first);
    block ends = (block)(load(at + name.len) == last) & (block)(load(at + name.len + 1) == '"');
    return bits_of(starts & ends);
}

/* The bits of a block of quotes become those of the bytes from an opening quote up to the one that closes. */
static unsigned strings_of(unsigned quotes) {
    quotes ^= quotes << 1;
    quotes ^= quotes << 2;
    quotes ^= quotes << 4;
    quotes ^= quotes << 8;
    return quotes & 0xFFFF;
}

/* What becomes of the depth by the braces (bits) of a block. */
static int depth_by(unsigned opening, unsigned closing) {
    int depth = 0;
    for (; opening != 0; opening &= opening - 1) {
        depth++;
    }
    for (; closing != 0; closing &= closing - 1) {
        depth--;
    }
    return depth;
}

/* Whether no object but this one is open at the place. False also where that is not seen at once: there are
 * backslashes before it. The object has a block's length at least. */
static bool is_on_top(struct slice object, const char *place) {
    const char *last = object.ptr + object.len - sizeof(block);
    unsigned in_string = 0;
    int depth = 0;
    for (const char *at = object.ptr; at < place; at += sizeof(block)) {
        const char *from = at < last ? at : last;
        block bytes = load(from);
        unsigned skipped = (unsigned)(at - from);
        unsigned wanted = place - at < (ptrdiff_t)sizeof(block) ? (1u << (place - at)) - 1 : 0xFFFF;
        if (bits_of((block)(bytes == '\\')) >> skipped & wanted) {
            return false;
        }
        unsigned strings = strings_of(bits_of((block)(bytes == '"')) >> skipped & wanted) ^ in_string;
        wanted &= ~strings;
        depth += depth_by(bits_of((block)(bytes == '{')) >> skipped & wanted,
                          bits_of((block)(bytes == '}')) >> skipped & wanted);
        in_string = strings & 0x8000 ? 0xFFFF : 0;
    }
    return depth == 1;
}

/* False where this way is none: the object is too short, or what is found may not be what is meant. The
 * object's first byte is its brace, so there is one before each name; what is too near to the end for a name is
 * not looked at. */
static bool search_for(struct slice object, struct slice name, const char **value) {
    if (object.len < sizeof(block) + name.len + 2 || !is_searchable(name)) {
        return false;
    }
    struct search search = {name, object.ptr + object.len, NULL};
    const char *last = search.end - (sizeof(block) + name.len + 1);
    block nested = {0};
    block unicode = {0};
    for (const char *at = object.ptr + 1; at < last; at += sizeof(block)) {
        unsigned quotes = search_block(at, name, &nested, &unicode);
        if (__builtin_expect(quotes != 0, 0)) {
            search_hits(&search, at, quotes);
        }
    }
    search_hits(&search, last, search_block(last, name, &nested, &unicode));
    *value = search.value;
    /* No name starts behind the last block, but one that is longer for its escapes may. */
    const char *rest = last + sizeof(block) - 1;
    bool escaped = any(unicode) || memchr(rest, '\\', (size_t)(search.end - rest));
    return !escaped && (!search.value || !any(nested) || is_on_top(object, search.value));
}

/* The slow way. */
static const char *walk_for(struct slice object, struct slice name) {
    struct json_walk walk;
    const char *found = NULL;
    struct slice each_name;
    struct slice value;
    json_walk_open(&walk, object);
    while (json_walk_member(&walk, &each_name, &value)) {
        if (json_string_is(each_name, name)) {
            found = value.ptr;
        }
    }
    return found;
}

const char *json_find_member(struct slice object, struct slice name) {
    const char *value;
    return search_for(object, name, &value) ? value : walk_for(object, name);
}

struct slice json_member(struct slice object, struct slice name) {
    const char *value = json_find_member(object, name);
    if (!value) {
        return (struct slice){0};
    }
    return slice_of(value, (size_t)(json_skip_value(value, object.ptr + object.len) - value));
}

struct slice json_trim(struct slice text) {
    const char *end = text.ptr + text.len;
    const char *at = json_skip_space(text.ptr, end);
    while (end > at && (end[-1] == ' ' || end[-1] == '\n' || end[-1] == '\t' || end[-1] == '\r')) {
        end--;
    }
    return slice_of(at, (size_t)(end - at));
}
