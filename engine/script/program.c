#include "script/program.h"

#include <lauxlib.h>

#include "script/api_schema.h"
#include "state/schema_build.h"

/* The userdata that owns the schema exists first, so whatever raises, nothing leaks. */
#define PROGRAM_TYPE "weir.schema.program"

struct compiler {
    struct schema *schema;
    int memo; /* stack index of a table: schema -> node, so that a shared part is compiled once */
    int lazy; /* stack index of a list: a function that gives a schema, the node that stands for it, ... */
    unsigned depth; /* schemas being compiled inside each other */
    bool needs_lua; /* one of them has a part that is Lua's */
    struct error e;
};

static struct schema_node *compile(lua_State *L, struct compiler *c);

static void require(lua_State *L, const struct compiler *c, bool ok) {
    if (!ok) {
        luaL_error(L, "schema: %s", c->e.message);
    }
}

bool program_is_schema(lua_State *L, int index) {
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
    if (lua_getfield(L, -3, "multiple") == LUA_TNUMBER) {
        schema_node_multiple(node, number_at(L, -1));
    }
    lua_pop(L, 3);
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

/* What is lazy is compiled when everything else is: it may be, or hold, what is being compiled now. */
static void compile_lazy(lua_State *L, const struct compiler *c, struct schema_node *node) {
    if (lua_getfield(L, -1, "get") == LUA_TFUNCTION) {
        lua_rawseti(L, c->lazy, (lua_Integer)lua_rawlen(L, c->lazy) + 1);
        lua_pushlightuserdata(L, node);
        lua_rawseti(L, c->lazy, (lua_Integer)lua_rawlen(L, c->lazy) + 1);
    } else {
        lua_pop(L, 1);
    }
}

static enum schema_kind kind_of(lua_State *L) {
    static const char *const names[] = {
        [SCHEMA_ANY] = "any",         [SCHEMA_STRING] = "string",   [SCHEMA_NUMBER] = "number",
        [SCHEMA_INTEGER] = "integer", [SCHEMA_BOOLEAN] = "boolean", [SCHEMA_ENUM] = "enum",
        [SCHEMA_ARRAY] = "array",     [SCHEMA_OBJECT] = "object",   [SCHEMA_RECORD] = "record",
        [SCHEMA_TUPLE] = "tuple",     [SCHEMA_UNION] = "union",     [SCHEMA_TAGGED] = "tagged",
        [SCHEMA_LAZY] = "lazy",       [SCHEMA_KINDS] = "foreign",   [SCHEMA_KINDS + 1] = NULL,
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
    compile_lazy(L, c, node);
    return node;
}

/* `lua` is true where the schema, or one that it holds, has a part that is Lua's; "perhaps" where what it holds is
 * lazy. */
static bool has_lua(lua_State *L) {
    bool is = lua_getfield(L, -1, "lua") == LUA_TBOOLEAN && lua_toboolean(L, -1);
    lua_pop(L, 1);
    return is;
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
    if (!program_is_schema(L, lua_gettop(L)) || c->depth == SCHEMA_DEPTH_MAX) {
        luaL_error(L, "schema: a part of it is no schema, or nested deeper than %d levels", SCHEMA_DEPTH_MAX);
    }
    lua_pushliteral(L, "_def");
    lua_rawget(L, -2);
    luaL_checktype(L, -1, LUA_TTABLE);
    c->needs_lua = c->needs_lua || has_lua(L);
    c->depth++;
    struct schema_node *node = compile_def(L, c);
    c->depth--;
    lua_pop(L, 1);
    lua_pushvalue(L, -1);
    lua_pushlightuserdata(L, node);
    lua_rawset(L, c->memo);
    return node;
}

/* Each may add others to the list. */
static void compile_targets(lua_State *L, struct compiler *c) {
    for (lua_Integer i = 1; lua_rawgeti(L, c->lazy, i) == LUA_TFUNCTION; i += 2) {
        lua_rawgeti(L, c->lazy, i + 1);
        struct schema_node *node = lua_touserdata(L, -1);
        lua_pop(L, 1);
        lua_call(L, 0, 1);
        schema_node_target(node, compile(L, c));
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
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
    lua_newtable(L);
    c.lazy = lua_gettop(L);
    lua_pushvalue(L, index);
    const struct schema_node *root = compile(L, &c);
    compile_targets(L, &c);
    require(L, &c, schema_finish(*program, root, &c.e));
    lua_pop(L, 3);
    lua_pushliteral(L, "_needsLua");
    lua_pushboolean(L, c.needs_lua);
    lua_rawset(L, index);
    lua_pushliteral(L, "_program");
    lua_pushvalue(L, -2);
    lua_rawset(L, index);
    lua_pop(L, 1);
    return *program;
}

const struct schema *program_at(lua_State *L, int index) {
    luaL_checkstack(L, 8, "schema: nested too deep");
    lua_pushliteral(L, "_program");
    lua_rawget(L, index);
    struct schema **program = luaL_testudata(L, -1, PROGRAM_TYPE);
    lua_pop(L, 1);
    return program && *program ? *program : compile_at(L, index);
}

bool program_needs_lua(lua_State *L, int index) {
    program_at(L, index);
    lua_pushliteral(L, "_needsLua");
    lua_rawget(L, index);
    bool needed = lua_toboolean(L, -1);
    lua_pop(L, 1);
    return needed;
}

void program_open(lua_State *L) {
    luaL_newmetatable(L, PROGRAM_TYPE);
    lua_pushcfunction(L, program_gc);
    lua_setfield(L, -2, "__gc");
    lua_pop(L, 1);
}
