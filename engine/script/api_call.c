#include "script/api_call.h"

#include <lauxlib.h>
#include <string.h>
#include <strings.h>

#include "script/api_stream.h"
#include "script/convert.h"
#include "script/options.h"
#include "script/wait.h"
#include "stream/call.h"

/* The answer is kept until Lua takes it: texts in the op's result, one behind the other. */
struct api_call {
    struct wait wait; /* first */
    struct call *call;
    size_t offset_len, type_len, expires_len;
    bool created, closed, has_ttl;
    uint64_t ttl_s;
};

void api_call_close_all(struct api_stream *stream) {
    while (stream->calls) {
        struct api_call *call = (struct api_call *)stream->calls;
        call_cancel(call->call);
        wait_drop(&call->wait);
    }
}

static void answered(void *user, const struct call_result *result, const struct error *e) {
    struct api_call *call = user;
    struct buf *texts = &call->wait.op.result;
    const struct slice all[] = {result->offset, result->content_type, result->expires_at};
    struct error failure = *e;
    buf_clear(texts);
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        if (failure.code == ERROR_NONE && !buf_append_slice(texts, all[i])) {
            error_set(&failure, ERROR_MEMORY, "out of memory for an answer");
        }
    }
    call->offset_len = result->offset.len;
    call->type_len = result->content_type.len;
    call->expires_len = result->expires_at.len;
    call->created = result->created;
    call->closed = result->closed;
    call->has_ttl = result->has_ttl;
    call->ttl_s = result->ttl_s;
    wait_end(&call->wait, &failure);
}

/* ---- back in Lua ---- */

static const struct api_call *taken(lua_State *L, lua_KContext index) {
    const struct op *op = op_at(L, (int)index);
    if (op->error.code != ERROR_NONE) {
        script_raise(L, &op->error);
    }
    return (const struct api_call *)op;
}

static const char *text_at(const struct api_call *call, size_t at) {
    const struct buf *texts = &call->wait.op.result;
    return texts->ptr ? texts->ptr + at : "";
}

static void set_text(lua_State *L, const char *name, const char *text, size_t len) {
    if (len) {
        lua_pushlstring(L, text, len);
        lua_setfield(L, -2, name);
    }
}

static void set_flag(lua_State *L, const char *name, bool value) {
    lua_pushboolean(L, value);
    lua_setfield(L, -2, name);
}

static int created(lua_State *L, int status, lua_KContext index) {
    const struct api_call *call = taken(L, index);
    (void)status;
    lua_createtable(L, 0, 3);
    set_text(L, "offset", text_at(call, 0), call->offset_len);
    set_flag(L, "created", call->created);
    set_flag(L, "closed", call->closed);
    return 1;
}

static int headed(lua_State *L, int status, lua_KContext index) {
    const struct api_call *call = taken(L, index);
    (void)status;
    lua_createtable(L, 0, 5);
    set_text(L, "offset", text_at(call, 0), call->offset_len);
    set_text(L, "contentType", text_at(call, call->offset_len), call->type_len);
    set_text(L, "expiresAt", text_at(call, call->offset_len + call->type_len), call->expires_len);
    set_flag(L, "closed", call->closed);
    if (call->has_ttl) {
        lua_pushinteger(L, (lua_Integer)call->ttl_s);
        lua_setfield(L, -2, "ttl");
    }
    return 1;
}

static int closed(lua_State *L, int status, lua_KContext index) {
    const struct api_call *call = taken(L, index);
    (void)status;
    if (!call->offset_len) {
        return 0;
    }
    lua_pushlstring(L, text_at(call, 0), call->offset_len);
    return 1;
}

static int removed(lua_State *L, int status, lua_KContext index) {
    (void)status;
    taken(L, index);
    return 0;
}

/* ---- sending ---- */

/* The stream at 1, and the wait on top of the stack at 3. */
static struct api_call *begin(lua_State *L, const char *what) {
    struct api_stream *stream = api_stream_check(L, 1);
    script_check_unasked(L, what);
    if (!stream->store) {
        luaL_error(L, "%s: the worker has ended", what);
    }
    if (!source_is_url(stream->url)) {
        struct error e;
        error_set(&e, ERROR_ARGUMENT, "%s: cannot %s: it is not an http(s) URL", stream->name, what);
        script_raise(L, &e);
    }
    lua_settop(L, 2);
    struct wait *wait = wait_push(L, stream->script, &stream->calls, sizeof(struct api_call));
    wait->op.result.max = stream->message_max + 2;
    return (struct api_call *)wait;
}

static int start(lua_State *L, struct api_call *call, struct call_options *options, const char *what,
                 lua_KFunction k) {
    struct api_stream *stream = api_stream_check(L, 1);
    struct error e;
    options->loop = stream->script->loop;
    options->http = stream->script->http;
    options->log = stream->script->log;
    options->url = stream->url;
    options->fields = stream->fields;
    options->field_count = stream->field_count;
    options->ca_file = stream->ca_file;
    options->limit_ms = stream->append_limit_ms;
    options->hooks = api_hooks_of(&stream->hooks);
    options->done = answered;
    options->user = call;
    call->call = call_start(options, &e);
    if (!call->call) {
        error_context(&e, "%s: %s", stream->name, what);
        return script_raise(L, &e);
    }
    wait_begin(&call->wait);
    return op_wait(L, 3, what, k);
}

static bool is_json(const char *type) {
    size_t len = strcspn(type, "; \t");
    return len == strlen("application/json") && strncasecmp(type, "application/json", len) == 0;
}

/* The value on top of the stack as a body: one message of JSON, or the bytes of a string. */
static struct slice take_body(lua_State *L, struct api_call *call, bool json, const char *what) {
    struct buf *body = &call->wait.op.result;
    struct error e;
    if (!json) {
        size_t len;
        const char *bytes = lua_tolstring(L, -1, &len);
        return slice_of(bytes, len); /* kept alive by the options, until call_start has copied it */
    }
    bool ok = buf_append_byte(body, '[');
    if (!ok) {
        buf_error(body, &e, "the value", "raise limits.message");
    }
    ok = ok && convert_append(L, lua_gettop(L), body, &e);
    if (ok && !buf_append_byte(body, ']')) {
        ok = buf_error(body, &e, "the value", "raise limits.message");
    }
    if (!ok) {
        error_context(&e, "%s", what);
        script_raise(L, &e);
    }
    return buf_slice(body);
}

static const char *text_option(lua_State *L, const char *name) {
    lua_getfield(L, 2, name);
    const char *text = lua_tostring(L, -1); /* the table keeps it */
    lua_pop(L, 1);
    return text;
}

int api_call_create(lua_State *L) {
    struct api_call *call = begin(L, "create");
    struct call_options options = {
        .kind = CALL_CREATE,
        .content_type = text_option(L, "contentType"),
        .expires_at = text_option(L, "expiresAt"),
        .fork_from = text_option(L, "forkFrom"),
        .fork_offset = text_option(L, "forkOffset"),
        .closed = options_boolean(L, 2, "closed"),
    };
    uint64_t ttl_ms = options_duration(L, 2, "ttl", 0);
    if (ttl_ms % 1000 != 0) {
        return luaL_error(L, "create: ttl: expected whole seconds");
    }
    options.ttl_s = ttl_ms / 1000;
    options.has_ttl = lua_getfield(L, 2, "ttl") != LUA_TNIL;
    options.has_fork_sub_offset = lua_getfield(L, 2, "forkSubOffset") != LUA_TNIL;
    options.fork_sub_offset = (uint64_t)lua_tointeger(L, -1);
    if (lua_getfield(L, 2, "data") != LUA_TNIL) {
        options.body = take_body(L, call, is_json(options.content_type), "create");
    }
    lua_settop(L, 3);
    return start(L, call, &options, "create", created);
}

int api_call_head(lua_State *L) {
    struct api_call *call = begin(L, "head");
    struct call_options options = {.kind = CALL_HEAD};
    return start(L, call, &options, "head", headed);
}

int api_call_close(lua_State *L) {
    struct api_call *call = begin(L, "close");
    struct call_options options = {.kind = CALL_CLOSE};
    if (!lua_isnil(L, 2)) {
        lua_pushvalue(L, 2);
        options.content_type = "application/json";
        options.body = take_body(L, call, true, "close");
    }
    lua_settop(L, 3);
    return start(L, call, &options, "close", closed);
}

int api_call_remove(lua_State *L) {
    struct api_call *call = begin(L, "remove");
    struct call_options options = {.kind = CALL_DELETE};
    return start(L, call, &options, "remove", removed);
}
