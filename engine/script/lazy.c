#include "script/lazy.h"

#include <lauxlib.h>
#include <lualib.h>
#include <stdint.h>
#include <string.h>

#include "script/convert.h"
#include "json/read.h"

/* Their addresses are keys in the registry, of the metatables, */
static const char object_key;
static const char array_key;
static const char mark_key; /* and in these, so that they are told from all others */

/* The slots of a lazy table. JSON has no such members. Whole numbers, since those are found the fastest, that
 * no script comes upon; one that does finds a userdata with which nothing can be done. */
static const lua_Integer text_slot = INT64_MIN + 0x6c617a79; /* the userdata with the text */
static const lua_Integer known_slot = INT64_MIN + 0x6c617a79 +
                                      1; /* the members that are known: name -> child,
                                                                     scalar, or where its text begins */

/* So many members are looked for one by one, each in the whole text. Then all of them become known at once, so
 * that what is read often, or has many members, costs no more than twice its decoding. */
enum { READS_MAX = 8 };

static bool is_container(char first) {
    return first == '{' || first == '[';
}

/* ---- making them ---- */

/* Pushes a lazy table for the userdata at `text`. The metatable is on top, and is taken off. */
static void push_table(lua_State *L, int text) {
    lua_createtable(L, 0, 1);
    lua_pushvalue(L, text);
    lua_rawseti(L, -2, text_slot);
    lua_insert(L, -2);
    lua_setmetatable(L, -2);
}

/* Pushes the metatable for this text. False, with nothing pushed: what it stands for is not to be lazy. */
static bool push_metatable(lua_State *L, struct slice json) {
    if (!is_container(json.ptr[0])) {
        return false;
    }
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, json.ptr[0] == '{' ? &object_key : &array_key) == LUA_TNIL) {
        lua_pop(L, 1);
        return false;
    }
    return true;
}

void lazy_push_upvalues(lua_State *L) {
    lua_rawgetp(L, LUA_REGISTRYINDEX, &object_key);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &array_key);
}

void lazy_push_own(lua_State *L, int owner, struct lazy_text *text, int first) {
    char byte = text->json.ptr[0];
    int metatable = lua_upvalueindex(byte == '{' ? first : first + 1);
    if (!is_container(byte) || lua_isnil(L, metatable)) {
        convert_push(L, text->json);
        return;
    }
    lua_createtable(L, 0, 1);
    lua_pushvalue(L, owner);
    lua_rawseti(L, -2, text_slot);
    lua_pushvalue(L, metatable);
    lua_setmetatable(L, -2);
}

/* With a text of its own, in memory of the userdata at `owner`. The metatable is on top, and is taken off. */
static void push_view(lua_State *L, int owner, struct slice json, struct lazy_text *parent) {
    struct lazy_text *text = lua_newuserdatauv(L, sizeof *text, 1);
    *text = (struct lazy_text){.json = json, .parent = parent};
    lua_pushvalue(L, owner);
    lua_setiuservalue(L, -2, 1);
    lua_insert(L, -2);
    push_table(L, lua_gettop(L) - 1);
    lua_remove(L, -2);
}

void lazy_push_of(lua_State *L, int owner, struct slice json) {
    luaL_checkstack(L, 6, NULL);
    if (push_metatable(L, json)) {
        push_view(L, owner, json, NULL);
    } else {
        convert_push(L, json);
    }
}

void lazy_push(lua_State *L, struct slice json) {
    luaL_checkstack(L, 6, NULL);
    if (!push_metatable(L, json)) {
        convert_push(L, json);
        return;
    }
    struct lazy_text *text = lua_newuserdatauv(L, sizeof *text + json.len, 0);
    char *copy = (char *)(text + 1);
    memcpy(copy, json.ptr, json.len);
    *text = (struct lazy_text){.json = slice_of(copy, json.len)};
    lua_insert(L, -2);
    push_table(L, lua_gettop(L) - 1);
    lua_remove(L, -2);
}

/* ---- settling ---- */

static bool is_lazy(lua_State *L, int index) {
    if (!lua_istable(L, index) || !lua_getmetatable(L, index)) {
        return false;
    }
    bool lazy = lua_rawgetp(L, -1, &mark_key) != LUA_TNIL;
    lua_pop(L, 2);
    return lazy;
}

/* Pushes the userdata of the lazy value at index. NULL, with nothing pushed: it is none. */
static struct lazy_text *push_text(lua_State *L, int index) {
    if (!is_lazy(L, index)) {
        return NULL;
    }
    lua_rawgeti(L, index, text_slot);
    return lua_touserdata(L, -1);
}

/* Members that a script may hold already stay the tables that they are. */
static void keep_children(lua_State *L, int table) {
    lua_rawgeti(L, table, known_slot);
    for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1)) {
        if (lua_istable(L, -1)) {
            lua_pushvalue(L, -2);
            lua_pushvalue(L, -2);
            lua_rawset(L, table);
        }
    }
    lua_pop(L, 1);
}

static void clear_slot(lua_State *L, int table, lua_Integer slot) {
    lua_pushnil(L);
    lua_rawseti(L, table, slot);
}

void lazy_settle(lua_State *L, int index) {
    luaL_checkstack(L, 8, NULL);
    struct lazy_text *text = push_text(L, index);
    if (!text) {
        return;
    }
    int table = lua_absindex(L, index);
    convert_fill(L, table, text->json);
    if (text->known) {
        keep_children(L, table);
        clear_slot(L, table, known_slot);
    }
    clear_slot(L, table, text_slot);
    if (text->json.ptr[0] == '[') {
        convert_mark_array(L, table);
    } else {
        lua_pushnil(L);
        lua_setmetatable(L, table);
    }
    for (struct lazy_text *around = text->parent; around; around = around->parent) {
        around->touched = true;
    }
    lua_pop(L, 1);
}

enum lazy_state lazy_look(lua_State *L, int index, struct slice *json) {
    const struct lazy_text *text = push_text(L, index);
    if (!text) {
        return LAZY_NOT;
    }
    lua_pop(L, 1);
    *json = text->json;
    return text->touched ? LAZY_TOUCHED : LAZY_WHOLE;
}

/* ---- reading members ----
 *
 * In the metamethod: the table is at 1, the name at 2, the text's userdata at 3. */

enum { TABLE = 1, NAME, TEXT };

/* Pushes the table of known members, a new one where there is none. */
static void push_known(lua_State *L, struct lazy_text *text) {
    if (!text->known) {
        lua_newtable(L);
        lua_rawseti(L, TABLE, known_slot);
        text->known = true;
    }
    lua_rawgeti(L, TABLE, known_slot);
}

/* A member that is an object or array: made once. */
static int push_child(lua_State *L, struct lazy_text *text, const char *at) {
    const char *end = text->json.ptr + text->json.len;
    struct slice json = slice_of(at, (size_t)(json_skip_value(at, end) - at));
    push_known(L, text);
    lua_pushvalue(L, NAME);
    push_metatable(L, json);
    push_view(L, TEXT, json, text);
    lua_pushvalue(L, -1);
    lua_insert(L, -4);
    lua_rawset(L, -3);
    lua_pop(L, 1);
    return 1;
}

static int push_member(lua_State *L, struct lazy_text *text, const char *at) {
    if (!at) {
        lua_pushnil(L);
        return 1;
    }
    if (is_container(*at)) {
        return push_child(L, text, at);
    }
    convert_push_scalar(L, at, text->json.ptr + text->json.len);
    return 1;
}

/* Puts every member into the table of those that are known. */
static void know_all(lua_State *L, struct lazy_text *text) {
    struct json_walk walk;
    struct slice name;
    struct slice value;
    push_known(L, text);
    json_walk_open(&walk, text->json);
    while (json_walk_member(&walk, &name, &value)) {
        convert_push_scalar(L, name.ptr, name.ptr + name.len);
        lua_pushvalue(L, -1);
        bool child = lua_rawget(L, -3) == LUA_TTABLE;
        lua_pop(L, 1);
        if (child) { /* of several members with a name, it is that of the last */
            lua_pop(L, 1);
            continue;
        }
        if (is_container(value.ptr[0])) {
            lua_pushlightuserdata(L, (void *)value.ptr);
        } else {
            convert_push_scalar(L, value.ptr, value.ptr + value.len);
        }
        lua_rawset(L, -3);
    }
    lua_pop(L, 1);
    text->complete = true;
}

/* True where the table of known members has the answer, which is then on top. */
static bool push_if_known(lua_State *L, struct lazy_text *text) {
    lua_rawgeti(L, TABLE, known_slot);
    lua_pushvalue(L, NAME);
    int type = lua_rawget(L, -2);
    if (type == LUA_TLIGHTUSERDATA) {
        push_child(L, text, lua_touserdata(L, -1));
    }
    return type != LUA_TNIL || text->complete;
}

static int object_index(lua_State *L) {
    luaL_checktype(L, TABLE, LUA_TTABLE);
    lua_rawgeti(L, TABLE, text_slot); /* who has the metatable is lazy */
    struct lazy_text *text = lua_touserdata(L, -1);
    if (!text || lua_type(L, NAME) != LUA_TSTRING) {
        lua_pushnil(L);
        return 1;
    }
    if (!text->complete && text->reads++ == READS_MAX) {
        know_all(L, text);
    }
    if (text->known && push_if_known(L, text)) {
        return 1;
    }
    struct slice name;
    name.ptr = lua_tolstring(L, NAME, &name.len);
    return push_member(L, text, json_find_member(text->json, name));
}

/* ---- the other metamethods ---- */

static int array_index(lua_State *L) {
    lazy_settle(L, TABLE);
    lua_settop(L, 2);
    lua_rawget(L, TABLE);
    return 1;
}

/* lua_rawset would not say where. */
static void check_key(lua_State *L) {
    if (lua_isnil(L, 2)) {
        luaL_error(L, "table index is nil");
    } else if (lua_type(L, 2) == LUA_TNUMBER && !lua_rawequal(L, 2, 2)) {
        luaL_error(L, "table index is NaN");
    }
}

static int any_newindex(lua_State *L) {
    lazy_settle(L, TABLE);
    lua_settop(L, 3);
    check_key(L);
    lua_rawset(L, TABLE);
    return 0;
}

static int any_len(lua_State *L) {
    lazy_settle(L, TABLE);
    lua_pushinteger(L, (lua_Integer)lua_rawlen(L, TABLE));
    return 1;
}

/* The upvalue is next. */
static int any_pairs(lua_State *L) {
    lazy_settle(L, TABLE);
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_pushvalue(L, TABLE);
    lua_pushnil(L);
    return 3;
}

/* ---- the functions that go around metatables ----
 *
 * The upvalue is the one that each was. Those of the base library have no upvalues of their own, and their
 * messages name the function that runs: so they can be called as if they were this one. */

static int call_original(lua_State *L) {
    return lua_tocfunction(L, lua_upvalueindex(1))(L);
}

static int settle_first(lua_State *L) {
    if (is_lazy(L, 1)) {
        lazy_settle(L, 1);
    }
    return call_original(L);
}

static int settle_both(lua_State *L) {
    if (is_lazy(L, 2)) {
        lazy_settle(L, 2);
    }
    return settle_first(L);
}

/* The library is on top of the stack. */
static void replace(lua_State *L, const char *name, lua_CFunction by) {
    if (lua_getfield(L, -1, name) == LUA_TFUNCTION && lua_iscfunction(L, -1)) {
        lua_pushcclosure(L, by, 1);
        lua_setfield(L, -2, name);
    } else {
        lua_pop(L, 1);
    }
}

static void replace_functions(lua_State *L) {
    static const char *const names[] = {"next", "rawget", "rawset", "rawlen", "getmetatable"};
    lua_pushglobaltable(L);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        replace(L, names[i], settle_first);
    }
    replace(L, "setmetatable", settle_both);
    if (lua_getfield(L, -1, LUA_DBLIBNAME) == LUA_TTABLE) {
        replace(L, "getmetatable", settle_first);
        replace(L, "setmetatable", settle_both);
    }
    lua_pop(L, 2);
}

/* next is on top of the stack. */
static void keep_metatable(lua_State *L, const char *key, lua_CFunction index, const char *name) {
    static const luaL_Reg methods[] = {{"__newindex", any_newindex}, {"__len", any_len}, {NULL, NULL}};
    lua_createtable(L, 0, 6);
    luaL_setfuncs(L, methods, 0);
    lua_pushcfunction(L, index);
    lua_setfield(L, -2, "__index");
    lua_pushvalue(L, -2);
    lua_pushcclosure(L, any_pairs, 1);
    lua_setfield(L, -2, "__pairs");
    lua_pushstring(L, name);
    lua_setfield(L, -2, "__name");
    lua_pushboolean(L, true);
    lua_rawsetp(L, -2, &mark_key);
    lua_rawsetp(L, LUA_REGISTRYINDEX, key);
}

void lazy_open(lua_State *L) {
    luaL_checkstack(L, 6, NULL);
    lua_getglobal(L, "next");
    keep_metatable(L, &object_key, object_index, NULL);
    keep_metatable(L, &array_key, array_index,
                   "weir.array"); /* as tostring shows arrays that are none of these */
    lua_pop(L, 1);
    replace_functions(L);
}
