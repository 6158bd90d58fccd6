#include "script/options.h"

#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>

#include "base/units.h"

static void refuse(lua_State *L, const char *name, const char *expected) {
    luaL_error(L, "%s: expected %s, got %s", name, expected, luaL_typename(L, -1));
}

char *options_text(lua_State *L, int index, const char *name) {
    char *copy = NULL;
    if (lua_getfield(L, index, name) != LUA_TNIL) {
        if (lua_type(L, -1) != LUA_TSTRING) {
            refuse(L, name, "a string");
        }
        copy = strdup(lua_tostring(L, -1));
        if (!copy) {
            luaL_error(L, "out of memory");
        }
    }
    lua_pop(L, 1);
    return copy;
}

bool options_boolean(lua_State *L, int index, const char *name) {
    int type = lua_getfield(L, index, name);
    if (type != LUA_TNIL && type != LUA_TBOOLEAN) {
        refuse(L, name, "true or false");
    }
    bool value = lua_toboolean(L, -1);
    lua_pop(L, 1);
    return value;
}

int options_choice(lua_State *L, int index, const char *name, const char *const names[],
                   const char *fallback) {
    const char *chosen = fallback;
    if (lua_getfield(L, index, name) != LUA_TNIL) {
        chosen = lua_tostring(L, -1);
    }
    for (int i = 0; names[i]; i++) {
        if (chosen && strcmp(names[i], chosen) == 0) {
            lua_pop(L, 1);
            return i;
        }
    }
    return luaL_error(L, "%s: '%s' is not one of its values", name, chosen ? chosen : luaL_typename(L, -1));
}

bool options_take_size(lua_State *L, int index, size_t *bytes) {
    if (lua_type(L, index) == LUA_TNUMBER) {
        lua_Number number = lua_tonumber(L, index);
        bool ok = number >= 1 && number < 9e15;
        *bytes = ok ? (size_t)number : 0;
        return ok;
    }
    return lua_type(L, index) == LUA_TSTRING && units_size(lua_tostring(L, index), bytes) && *bytes > 0;
}

bool options_take_duration(lua_State *L, int index, uint64_t *ms) {
    if (lua_type(L, index) == LUA_TNUMBER) {
        return units_seconds(lua_tonumber(L, index), ms);
    }
    return lua_type(L, index) == LUA_TSTRING && units_duration(lua_tostring(L, index), ms);
}

size_t options_size(lua_State *L, int index, const char *name, size_t fallback) {
    size_t bytes = fallback;
    if (lua_getfield(L, index, name) != LUA_TNIL && !options_take_size(L, -1, &bytes)) {
        refuse(L, name, "a size (bytes, or text like \"64KB\", \"10MB\")");
    }
    lua_pop(L, 1);
    return bytes;
}

uint64_t options_duration(lua_State *L, int index, const char *name, uint64_t fallback) {
    uint64_t ms = fallback;
    if (lua_getfield(L, index, name) != LUA_TNIL && !options_take_duration(L, -1, &ms)) {
        refuse(L, name, "a duration (seconds, or text like \"500ms\", \"30s\", \"5m\")");
    }
    lua_pop(L, 1);
    return ms;
}
