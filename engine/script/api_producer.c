#include "script/api_producer.h"

#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "io/url.h"
#include "script/api_hooks.h"
#include "script/convert.h"
#include "script/wait.h"
#include "stream/producer.h"

static const char producer_name[] = "weir.Producer";

enum { QUEUE_MAX = 64 << 20, SHOWN_MAX = 256 };

struct api_producer {
    struct script *script;
    struct api_producer *next, *prev; /* in the script's list, while producer is there */
    struct producer *producer;        /* NULL: not made yet, or ended */
    struct wait *waits;
    struct api_hooks hooks;
    bool json;
    char shown[SHOWN_MAX]; /* the URL, for messages */
};

/* A flush, close or detach. */
struct api_flush {
    struct wait wait; /* first */
    bool ends;        /* the producer is done with, once it succeeded */
};

static struct api_producer *check(lua_State *L, const char *what) {
    struct api_producer *p = luaL_checkudata(L, 1, producer_name);
    script_check_unasked(L, what);
    if (!p->producer) {
        luaL_error(L, "%s: the worker has ended", what);
    }
    return p;
}

/* ---- life ---- */

static void enlist(struct api_producer *p) {
    p->next = p->script->producers;
    if (p->next) {
        p->next->prev = p;
    }
    p->script->producers = p;
}

static void end(struct api_producer *p) {
    size_t pending = producer_pending(p->producer);
    if (pending) {
        log_write(p->script->log, LOG_WARN,
                  "%s: the producer ended with %zu messages that were not acknowledged: call flush, close or "
                  "detach before the end",
                  p->shown, pending);
    }
    producer_free(p->producer);
    p->producer = NULL;
    while (p->waits) {
        wait_drop(p->waits);
    }
    *(p->prev ? &p->prev->next : &p->script->producers) = p->next;
    if (p->next) {
        p->next->prev = p->prev;
    }
}

void api_producer_close_all(struct script *script) {
    while (script->producers) {
        end(script->producers);
    }
}

static int collect(lua_State *L) {
    struct api_producer *p = luaL_checkudata(L, 1, producer_name);
    if (p->producer) {
        end(p);
    }
    api_hooks_clear(L, &p->hooks);
    return 0;
}

/* ---- making one ---- */

static int64_t integer_option(lua_State *L, const char *name, int64_t fallback) {
    int64_t value = fallback;
    if (lua_getfield(L, 1, name) != LUA_TNIL) {
        value = luaL_checkinteger(L, -1);
    }
    lua_pop(L, 1);
    return value;
}

static const char *text_option(lua_State *L, const char *name) {
    lua_getfield(L, 1, name);
    const char *text = lua_tostring(L, -1); /* the table keeps it */
    lua_pop(L, 1);
    return text;
}

static bool take_headers(lua_State *L, struct fields *fields, struct error *e) {
    bool ok = true;
    lua_getfield(L, 1, "headers");
    for (lua_pushnil(L); ok && lua_next(L, -2); lua_pop(L, 1)) {
        ok = fields_header(fields, slice_from(lua_tostring(L, -2)), slice_from(lua_tostring(L, -1)), e);
    }
    return ok;
}

static bool is_json(const char *type) {
    size_t len = type ? strcspn(type, "; \t") : 0;
    return !type || (len == strlen("application/json") && strncasecmp(type, "application/json", len) == 0);
}

static bool make(lua_State *L, struct api_producer *p, struct error *e) {
    struct producer_options o;
    struct fields fields;
    producer_options_init(&o);
    o.loop = p->script->loop;
    o.http = p->script->http;
    o.log = p->script->log;
    o.url = text_option(L, "url");
    o.content_type = text_option(L, "contentType");
    o.ca_file = text_option(L, "caFile");
    o.id = text_option(L, "id");
    o.epoch = integer_option(L, "epoch", o.epoch);
    o.linger_ms = integer_option(L, "lingerMs", o.linger_ms);
    o.max_batch_bytes = integer_option(L, "maxBatchBytes", o.max_batch_bytes);
    o.max_batch_items = integer_option(L, "maxBatchItems", o.max_batch_items);
    o.max_in_flight = integer_option(L, "maxInFlight", o.max_in_flight);
    lua_getfield(L, 1, "autoClaim");
    o.auto_claim = lua_toboolean(L, -1);
    o.queue_max = QUEUE_MAX;
    o.hooks = api_hooks_of(&p->hooks);
    p->json = is_json(o.content_type);
    url_redact(o.url, p->shown, sizeof p->shown);
    fields_init(&fields);
    if (take_headers(L, &fields, e)) {
        o.fields = fields.headers;
        o.field_count = fields.header_count;
        p->producer = producer_new(&o, e);
    }
    fields_free(&fields);
    return p->producer != NULL;
}

/* new(options, asked, changes, judges) -> the producer, or nil and what is wrong. options.headers holds
 * strings only. */
static int new_producer(lua_State *L) {
    struct error e;
    luaL_checktype(L, 1, LUA_TTABLE);
    luaL_checktype(L, 2, LUA_TTABLE);
    lua_settop(L, 4);
    struct api_producer *p = lua_newuserdatauv(L, sizeof *p, 0);
    memset(p, 0, sizeof *p);
    luaL_setmetatable(L, producer_name);
    p->script = script_of(L);
    if (p->script->stopping) {
        return luaL_error(L, "weir.producer: the worker has ended");
    }
    lua_pushvalue(L, 2);
    api_hooks_set(L, &p->hooks, lua_toboolean(L, 3), lua_toboolean(L, 4));
    if (!make(L, p, &e)) {
        lua_pushnil(L);
        lua_pushstring(L, e.message);
        return 2;
    }
    enlist(p);
    p->script->produced = true;
    lua_pushvalue(L, 5); /* nobody has to hold it while it has work to do */
    lua_rawsetp(L, LUA_REGISTRYINDEX, p);
    lua_settop(L, 5);
    return 1;
}

/* ---- what it does ---- */

/* The value at 2 as what is sent of it; in buf for JSON. */
static struct slice body_of(lua_State *L, const struct api_producer *p, struct buf *buf, const char *what) {
    struct error e;
    size_t len;
    if (p->json) {
        if (!convert_append(L, 2, buf, &e)) {
            error_context(&e, "%s to %s", what, p->shown);
            script_raise(L, &e);
        }
        return buf_slice(buf);
    }
    if (lua_type(L, 2) != LUA_TSTRING) {
        luaL_error(L, "%s: expected a string, as the stream is not JSON, got a %s", what,
                   luaL_typename(L, 2));
    }
    const char *bytes = lua_tolstring(L, 2, &len);
    return slice_of(bytes, len);
}

/* The text is made in the buffer of an op, which Lua frees whatever is raised. */
static int append(lua_State *L) {
    struct api_producer *p = check(L, "append");
    struct error e;
    luaL_checkany(L, 2);
    lua_settop(L, 2);
    struct wait *wait = wait_push(L, p->script, &p->waits, sizeof *wait);
    wait->op.result.max = QUEUE_MAX;
    wait->op.done = true;
    struct slice body = body_of(L, p, &wait->op.result, "append");
    size_t bytes = producer_bytes(p->producer);
    if (body.len + 2 > QUEUE_MAX || bytes > QUEUE_MAX - body.len - 2) {
        error_set(&e, ERROR_LIMIT,
                  "append to %s: %zu bytes wait to be sent, %zu more would pass the cap of 64 MB: call flush "
                  "before appending more",
                  p->shown, bytes, body.len);
        return script_raise(L, &e);
    }
    bool ok = producer_append(p->producer, body, NULL, NULL, &e);
    op_bind(L, 3, NULL); /* at once: Lua does not know what it holds */
    op_release(&wait->op);
    return ok ? 0 : script_raise(L, &e);
}

static void flushed(void *user, const struct producer_result *result, const struct error *e) {
    struct wait *wait = user;
    buf_clear(&wait->op.result);
    buf_append_slice(&wait->op.result, result->offset);
    wait_end(wait, e);
}

static int finish(lua_State *L, int status, lua_KContext index) {
    const struct op *op = op_at(L, (int)index);
    struct api_producer *p = luaL_checkudata(L, 1, producer_name);
    (void)status;
    if (op->error.code != ERROR_NONE) {
        return script_raise(L, &op->error);
    }
    if (((const struct api_flush *)op)->ends) {
        lua_pushnil(L); /* it has no more work to do */
        lua_rawsetp(L, LUA_REGISTRYINDEX, p);
    }
    if (!op->result.len) {
        return 0;
    }
    lua_pushlstring(L, op->result.ptr, op->result.len);
    return 1;
}

static struct api_flush *begin(lua_State *L, struct api_producer *p, bool ends) {
    lua_settop(L, 2);
    struct wait *wait = wait_push(L, p->script, &p->waits, sizeof(struct api_flush));
    struct api_flush *flush = (struct api_flush *)wait;
    wait->op.result.max = QUEUE_MAX;
    flush->ends = ends;
    return flush;
}

static int flush(lua_State *L) {
    struct api_producer *p = check(L, "flush");
    struct error e;
    struct wait *wait = &begin(L, p, false)->wait;
    if (!producer_flush(p->producer, flushed, wait, &e)) {
        return script_raise(L, &e);
    }
    wait_begin(wait);
    return op_wait(L, 3, "flush", finish);
}

static int detach(lua_State *L) {
    struct api_producer *p = check(L, "detach");
    struct error e;
    struct wait *wait = &begin(L, p, true)->wait;
    if (!producer_detach(p->producer, flushed, wait, &e)) {
        return script_raise(L, &e);
    }
    wait_begin(wait);
    return op_wait(L, 3, "detach", finish);
}

/* The flush behind it tells of what was appended before, too. */
static int close_stream(lua_State *L) {
    struct api_producer *p = check(L, "close");
    struct error e;
    struct wait *wait = &begin(L, p, true)->wait;
    struct slice body = {0};
    if (!lua_isnil(L, 2)) {
        body = body_of(L, p, &wait->op.result, "close");
    }
    if (!producer_close(p->producer, body, NULL, NULL, &e) ||
        !producer_flush(p->producer, flushed, wait, &e)) {
        return script_raise(L, &e);
    }
    wait_begin(wait);
    return op_wait(L, 3, "close", finish);
}

static int pending(lua_State *L) {
    const struct api_producer *p = luaL_checkudata(L, 1, producer_name);
    lua_pushinteger(L, p->producer ? (lua_Integer)producer_pending(p->producer) : 0);
    return 1;
}

static int id(lua_State *L) {
    const struct api_producer *p = luaL_checkudata(L, 1, producer_name);
    lua_pushstring(L, p->producer ? producer_id(p->producer) : NULL);
    return 1;
}

static int epoch(lua_State *L) {
    const struct api_producer *p = luaL_checkudata(L, 1, producer_name);
    if (!p->producer) {
        return 0;
    }
    lua_pushinteger(L, (lua_Integer)producer_epoch(p->producer));
    return 1;
}

static int to_string(lua_State *L) {
    const struct api_producer *p = luaL_checkudata(L, 1, producer_name);
    lua_pushfstring(L, "weir.Producer: %s", p->shown);
    return 1;
}

void api_producer_open(lua_State *L) {
    static const luaL_Reg functions[] = {
        {"new", new_producer},
        {"append", append},
        {"flush", flush},
        {"detach", detach},
        {"close", close_stream},
        {"pending", pending},
        {"id", id},
        {"epoch", epoch},
        {NULL, NULL},
    };
    luaL_newlib(L, functions);
    if (luaL_newmetatable(L, producer_name)) {
        lua_pushcfunction(L, collect);
        lua_setfield(L, -2, "__gc");
        lua_pushcfunction(L, to_string);
        lua_setfield(L, -2, "__tostring");
    }
    lua_setfield(L, -2, "metatable"); /* __index and __newindex are set in Lua */
    lua_setfield(L, -2, "_producer");
}
