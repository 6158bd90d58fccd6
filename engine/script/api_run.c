#include "script/api_run.h"

#include <lauxlib.h>

#include "script/script.h"

static int run(lua_State *L) {
    struct script *script = script_of(L);
    struct error e;
    script_check_unasked(L, "weir.run");
    if (script->current) {
        return luaL_error(L, "weir.run cannot be called from a handler: the worker runs already");
    }
    if (!script->host.run(script->host.user, &e)) {
        return script_raise_bare(L, &e);
    }
    return 0;
}

static int stop(lua_State *L) {
    const struct script *script = script_of(L);
    script_check_unasked(L, "weir.stop");
    script->host.stop(script->host.user);
    return 0;
}

void api_run_open(lua_State *L) {
    lua_pushcfunction(L, run);
    lua_setfield(L, -2, "run");
    lua_pushcfunction(L, stop);
    lua_setfield(L, -2, "stop");
    lua_pushliteral(L, WEIR_VERSION);
    lua_setfield(L, -2, "version");
}
