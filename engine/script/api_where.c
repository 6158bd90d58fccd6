#include "script/api_where.h"

#include <lauxlib.h>
#include <stdlib.h>

#include "script/api_state.h"
#include "script/api_stream.h"
#include "script/convert.h"
#include "script/lazy.h"
#include "state/store.h"

/* What one call needs: a userdata, as pushing rows raises when memory runs out. */
struct where {
    uint32_t *refs;
    struct store_row *rows;
    size_t count;
    struct store_condition conditions[];
};

static void where_free(struct where *where) {
    free(where->refs);
    free(where->rows);
    where->refs = NULL;
    where->rows = NULL;
}

static int where_collect(lua_State *L) {
    where_free(lua_touserdata(L, 1));
    return 0;
}

static struct where *push_where(lua_State *L, size_t conditions) {
    struct where *where = lua_newuserdatauv(L, sizeof *where + conditions * sizeof(struct store_condition),
                                            0);
    where->refs = NULL;
    where->rows = NULL;
    if (luaL_newmetatable(L, "weir.where")) {
        lua_pushcfunction(L, where_collect);
        lua_setfield(L, -2, "__gc");
    }
    lua_setmetatable(L, -2);
    return where;
}

/* The string at index, which stays where it is. */
static struct slice text_at(lua_State *L, int index) {
    size_t len;
    const char *ptr = lua_tolstring(L, index, &len);
    return slice_of(ptr, len);
}

static struct field_value take_value(lua_State *L, int index, const char *field) {
    struct field_value value = {.kind = FIELD_NULL};
    switch (lua_type(L, index)) {
    case LUA_TSTRING:
        value.kind = FIELD_STRING;
        value.string = text_at(L, index);
        return value;
    case LUA_TNUMBER:
        value.kind = FIELD_NUMBER;
        value.number = lua_isinteger(L, index) ? schema_number_whole(lua_tointeger(L, index))
                                               : schema_number_real(lua_tonumber(L, index));
        return value;
    case LUA_TBOOLEAN:
        value.kind = lua_toboolean(L, index) ? FIELD_TRUE : FIELD_FALSE;
        return value;
    default:
        if (!convert_is_null(L, index)) {
            luaL_error(L,
                       "state:where: field '%s': expected a string, a number, a boolean or weir.null, got %s",
                       field, luaL_typename(L, index));
        }
        return value;
    }
}

static size_t count_members(lua_State *L, int table) {
    size_t count = 0;
    for (lua_pushnil(L); lua_next(L, table); lua_pop(L, 1)) {
        if (lua_type(L, -2) != LUA_TSTRING) {
            luaL_error(L, "state:where: expected { field = value, ... }, got a %s as the name of a field",
                       luaL_typename(L, -2));
        }
        count++;
    }
    return count;
}

static size_t take_conditions(lua_State *L, int table, struct store_condition *conditions) {
    size_t count = 0;
    for (lua_pushnil(L); lua_next(L, table); lua_pop(L, 1)) {
        conditions[count++] = (struct store_condition){
            .field = text_at(L, -2),
            .is = take_value(L, -1, lua_tostring(L, -2)),
        };
    }
    return count;
}

static void push_rows(lua_State *L, const struct store *store, const struct where *where) {
    lua_createtable(L, (int)where->count, 0);
    convert_mark_array(L, -1);
    for (size_t i = 0; i < where->count; i++) {
        struct store_row row;
        store_row(store, where->refs, where->count, i, &row);
        lazy_push(L, row.value);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
}

/* With writes on top that have not come back yet. */
static int where_seen(lua_State *L, struct overlay *overlay, struct store *store, struct where *where,
                      size_t conditions) {
    struct error e;
    where->rows = overlay_where(overlay, store, text_at(L, 2), where->conditions, conditions, &where->count,
                                &e);
    if (!where->rows) {
        return script_raise(L, &e);
    }
    lua_createtable(L, (int)where->count, 0);
    convert_mark_array(L, -1);
    for (size_t i = 0; i < where->count; i++) {
        lazy_push(L, where->rows[i].value);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    where_free(where);
    return 1;
}

int api_where(lua_State *L) {
    struct store *store = api_state_check(L);
    luaL_checktype(L, 2, LUA_TSTRING);
    if (lua_type(L, 3) != LUA_TTABLE) {
        return luaL_error(L, "state:where: expected { field = value, ... }, got %s", luaL_typename(L, 3));
    }
    lua_settop(L, 3);
    lazy_settle(L, 3);
    struct where *where = push_where(L, count_members(L, 3));
    size_t conditions = take_conditions(L, 3, where->conditions);
    struct overlay *overlay = api_state_overlay(L);
    if (overlay) {
        return where_seen(L, overlay, store, where, conditions);
    }
    where->refs = store_where(store, text_at(L, 2), where->conditions, conditions, &where->count);
    if (!where->refs) {
        return luaL_error(L, "state:where: out of memory");
    }
    push_rows(L, store, where);
    where_free(where);
    return 1;
}

int api_where_index(lua_State *L) {
    struct api_stream *stream = api_stream_check(L, 1);
    luaL_checktype(L, 2, LUA_TSTRING);
    luaL_checktype(L, 3, LUA_TSTRING);
    struct error e;
    if (!store_index(stream->store, text_at(L, 2), text_at(L, 3), &e)) {
        return luaL_error(L, "schema: types.%s.index: %s", lua_tostring(L, 2), e.message);
    }
    return 0;
}
