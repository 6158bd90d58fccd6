#include "script/api_log.h"

#include <lauxlib.h>
#include <lualib.h>

#include "script/convert.h"
#include "script/script.h"

/* Raises what is on top of the stack, a message with its place in the script. */
static int fail_at_caller(lua_State *L) {
    if (lua_type(L, -1) == LUA_TSTRING) {
        luaL_where(L, 1);
        lua_insert(L, -2);
        lua_concat(L, 2);
    }
    return lua_error(L);
}

/* Upvalues: the level, string.format. */
static int log_line(lua_State *L) {
    enum log_level level = (enum log_level)lua_tointeger(L, lua_upvalueindex(1));
    const struct script *script = script_of(L);
    if (!log_wants(script->log, level)) {
        return 0;
    }
    luaL_checkany(L, 1);
    if (lua_gettop(L) > 1) {
        lua_pushvalue(L, lua_upvalueindex(2));
        lua_insert(L, 1);
        if (lua_pcall(L, lua_gettop(L) - 1, 1, 0) != LUA_OK) {
            return fail_at_caller(L);
        }
    } else if (lua_istable(L, 1) && !luaL_getmetafield(L, 1, "__tostring")) {
        lua_getfield(L, lua_upvalueindex(3), "encode");
        lua_insert(L, 1);
        lua_call(L, 1, 1);
    } else {
        luaL_tolstring(L, 1, NULL);
    }
    log_write(script->log, level, "%s", lua_tostring(L, -1));
    return 0;
}

void api_log_open(lua_State *L) {
    static const struct {
        const char *name;
        enum log_level level;
    } levels[] = {{"debug", LOG_DEBUG}, {"info", LOG_INFO}, {"warn", LOG_WARN}, {"error", LOG_ERROR}};
    lua_newtable(L);
    for (size_t i = 0; i < sizeof levels / sizeof *levels; i++) {
        lua_pushinteger(L, levels[i].level);
        luaL_requiref(L, LUA_STRLIBNAME, luaopen_string, 0);
        lua_getfield(L, -1, "format");
        lua_remove(L, -2);
        lua_getfield(L, -4, "json");
        lua_pushcclosure(L, log_line, 3);
        lua_setfield(L, -2, levels[i].name);
    }
    lua_setfield(L, -2, "log");
}
