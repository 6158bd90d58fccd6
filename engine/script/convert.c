#include "script/convert.h"

#include <lauxlib.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>

#include "script/convert_inside.h"
#include "json/read.h"
#include "json/scan.h"
#include "json/text.h"

/* Their addresses are the keys in the registry. */
static const char fixtures[CONVERT_FIXTURES];

void convert_push_fixture(lua_State *L, enum convert_fixture which) {
    lua_rawgetp(L, LUA_REGISTRYINDEX, &fixtures[which]);
}

static int null_tostring(lua_State *L) {
    lua_pushliteral(L, "null");
    return 1;
}

void convert_open(lua_State *L) {
    lua_newuserdatauv(L, 0, 0);
    lua_createtable(L, 0, 2);
    lua_pushliteral(L, "weir.null");
    lua_setfield(L, -2, "__name");
    lua_pushcfunction(L, null_tostring);
    lua_setfield(L, -2, "__tostring");
    lua_setmetatable(L, -2);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &fixtures[CONVERT_NULL]);

    lua_createtable(L, 0, 1);
    lua_pushliteral(L, "weir.array");
    lua_setfield(L, -2, "__name");
    lua_rawsetp(L, LUA_REGISTRYINDEX, &fixtures[CONVERT_ARRAY]);

    lua_pushliteral(L, "__json");
    lua_rawsetp(L, LUA_REGISTRYINDEX, &fixtures[CONVERT_HOOK]);
}

void convert_push_null(lua_State *L) {
    convert_push_fixture(L, CONVERT_NULL);
}

bool convert_is_null(lua_State *L, int index) {
    if (lua_type(L, index) != LUA_TUSERDATA) {
        return false;
    }
    const void *value = lua_touserdata(L, index);
    convert_push_fixture(L, CONVERT_NULL);
    bool same = value == lua_touserdata(L, -1);
    lua_pop(L, 1);
    return same;
}

void convert_mark_array(lua_State *L, int index) {
    index = lua_absindex(L, index);
    convert_push_fixture(L, CONVERT_ARRAY);
    lua_setmetatable(L, index);
}

/* Strings. Memory for them is Lua's, since pushing may raise. */

static void push_escaped(lua_State *L, struct slice string) {
    luaL_Buffer bytes;
    /* As much as json_unquote reserves, so that it never comes to allocate. */
    struct buf out = {.ptr = luaL_buffinitsize(L, &bytes, string.len), .cap = string.len, .max = string.len};
    json_unquote(&out, string);
    luaL_pushresultsize(&bytes, out.len);
}

/* at is on the opening quote; returns the place behind the string. */
static const char *push_string(lua_State *L, const char *at, const char *end) {
    const char *start = at + 1;
    const char *special = json_find_special(start, end);
    if (*special == '"') {
        lua_pushlstring(L, start, (size_t)(special - start));
        return special + 1;
    }
    const char *behind = json_skip_value(at, end);
    push_escaped(L, slice_of(at, (size_t)(behind - at)));
    return behind;
}

/* Numbers */

enum { NUMBER_SHORT = 64 };

/* copy: room for len + 1 bytes. */
static lua_Number read_float(struct slice text, char *copy) {
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    return real_read(copy);
}

static void push_float(lua_State *L, struct slice text) {
    if (text.len < NUMBER_SHORT) {
        char copy[NUMBER_SHORT];
        lua_pushnumber(L, read_float(text, copy));
        return;
    }
    char *copy = lua_newuserdatauv(L, text.len + 1, 0);
    lua_Number number = read_float(text, copy);
    lua_pop(L, 1);
    lua_pushnumber(L, number);
}

/* A number of at most 15 digits over a power of ten up to 10^22: both are exact as floats, so their
 * quotient is the nearest float. False where the text is none of that kind. */
static bool read_decimal(struct slice text, lua_Number *number) {
    static const double powers[] = {1e0, 1e1, 1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                    1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15};
    if (text.len > 17) {
        return false;
    }
    uint64_t digits = 0;
    size_t count = 0;
    size_t point = text.len - 1;
    bool minus = text.ptr[0] == '-';
    for (size_t i = minus; i < text.len; i++) {
        if (text.ptr[i] == '.') {
            point = i;
            continue;
        }
        if (text.ptr[i] < '0' || text.ptr[i] > '9' || ++count > 15) {
            return false;
        }
        digits = digits * 10 + (uint64_t)(text.ptr[i] - '0');
    }
    *number = (double)digits / powers[text.len - 1 - point];
    *number = minus ? -*number : *number;
    return true;
}

/* digits of an integer without its sign, at most 19: false where it does not fit 64 bits. */
static bool read_integer(const char *at, const char *end, bool minus, lua_Integer *number) {
    uint64_t value = 0;
    for (; at < end; at++) {
        value = value * 10 + (uint64_t)(*at - '0');
    }
    if (value > (uint64_t)INT64_MAX + minus) {
        return false;
    }
    *number = (lua_Integer)(minus ? 0 - value : value);
    return true;
}

static const char *push_number(lua_State *L, const char *start, const char *end) {
    const char *first = *start == '-' ? start + 1 : start;
    const char *at = first;
    while (at < end && *at >= '0' && *at <= '9') {
        at++;
    }
    bool whole = at == end || (*at != '.' && *at != 'e' && *at != 'E');
    bool minus_zero = first > start && *first == '0';
    lua_Integer integer;
    if (whole && at - first <= 19 && !minus_zero && read_integer(first, at, first > start, &integer)) {
        lua_pushinteger(L, integer);
        return at;
    }
    while (at < end && ((*at >= '0' && *at <= '9') || *at == '.' || *at == 'e' || *at == 'E' || *at == '+' ||
                        *at == '-')) {
        at++;
    }
    struct slice text = slice_of(start, (size_t)(at - start));
    lua_Number number;
    if (read_decimal(text, &number)) {
        lua_pushnumber(L, number);
    } else {
        push_float(L, text);
    }
    return at;
}

/* Values */

/* Stack while converting: each open container, the name of the member that is being read above its object. */
struct decoder {
    lua_State *L;
    const char *at, *end;
    int into;                          /* stack index of the table that the value goes into; 0: a new one */
    unsigned depth;                    /* open containers */
    lua_Integer items[JSON_DEPTH_MAX]; /* elements so far in each; OBJECT for an object */
};

enum { OBJECT = -1 };

/* Most containers have a few elements: the first of them should not each make the table grow. */
enum { TABLE_GUESS = 4 };

static void skip_space(struct decoder *d) {
    d->at = json_skip_space(d->at, d->end);
}

/* at is on a name: pushes it and moves onto the value. */
static void push_name(struct decoder *d) {
    d->at = push_string(d->L, d->at, d->end);
    skip_space(d);
    d->at++; /* the colon */
    skip_space(d);
}

/* Pushes a table for the container at `at`. */
static void push_table(struct decoder *d, bool object, int guess) {
    lua_State *L = d->L;
    if (d->depth == 0 && d->into) {
        lua_pushvalue(L, d->into);
        return;
    }
    lua_createtable(L, object ? 0 : guess, object ? guess : 0);
    if (!object) {
        convert_push_fixture(L, CONVERT_ARRAY);
        lua_setmetatable(L, -2);
    }
}

/* True where the container has something in it: at is then on its first value. Otherwise it is whole,
 * and at is behind it. */
static bool open_container(struct decoder *d) {
    bool object = *d->at == '{';
    d->at++;
    skip_space(d);
    bool empty = *d->at == '}' || *d->at == ']';
    int guess = empty ? 0 : TABLE_GUESS;
    luaL_checkstack(d->L, 8, "JSON nested too deeply");
    push_table(d, object, guess);
    if (empty) {
        d->at++;
        return false;
    }
    d->items[d->depth++] = object ? OBJECT : 0;
    if (object) {
        push_name(d);
    }
    return true;
}

const char *convert_push_scalar(lua_State *L, const char *at, const char *end) {
    switch (*at) {
    case '"':
        return push_string(L, at, end);
    case 't':
        lua_pushboolean(L, 1);
        return at + 4;
    case 'f':
        lua_pushboolean(L, 0);
        return at + 5;
    case 'n':
        convert_push_null(L);
        return at + 4;
    default:
        return push_number(L, at, end);
    }
}

/* A whole value is on top: puts it where it belongs, closing what ends behind it. True where at is on
 * another value. */
static bool store(struct decoder *d) {
    while (d->depth > 0) {
        lua_Integer *items = &d->items[d->depth - 1];
        if (*items == OBJECT) {
            lua_rawset(d->L, -3);
        } else {
            lua_rawseti(d->L, -2, ++*items);
        }
        skip_space(d);
        bool more = *d->at == ',';
        d->at++;
        if (more) {
            skip_space(d);
            if (*items == OBJECT) {
                push_name(d);
            }
            return true;
        }
        d->depth--;
    }
    return false;
}

/* Pushes the value. */
static void decode(lua_State *L, struct slice json, int into) {
    luaL_checkstack(L, 8, "JSON nested too deeply");
    struct decoder d; /* not all of it is set: items is large */
    d.L = L;
    d.at = json.ptr;
    d.end = json.ptr + json.len;
    d.into = into;
    d.depth = 0;
    skip_space(&d);
    for (bool more = true; more;) {
        bool container = *d.at == '{' || *d.at == '[';
        if (container && open_container(&d)) {
            continue;
        }
        if (!container) {
            d.at = convert_push_scalar(L, d.at, d.end);
        }
        more = store(&d);
    }
}

void convert_push(lua_State *L, struct slice json) {
    decode(L, json, 0);
}

void convert_fill(lua_State *L, int index, struct slice json) {
    decode(L, json, lua_absindex(L, index));
    lua_pop(L, 1);
}
