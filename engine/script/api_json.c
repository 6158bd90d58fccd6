#include "script/api_json.h"

#include <lauxlib.h>

#include "script/convert.h"
#include "script/lazy.h"
#include "json/scan.h"

/* A buffer that is larger than this after a call gives its memory back. */
enum { SCRATCH_KEPT = 64 * 1024 };

static int json_decode(lua_State *L) {
    struct slice text;
    struct error e;
    text.ptr = luaL_checklstring(L, 1, &text.len);
    if (!json_check(text, &e)) {
        return luaL_error(L, "invalid JSON at byte %I: %s", (lua_Integer)e.position + 1, e.message);
    }
    convert_push(L, text);
    return 1;
}

/* One buffer serves all calls of a state: its memory would leak if each call had one of its own and
 * __json or the making of the result raised. __json may call encode again, which then writes behind
 * what is there already and takes it off again. */
static int json_encode(lua_State *L) {
    struct buf *scratch = lua_touserdata(L, lua_upvalueindex(1));
    size_t start = scratch->len;
    struct error e;
    luaL_checkany(L, 1);
    if (!convert_append(L, 1, scratch, &e)) {
        buf_shrink(scratch, SCRATCH_KEPT);
        return luaL_error(L, "%s", e.message);
    }
    size_t len = scratch->len - start;
    scratch->len = start; /* first, since what follows may raise */
    lua_pushlstring(L, scratch->ptr + start, len);
    buf_shrink(scratch, SCRATCH_KEPT);
    return 1;
}

static int json_array(lua_State *L) {
    if (lua_isnoneornil(L, 1)) {
        lua_settop(L, 0);
        lua_newtable(L);
        convert_mark_array(L, 1);
        return 1;
    }
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    lazy_settle(L, 1);
    if (lua_getmetatable(L, 1)) {
        lua_newtable(L);
        convert_mark_array(L, 3);
        lua_getmetatable(L, 3);
        luaL_argcheck(L, lua_rawequal(L, 2, 4), 1, "this table has another metatable");
    } else {
        convert_mark_array(L, 1);
    }
    lua_settop(L, 1);
    return 1;
}

static int scratch_gc(lua_State *L) {
    struct buf *scratch = lua_touserdata(L, 1);
    buf_free(scratch);
    scratch->max = 0; /* a finalizer that runs later gets an error instead of memory */
    return 0;
}

static void push_scratch(lua_State *L) {
    struct buf *scratch = lua_newuserdatauv(L, sizeof *scratch, 0);
    buf_init(scratch, API_JSON_MAX);
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, scratch_gc);
    lua_setfield(L, -2, "__gc");
    lua_setmetatable(L, -2);
}

void api_json_open(lua_State *L) {
    luaL_checkstack(L, 6, NULL);
    lua_createtable(L, 0, 3);
    lua_pushcfunction(L, json_decode);
    lua_setfield(L, -2, "decode");
    push_scratch(L);
    lua_pushcclosure(L, json_encode, 1);
    lua_setfield(L, -2, "encode");
    lua_pushcfunction(L, json_array);
    lua_setfield(L, -2, "array");
    lua_setfield(L, -2, "json");
    convert_push_null(L);
    lua_setfield(L, -2, "null");
}
