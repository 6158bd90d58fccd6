#include "script/names.h"

#include <lauxlib.h>
#include <stdint.h>
#include <string.h>

enum { PLACES = 64, SHORT = 48 };

/* The last name that fell into a place. The table of the user value has all, both ways. */
struct place {
    int number; /* 0: none yet */
    uint32_t len;
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

static uint32_t four_bytes(const char *at) {
    uint32_t bytes;
    memcpy(&bytes, at, sizeof bytes);
    return bytes;
}

static unsigned place_of(struct slice name) {
    uint32_t first = 0;
    uint32_t last = 0;
    if (name.len >= 4) {
        first = four_bytes(name.ptr);
        last = four_bytes(name.ptr + name.len - 4);
    } else if (name.len > 0) {
        first = (unsigned char)name.ptr[0];
        last = (unsigned char)name.ptr[name.len - 1];
    }
    uint32_t mixed = (first ^ (last << 7 | last >> 25)) + (uint32_t)name.len;
    return mixed * UINT32_C(2654435769) >> 26;
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

int names_number(lua_State *L, int index, struct slice name) {
    struct names *names = lua_touserdata(L, index);
    struct place *place = &names->places[place_of(name)];
    if (place->number && place->len == name.len && memcmp(place->bytes, name.ptr, name.len) == 0) {
        return place->number;
    }
    int number = find(L, index, names, name);
    if (number && name.len <= SHORT) {
        place->number = number;
        place->len = (uint32_t)name.len;
        memcpy(place->bytes, name.ptr, name.len);
    }
    return number;
}
