#include "script/api_env.h"

#include <lauxlib.h>
#include <stdlib.h>

#include "script/script.h"

static int env(lua_State *L) {
    const char *name = luaL_checkstring(L, 1);
    const struct script *script = script_of(L);
    const char *value = script->host.setting(script->host.user, name);
    if (!value) {
        value = getenv(name);
    }
    lua_settop(L, 2);
    if (value) {
        lua_pushstring(L, value);
    }
    return 1;
}

void api_env_open(lua_State *L) {
    lua_pushcfunction(L, env);
    lua_setfield(L, -2, "env");
}
