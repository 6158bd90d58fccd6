#include "script/api_state.h"

#include <lauxlib.h>
#include <stdlib.h>

#include "script/api_stream.h"
#include "script/api_where.h"
#include "script/convert.h"
#include "script/lazy.h"
#include "state/store.h"

static const char state_name[] = "weir.state";

struct api_state {
    const struct api_stream *stream; /* the userdata in the user value */
    enum api_state_kind kind;
};

void api_state_push(lua_State *L, const struct api_stream *stream, int owner, enum api_state_kind kind) {
    owner = lua_absindex(L, owner);
    struct api_state *state = lua_newuserdatauv(L, sizeof *state, 1);
    state->stream = stream;
    state->kind = kind;
    lua_pushvalue(L, owner);
    lua_setiuservalue(L, -2, 1);
    luaL_setmetatable(L, state_name);
}

struct store *api_state_check(lua_State *L) {
    const struct api_state *state = luaL_checkudata(L, 1, state_name);
    const struct api_stream *stream = state->stream;
    if (!stream->store) {
        luaL_error(L, "the worker has ended, and the state with it");
    }
    return state->kind == API_STATE_BUILDING && stream->building ? stream->building : stream->store;
}

struct overlay *api_state_overlay(lua_State *L) {
    const struct api_state *state = lua_touserdata(L, 1);
    struct overlay *overlay = state->stream->local.overlay;
    return state->kind == API_STATE_SEEN && overlay && overlay_pending(overlay) > 0 ? overlay : NULL;
}

static const struct store *check_store(lua_State *L) {
    return api_state_check(L);
}

/* A real string: a number as key would find nothing, or worse, something. */
static struct slice check_text(lua_State *L, int index) {
    luaL_checktype(L, index, LUA_TSTRING);
    size_t len;
    const char *ptr = lua_tolstring(L, index, &len);
    return slice_of(ptr, len);
}

/* The value that is seen. */
static struct slice look_up(lua_State *L, const struct store *store, struct slice type, struct slice key) {
    struct overlay *overlay = api_state_overlay(L);
    struct slice value;
    struct error e;
    switch (overlay ? overlay_get(overlay, store, type, key, &value, &e) : OVERLAY_NONE) {
    case OVERLAY_VALUE:
        return value;
    case OVERLAY_FAILED:
        script_raise(L, &e);
        return (struct slice){0};
    case OVERLAY_NONE:
        break;
    }
    return store_get(store, type, key);
}

static struct slice get(lua_State *L) {
    const struct store *store = check_store(L);
    return look_up(L, store, check_text(L, 2), check_text(L, 3));
}

static int state_get(lua_State *L) {
    struct slice value = get(L);
    if (value.ptr) {
        lazy_push(L, value);
    } else {
        lua_pushnil(L);
    }
    return 1;
}

static int state_json(lua_State *L) {
    struct slice value = get(L);
    if (value.ptr) {
        lua_pushlstring(L, value.ptr, value.len);
    } else {
        lua_pushnil(L);
    }
    return 1;
}

static int state_has(lua_State *L) {
    lua_pushboolean(L, get(L).ptr != NULL);
    return 1;
}

static int state_size(lua_State *L) {
    const struct store *store = check_store(L);
    struct slice type = {0};
    if (!lua_isnoneornil(L, 2)) {
        type = check_text(L, 2);
    }
    const struct overlay *overlay = api_state_overlay(L);
    lua_pushinteger(L,
                    (lua_Integer)(overlay ? overlay_count(overlay, store, type) : store_count(store, type)));
    return 1;
}

/* Pushing raises when memory runs out, so what C allocated is held by a userdata meanwhile. */
struct held {
    void *memory;
};

static int held_collect(lua_State *L) {
    struct held *held = lua_touserdata(L, 1);
    free(held->memory);
    held->memory = NULL;
    return 0;
}

static struct held *push_held(lua_State *L) {
    struct held *held = lua_newuserdatauv(L, sizeof *held, 0);
    held->memory = NULL;
    if (luaL_newmetatable(L, "weir.held")) {
        lua_pushcfunction(L, held_collect);
        lua_setfield(L, -2, "__gc");
    }
    lua_setmetatable(L, -2);
    return held;
}

static void release(struct held *held) {
    free(held->memory);
    held->memory = NULL;
}

/* Pushes an array made of every row of the type at index 2. */
static int push_rows(lua_State *L, void (*push)(lua_State *L, const struct store_row *row)) {
    struct store *store = api_state_check(L);
    struct overlay *overlay = api_state_overlay(L);
    struct slice type = check_text(L, 2);
    struct held *held = push_held(L);
    size_t count;
    struct error e;
    struct store_row *rows = overlay ? overlay_where(overlay, store, type, NULL, 0, &count, &e)
                                     : store_rows(store, type, &count);
    held->memory = rows;
    if (!rows) {
        return overlay ? script_raise(L, &e) : luaL_error(L, "out of memory");
    }
    lua_createtable(L, (int)count, 0);
    convert_mark_array(L, -1);
    for (size_t i = 0; i < count; i++) {
        push(L, &rows[i]);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    release(held);
    return 1;
}

static void push_row_value(lua_State *L, const struct store_row *row) {
    lazy_push(L, row->value);
}

static void push_row_key(lua_State *L, const struct store_row *row) {
    lua_pushlstring(L, row->key.ptr, row->key.len);
}

static int state_rows(lua_State *L) {
    return push_rows(L, push_row_value);
}

static int state_keys(lua_State *L) {
    return push_rows(L, push_row_key);
}

static int state_types(lua_State *L) {
    const struct store *store = check_store(L);
    struct held *held = push_held(L);
    size_t count;
    const struct overlay *overlay = api_state_overlay(L);
    struct error e;
    struct slice *types = overlay ? overlay_types(overlay, store, &count, &e) : store_types(store, &count);
    held->memory = types;
    if (!types) {
        return luaL_error(L, "out of memory");
    }
    lua_createtable(L, (int)count, 0);
    convert_mark_array(L, -1);
    for (size_t i = 0; i < count; i++) {
        lua_pushlstring(L, types[i].ptr, types[i].len);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    release(held);
    return 1;
}

/* Upvalues: state, type, keys, position. */
static int each_next(lua_State *L) {
    lua_settop(L, 0);
    lua_pushvalue(L, lua_upvalueindex(1));
    const struct store *store = check_store(L);
    lua_Integer at = lua_tointeger(L, lua_upvalueindex(4));
    size_t type_len;
    const char *type = lua_tolstring(L, lua_upvalueindex(2), &type_len);
    while (lua_rawgeti(L, lua_upvalueindex(3), ++at) == LUA_TSTRING) {
        size_t key_len;
        const char *key = lua_tolstring(L, -1, &key_len);
        struct slice value = look_up(L, store, slice_of(type, type_len), slice_of(key, key_len));
        if (value.ptr) {
            lua_pushinteger(L, at);
            lua_replace(L, lua_upvalueindex(4));
            lazy_push(L, value);
            return 2;
        }
        lua_pop(L, 1);
    }
    return 0;
}

static int state_each(lua_State *L) {
    lua_settop(L, 2);
    state_keys(L);
    lua_replace(L, 3);
    lua_settop(L, 3);
    lua_pushinteger(L, 0);
    lua_pushcclosure(L, each_next, 4);
    return 1;
}

static int state_tostring(lua_State *L) {
    const struct store *store = check_store(L);
    lua_pushfstring(L, "weir.state: %I entities", (LUAI_UACINT)store_count(store, (struct slice){0}));
    return 1;
}

void api_state_open(lua_State *L) {
    static const luaL_Reg methods[] = {
        {"get", state_get},   {"has", state_has},   {"size", state_size}, {"where", api_where},
        {"rows", state_rows}, {"keys", state_keys}, {"each", state_each}, {"types", state_types},
        {"json", state_json}, {NULL, NULL},
    };
    luaL_newmetatable(L, state_name);
    luaL_newlib(L, methods);
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, state_tostring);
    lua_setfield(L, -2, "__tostring");
    lua_pop(L, 1);
}
