#include "script/api_stamp.h"

#include <lauxlib.h>

#include "base/log.h"
#include "state/schema_format.h"
#include "stream/identity.h"

static int uuid(lua_State *L) {
    char text[IDENTITY_TEXT];
    struct error e;
    if (!identity_make(text, &e)) {
        return luaL_error(L, "weir.uuid: %s", e.message);
    }
    lua_pushstring(L, text);
    return 1;
}

static int now(lua_State *L) {
    char text[LOG_STAMP];
    log_stamp(text);
    lua_pushstring(L, text);
    return 1;
}

static int is_time(lua_State *L) {
    size_t len;
    const char *text = luaL_checklstring(L, 1, &len);
    lua_pushboolean(L, schema_format_datetime(slice_of(text, len)));
    return 1;
}

void api_stamp_open(lua_State *L) {
    static const luaL_Reg functions[] = {{"now", now}, {"isTime", is_time}, {NULL, NULL}};
    lua_pushcfunction(L, uuid);
    lua_setfield(L, -2, "uuid");
    luaL_newlib(L, functions);
    lua_setfield(L, -2, "_stamp");
}
