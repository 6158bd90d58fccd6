#include "script/api_schema.h"

#include <lauxlib.h>
#include <stdlib.h>

#include "script/convert.h"
#include "state/schema_build.h"

#define PROGRAM_TYPE "weir.schema.program"
#define WORK_TYPE "weir.schema.work"

/* Compiling. The userdata that owns the schema exists first, so whatever raises, nothing leaks. */

struct compiler {
    struct schema *schema;
    int memo;       /* stack index of a table: schema -> node, so that a shared part is compiled once */
    unsigned depth; /* schemas being compiled inside each other */
    struct error e;
};

static struct schema_node *compile(lua_State *L, struct compiler *c);

static void require(lua_State *L, const struct compiler *c, bool ok) {
    if (!ok) {
        luaL_error(L, "schema: %s", c->e.message);
    }
}

static bool is_schema(lua_State *L, int index) {
    if (lua_type(L, index) != LUA_TTABLE || !lua_getmetatable(L, index)) {
        return false;
    }
    luaL_getmetatable(L, API_SCHEMA_TYPE);
    bool same = lua_rawequal(L, -1, -2);
    lua_pop(L, 2);
    return same;
}

/* The functions below have the description (_def) on top of the stack and leave it there. */

static bool flag(lua_State *L, const char *name) {
    lua_getfield(L, -1, name);
    bool set = lua_toboolean(L, -1);
    lua_pop(L, 1);
    return set;
}

static struct schema_number number_at(lua_State *L, int index) {
    return lua_isinteger(L, index) ? schema_number_whole(lua_tointeger(L, index))
                                   : schema_number_real(lua_tonumber(L, index));
}

static void compile_bounds(lua_State *L, struct schema_node *node) {
    if (lua_getfield(L, -1, "min") == LUA_TNUMBER) {
        schema_node_min(node, number_at(L, -1));
    }
    if (lua_getfield(L, -2, "max") == LUA_TNUMBER) {
        schema_node_max(node, number_at(L, -1));
    }
    lua_pop(L, 2);
}

static void compile_flags(lua_State *L, struct schema_node *node) {
    static const struct {
        const char *name;
        void (*set)(struct schema_node *node);
    } flags[] = {{"optional", schema_node_optional}, {"default", schema_node_optional},
                 {"nullable", schema_node_nullable}, {"strict", schema_node_strict},
                 {"over", schema_node_over},         {"under", schema_node_under}};
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) {
        if (flag(L, flags[i].name)) {
            flags[i].set(node);
        }
    }
}

static void compile_formats(lua_State *L, struct schema_node *node) {
    static const struct {
        const char *name;
        enum schema_format format;
    } formats[] = {
        {"datetime", SCHEMA_DATETIME}, {"email", SCHEMA_EMAIL}, {"url", SCHEMA_URL}, {"uuid", SCHEMA_UUID}};
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
        if (flag(L, formats[i].name)) {
            schema_node_format(node, formats[i].format);
        }
    }
}

/* What the text of a string has to hold: { part = "startsWith", text = "x" }, which is on top of the stack. */
static void compile_text(lua_State *L, struct compiler *c, struct schema_node *node) {
    static const char *const names[] = {
        [SCHEMA_PATTERN] = "pattern",
        [SCHEMA_STARTS] = "startsWith",
        [SCHEMA_ENDS] = "endsWith",
        [SCHEMA_INCLUDES] = "includes",
        NULL,
    };
    struct slice text;
    lua_getfield(L, -1, "part");
    int part = luaL_checkoption(L, -1, NULL, names);
    lua_getfield(L, -2, "text");
    text.ptr = luaL_checklstring(L, -1, &text.len);
    require(L, c, schema_node_part(node, (enum schema_part)part, text, &c->e));
    lua_pop(L, 2);
}

static void compile_texts(lua_State *L, struct compiler *c, struct schema_node *node) {
    if (lua_getfield(L, -1, "texts") == LUA_TTABLE) {
        for (lua_Integer i = 1; lua_rawgeti(L, -1, i) == LUA_TTABLE; i++) {
            compile_text(L, c, node);
            lua_pop(L, 1);
        }
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
}

static bool add_value(lua_State *L, struct compiler *c, struct schema_node *node) {
    struct slice bytes;
    switch (lua_type(L, -1)) {
    case LUA_TSTRING:
        bytes.ptr = lua_tolstring(L, -1, &bytes.len);
        return schema_node_string(node, bytes, &c->e);
    case LUA_TNUMBER:
        return schema_node_number(node, number_at(L, -1), &c->e);
    case LUA_TBOOLEAN:
        return schema_node_boolean(node, lua_toboolean(L, -1), &c->e);
    default: /* the builder lets through weir.null only */
        return schema_node_null(node, &c->e);
    }
}

static void compile_values(lua_State *L, struct compiler *c, struct schema_node *node) {
    if (lua_getfield(L, -1, "values") == LUA_TTABLE) {
        for (lua_Integer i = 1; lua_rawgeti(L, -1, i) != LUA_TNIL; i++) {
            require(L, c, add_value(L, c, node));
            lua_pop(L, 1);
        }
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
}

static void compile_item(lua_State *L, struct compiler *c, struct schema_node *node) {
    if (lua_getfield(L, -1, "item") == LUA_TTABLE) {
        require(L, c, schema_node_item(node, compile(L, c), &c->e));
    }
    if (lua_getfield(L, -2, "keys") == LUA_TTABLE) {
        require(L, c, schema_node_names_fit(node, compile(L, c), &c->e));
    }
    lua_pop(L, 2);
}

/* The values that lead to option number `option`; the list of choices is at index. */
static void compile_choices(lua_State *L, struct compiler *c, struct schema_node *node, int index,
                            lua_Integer option) {
    for (lua_Integer i = 1; lua_rawgeti(L, index, i) == LUA_TTABLE; i++) {
        lua_getfield(L, -1, "option");
        bool its = lua_tointeger(L, -1) == option;
        lua_getfield(L, -2, "value");
        require(L, c, !its || add_value(L, c, node));
        lua_pop(L, 3);
    }
    lua_pop(L, 1);
}

static void compile_options(lua_State *L, struct compiler *c, struct schema_node *node) {
    lua_getfield(L, -1, "choices");
    int choices = lua_gettop(L);
    if (lua_getfield(L, -2, "options") == LUA_TTABLE) {
        for (lua_Integer i = 1; lua_rawgeti(L, -1, i) == LUA_TTABLE; i++) {
            require(L, c, schema_node_option(node, compile(L, c), &c->e));
            if (lua_istable(L, choices)) {
                compile_choices(L, c, node, choices, i);
            }
            lua_pop(L, 1);
        }
        lua_pop(L, 1);
    }
    if (lua_getfield(L, -3, "tag") == LUA_TSTRING) {
        struct slice tag;
        tag.ptr = lua_tolstring(L, -1, &tag.len);
        require(L, c, schema_node_tag(node, tag, &c->e));
    }
    lua_pop(L, 3);
}

static void compile_fields(lua_State *L, struct compiler *c, struct schema_node *node) {
    if (lua_getfield(L, -1, "fields") == LUA_TTABLE) {
        lua_pushnil(L);
        while (lua_next(L, -2)) {
            const struct schema_node *field = compile(L, c);
            luaL_checktype(L, -2, LUA_TSTRING); /* a number would be changed in place below */
            struct slice name;
            name.ptr = lua_tolstring(L, -2, &name.len);
            require(L, c, schema_node_field(node, name, field, &c->e));
            lua_pop(L, 1);
        }
    }
    lua_pop(L, 1);
}

static enum schema_kind kind_of(lua_State *L) {
    static const char *const names[] = {
        [SCHEMA_ANY] = "any",         [SCHEMA_STRING] = "string",   [SCHEMA_NUMBER] = "number",
        [SCHEMA_INTEGER] = "integer", [SCHEMA_BOOLEAN] = "boolean", [SCHEMA_ENUM] = "enum",
        [SCHEMA_ARRAY] = "array",     [SCHEMA_OBJECT] = "object",   [SCHEMA_RECORD] = "record",
        [SCHEMA_TUPLE] = "tuple",     [SCHEMA_UNION] = "union",     [SCHEMA_TAGGED] = "tagged",
        [SCHEMA_KINDS] = "foreign",   [SCHEMA_KINDS + 1] = NULL,
    };
    lua_getfield(L, -1, "kind");
    int kind = luaL_checkoption(L, -1, NULL, names);
    lua_pop(L, 1);
    /* What another library's schema takes is asked in Lua. */
    return kind == SCHEMA_KINDS ? SCHEMA_ANY : (enum schema_kind)kind;
}

static struct schema_node *compile_def(lua_State *L, struct compiler *c) {
    struct schema_node *node = schema_add(c->schema, kind_of(L), &c->e);
    require(L, c, node != NULL);
    compile_flags(L, node);
    compile_bounds(L, node);
    compile_formats(L, node);
    compile_texts(L, c, node);
    compile_values(L, c, node);
    compile_item(L, c, node);
    compile_options(L, c, node);
    compile_fields(L, c, node);
    return node;
}

/* The schema on top of the stack, which stays there. */
static struct schema_node *compile(lua_State *L, struct compiler *c) {
    luaL_checkstack(L, 16, "schema: nested too deep");
    lua_pushvalue(L, -1);
    if (lua_rawget(L, c->memo) == LUA_TLIGHTUSERDATA) {
        struct schema_node *known = lua_touserdata(L, -1);
        lua_pop(L, 1);
        return known;
    }
    lua_pop(L, 1);
    if (!is_schema(L, lua_gettop(L)) || c->depth == SCHEMA_DEPTH_MAX) {
        luaL_error(L, "schema: a part of it is no schema, or nested deeper than %d levels", SCHEMA_DEPTH_MAX);
    }
    lua_pushliteral(L, "_def");
    lua_rawget(L, -2);
    luaL_checktype(L, -1, LUA_TTABLE);
    c->depth++;
    struct schema_node *node = compile_def(L, c);
    c->depth--;
    lua_pop(L, 1);
    lua_pushvalue(L, -1);
    lua_pushlightuserdata(L, node);
    lua_rawset(L, c->memo);
    return node;
}

static struct schema **push_program(lua_State *L) {
    struct schema **program = lua_newuserdatauv(L, sizeof(struct schema *), 0);
    *program = NULL;
    luaL_setmetatable(L, PROGRAM_TYPE);
    return program;
}

static int program_gc(lua_State *L) {
    struct schema **program = luaL_checkudata(L, 1, PROGRAM_TYPE);
    schema_free(*program);
    *program = NULL;
    return 0;
}

/* Compiles the schema at index and keeps the program in it. */
static const struct schema *compile_at(lua_State *L, int index) {
    struct compiler c = {0};
    struct schema **program = push_program(L);
    *program = schema_new();
    if (!*program) {
        luaL_error(L, "schema: out of memory");
    }
    c.schema = *program;
    lua_newtable(L);
    c.memo = lua_gettop(L);
    lua_pushvalue(L, index);
    const struct schema_node *root = compile(L, &c);
    require(L, &c, schema_finish(*program, root, &c.e));
    lua_pop(L, 2);
    lua_pushliteral(L, "_program");
    lua_pushvalue(L, -2);
    lua_rawset(L, index);
    lua_pop(L, 1);
    return *program;
}

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
    if (!is_schema(L, index)) {
        if (!is_foreign(L, index)) {
            luaL_error(L, "expected a schema (weir.schema.object { ... }, ...), got %s",
                       lua_isnil(L, index) ? "nothing" : luaL_typename(L, index));
        }
        return NULL;
    }
    lua_pushliteral(L, "_program");
    lua_rawget(L, index);
    struct schema **program = luaL_testudata(L, -1, PROGRAM_TYPE);
    lua_pop(L, 1);
    return program && *program ? *program : compile_at(L, index);
}

bool api_schema_needs_lua(lua_State *L, int index) {
    bool needed = true;
    if (is_schema(L, index)) {
        lua_getfield(L, index, "_def");
        needed = flag(L, "lua");
        lua_pop(L, 1);
    }
    return needed;
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

static void open_userdata(lua_State *L, const char *type, lua_CFunction gc) {
    luaL_newmetatable(L, type);
    lua_pushcfunction(L, gc);
    lua_setfield(L, -2, "__gc");
    lua_pop(L, 1);
}

void api_schema_open(lua_State *L) {
    luaL_checkstack(L, 6, NULL);
    open_userdata(L, PROGRAM_TYPE, program_gc);
    open_userdata(L, WORK_TYPE, work_gc);
    lua_createtable(L, 0, 4);
    luaL_newmetatable(L, API_SCHEMA_TYPE);
    lua_setfield(L, -2, "metatable");
    lua_pushcfunction(L, schema_check_value);
    lua_setfield(L, -2, "check");
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
