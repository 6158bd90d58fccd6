#include "script/lane_calls.h"

#include <lauxlib.h>

#include "script/api_event.h"
#include "script/api_schema.h"
#include "script/api_stream.h"

/* Issues of an invalid message: those of its schema, or the reason as the only one. */
static void push_issues(lua_State *L, const struct driver_item *item) {
    if (item->issues) {
        api_schema_push_issues(L, item->issues);
        return;
    }
    lua_createtable(L, 1, 0);
    lua_createtable(L, 0, 2);
    lua_pushliteral(L, "");
    lua_setfield(L, -2, "path");
    lua_pushstring(L, item->reason);
    lua_setfield(L, -2, "message");
    lua_rawseti(L, -2, 1);
}

int lane_calls_push_item(lua_State *L, int kit, enum driver_kind kind, const struct driver_item *item) {
    static const char *const names[] = {
        [DRIVER_NOTHING] = "nothing", [DRIVER_CHANGE] = "change",   [DRIVER_APPLIED] = "applied",
        [DRIVER_KEYLESS] = "keyless", [DRIVER_CONTROL] = "control", [DRIVER_UP_TO_DATE] = "up-to-date",
        [DRIVER_QUIET] = "quiet",     [DRIVER_INVALID] = "invalid", [DRIVER_TOLD] = "told",
    };
    lua_pushstring(L, names[kind]);
    if (kind == DRIVER_TOLD) {
        lua_pushstring(L, item->list);
        lua_pushlstring(L, item->text.ptr ? item->text.ptr : "", item->text.len);
        lua_pushboolean(L, item->up_to_date);
        return 4;
    }
    if (kind == DRIVER_NOTHING || kind == DRIVER_UP_TO_DATE) {
        return 1;
    }
    api_event_push(L, kit, item);
    if (kind != DRIVER_INVALID) {
        return 2;
    }
    push_issues(L, item);
    lua_pushstring(L, item->reason);
    return 4;
}

/* resolve(stream, event, key) -> kind, event, issues, reason: the keyless change with its key. */
static int resolve(lua_State *L) {
    const struct api_stream *stream = api_stream_check(L, 1);
    struct driver_item item;
    size_t len;
    const char *key = luaL_checklstring(L, 3, &len);
    api_event_check(L, 2, &item);
    struct event event = *item.event;
    event.key = slice_of(key, len);
    struct driver_item resolved = {0};
    int kit = lua_gettop(L) + 1;
    api_event_push_kit(L);
    enum driver_kind kind = stream->driver.resolve(stream->driver.user, &event, &resolved);
    return lane_calls_push_item(L, kit, kind, &resolved);
}

/* changed(event, text): the event with that JSON text as what will be stored. */
static int changed(lua_State *L) {
    struct driver_item item;
    api_event_check(L, 1, &item);
    item.new_value.ptr = luaL_checklstring(L, 2, &item.new_value.len);
    int kit = lua_gettop(L) + 1;
    api_event_push_kit(L);
    api_event_push(L, kit, &item);
    return 1;
}

/* apply(stream, event) */
static int apply(lua_State *L) {
    const struct api_stream *stream = api_stream_check(L, 1);
    struct driver_item item;
    struct error e;
    api_event_check(L, 2, &item);
    if (!stream->driver.apply(stream->driver.user, &item, &e)) {
        return script_raise_bare(L, &e);
    }
    return 0;
}

/* refuse(stream, event, decision | nil, reason, located): raises where the decision is to stop. */
static int refuse(lua_State *L) {
    const struct api_stream *stream = api_stream_check(L, 1);
    const char *decision = luaL_optstring(L, 3, NULL);
    const char *reason = luaL_checkstring(L, 4);
    struct driver_item item;
    struct error e;
    api_event_check(L, 2, &item);
    if (!stream->driver.refuse(stream->driver.user, &item, decision, reason, lua_toboolean(L, 5), &e)) {
        return script_raise_bare(L, &e);
    }
    return 0;
}

/* giveUp(stream, event | nil, decision, reason): a handler failed, and the event is passed over. */
static int give_up(lua_State *L) {
    const struct api_stream *stream = api_stream_check(L, 1);
    const char *decision = luaL_checkstring(L, 3);
    const char *reason = luaL_checkstring(L, 4);
    struct driver_item item;
    struct error e;
    bool some = !lua_isnil(L, 2);
    if (some) {
        api_event_check(L, 2, &item);
    }
    if (!stream->driver.give_up(stream->driver.user, some ? &item : NULL, decision, reason, &e)) {
        return script_raise_bare(L, &e);
    }
    return 0;
}

void lane_calls_open(lua_State *L) {
    static const luaL_Reg functions[] = {
        {"resolve", resolve},
        {"changed", changed},
        {"apply", apply},
        {"refuse", refuse},
        {"giveUp", give_up},
        {"traceback", script_traceback},
        {"describe", script_describe},
        {NULL, NULL},
    };
    luaL_setfuncs(L, functions, 0);
}
