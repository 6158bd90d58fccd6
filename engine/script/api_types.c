#include "script/api_types.h"

#include <lauxlib.h>

#include "script/api_stream.h"
#include "script/script.h"

static const char writer_key; /* its address is the registry key of what writes them */

struct writing {
    const struct script *script;
    const char *path;
    struct buf *out;
};

/* types.writer(fn): fn(path, streams) gives the annotations, or nil where there are none. */
static int set_writer(lua_State *L) {
    luaL_checktype(L, 1, LUA_TFUNCTION);
    lua_settop(L, 1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &writer_key);
    return 0;
}

void api_types_open(lua_State *L) {
    static const luaL_Reg functions[] = {{"writer", set_writer}, {NULL, NULL}};
    luaL_newlib(L, functions);
    lua_setfield(L, -2, "_types");
}

/* Runs protected. */
static int write_types(lua_State *L) {
    const struct writing *writing = lua_touserdata(L, 1);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &writer_key);
    lua_pushstring(L, writing->path);
    lua_newtable(L);
    lua_Integer count = 0;
    for (struct api_stream *stream = writing->script->streams; stream; stream = stream->next) {
        api_stream_push(L, stream);
        lua_rawseti(L, -2, ++count);
    }
    lua_call(L, 2, 1);
    size_t len = 0;
    const char *text = lua_tolstring(L, -1, &len);
    if (text && !buf_append(writing->out, text, len)) {
        return luaL_error(L, "the annotations are longer than %d bytes", (int)writing->out->max);
    }
    return 0;
}

bool api_types_write(struct script *script, const char *path, struct buf *out, struct error *e) {
    struct writing writing = {.script = script, .path = path, .out = out};
    return script_protect(script, write_types, &writing, e);
}
