#include "script/api_event.h"

#include <lauxlib.h>
#include <string.h>

#include "script/convert.h"
#include "script/lazy.h"
#include "script/names.h"

/* The address of its name is also what tells an event from the userdata of others. */
static const char event_name[] = "weir.event";
static const char names_key; /* its address is the registry key of the types' names */

/* Of the metamethod __index: the names of the types by their numbers, and what lazy values want. */
enum { UPVALUE_TYPES = 1, UPVALUE_LAZY };

enum cache { CACHE_VALUE = 1, CACHE_OLD, CACHE_REST, CACHE_COUNT = CACHE_REST };

struct api_event {
    struct lazy_text value; /* first: what a lazy event.value leads to */
    const char *mark;       /* event_name */
    int type;               /* see api_event_type */
    enum driver_local local;
    bool live;
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
    FIELD_OPTIMISTIC,
    FIELD_ROLLBACK,
    FIELD_LIVE,
};

/* By length first: each name is then compared with few others. */
static enum field field_named(struct slice name) {
    switch (name.len) {
    case 3:
        return slice_equal(name, SLICE("key"))   ? FIELD_KEY
               : slice_equal(name, SLICE("old")) ? FIELD_OLD
               : slice_equal(name, SLICE("new")) ? FIELD_NEW
                                                 : FIELD_NONE;
    case 4:
        return slice_equal(name, SLICE("type"))   ? FIELD_TYPE
               : slice_equal(name, SLICE("text")) ? FIELD_TEXT
               : slice_equal(name, SLICE("txid")) ? FIELD_TXID
               : slice_equal(name, SLICE("from")) ? FIELD_FROM
               : slice_equal(name, SLICE("live")) ? FIELD_LIVE
                                                  : FIELD_NONE;
    case 5:
        return slice_equal(name, SLICE("value")) ? FIELD_VALUE : FIELD_NONE;
    case 6:
        return slice_equal(name, SLICE("offset")) ? FIELD_OFFSET : FIELD_NONE;
    case 7:
        return slice_equal(name, SLICE("headers"))   ? FIELD_HEADERS
               : slice_equal(name, SLICE("control")) ? FIELD_CONTROL
                                                     : FIELD_NONE;
    case 8:
        return slice_equal(name, SLICE("rollback")) ? FIELD_ROLLBACK : FIELD_NONE;
    case 10:
        return slice_equal(name, SLICE("optimistic")) ? FIELD_OPTIMISTIC : FIELD_NONE;
    case 9:
        return slice_equal(name, SLICE("operation"))   ? FIELD_OPERATION
               : slice_equal(name, SLICE("old_value")) ? FIELD_OLD_VALUE
               : slice_equal(name, SLICE("timestamp")) ? FIELD_TIMESTAMP
                                                       : FIELD_NONE;
    default:
        return FIELD_NONE;
    }
}

/* What a part of the message becomes when the message is copied. */
static struct slice rebase(struct slice part, const char *from, const char *to) {
    return slice_of(part.ptr ? to + (part.ptr - from) : NULL, part.len);
}

static bool lies_in(struct slice part, struct slice text) {
    return part.ptr >= text.ptr && part.ptr < text.ptr + text.len;
}

/* The bytes behind the message: what does not lie in it. */
static size_t bytes_beside(const struct driver_item *item, const struct event *event) {
    size_t len = item->old.len;
    len += lies_in(event->type, item->text) ? 0 : event->type.len;
    len += lies_in(event->key, item->text) ? 0 : event->key.len;
    return len + (lies_in(item->new_value, item->text) ? 0 : item->new_value.len);
}

static struct slice take(char **to, struct slice part, struct slice from, const char *text) {
    return lies_in(part, from) ? rebase(part, from.ptr, text) : slice_put(to, part);
}

static void fill(struct api_event *held, const struct driver_item *item, const struct event *from) {
    struct event *event = &held->event;
    const char *old_text = item->text.ptr;
    char *text = held->bytes;
    char *to = text;
    *event = *from;
    event->text = slice_put(&to, item->text);
    event->value = rebase(from->value, old_text, text);
    event->old_value = rebase(from->old_value, old_text, text);
    event->headers = rebase(from->headers, old_text, text);
    event->txid = rebase(from->txid, old_text, text);
    event->timestamp = rebase(from->timestamp, old_text, text);
    event->from = rebase(from->from, old_text, text);
    event->offset = rebase(from->offset, old_text, text);
    event->type = take(&to, from->type, item->text, text);
    event->key = take(&to, from->key, item->text, text);
    held->new_value = take(&to, item->new_value, item->text, text);
    held->old = slice_put(&to, item->old);
}

void api_event_push_kit(lua_State *L) {
    luaL_getmetatable(L, event_name);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &names_key);
    names_push_table(L, -1);
}

int api_event_push(lua_State *L, int kit, const struct driver_item *item) {
    static const struct event none;
    const struct event *from = item->event ? item->event : &none;
    size_t size = item->text.len + bytes_beside(item, from);
    struct api_event *event = lua_newuserdatauv(L, sizeof *event + size, CACHE_COUNT);
    event->mark = event_name;
    fill(event, item, from);
    event->local = item->local;
    event->live = item->live;
    event->type = from->type.ptr ? names_number(L, kit + 1, from->type) : 0;
    lua_pushvalue(L, kit);
    lua_setmetatable(L, -2);
    return event->type;
}

/* The event at index, or NULL. */
static struct api_event *event_at(lua_State *L, int index) {
    struct api_event *event = lua_touserdata(L, index);
    bool same = event && lua_rawlen(L, index) >= sizeof *event && event->mark == event_name;
    return same ? event : NULL;
}

static struct api_event *check_event(lua_State *L, int index) {
    struct api_event *event = event_at(L, index);
    if (!event) {
        luaL_typeerror(L, index, event_name);
    }
    return event;
}

int api_event_type(lua_State *L, int index) {
    return check_event(L, index)->type;
}

void api_event_push_type(lua_State *L, int kit, int type) {
    lua_rawgeti(L, kit + 2, type);
}

void api_event_check(lua_State *L, int index, struct driver_item *item) {
    const struct api_event *event = check_event(L, index);
    *item = (struct driver_item){
        .event = &event->event,
        .text = event->event.text,
        .old = event->old,
        .new_value = event->new_value,
        .local = event->local,
        .live = event->live,
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

/* Made once, then kept in a user value. */
static int push_value(lua_State *L, struct api_event *held) {
    if (!held->event.value.ptr) {
        lua_pushnil(L);
    } else if (lua_getiuservalue(L, 1, CACHE_VALUE) == LUA_TNIL) {
        held->value = (struct lazy_text){.json = held->event.value};
        lazy_push_own(L, 1, &held->value, UPVALUE_LAZY);
        lua_pushvalue(L, -1);
        lua_setiuservalue(L, 1, CACHE_VALUE);
    }
    return 1;
}

static int push_old(lua_State *L, const struct api_event *held) {
    if (!held->old.ptr) {
        lua_pushnil(L);
    } else if (lua_getiuservalue(L, 1, CACHE_OLD) == LUA_TNIL) {
        lazy_push_of(L, 1, held->old);
        lua_pushvalue(L, -1);
        lua_setiuservalue(L, 1, CACHE_OLD);
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
        lazy_push_of(L, 1, json);
        lua_pushvalue(L, -1);
        lua_rawseti(L, -3, field);
    }
    return 1;
}

static int push_type(lua_State *L, const struct api_event *held) {
    if (held->type == 0) {
        return push_text(L, held->event.type);
    }
    lua_rawgeti(L, lua_upvalueindex(UPVALUE_TYPES), held->type);
    return 1;
}

static int push_true(lua_State *L, bool is) {
    if (is) {
        lua_pushboolean(L, true);
    } else {
        lua_pushnil(L);
    }
    return 1;
}

static int push_field(lua_State *L, struct api_event *held, enum field field) {
    const struct event *event = &held->event;
    bool known = event->headers.ptr || event->type.ptr; /* a message that is no event has neither */
    switch (field) {
    case FIELD_TYPE:
        return push_type(L, held);
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
        return push_value(L, held);
    case FIELD_OLD:
        return push_old(L, held);
    case FIELD_NEW:
        if (held->new_value.ptr && held->new_value.ptr == event->value.ptr) {
            return push_value(L, held);
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
    case FIELD_OPTIMISTIC:
        return push_true(L, held->local != DRIVER_STREAM);
    case FIELD_ROLLBACK:
        return push_true(L, held->local == DRIVER_ROLLBACK);
    case FIELD_LIVE:
        return push_true(L, held->live);
    case FIELD_NONE:
        break;
    }
    lua_pushnil(L);
    return 1;
}

static int event_index(lua_State *L) {
    struct api_event *event = check_event(L, 1);
    struct slice name;
    if (lua_type(L, 2) != LUA_TSTRING) {
        lua_pushnil(L);
        return 1;
    }
    name.ptr = lua_tolstring(L, 2, &name.len);
    return push_field(L, event, field_named(name));
}

static int event_newindex(lua_State *L) {
    return luaL_error(L, "events are read only: a handler changes state by appending to a stream");
}

static int event_tostring(lua_State *L) {
    const struct api_event *held = check_event(L, 1);
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
    const struct api_event *event = check_event(L, 1);
    return push_text(L, event->event.text);
}

static int next_member(lua_State *L) {
    lua_settop(L, 2);
    return lua_next(L, 1) ? 2 : 0;
}

/* The message as a plain table, walked by next. */
static int event_pairs(lua_State *L) {
    const struct api_event *event = check_event(L, 1);
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
    names_push_new(L);
    names_push_table(L, -1);
    lazy_push_upvalues(L);
    lua_pushcclosure(L, event_index, 1 + LAZY_UPVALUES);
    lua_setfield(L, -3, "__index");
    lua_rawsetp(L, LUA_REGISTRYINDEX, &names_key);
    lua_pop(L, 1);
}
