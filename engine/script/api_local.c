#include "script/api_local.h"

#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>

#include "script/api_stream.h"
#include "script/options.h"

/* Its texts lie behind it. */
struct local_item {
    struct local_item *next;
    struct slice text, old, new_value; /* of a change */
    enum driver_local local;
    const char *name; /* of what is told otherwise: a literal; NULL: a change */
    int value;        /* in the registry */
    char bytes[];
};

/* ---- the queue ---- */

static void free_item(struct local_item *item) {
    free(item);
}

void api_local_free(struct api_stream *stream) {
    struct api_local *local = &stream->local;
    overlay_free(local->overlay);
    while (local->first) {
        struct local_item *next = local->first->next;
        free_item(local->first);
        local->first = next;
    }
    free_item(local->current);
    if (local->decoding) {
        event_decoder_free(&local->decoder);
    }
    *local = (struct api_local){0};
}

static void enqueue(struct api_stream *stream, struct local_item *item) {
    struct api_local *local = &stream->local;
    if (local->last && local->first) {
        local->last->next = item;
    } else {
        local->first = item;
    }
    local->last = item;
    if (stream->driver.wake) {
        stream->driver.wake(stream->driver.user);
    }
}

/* The text was written by weir: it is an event. */
static const struct event *decode(struct api_local *local, struct slice text) {
    struct error e;
    const char *at = text.ptr;
    if (!local->decoding) {
        event_decoder_init(&local->decoder);
        local->decoding = true;
    }
    return event_decode(&local->decoder, &at, at + text.len, &e) == MESSAGE_OK ? local->decoder.event : NULL;
}

enum driver_kind api_local_next(struct api_stream *stream, struct driver_item *item) {
    struct api_local *local = &stream->local;
    struct local_item *next = local->first;
    free_item(local->current);
    local->current = next;
    local->first = next->next;
    *item = (struct driver_item){.local = next->local, .list = next->name, .value = next->value};
    if (next->name) {
        return DRIVER_TOLD;
    }
    item->event = decode(local, next->text);
    item->text = next->text;
    item->old = next->old;
    item->new_value = next->new_value;
    return item->event ? DRIVER_APPLIED : DRIVER_NOTHING;
}

/* ---- pending writes ---- */

static struct api_stream *check_stream(lua_State *L) {
    struct api_stream *stream = api_stream_check(L, 1);
    if (!stream->store) {
        luaL_error(L, "the worker has ended");
    }
    return stream;
}

static struct slice optional_text(lua_State *L, int index) {
    size_t len = 0;
    const char *ptr = lua_isnoneornil(L, index) ? NULL : luaL_checklstring(L, index, &len);
    return slice_of(ptr, len);
}

static struct slice check_text(lua_State *L, int index) {
    luaL_checkstring(L, index);
    return optional_text(L, index);
}

int api_local_pend(lua_State *L) {
    static const char *const operations[] = {"insert", "update", "upsert", "delete", "patch", NULL};
    struct api_stream *stream = check_stream(L);
    struct error e;
    struct overlay_write write = {
        .operation = (enum event_operation)luaL_checkoption(L, 2, NULL, operations),
        .type = check_text(L, 3),
        .key = check_text(L, 4),
        .value = optional_text(L, 5),
    };
    struct slice txid = optional_text(L, 6);
    if (!stream->local.overlay && !(stream->local.overlay = overlay_new(stream->message_max))) {
        return luaL_error(L, "out of memory");
    }
    write.txid = txid.ptr ? txids_hash(&stream->follow.seen, txid) : 0;
    uint64_t number = overlay_add(stream->local.overlay, &write, &e);
    if (number == 0) {
        error_context(&e, "%s", stream->name);
        return script_raise(L, &e);
    }
    lua_pushinteger(L, (lua_Integer)number);
    return 1;
}

int api_local_pending(lua_State *L) {
    const struct api_stream *stream = check_stream(L);
    struct overlay_write write;
    uint64_t number = (uint64_t)luaL_checkinteger(L, 2);
    lua_pushboolean(L, stream->local.overlay && overlay_find(stream->local.overlay, number, &write));
    return 1;
}

int api_local_unpend(lua_State *L) {
    const struct api_stream *stream = check_stream(L);
    uint64_t number = (uint64_t)luaL_checkinteger(L, 2);
    lua_pushboolean(L, stream->local.overlay && overlay_remove(stream->local.overlay, number));
    return 1;
}

/* ---- telling ---- */

/* Only what somebody wants is kept. */
static bool is_wanted(struct api_stream *stream, struct slice text) {
    const struct event *event = decode(&stream->local, text);
    const struct api_type *type = event ? api_stream_type(stream, event->type) : NULL;
    return event && (stream->all.handlers || (type && type->handlers));
}

int api_local_change(lua_State *L) {
    struct api_stream *stream = check_stream(L);
    struct slice text = check_text(L, 2);
    struct slice old = optional_text(L, 3);
    struct slice new_value = optional_text(L, 4);
    if (!is_wanted(stream, text)) {
        return 0;
    }
    struct local_item *item = malloc(sizeof *item + text.len + old.len + new_value.len + 1);
    if (!item) {
        return luaL_error(L, "out of memory");
    }
    char *to = item->bytes;
    *item = (struct local_item){.local = lua_toboolean(L, 5) ? DRIVER_ROLLBACK : DRIVER_OPTIMISTIC};
    item->text = slice_put(&to, text);
    item->old = slice_put(&to, old);
    item->new_value = slice_put(&to, new_value);
    enqueue(stream, item);
    return 0;
}

int api_local_tell(lua_State *L) {
    static const char *const names[] = {"rollback", NULL};
    struct api_stream *stream = check_stream(L);
    const char *name = names[luaL_checkoption(L, 2, NULL, names)];
    luaL_checkany(L, 3);
    lua_settop(L, 3);
    int value = luaL_ref(L, LUA_REGISTRYINDEX);
    struct local_item *item = malloc(sizeof *item);
    if (!item) {
        luaL_unref(L, LUA_REGISTRYINDEX, value);
        return luaL_error(L, "out of memory");
    }
    *item = (struct local_item){.name = name, .value = value};
    enqueue(stream, item);
    return 0;
}

int api_local_failure(lua_State *L) {
    struct error e;
    error_set(&e, ERROR_TIMEOUT, "%s", luaL_checkstring(L, 1));
    script_push_error(L, &e);
    return 1;
}

int api_local_now(lua_State *L) {
    lua_pushnumber(L, (lua_Number)uv_hrtime() / 1e9);
    return 1;
}

int api_local_seconds(lua_State *L) {
    uint64_t ms = 0;
    options_take_duration(L, 1, &ms);
    lua_pushnumber(L, (lua_Number)ms / 1000);
    return 1;
}

int api_local_at_once(lua_State *L) {
    struct script *script = script_of(L);
    bool outer = script->asked;
    luaL_checktype(L, 1, LUA_TFUNCTION);
    script->asked = true;
    bool ok = lua_pcall(L, lua_gettop(L) - 1, LUA_MULTRET, 0) == LUA_OK;
    script->asked = outer;
    lua_pushboolean(L, ok);
    lua_insert(L, 1);
    return lua_gettop(L);
}
