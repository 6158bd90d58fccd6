#include "script/lane.h"

#include <lauxlib.h>

#include "script/api_event.h"
#include "script/api_schema.h"
#include "script/api_stream.h"

static const char body_key; /* its address is the registry key of the lane's body */

static void over(struct task *task, const struct error *e) {
    const struct api_stream *stream = task->owner;
    if (e) {
        struct error located = *e;
        if (e->code == ERROR_SCRIPT) { /* the others name their place themselves */
            stream->driver.locate(stream->driver.user, &located);
        }
        stream->script->host.failed(stream->script->host.user, &located);
    }
}

void lane_init(struct api_stream *stream) {
    task_init(&stream->lane, stream->script, over, stream);
}

bool lane_is_busy(const struct api_stream *stream) {
    return task_is_alive(&stream->lane) && !stream->lane.parked;
}

static int prepare(lua_State *L, void *arg) {
    lua_rawgetp(L, LUA_REGISTRYINDEX, &body_key);
    api_stream_push(L, arg);
    return 1;
}

void lane_wake(struct api_stream *stream) {
    struct error e;
    if (stream->lane.parked) {
        task_resume(&stream->lane);
    } else if (!task_is_alive(&stream->lane)) {
        if (!task_start(&stream->lane, prepare, stream, &e)) {
            stream->script->host.failed(stream->script->host.user, &e);
        }
    }
}

/* lane.body(fn): what runs in a lane. */
static int set_body(lua_State *L) {
    luaL_checktype(L, 1, LUA_TFUNCTION);
    lua_settop(L, 1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &body_key);
    return 0;
}

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

/* Returns the number of values pushed: kind, event, issues, reason. */
static int push_item(lua_State *L, enum driver_kind kind, const struct driver_item *item) {
    static const char *const names[] = {
        [DRIVER_NOTHING] = "nothing", [DRIVER_CHANGE] = "change",   [DRIVER_APPLIED] = "applied",
        [DRIVER_KEYLESS] = "keyless", [DRIVER_CONTROL] = "control", [DRIVER_UP_TO_DATE] = "up-to-date",
        [DRIVER_INVALID] = "invalid",
    };
    lua_pushstring(L, names[kind]);
    if (kind == DRIVER_NOTHING || kind == DRIVER_UP_TO_DATE) {
        return 1;
    }
    api_event_push(L, item);
    if (kind != DRIVER_INVALID) {
        return 2;
    }
    push_issues(L, item);
    lua_pushstring(L, item->reason);
    return 4;
}

static int next_continued(lua_State *L, int status, lua_KContext context) {
    struct api_stream *stream = api_stream_check(L, 1);
    struct driver_item item = {0};
    (void)status;
    (void)context;
    enum driver_kind kind = stream->driver.next(stream->driver.user, &item);
    if (kind == DRIVER_NOTHING) {
        return task_park(L, &stream->lane, next_continued, 0);
    }
    return push_item(L, kind, &item);
}

/* resolve(stream, event, key) -> kind, event, issues, reason: the keyless change with its key. */
static int lane_resolve(lua_State *L) {
    const struct api_stream *stream = api_stream_check(L, 1);
    struct driver_item item;
    size_t len;
    const char *key = luaL_checklstring(L, 3, &len);
    api_event_check(L, 2, &item);
    struct event event = *item.event;
    event.key = slice_of(key, len);
    struct driver_item resolved = {0};
    enum driver_kind kind = stream->driver.resolve(stream->driver.user, &event, &resolved);
    return push_item(L, kind, &resolved);
}

/* next(stream) -> kind, event, issues, reason: waits until there is something. */
static int lane_next(lua_State *L) {
    lua_settop(L, 1);
    return next_continued(L, LUA_OK, 0);
}

/* apply(stream, event) */
static int lane_apply(lua_State *L) {
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
static int lane_refuse(lua_State *L) {
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
static int lane_give_up(lua_State *L) {
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

void lane_open(lua_State *L) {
    static const luaL_Reg functions[] = {
        {"body", set_body},
        {"next", lane_next},
        {"resolve", lane_resolve},
        {"apply", lane_apply},
        {"refuse", lane_refuse},
        {"giveUp", lane_give_up},
        {"traceback", script_traceback},
        {"describe", script_describe},
        {NULL, NULL},
    };
    luaL_newlib(L, functions);
    lua_setfield(L, -2, "_lane");
}
