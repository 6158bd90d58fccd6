#include "script/api_sink.h"

#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>

#include "script/api_emit.h"
#include "script/options.h"
#include "script/script.h"
#include "script/sink_lua.h"

static const char sink_type[] = "weir.Sink";

struct api_sink *api_sink_check(lua_State *L, int index) {
    return luaL_checkudata(L, index, sink_type);
}

static int collect(lua_State *L) {
    struct api_sink *sink = api_sink_check(L, 1);
    for (size_t i = 0; i < sink->setting_count; i++) {
        free((void *)sink->settings[i].name);
        free((void *)sink->settings[i].value);
    }
    free(sink->settings);
    free(sink->name);
    if (sink->kind == &sink->own) {
        sink_lua_forget(L, sink);
    }
    sink->settings = NULL;
    sink->name = NULL;
    sink->setting_count = 0;
    return 0;
}

static size_t count_of(lua_State *L, int index) {
    size_t count = 0;
    for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1)) {
        count++;
    }
    return count;
}

/* The table at index: names to strings, checked in Lua. */
static void take_settings(lua_State *L, int index, struct api_sink *sink) {
    sink->settings = calloc(count_of(L, index) + 1, sizeof *sink->settings);
    if (!sink->settings) {
        luaL_error(L, "out of memory");
        return;
    }
    for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1)) {
        struct sink_setting *setting = &sink->settings[sink->setting_count++];
        setting->name = strdup(lua_tostring(L, -2));
        setting->value = strdup(lua_tostring(L, -1));
        if (!setting->name || !setting->value) {
            luaL_error(L, "out of memory");
        }
    }
}

static struct api_sink *push_sink(lua_State *L) {
    struct api_sink *sink = lua_newuserdatauv(L, sizeof *sink, 1);
    memset(sink, 0, sizeof *sink);
    luaL_setmetatable(L, sink_type);
    sink->script = script_of(L);
    return sink;
}

/* new(kind, name, settings) -> the sink, or nil and what is wrong. */
static int new_sink(lua_State *L) {
    struct error e;
    const char *kind = luaL_checkstring(L, 1);
    const char *name = luaL_checkstring(L, 2);
    luaL_checktype(L, 3, LUA_TTABLE);
    lua_settop(L, 3);
    struct api_sink *sink = push_sink(L);
    sink->kind = sink_kind_named(kind, &e);
    if (!sink->kind) {
        lua_pushnil(L);
        lua_pushstring(L, e.message);
        return 2;
    }
    sink->emits = strcmp(kind, "stream") == 0;
    sink->name = strdup(name);
    if (!sink->name) {
        return luaL_error(L, "out of memory");
    }
    take_settings(L, 3, sink);
    return 1;
}

/* newScripted(name, functions, placed, exact) -> a sink of the script's own functions. */
static int new_scripted_sink(lua_State *L) {
    const char *name = luaL_checkstring(L, 1);
    luaL_checktype(L, 2, LUA_TTABLE);
    lua_settop(L, 4);
    struct api_sink *sink = push_sink(L);
    sink->name = strdup(name);
    if (!sink->name) {
        return luaL_error(L, "out of memory");
    }
    sink->own = sink_lua_kind(lua_toboolean(L, 3), lua_toboolean(L, 4));
    lua_pushvalue(L, 2);
    sink_lua_keep(L, sink);
    sink->kind = &sink->own;
    return 1;
}

static int sink_name_of(lua_State *L) {
    lua_pushstring(L, api_sink_check(L, 1)->name);
    return 1;
}

/* isScripted(sink): its rows or events are the script's business, so that no configuration can replace it. */
static int sink_is_scripted(lua_State *L) {
    const struct api_sink *sink = api_sink_check(L, 1);
    lua_pushboolean(L, sink->emits || sink->kind == &sink->own);
    return 1;
}

static int sink_tostring(lua_State *L) {
    const struct api_sink *sink = api_sink_check(L, 1);
    lua_pushfstring(L, "weir.Sink: %s", sink->name ? sink->name : "");
    return 1;
}

void api_sink_list_take(lua_State *L, int index, struct api_sink_list *list) {
    index = lua_absindex(L, index);
    size_t count = lua_istable(L, index) ? lua_rawlen(L, index) : 0;
    if (count == 0) {
        return;
    }
    list->items = calloc(count, sizeof *list->items);
    if (!list->items) {
        luaL_error(L, "out of memory");
        return;
    }
    for (list->count = 0; list->count < count; list->count++) {
        lua_rawgeti(L, index, (lua_Integer)list->count + 1);
        list->items[list->count] = api_sink_check(L, -1);
        lua_pop(L, 1);
    }
}

void api_sink_list_free(struct api_sink_list *list) {
    free(list->items);
    list->items = NULL;
    list->count = 0;
}

void api_sink_open(lua_State *L) {
    static const luaL_Reg functions[] = {
        {"new", new_sink},      {"newScripted", new_scripted_sink},
        {"name", sink_name_of}, {"isScripted", sink_is_scripted},
        {NULL, NULL},
    };
    luaL_newlib(L, functions);
    sink_lua_open(L);
    api_emit_open(L);
    if (luaL_newmetatable(L, sink_type)) {
        lua_pushcfunction(L, collect);
        lua_setfield(L, -2, "__gc");
        lua_pushcfunction(L, sink_tostring);
        lua_setfield(L, -2, "__tostring");
    }
    lua_setfield(L, -2, "metatable"); /* __index is set in Lua */
    lua_setfield(L, -2, "_sink");
}
