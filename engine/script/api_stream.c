#include "script/api_stream.h"

#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>

#include "io/url.h"
#include "script/api_append.h"
#include "script/api_call.h"
#include "script/api_schema.h"
#include "script/api_state.h"
#include "script/api_where.h"
#include "script/lane.h"
#include "script/options.h"

static const char stream_name[] = "weir.StateStream";

enum { MESSAGE_MAX = 64 << 20 };

enum user_value { USER_FIELDS = 1, USER_SCHEMAS, USER_SINKS, USER_COUNT = USER_SINKS };

struct api_stream *api_stream_check(lua_State *L, int index) {
    return luaL_checkudata(L, index, stream_name);
}

/* Streams are kept in the registry, by address, so that they live as long as the script. */
void api_stream_push(lua_State *L, struct api_stream *stream) {
    lua_rawgetp(L, LUA_REGISTRYINDEX, stream);
}

const struct api_type *api_stream_type(const struct api_stream *stream, struct slice type) {
    return strmap_get(&stream->types, type);
}

/* The userdata itself goes with the Lua state. */
static void free_parts(struct api_stream *stream) {
    api_follow_free(&stream->follow);
    api_local_free(stream);
    store_free(stream->store);
    stream->store = NULL;
    strmap_free(&stream->types, free);
    for (size_t i = 0; i < stream->field_count; i++) {
        free((void *)stream->fields[i].name.ptr);
        free((void *)stream->fields[i].value.ptr);
    }
    stream->field_count = 0;
    char **const texts[] = {&stream->name,         &stream->url,        &stream->offset,
                            &stream->default_type, &stream->deadletter, &stream->ca_file};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        free(*texts[i]);
        *texts[i] = NULL;
    }
    free(stream->fields);
    stream->fields = NULL;
    api_sink_list_free(&stream->sinks);
    api_emit_free(stream);
}

/* The table of request headers at the top of the stack: names to strings, checked in Lua. */
static void take_headers(lua_State *L, struct api_stream *stream) {
    size_t count = 0;
    for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1)) {
        count++;
    }
    stream->fields = calloc(count + 1, sizeof *stream->fields);
    if (!stream->fields) {
        luaL_error(L, "out of memory");
        return;
    }
    for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1)) {
        struct http_field *field = &stream->fields[stream->field_count++];
        field->name = slice_from(strdup(lua_tostring(L, -2)));
        field->value = slice_from(strdup(lua_tostring(L, -1)));
        if (!field->name.ptr || !field->value.ptr) {
            luaL_error(L, "out of memory");
        }
    }
}

/* A stream without a name has its URL's, which messages show: without the secrets that are in it. */
static void hide_secrets(lua_State *L, struct api_stream *stream) {
    char shown[1024];
    if (source_is_url(stream->url) && strcmp(stream->name, stream->url) == 0) {
        url_redact(stream->url, shown, sizeof shown);
        free(stream->name);
        stream->name = strdup(shown);
        if (!stream->name) {
            luaL_error(L, "out of memory");
        }
    }
}

static void take_options(lua_State *L, int options, struct api_stream *stream) {
    static const char *const lives[] = {"no", "auto", "sse", "long-poll", NULL};
    static const char *const policies[] = {"stop", "skip", "deadletter", "function", NULL};
    stream->url = options_text(L, options, "url");
    stream->name = options_text(L, options, "name");
    hide_secrets(L, stream);
    stream->offset = options_text(L, options, "offset");
    stream->default_type = options_text(L, options, "defaultType");
    stream->deadletter = options_text(L, options, "deadletter");
    stream->ca_file = options_text(L, options, "caFile");
    stream->live = (enum source_live)options_choice(L, options, "live", lives, "auto");
    stream->on_invalid = (enum api_policy)options_choice(L, options, "onInvalid", policies, "stop");
    stream->strict = options_boolean(L, options, "strict");
    stream->replace = options_boolean(L, options, "replace");
    lua_getfield(L, options, "headers");
    take_headers(L, stream);
    lua_getfield(L, options, "limits");
    stream->message_max = options_size(L, -1, "message", MESSAGE_MAX);
    stream->first_limit_ms = options_duration(L, -1, "connect", 0);
    stream->outage_limit_ms = options_duration(L, -1, "outage", 0);
    stream->append_limit_ms = options_duration(L, -1, "append", 0);
    stream->sinks.batch_max = options_size(L, -1, "sinkBatch", 0);
    stream->sinks.rows = options_size(L, -1, "sinkRows", 0);
    stream->sinks.bytes = options_size(L, -1, "sinkBytes", 0);
    stream->sinks.delay_ms = options_duration(L, -1, "sinkDelay", 0);
    lua_pop(L, 2);
}

/* From here on script_close frees it. */
static void enlist(struct api_stream *stream) {
    struct api_stream **last = &stream->script->streams;
    while (*last) {
        last = &(*last)->next;
    }
    *last = stream;
}

/* One that was never declared, because something raised before it was. */
static int stream_collect(lua_State *L) {
    struct api_stream *stream = api_stream_check(L, 1);
    if (!stream->declared) {
        api_hooks_clear(L, &stream->hooks);
        free_parts(stream);
    }
    return 0;
}

/* Nobody outside can know it. */
static uint64_t seed_of(const struct api_stream *stream) {
    uint64_t seed;
    return uv_random(NULL, NULL, &seed, sizeof seed, 0, NULL) == 0 ? seed : uv_hrtime() ^ (uintptr_t)stream;
}

/* new(options, fields): lua/weir/stream.lua has checked the options. fields is the table in which the
 * stream's names are looked up; state, url and name are added to it. */
static int stream_new(lua_State *L) {
    luaL_checktype(L, 1, LUA_TTABLE);
    luaL_checktype(L, 2, LUA_TTABLE);
    lua_settop(L, 2);
    struct api_stream *stream = lua_newuserdatauv(L, sizeof *stream, USER_COUNT);
    memset(stream, 0, sizeof *stream);
    strmap_init(&stream->types);
    luaL_setmetatable(L, stream_name);
    stream->script = script_of(L);
    lane_init(stream);
    take_options(L, 1, stream);
    stream->store = store_new(stream->message_max);
    if (!stream->store || !api_follow_init(&stream->follow, seed_of(stream))) {
        return luaL_error(L, "out of memory");
    }
    lua_pushvalue(L, 2);
    lua_setiuservalue(L, 3, USER_FIELDS);
    lua_newtable(L);
    lua_setiuservalue(L, 3, USER_SCHEMAS);
    lua_getfield(L, 1, "sinks");
    lua_pushvalue(L, -1);
    lua_setiuservalue(L, 3, USER_SINKS);
    api_sink_list_take(L, -1, &stream->sinks);
    lua_pop(L, 1);
    api_state_push(L, stream, 3, API_STATE_SEEN);
    lua_setfield(L, 2, "state");
    api_state_push(L, stream, 3, API_STATE_BUILDING);
    lua_setfield(L, 2, "_building");
    api_state_push(L, stream, 3, API_STATE_STORED);
    lua_setfield(L, 2, "_stored");
    lua_pushstring(L, stream->url);
    lua_setfield(L, 2, "url");
    lua_pushstring(L, stream->name);
    lua_setfield(L, 2, "name");
    return 1;
}

/* declare(stream): it is complete, and will be read. */
static int stream_declare(lua_State *L) {
    struct api_stream *stream = api_stream_check(L, 1);
    lua_pushvalue(L, 1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, stream);
    enlist(stream);
    stream->declared = true;
    stream->script->host.stream_declared(stream->script->host.user, stream);
    return 0;
}

static struct api_type *make_type(lua_State *L, struct api_stream *stream, int index) {
    if (lua_isnoneornil(L, index)) {
        return &stream->all;
    }
    size_t len;
    const char *name = luaL_checklstring(L, index, &len);
    struct api_type *type = strmap_get(&stream->types, slice_of(name, len));
    if (!type) {
        type = calloc(1, sizeof *type);
        if (!type || !strmap_put(&stream->types, slice_of(name, len), type)) {
            free(type);
            luaL_error(L, "out of memory");
            return NULL;
        }
    }
    return type;
}

/* watch(stream, what, type): from now on Lua wants to be asked. */
static int stream_watch(lua_State *L) {
    static const char *const whats[] = {"change",   "validate", "getKey",     "id", "control",
                                        "rollback", "bounds",   "up-to-date", NULL};
    struct api_stream *stream = api_stream_check(L, 1);
    switch (luaL_checkoption(L, 2, NULL, whats)) {
    case 0:
        make_type(L, stream, 3)->handlers = true;
        break;
    case 1:
        make_type(L, stream, 3)->rules = true;
        break;
    case 2:
        make_type(L, stream, 3)->get_key = true;
        stream->get_keys = true;
        break;
    case 3:
        make_type(L, stream, 3)->get_key = make_type(L, stream, 3)->key_is_id = true;
        stream->get_keys = true;
        break;
    case 4:
        stream->controls = true;
        break;
    case 5:
        stream->others = true;
        break;
    case 6:
        stream->bounds = stream->all.handlers = true;
        break;
    default:
        stream->up_to_dates = true;
    }
    return 0;
}

/* schema(stream, type, schema): values of the type must fit. */
static int stream_schema(lua_State *L) {
    struct api_stream *stream = api_stream_check(L, 1);
    struct api_type *type = make_type(L, stream, 2);
    type->schema = api_schema_check(L, 3);
    type->foreign_schema = api_schema_needs_lua(L, 3);
    lua_getiuservalue(L, 1, USER_SCHEMAS);
    lua_pushvalue(L, 3);
    lua_setfield(L, -2, lua_tostring(L, 2));
    return 0;
}

/* policy(stream, name): what onInvalid is now. */
static int stream_policy(lua_State *L) {
    static const char *const policies[] = {"stop", "skip", "deadletter", "function", NULL};
    struct api_stream *stream = api_stream_check(L, 1);
    stream->on_invalid = (enum api_policy)luaL_checkoption(L, 2, NULL, policies);
    return 0;
}

/* hooks(stream, asked, changes, judges): asked is a table of lua/weir/outgoing.lua. */
static int stream_hooks(lua_State *L) {
    struct api_stream *stream = api_stream_check(L, 1);
    luaL_checktype(L, 2, LUA_TTABLE);
    lua_settop(L, 4);
    lua_pushvalue(L, 2);
    api_hooks_set(L, &stream->hooks, lua_toboolean(L, 3), lua_toboolean(L, 4));
    return 0;
}

/* settings(name) -> JSON text, origin: what the configuration says about the stream of that name, or nil. */
static int stream_settings(lua_State *L) {
    const struct script *script = script_of(L);
    const char *name = luaL_checkstring(L, 1);
    const char *origin = NULL;
    lua_pushstring(L, script->host.stream_settings(script->host.user, name, &origin));
    lua_pushstring(L, origin);
    return 2;
}

/* isSize(value), isDuration(value): whether limits may have it. */
static int is_size(lua_State *L) {
    size_t bytes;
    luaL_checkany(L, 1);
    lua_pushboolean(L, options_take_size(L, 1, &bytes));
    return 1;
}

static int is_duration(lua_State *L) {
    uint64_t ms;
    luaL_checkany(L, 1);
    lua_pushboolean(L, options_take_duration(L, 1, &ms));
    return 1;
}

static int stream_index(lua_State *L) {
    api_stream_check(L, 1);
    lua_getiuservalue(L, 1, USER_FIELDS);
    lua_pushvalue(L, 2);
    lua_gettable(L, -2);
    return 1;
}

static int stream_newindex(lua_State *L) {
    return luaL_error(L, "a stream has no field '%s' that could be set", luaL_tolstring(L, 2, NULL));
}

static int stream_tostring(lua_State *L) {
    const struct api_stream *stream = api_stream_check(L, 1);
    lua_pushfstring(L, "weir.StateStream: %s", stream->name ? stream->name : "closed");
    return 1;
}

void api_stream_open(lua_State *L) {
    static const luaL_Reg metamethods[] = {
        {"__index", stream_index},
        {"__newindex", stream_newindex},
        {"__tostring", stream_tostring},
        {"__gc", stream_collect},
        {NULL, NULL},
    };
    static const luaL_Reg functions[] = {
        {"new", stream_new},           {"declare", stream_declare},
        {"watch", stream_watch},       {"schema", stream_schema},
        {"policy", stream_policy},     {"append", api_append},
        {"settings", stream_settings}, {"isSize", is_size},
        {"isDuration", is_duration},   {"create", api_call_create},
        {"head", api_call_head},       {"close", api_call_close},
        {"remove", api_call_remove},   {"hooks", stream_hooks},
        {"index", api_where_index},    {"await", api_follow_await},
        {"wait", api_follow_wait},     {"expire", api_follow_expire},
        {"pend", api_local_pend},      {"pending", api_local_pending},
        {"unpend", api_local_unpend},  {"change", api_local_change},
        {"tell", api_local_tell},      {"failure", api_local_failure},
        {"now", api_local_now},        {"seconds", api_local_seconds},
        {"atOnce", api_local_at_once}, {NULL, NULL},
    };
    luaL_newmetatable(L, stream_name);
    luaL_setfuncs(L, metamethods, 0);
    lua_pop(L, 1);
    luaL_newlib(L, functions);
    lua_setfield(L, -2, "_stream");
    lane_open(L);
}

void api_stream_close_all(struct script *script) {
    for (struct api_stream *stream = script->streams; stream; stream = stream->next) {
        task_stop(&stream->lane);
        api_append_close(stream);
        api_call_close_all(stream);
        free_parts(stream);
    }
}
