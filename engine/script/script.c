#include "script/script.h"

#include <string.h>

#include "script/api_env.h"
#include "script/api_event.h"
#include "script/api_gate.h"
#include "script/api_json.h"
#include "script/api_log.h"
#include "script/api_materialized.h"
#include "script/api_producer.h"
#include "script/api_run.h"
#include "script/api_schema.h"
#include "script/api_serve.h"
#include "script/api_sink.h"
#include "script/api_stamp.h"
#include "script/api_state.h"
#include "script/api_stream.h"
#include "script/api_timer.h"
#include "script/api_types.h"
#include "script/convert.h"
#include "script/embed.h"
#include "script/lazy.h"
#include "script/task.h"

enum { DESCRIPTION_MAX = 500 };

static const char script_key; /* its address is the registry key, as is that of */
static const char traces_key; /* the tracebacks of errors that are tables: a table with weak keys */

static const char error_name_key[] = "weir.error";

struct script *script_of(lua_State *L) {
    lua_rawgetp(L, LUA_REGISTRYINDEX, &script_key);
    struct script *script = lua_touserdata(L, -1);
    lua_pop(L, 1);
    if (!script) {
        luaL_error(L, "the worker has ended");
    }
    return script;
}

static int error_tostring(lua_State *L) {
    lua_getfield(L, 1, "message");
    return 1;
}

static void open_errors(lua_State *L) {
    luaL_newmetatable(L, error_name_key);
    lua_pushcfunction(L, error_tostring);
    lua_setfield(L, -2, "__tostring");
    lua_pop(L, 1);
    lua_newtable(L);
    lua_createtable(L, 0, 1);
    lua_pushliteral(L, "k");
    lua_setfield(L, -2, "__mode");
    lua_setmetatable(L, -2);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &traces_key);
}

/* Each module of the Lua half is called with (name, core) and what it returns is kept under
 * core[last part of the name], unless it returns nothing. */
static void load_embedded(lua_State *L, int core) {
    for (const struct embed_module *module = embed_modules; module->name; module++) {
        const char *last = strrchr(module->name, '.') + 1;
        lua_pushfstring(L, "@%s", module->name);
        if (luaL_loadbufferx(L, module->text, module->len, lua_tostring(L, -1), "t") != LUA_OK) {
            lua_error(L);
        }
        lua_pushstring(L, module->name);
        lua_pushvalue(L, core);
        lua_call(L, 2, 1);
        if (lua_isnil(L, -1)) {
            lua_pop(L, 1);
        } else {
            lua_setfield(L, core, last);
        }
        lua_pop(L, 1);
    }
}

/* What the Lua half needed of the native half, and has by now. */
static void hide_private(lua_State *L, int core) {
    static const char *const names[] = {"_column",   "_gate",     "_lane",   "_materialized", "_options",
                                        "_outgoing", "_producer", "_schema", "_schemaTypes",  "_serve",
                                        "_sink",     "_stamp",    "_state",  "_stream",       "_types"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        lua_pushnil(L);
        lua_setfield(L, core, names[i]);
    }
}

/* A script that ends by os.exit(code, true) closes its state before anybody closes the script. */
static int collect_script(lua_State *L) {
    struct script **held = lua_touserdata(L, 1);
    if (!(*held)->stopping) {
        script_close(*held);
    }
    return 0;
}

static void close_with_state(lua_State *L, struct script *script) {
    struct script **held = lua_newuserdatauv(L, sizeof *held, 0);
    *held = script;
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, collect_script);
    lua_setfield(L, -2, "__gc");
    lua_setmetatable(L, -2);
    luaL_ref(L, LUA_REGISTRYINDEX);
}

void script_open(lua_State *L, struct script *script) {
    lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_MAINTHREAD);
    script->L = lua_tothread(L, -1);
    lua_pop(L, 1);
    lua_pushlightuserdata(L, script);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &script_key);
    close_with_state(L, script);
    open_errors(L);
    convert_open(L);
    if (script->own) {
        lazy_open(L);
    }
    if (script->alone) {
        watch_open(L, script);
    }
    lua_newtable(L);
    int core = lua_gettop(L);
    api_json_open(L);
    api_log_open(L);
    api_env_open(L);
    api_timer_open(L);
    api_event_open(L);
    api_state_open(L);
    api_schema_open(L);
    api_stream_open(L);
    api_producer_open(L);
    api_sink_open(L);
    api_serve_open(L);
    api_run_open(L);
    api_stamp_open(L);
    api_gate_open(L);
    api_materialized_open(L);
    api_types_open(L);
    load_embedded(L, core);
    hide_private(L, core);
}

void script_close(struct script *script) {
    script->stopping = true;
    watch_close(script);
    api_timer_close_all(script);
    api_producer_close_all(script);
    api_stream_close_all(script);
    api_serve_close_all(script);
    lua_pushboolean(script->L, false); /* what the state still runs at its end must not find it */
    lua_rawsetp(script->L, LUA_REGISTRYINDEX, &script_key);
}

/* Replaces the error value on top by what it is with a traceback of `from`. */
static void trace(lua_State *L, lua_State *from, int level) {
    if (lua_istable(L, -1)) {
        lua_rawgetp(L, LUA_REGISTRYINDEX, &traces_key);
        lua_pushvalue(L, -2);
        if (lua_rawget(L, -2) == LUA_TNIL) {
            lua_pushvalue(L, -3);
            luaL_traceback(L, from, NULL, level);
            lua_rawset(L, -4);
        }
        lua_pop(L, 2);
        return;
    }
    const char *message = luaL_tolstring(L, -1, NULL);
    if (!strstr(message, "\nstack traceback:")) {
        luaL_traceback(L, from, message, level);
        lua_remove(L, -2);
    }
    lua_remove(L, -2);
}

void script_trace(lua_State *L, lua_State *from) {
    trace(L, from, 0);
}

int script_traceback(lua_State *L) {
    lua_settop(L, 1);
    trace(L, L, 1);
    return 1;
}

bool script_protect(struct script *script, lua_CFunction fn, void *arg, struct error *e) {
    lua_State *L = script->L;
    if (!lua_checkstack(L, LUA_MINSTACK)) {
        return error_set(e, ERROR_MEMORY, "out of memory: the Lua stack cannot grow");
    }
    lua_pushcfunction(L, script_traceback);
    int handler = lua_gettop(L);
    lua_pushcfunction(L, fn);
    lua_pushlightuserdata(L, arg);
    bool ok = lua_pcall(L, 1, 0, handler) == LUA_OK;
    if (!ok) {
        script_take_error(L, e);
    }
    lua_remove(L, handler);
    return ok;
}

static enum error_code code_of(lua_State *L, int index) {
    enum error_code code = ERROR_SCRIPT;
    lua_pushliteral(L, "number");
    if (lua_rawget(L, index) == LUA_TNUMBER) {
        code = (enum error_code)lua_tointeger(L, -1);
    }
    lua_pop(L, 1);
    return code;
}

/* A table that does not say how it is to be shown is shown as JSON, where that can be done. */
static bool push_as_json(lua_State *L) {
    char text[DESCRIPTION_MAX];
    struct buf json;
    struct error e;
    if (!lua_istable(L, 1) || luaL_getmetafield(L, 1, "__tostring") != LUA_TNIL) {
        return false;
    }
    buf_init(&json, sizeof text);
    bool ok = convert_append(L, 1, &json, &e);
    size_t len = json.len;
    if (ok) {
        memcpy(text, json.ptr, len);
    }
    buf_free(&json);
    if (ok) {
        lua_pushlstring(L, text, len);
    }
    return ok;
}

int script_describe(lua_State *L) {
    lua_settop(L, 1);
    if (!push_as_json(L)) {
        luaL_tolstring(L, 1, NULL);
    }
    return 1;
}

/* Runs protected: tostring may be the script's own. */
static int describe(lua_State *L) {
    script_describe(L);
    lua_insert(L, 2);
    lua_settop(L, 2);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &traces_key);
    lua_pushvalue(L, 1);
    if (lua_rawget(L, -2) != LUA_TSTRING) {
        lua_pop(L, 2);
        return 1;
    }
    lua_remove(L, -2);
    lua_pushliteral(L, "\n");
    lua_insert(L, -2);
    lua_concat(L, 3);
    return 1;
}

void script_take_error(lua_State *L, struct error *e) {
    enum error_code code = ERROR_SCRIPT;
    if (lua_istable(L, -1)) {
        code = code_of(L, lua_gettop(L));
    }
    lua_pushcfunction(L, describe);
    lua_insert(L, -2);
    lua_pcall(L, 1, 1, 0);
    const char *message = lua_tostring(L, -1);
    error_set(e, code, "%s", message ? message : "an error without a message");
    lua_pop(L, 1);
}

void script_push_error(lua_State *L, const struct error *e) {
    lua_createtable(L, 0, 4);
    lua_pushstring(L, error_name(e->code));
    lua_setfield(L, -2, "code");
    lua_pushstring(L, e->message);
    lua_setfield(L, -2, "message");
    lua_pushinteger(L, (lua_Integer)e->code);
    lua_setfield(L, -2, "number");
    if (e->status) {
        lua_pushinteger(L, e->status);
        lua_setfield(L, -2, "status");
    }
    luaL_setmetatable(L, error_name_key);
}

int script_raise(lua_State *L, const struct error *e) {
    script_push_error(L, e);
    return lua_error(L);
}

int script_raise_bare(lua_State *L, const struct error *e) {
    script_push_error(L, e);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &traces_key);
    lua_pushvalue(L, -2);
    lua_pushboolean(L, false);
    lua_rawset(L, -3);
    lua_pop(L, 1);
    return lua_error(L);
}

void script_check_unasked(lua_State *L, const char *what) {
    if (script_of(L)->asked) {
        luaL_error(
            L, "%s cannot be called here: a function of headers, params, onError or onMutate answers at once",
            what);
    }
}
