#include "script/api_event.h"

#include <lauxlib.h>
#include <string.h>

#include "script/convert.h"

static const char event_name[] = "weir.event";

enum cache { CACHE_VALUE = 1, CACHE_OLD, CACHE_REST, CACHE_COUNT = CACHE_REST };

struct api_event {
    struct event event; /* its slices lie in bytes */
    struct slice old;
    struct slice new_value;
    char bytes[];
};

enum field {
    FIELD_NONE,
    FIELD_TYPE,
    FIELD_KEY,
    FIELD_OPERATION,
    FIELD_CONTROL,
    FIELD_VALUE,
    FIELD_OLD_VALUE,
    FIELD_OLD,
    FIELD_NEW,
    FIELD_HEADERS,
    FIELD_TXID,
    FIELD_TIMESTAMP,
    FIELD_FROM,
    FIELD_OFFSET,
    FIELD_TEXT,
    FIELD_COUNT,
};

static const char *const field_names[FIELD_COUNT] = {
    [FIELD_TYPE] = "type",
    [FIELD_KEY] = "key",
    [FIELD_OPERATION] = "operation",
    [FIELD_CONTROL] = "control",
    [FIELD_VALUE] = "value",
    [FIELD_OLD_VALUE] = "old_value",
    [FIELD_OLD] = "old",
    [FIELD_NEW] = "new",
    [FIELD_HEADERS] = "headers",
    [FIELD_TXID] = "txid",
    [FIELD_TIMESTAMP] = "timestamp",
    [FIELD_FROM] = "from",
    [FIELD_OFFSET] = "offset",
    [FIELD_TEXT] = "text",
};

/* Copies bytes behind what is there; absent stays absent. */
static struct slice keep(char **to, struct slice bytes) {
    if (!bytes.ptr) {
        return bytes;
    }
    char *at = *to;
    memcpy(at, bytes.ptr, bytes.len);
    *to = at + bytes.len;
    return slice_of(at, bytes.len);
}

/* The same part of a text that has been copied from `from` to `to`. */
static struct slice rebase(struct slice part, struct slice from, struct slice to) {
    return part.ptr ? slice_of(to.ptr + (part.ptr - from.ptr), part.len) : part;
}

void api_event_push(lua_State *L, const struct driver_item *item) {
    static const struct event none;
    const struct event *from = item->event ? item->event : &none;
    bool new_in_text = item->new_value.ptr && item->new_value.ptr == from->value.ptr;
    size_t size = item->text.len + from->type.len + from->key.len + item->old.len +
                  (new_in_text ? 0 : item->new_value.len);
    struct api_event *event = lua_newuserdatauv(L, sizeof *event + size, CACHE_COUNT);
    char *to = event->bytes;
    struct slice text = keep(&to, item->text);
    event->event = *from;
    event->event.text = text;
    event->event.type = keep(&to, from->type);
    event->event.key = keep(&to, from->key);
    event->event.value = rebase(from->value, item->text, text);
    event->event.old_value = rebase(from->old_value, item->text, text);
    event->event.headers = rebase(from->headers, item->text, text);
    event->event.txid = rebase(from->txid, item->text, text);
    event->event.timestamp = rebase(from->timestamp, item->text, text);
    event->event.from = rebase(from->from, item->text, text);
    event->event.offset = rebase(from->offset, item->text, text);
    event->old = keep(&to, item->old);
    event->new_value = new_in_text ? event->event.value : keep(&to, item->new_value);
    luaL_setmetatable(L, event_name);
}

void api_event_check(lua_State *L, int index, struct driver_item *item) {
    const struct api_event *event = luaL_checkudata(L, index, event_name);
    *item = (struct driver_item){
        .event = &event->event,
        .text = event->event.text,
        .old = event->old,
        .new_value = event->new_value,
    };
}

static int push_json(lua_State *L, struct slice json) {
    if (json.ptr) {
        convert_push(L, json);
    } else {
        lua_pushnil(L);
    }
    return 1;
}

static int push_text(lua_State *L, struct slice text) {
    if (text.ptr) {
        lua_pushlstring(L, text.ptr, text.len);
    } else {
        lua_pushnil(L);
    }
    return 1;
}

/* Decoded once, then kept in a user value. */
static int push_cached(lua_State *L, int cache, struct slice json) {
    if (!json.ptr) {
        lua_pushnil(L);
        return 1;
    }
    if (lua_getiuservalue(L, 1, cache) == LUA_TNIL) {
        lua_pop(L, 1);
        convert_push(L, json);
        lua_pushvalue(L, -1);
        lua_setiuservalue(L, 1, cache);
    }
    return 1;
}

/* The less common ones share a table. */
static int push_rest(lua_State *L, enum field field, struct slice json) {
    if (!json.ptr) {
        lua_pushnil(L);
        return 1;
    }
    if (lua_getiuservalue(L, 1, CACHE_REST) == LUA_TNIL) {
        lua_pop(L, 1);
        lua_newtable(L);
        lua_pushvalue(L, -1);
        lua_setiuservalue(L, 1, CACHE_REST);
    }
    if (lua_rawgeti(L, -1, field) == LUA_TNIL) {
        lua_pop(L, 1);
        convert_push(L, json);
        lua_pushvalue(L, -1);
        lua_rawseti(L, -3, field);
    }
    return 1;
}

static int push_field(lua_State *L, const struct api_event *held, enum field field) {
    const struct event *event = &held->event;
    bool known = event->headers.ptr || event->type.ptr; /* a message that is no event has neither */
    switch (field) {
    case FIELD_TYPE:
        return push_text(L, event->type);
    case FIELD_KEY:
        return push_text(L, event->key);
    case FIELD_TEXT:
        return push_text(L, event->text);
    case FIELD_OPERATION:
        lua_pushstring(L,
                       known && event->kind == EVENT_CHANGE ? event_operation_name(event->operation) : NULL);
        return 1;
    case FIELD_CONTROL:
        lua_pushstring(L, event->kind == EVENT_CONTROL ? event_control_name(event->control) : NULL);
        return 1;
    case FIELD_VALUE:
        return push_cached(L, CACHE_VALUE, event->value);
    case FIELD_OLD:
        return push_cached(L, CACHE_OLD, held->old);
    case FIELD_NEW:
        if (held->new_value.ptr && held->new_value.ptr == event->value.ptr) {
            return push_cached(L, CACHE_VALUE, event->value);
        }
        return push_rest(L, field, held->new_value);
    case FIELD_OLD_VALUE:
        return push_rest(L, field, event->old_value);
    case FIELD_HEADERS:
        return push_rest(L, field, event->headers);
    case FIELD_TXID:
        return push_json(L, event->txid);
    case FIELD_TIMESTAMP:
        return push_json(L, event->timestamp);
    case FIELD_FROM:
        return push_json(L, event->from);
    case FIELD_OFFSET:
        return push_json(L, event->offset);
    case FIELD_NONE:
    case FIELD_COUNT:
        break;
    }
    lua_pushnil(L);
    return 1;
}

/* The upvalue maps names to fields. */
static int event_index(lua_State *L) {
    const struct api_event *event = luaL_checkudata(L, 1, event_name);
    lua_pushvalue(L, 2);
    lua_rawget(L, lua_upvalueindex(1));
    enum field field = (enum field)lua_tointeger(L, -1);
    lua_pop(L, 1);
    return push_field(L, event, field);
}

static int event_newindex(lua_State *L) {
    return luaL_error(L, "events are read only: a handler changes state by appending to a stream");
}

static int event_tostring(lua_State *L) {
    const struct api_event *held = luaL_checkudata(L, 1, event_name);
    const struct event *event = &held->event;
    if (event->kind == EVENT_CONTROL) {
        lua_pushfstring(L, "%s", event_control_name(event->control));
    } else if (event->type.ptr && event->key.ptr) {
        push_text(L, event->type);
        push_text(L, event->key);
        lua_pushfstring(L, "%s %s/%s", event_operation_name(event->operation), lua_tostring(L, -2),
                        lua_tostring(L, -1));
    } else {
        push_text(L, event->text);
    }
    return 1;
}

static int event_json(lua_State *L) {
    const struct api_event *event = luaL_checkudata(L, 1, event_name);
    return push_text(L, event->event.text);
}

static int next_member(lua_State *L) {
    lua_settop(L, 2);
    return lua_next(L, 1) ? 2 : 0;
}

/* The message as a plain table, walked by next. */
static int event_pairs(lua_State *L) {
    const struct api_event *event = luaL_checkudata(L, 1, event_name);
    lua_pushcfunction(L, next_member);
    convert_push(L, event->event.text);
    if (!lua_istable(L, -1)) {
        lua_pop(L, 1);
        lua_newtable(L);
    }
    lua_pushnil(L);
    return 3;
}

void api_event_open(lua_State *L) {
    static const luaL_Reg methods[] = {
        {"__newindex", event_newindex},
        {"__tostring", event_tostring},
        {"__json", event_json},
        {"__pairs", event_pairs},
        {NULL, NULL},
    };
    luaL_newmetatable(L, event_name);
    luaL_setfuncs(L, methods, 0);
    lua_createtable(L, 0, FIELD_COUNT);
    for (int field = FIELD_NONE + 1; field < FIELD_COUNT; field++) {
        lua_pushinteger(L, field);
        lua_setfield(L, -2, field_names[field]);
    }
    lua_pushcclosure(L, event_index, 1);
    lua_setfield(L, -2, "__index");
    lua_pop(L, 1);
}
