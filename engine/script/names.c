#include "script/names.h"

#include <lauxlib.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

enum { PLACES = 64, SHORT = 48 };

/* The first and last bytes of a name: of one of 1 to 16 bytes they are, with its length, the whole. */
struct ends {
    uint64_t first, last;
};

/* The last name that fell into a place. The table of the user value has all, both ways. */
struct place {
    int number; /* 0: none yet */
    uint32_t len;
    struct ends ends;
    char bytes[SHORT];
};

struct names {
    int count;
    struct place places[PLACES];
};

void names_push_new(lua_State *L) {
    struct names *names = lua_newuserdatauv(L, sizeof *names, 1);
    memset(names, 0, sizeof *names);
    lua_newtable(L);
    lua_setiuservalue(L, -2, 1);
}

void names_push_table(lua_State *L, int index) {
    lua_getiuservalue(L, index, 1);
}

static struct ends ends_of(struct slice name) {
    const char *at = name.ptr;
    size_t len = name.len;
    if (len >= 8) {
        return (struct ends){slice_eight_bytes(at), slice_eight_bytes(at + len - 8)};
    }
    if (len >= 4) {
        return (struct ends){slice_four_bytes(at), slice_four_bytes(at + len - 4)};
    }
    if (len > 0) {
        return (struct ends){(uint64_t)(unsigned char)at[0] << 8 | (unsigned char)at[len / 2],
                             (unsigned char)at[len - 1]};
    }
    return (struct ends){0, 0};
}

static unsigned place_of(struct ends ends, size_t len) {
    uint64_t mixed = (ends.first ^ (ends.last << 23 | ends.last >> 41)) + len;
    return (unsigned)(mixed * UINT64_C(0x9E3779B97F4A7C15) >> 58);
}

/* The slow way, over the table. */
static int find(lua_State *L, int index, struct names *names, struct slice name) {
    luaL_checkstack(L, 4, NULL);
    lua_getiuservalue(L, index, 1);
    lua_pushlstring(L, name.ptr, name.len);
    lua_pushvalue(L, -1);
    lua_rawget(L, -3);
    int number = (int)lua_tointeger(L, -1);
    lua_pop(L, 1);
    if (number == 0 && names->count < NAMES_MAX) {
        lua_pushvalue(L, -1);
        lua_rawseti(L, -3, names->count + 1);
        lua_pushinteger(L, names->count + 1);
        lua_rawset(L, -3);
        number = ++names->count;
        lua_pop(L, 1);
    } else {
        lua_pop(L, 2);
    }
    return number;
}

static bool is_at(const struct place *place, struct ends ends, struct slice name) {
    return place->len == name.len && place->ends.first == ends.first && place->ends.last == ends.last &&
           (name.len <= 16 || memcmp(place->bytes, name.ptr, name.len) == 0);
}

int names_number(lua_State *L, int index, struct slice name) {
    struct names *names = lua_touserdata(L, index);
    struct ends ends = ends_of(name);
    struct place *place = &names->places[place_of(ends, name.len)];
    if (place->number && is_at(place, ends, name)) {
        return place->number;
    }
    int number = find(L, index, names, name);
    if (number && name.len <= SHORT) {
        place->number = number;
        place->len = (uint32_t)name.len;
        place->ends = ends;
        memcpy(place->bytes, name.ptr, name.len);
    }
    return number;
}
