#include "script/api_gate.h"

#include <lauxlib.h>
#include <stdlib.h>

#include "script/task.h"

static void destroy(struct op *op) {
    free(op);
}

/* The hold of op_init is Lua's: nobody else knows a gate. */
static int gate_new(lua_State *L) {
    struct script *script = script_of(L);
    op_push(L);
    struct op *op = malloc(sizeof *op);
    if (!op) {
        return luaL_error(L, "out of memory");
    }
    op_init(op, script);
    op->destroy = destroy;
    op_bind(L, lua_gettop(L), op);
    return 1;
}

static int waited(lua_State *L, int status, lua_KContext context) {
    (void)L;
    (void)status;
    (void)context;
    return 0;
}

static int gate_wait(lua_State *L) {
    luaL_checktype(L, 1, LUA_TUSERDATA);
    const char *what = luaL_checkstring(L, 2);
    lua_settop(L, 2);
    return op_wait(L, 1, what, waited);
}

static int gate_open(lua_State *L) {
    luaL_checktype(L, 1, LUA_TUSERDATA);
    struct op *op = op_at(L, 1);
    if (!op->done) {
        op_finish(op);
    }
    return 0;
}

static int in_task(lua_State *L) {
    lua_pushboolean(L, script_of(L)->current != NULL);
    return 1;
}

void api_gate_open(lua_State *L) {
    static const luaL_Reg functions[] = {
        {"new", gate_new}, {"wait", gate_wait}, {"open", gate_open}, {"inTask", in_task}, {NULL, NULL},
    };
    luaL_newlib(L, functions);
    lua_setfield(L, -2, "_gate");
}
