#include "script/api_schema.h"

#include <lauxlib.h>
#include <stdlib.h>

#include "script/convert.h"
#include "script/program.h"
#include "state/schema_build.h"

#define WORK_TYPE "weir.schema.work"

static bool is_foreign(lua_State *L, int index) {
    if (lua_type(L, index) != LUA_TTABLE) {
        return false;
    }
    lua_getfield(L, index, "~standard");
    bool table = lua_istable(L, -1);
    lua_pop(L, 1);
    return table;
}

const struct schema *api_schema_check(lua_State *L, int index) {
    luaL_checkstack(L, 8, "schema: nested too deep");
    index = lua_absindex(L, index);
    if (!program_is_schema(L, index)) {
        if (!is_foreign(L, index)) {
            luaL_error(L, "expected a schema (weir.schema.object { ... }, ...), got %s",
                       lua_isnil(L, index) ? "nothing" : luaL_typename(L, index));
        }
        return NULL;
    }
    return program_at(L, index);
}

bool api_schema_needs_lua(lua_State *L, int index) {
    index = lua_absindex(L, index);
    return !program_is_schema(L, index) || program_needs_lua(L, index);
}

/* needsLua(schema) -> boolean */
static int schema_needs_lua(lua_State *L) {
    lua_pushboolean(L, api_schema_needs_lua(L, 1));
    return 1;
}

/* Checking */

static void push_slice(lua_State *L, struct slice text) {
    lua_pushlstring(L, text.ptr, text.len);
}

/* lists: paths are lists of names and places, not texts. */
static void push_issues(lua_State *L, const struct schema_issues *issues, bool lists) {
    luaL_checkstack(L, 4, "schema: issues");
    lua_createtable(L, (int)issues->count, 0);
    for (size_t i = 0; i < issues->count; i++) {
        const struct schema_issue *issue = &issues->issues[i];
        lua_createtable(L, 0, 3);
        if (lists) {
            convert_push(L, issue->keys.len > 0 ? buf_slice(&issue->keys) : SLICE("[]"));
        } else {
            push_slice(L, buf_slice(&issue->path));
        }
        lua_setfield(L, -2, "path");
        push_slice(L, buf_slice(&issue->message));
        lua_setfield(L, -2, "message");
        if (issue->value.ptr) {
            convert_push(L, issue->value);
            lua_setfield(L, -2, "value");
        }
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
}

void api_schema_push_issues(lua_State *L, const struct schema_issues *issues) {
    push_issues(L, issues, false);
}

/* What one check from Lua needs: a userdata each, as a __gc or __json of the script's own may start
 * another check in the middle of this one. */
struct work {
    struct buf json;
    struct schema_issues *issues;
};

static void work_free(struct work *work) {
    buf_free(&work->json);
    if (work->issues) {
        schema_issues_free(work->issues);
        free(work->issues);
        work->issues = NULL;
    }
}

static int work_gc(lua_State *L) {
    work_free(luaL_checkudata(L, 1, WORK_TYPE));
    return 0;
}

static struct work *push_work(lua_State *L) {
    struct work *work = lua_newuserdatauv(L, sizeof *work, 0);
    buf_init(&work->json, API_SCHEMA_JSON_MAX);
    work->issues = NULL;
    luaL_setmetatable(L, WORK_TYPE);
    return work;
}

static void work_add_issues(lua_State *L, struct work *work) {
    work->issues = malloc(sizeof *work->issues);
    if (!work->issues) {
        luaL_error(L, "schema: out of memory");
    }
    schema_issues_init(work->issues);
}

/* The one issue of a value that is no JSON value. */
static void push_refusal(lua_State *L, const char *message, int value, bool lists) {
    lua_createtable(L, 1, 0);
    lua_createtable(L, 0, 3);
    if (lists) {
        convert_push(L, SLICE("[]"));
    } else {
        lua_pushliteral(L, "");
    }
    lua_setfield(L, -2, "path");
    lua_pushstring(L, message);
    lua_setfield(L, -2, "message");
    lua_pushvalue(L, value);
    lua_setfield(L, -2, "value");
    lua_rawseti(L, -2, 1);
}

static void push_missing(lua_State *L, const struct schema *schema, struct work *work, bool lists) {
    work_add_issues(L, work);
    if (schema_check_missing(schema, work->issues)) {
        lua_pushnil(L);
    } else {
        push_issues(L, work->issues, lists);
    }
}

static void push_result(lua_State *L, const struct schema *schema, struct work *work, bool lists) {
    struct error e;
    if (!convert_append(L, 2, &work->json, &e)) {
        push_refusal(L, e.message, 2, lists);
        return;
    }
    /* Nearly always it fits, and no list of issues is needed. */
    if (schema_check(schema, buf_slice(&work->json), NULL)) {
        lua_pushnil(L);
        return;
    }
    work_add_issues(L, work);
    schema_check(schema, buf_slice(&work->json), work->issues);
    push_issues(L, work->issues, lists);
}

/* check(schema, value, lists) -> nil where it fits, otherwise the issues */
static int schema_check_value(lua_State *L) {
    lua_settop(L, 3);
    bool lists = lua_toboolean(L, 3);
    const struct schema *schema = api_schema_check(L, 1);
    luaL_argcheck(L, schema, 1, "expected a schema of weir's own");
    struct work *work = push_work(L);
    if (lua_isnil(L, 2)) {
        push_missing(L, schema, work, lists);
    } else {
        push_result(L, schema, work, lists);
    }
    work_free(work);
    return 1;
}

void api_schema_open(lua_State *L) {
    luaL_checkstack(L, 6, NULL);
    program_open(L);
    luaL_newmetatable(L, WORK_TYPE);
    lua_pushcfunction(L, work_gc);
    lua_setfield(L, -2, "__gc");
    lua_pop(L, 1);
    lua_createtable(L, 0, 4);
    luaL_newmetatable(L, API_SCHEMA_TYPE);
    lua_setfield(L, -2, "metatable");
    lua_pushcfunction(L, schema_check_value);
    lua_setfield(L, -2, "check");
    lua_pushcfunction(L, schema_needs_lua);
    lua_setfield(L, -2, "needsLua");
    lua_pushinteger(L, SCHEMA_DEPTH_MAX);
    lua_setfield(L, -2, "depthMax");
    lua_pushinteger(L, SCHEMA_FIELDS_MAX);
    lua_setfield(L, -2, "fieldsMax");
    lua_pushinteger(L, SCHEMA_OPTIONS_MAX);
    lua_setfield(L, -2, "optionsMax");
    lua_pushinteger(L, SCHEMA_VALUES_MAX);
    lua_setfield(L, -2, "valuesMax");
    lua_setfield(L, -2, "_schema");
}
