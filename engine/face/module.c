/* The Lua module: `require "weir"` in plain lua5.4. */
#include <lua.h>

#include "worker/worker.h"

__attribute__((visibility("default"))) int luaopen_weir(lua_State *L);

int luaopen_weir(lua_State *L) {
    struct worker_options options = {.signals = true};
    return worker_open_module(L, &options);
}
