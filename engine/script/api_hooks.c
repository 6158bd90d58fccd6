#include "script/api_hooks.h"

#include <lauxlib.h>
#include <string.h>

/* One question, on its way through script_protect. */
struct question {
    struct api_hooks *hooks;
    struct fields *fields; /* of refresh */
    const struct error *e; /* of failed */
    bool retrying;
    bool ok;
    enum hooks_verdict verdict;
    struct error failure;
};

void api_hooks_set(lua_State *L, struct api_hooks *hooks, bool changes, bool judges) {
    lua_rawsetp(L, LUA_REGISTRYINDEX, hooks);
    hooks->script = script_of(L);
    hooks->changes = changes;
    hooks->judges = judges;
}

void api_hooks_clear(lua_State *L, struct api_hooks *hooks) {
    lua_pushnil(L);
    lua_rawsetp(L, LUA_REGISTRYINDEX, hooks);
    hooks->changes = hooks->judges = false;
}

/* The main state's own clock is stopped while the loop runs: it starts for this function alone. */
static bool ask(struct question *q, lua_CFunction fn, struct error *e) {
    struct script *script = q->hooks->script;
    if (script->stopping) {
        return error_set(e, ERROR_INTERRUPTED, "the worker is stopping");
    }
    bool outer = script->asked;
    script->asked = true;
    watch_start(script, script->L);
    bool ok = script_protect(script, fn, q, e);
    watch_stop(script);
    script->asked = outer;
    return ok;
}

static bool push_member(lua_State *L, const struct question *q, const char *name) {
    lua_rawgetp(L, LUA_REGISTRYINDEX, q->hooks);
    return lua_istable(L, -1) && lua_getfield(L, -1, name) == LUA_TFUNCTION;
}

typedef bool putter(struct fields *fields, struct slice name, struct slice value, struct error *e);

static bool put_all(lua_State *L, int index, struct question *q, putter *put) {
    for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1)) {
        size_t name_len;
        size_t value_len;
        const char *name = lua_tolstring(L, -2, &name_len);
        const char *value = lua_tolstring(L, -1, &value_len);
        if (!put(q->fields, slice_of(name, name_len), slice_of(value, value_len), &q->failure)) {
            return false;
        }
    }
    return true;
}

static int refresh_in_lua(lua_State *L) {
    struct question *q = lua_touserdata(L, 1);
    if (!push_member(L, q, "refresh")) {
        q->ok = true;
        return 0;
    }
    lua_call(L, 0, 3);
    int headers = lua_gettop(L) - 2;
    if (lua_istable(L, headers)) {
        q->ok = put_all(L, headers, q, fields_header) && put_all(L, headers + 1, q, fields_param);
        return 0;
    }
    const char *code = luaL_optstring(L, headers + 2, "script");
    error_set(&q->failure, strcmp(code, "system") == 0 ? ERROR_SYSTEM : ERROR_SCRIPT, "%s",
              luaL_checkstring(L, headers + 1));
    return 0;
}

static bool refresh(void *user, struct fields *fields, struct error *e) {
    struct question q = {.hooks = user, .fields = fields};
    if (!q.hooks->changes) {
        return true;
    }
    if (!ask(&q, refresh_in_lua, e)) {
        return false;
    }
    if (!q.ok) {
        *e = q.failure;
    }
    return q.ok;
}

static int failed_in_lua(lua_State *L) {
    struct question *q = lua_touserdata(L, 1);
    if (!push_member(L, q, "failed")) {
        return 0;
    }
    script_push_error(L, q->e);
    lua_pushboolean(L, true);
    lua_setfield(L, -2, "transport");
    lua_pushboolean(L, q->retrying);
    lua_setfield(L, -2, "retrying");
    lua_call(L, 1, 1);
    const char *verdict = lua_tostring(L, -1);
    if (verdict) {
        q->verdict = strcmp(verdict, "stop") == 0 ? HOOKS_STOP : HOOKS_RETRY;
    }
    return 0;
}

/* What the script's function gets wrong is told by the next refresh: that can fail by name. */
static enum hooks_verdict on_error(void *user, const struct error *e, bool retrying) {
    struct question q = {.hooks = user, .e = e, .retrying = retrying, .verdict = HOOKS_DEFAULT};
    if (!q.hooks->judges) {
        return HOOKS_DEFAULT;
    }
    q.hooks->changes = true;
    if (!ask(&q, failed_in_lua, &q.failure)) {
        log_write(q.hooks->script->log, LOG_ERROR, "onError: %s", q.failure.message);
        return HOOKS_STOP;
    }
    return q.verdict;
}

struct hooks api_hooks_of(struct api_hooks *hooks) {
    return (struct hooks){.user = hooks, .refresh = refresh, .on_error = on_error};
}
