#include <lauxlib.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "script/convert.h"
#include "script/convert_inside.h"
#include "script/lazy.h"
#include "json/read.h"
#include "json/scan.h"
#include "json/text.h"

/* Nothing here raises while memory is held: tables are read raw, names are kept on the Lua stack (which
 * keeps the strings alive whatever __json does to their table), and __json itself runs under lua_pcall;
 * its error is raised again when everything has been freed. There is no recursion. */

struct name {
    struct slice bytes; /* alive while the string is on the stack */
    int slot;           /* where it is on the stack */
};

/* A container that is being written. Its table is on the stack, and an object's names behind it. */
struct level {
    int table; /* stack index */
    bool array;
    lua_Integer next;  /* how many of its values were begun */
    lua_Integer count; /* how many there are */
    size_t names;      /* where its names begin in encoder.names */
};

struct encoder {
    lua_State *L;
    struct buf *out;
    struct error *e;
    struct level *levels;
    size_t depth, level_room;
    struct name *names;
    size_t name_count, name_room;
    bool raising; /* an error of __json is on top of the stack */
};

/* Where in the value we are: "value.items[3].name" */

enum { PATH_MAX_BYTES = 200, PATH_NAME_BYTES = 60 };

static bool is_identifier(struct slice name) {
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
        if (!letter && !(i > 0 && c >= '0' && c <= '9')) {
            return false;
        }
    }
    return name.len > 0;
}

/* The path of what the innermost of `depth` levels is at, cut where it grows long. */
static const char *path_of(const struct encoder *enc, size_t depth, char path[PATH_MAX_BYTES]) {
    int used = snprintf(path, PATH_MAX_BYTES, "value");
    for (size_t i = 0; i < depth; i++) {
        const struct level *level = &enc->levels[i];
        char *at = path + used;
        size_t room = (size_t)(PATH_MAX_BYTES - used);
        if (level->next == 0) { /* it has only been opened: the place is the container itself */
            break;
        }
        if (room < PATH_NAME_BYTES + sizeof "[\"...\"]...") {
            snprintf(at, room, "...");
            break;
        }
        if (level->array) {
            used += snprintf(at, room, "[%lld]", (long long)level->next);
            continue;
        }
        struct slice name = enc->names[level->names + (size_t)level->next - 1].bytes;
        int len = name.len < PATH_NAME_BYTES ? (int)name.len : PATH_NAME_BYTES;
        const char *more = name.len > PATH_NAME_BYTES ? "..." : "";
        if (is_identifier(name)) {
            used += snprintf(at, room, ".%.*s%s", len, name.ptr, more);
        } else {
            used += snprintf(at, room, "[\"%.*s%s\"]", len, name.ptr, more);
        }
    }
    return path;
}

static bool refuse(struct encoder *enc, const char *reason) {
    char path[PATH_MAX_BYTES];
    return error_set(enc->e, ERROR_ARGUMENT, "%s: %s", path_of(enc, enc->depth, path), reason);
}

static bool out_of_memory(struct encoder *enc) {
    return error_set(enc->e, ERROR_MEMORY, "out of memory while a value was written as JSON");
}

static bool out_of_room(struct encoder *enc) {
    const struct buf *out = enc->out;
    buf_error(out, enc->e, "the JSON text", NULL);
    if (enc->e && enc->e->code == ERROR_LIMIT) {
        char path[PATH_MAX_BYTES];
        error_set(enc->e, ERROR_LIMIT, "%s: the JSON text would pass its cap of %zu bytes",
                  path_of(enc, enc->depth, path), out->max);
    }
    return false;
}

/* Scalars */

static bool put(struct encoder *enc, const char *text, size_t len) {
    return buf_append(enc->out, text, len) || out_of_room(enc);
}

static bool put_byte(struct encoder *enc, char byte) {
    return put(enc, &byte, 1);
}

static bool put_number(struct encoder *enc) {
    char text[CONVERT_NUMBER_ROOM];
    if (lua_isinteger(enc->L, -1)) {
        return put(enc, text, convert_write_integer(lua_tointeger(enc->L, -1), text));
    }
    lua_Number number = lua_tonumber(enc->L, -1);
    size_t len = convert_write_float(number, text);
    if (len == 0) {
        return refuse(enc, isnan(number) ? "JSON has no number for nan" : "JSON has no number for infinity");
    }
    return put(enc, text, len);
}

static bool put_string(struct encoder *enc, struct slice bytes) {
    struct error inner;
    if (json_quote(enc->out, bytes, &inner)) {
        return true;
    }
    return inner.code == ERROR_SYNTAX ? refuse(enc, inner.message) : out_of_room(enc);
}

/* Containers */

static int compare_names(const void *left, const void *right) {
    const struct name *a = left;
    const struct name *b = right;
    return slice_compare(a->bytes, b->bytes);
}

static void sort_names(struct name *names, size_t count) {
    enum { FEW = 12 };
    if (count > FEW) {
        qsort(names, count, sizeof *names, compare_names);
        return;
    }
    for (size_t i = 1; i < count; i++) {
        struct name moving = names[i];
        size_t at = i;
        for (; at > 0 && compare_names(&names[at - 1], &moving) > 0; at--) {
            names[at] = names[at - 1];
        }
        names[at] = moving;
    }
}

/* Room for one more element of `size` bytes behind `count`; NULL: out of memory, nothing changed. */
static void *grow(void *array, size_t count, size_t *room, size_t size) {
    if (count < *room) {
        return array;
    }
    size_t wanted = *room ? *room * 2 : 16;
    void *bigger = realloc(array, wanted * size);
    if (bigger) {
        *room = wanted;
    }
    return bigger;
}

/* Keeps the name on top of the stack as one more of this level's names. */
static bool add_name(struct encoder *enc, struct level *level) {
    struct name *names = grow(enc->names, enc->name_count, &enc->name_room, sizeof *names);
    if (!names) {
        return out_of_memory(enc);
    }
    enc->names = names;
    if (!lua_checkstack(enc->L, 6)) {
        return error_set(enc->e, ERROR_LIMIT, "too many members in one object: no room on Lua's stack");
    }
    struct name *name = &names[enc->name_count++];
    name->bytes.ptr = lua_tolstring(enc->L, -1, &name->bytes.len);
    name->slot = lua_gettop(enc->L);
    level->count++;
    return true;
}

/* All keys must be strings. They stay on the stack. */
static bool gather_names(struct encoder *enc, struct level *level) {
    lua_State *L = enc->L;
    level->names = enc->name_count;
    lua_pushnil(L);
    while (lua_next(L, level->table)) {
        lua_pop(L, 1);
        if (lua_type(L, -1) != LUA_TSTRING) {
            return refuse(enc, "an object with keys other than strings cannot be written as JSON");
        }
        if (!add_name(enc, level)) {
            return false;
        }
        lua_pushvalue(L, -1); /* lua_next takes this one off */
    }
    sort_names(enc->names + level->names, (size_t)level->count);
    return true;
}

/* The keys must be exactly 1..n. */
static bool count_items(struct encoder *enc, struct level *level) {
    lua_State *L = enc->L;
    lua_Integer last = (lua_Integer)lua_rawlen(L, level->table);
    lua_Integer count = 0;
    bool fits = true;
    lua_pushnil(L);
    while (lua_next(L, level->table)) {
        lua_pop(L, 1);
        if (!lua_isinteger(L, -1)) {
            return refuse(enc, "an array with keys other than 1, 2, 3... cannot be written as JSON");
        }
        lua_Integer key = lua_tointeger(L, -1);
        fits = fits && key >= 1 && key <= last;
        count++;
    }
    if (!fits || count != last) {
        return refuse(enc, "an array must have the keys 1, 2, 3... without a gap (weir.null fills one)");
    }
    level->count = count;
    return true;
}

/* Leaves the metatable's __json on the stack, or nothing (LUA_TNIL). */
static int push_hook(lua_State *L) {
    if (!lua_getmetatable(L, -1)) {
        return LUA_TNIL;
    }
    convert_push_fixture(L, CONVERT_HOOK);
    int type = lua_rawget(L, -2);
    lua_remove(L, -2);
    if (type == LUA_TNIL) {
        lua_pop(L, 1);
    }
    return type;
}

/* The table on top. An array by its metatable, or by its first key. */
static bool is_array(struct encoder *enc) {
    lua_State *L = enc->L;
    if (lua_getmetatable(L, -1)) {
        convert_push_fixture(L, CONVERT_ARRAY);
        bool marked = lua_rawequal(L, -1, -2);
        lua_pop(L, 2);
        if (marked) {
            return true;
        }
    }
    lua_pushnil(L);
    if (!lua_next(L, -2)) {
        return false;
    }
    bool number = lua_isinteger(L, -2);
    lua_pop(L, 2);
    return number;
}

/* Too deep: says which table contains itself, if one does. */
static bool refuse_depth(struct encoder *enc) {
    char outer[PATH_MAX_BYTES];
    char inner[PATH_MAX_BYTES];
    for (size_t j = 1; j < enc->depth; j++) {
        for (size_t i = 0; i < j; i++) {
            if (lua_rawequal(enc->L, enc->levels[i].table, enc->levels[j].table)) {
                return error_set(
                    enc->e, ERROR_ARGUMENT,
                    "%s: a table that contains itself cannot be written as JSON (it is %s again)",
                    path_of(enc, j, inner), path_of(enc, i, outer));
            }
        }
    }
    return refuse(enc, "nested deeper than 1000 levels");
}

/* The table on top becomes the innermost level. */
static bool open_level(struct encoder *enc) {
    if (enc->depth == JSON_DEPTH_MAX) {
        return refuse_depth(enc);
    }
    struct level *levels = grow(enc->levels, enc->depth, &enc->level_room, sizeof *levels);
    if (!levels) {
        return out_of_memory(enc);
    }
    enc->levels = levels;
    struct level *level = &levels[enc->depth];
    *level = (struct level){.table = lua_gettop(enc->L), .array = is_array(enc)};
    bool ok = level->array ? count_items(enc, level) : gather_names(enc, level);
    if (ok) {
        enc->depth++;
        ok = put_byte(enc, level->array ? '[' : '{');
    }
    return ok;
}

static bool close_level(struct encoder *enc) {
    struct level *level = &enc->levels[--enc->depth];
    if (!level->array) {
        enc->name_count = level->names;
    }
    lua_settop(enc->L, level->table - 1);
    return put_byte(enc, level->array ? ']' : '}');
}

/* What __json returned is on top of the stack: it goes out if it is one JSON value. */
static bool put_hooked(struct encoder *enc) {
    size_t len;
    if (lua_type(enc->L, -1) != LUA_TSTRING) {
        return refuse(enc, "its __json must return JSON text");
    }
    const char *text = lua_tolstring(enc->L, -1, &len);
    struct slice value = json_trim(slice_of(text, len));
    const char *end = value.ptr + value.len;
    const char *at = value.ptr;
    struct json_fault fault;
    enum json_status status = json_scan_value(&at, end, (unsigned)enc->depth, &fault);
    at = json_skip_space(at, end);
    if (status == JSON_OK && at < end) {
        fault = (struct json_fault){at, "expected the end of the text"};
        status = JSON_BAD;
    }
    if (status != JSON_OK) {
        char reason[160];
        snprintf(reason, sizeof reason, "its __json returned text that is not JSON: byte %zu: %s",
                 (size_t)(fault.at - text) + 1, fault.reason);
        return refuse(enc, reason);
    }
    return put(enc, value.ptr, value.len);
}

/* The value on top has a metatable with __json, whose value is above it. */
static bool put_by_hook(struct encoder *enc) {
    lua_State *L = enc->L;
    if (lua_type(L, -1) != LUA_TFUNCTION) {
        return refuse(enc, "its __json is not a function");
    }
    lua_pushvalue(L, -2);
    if (lua_pcall(L, 1, 1, 0) != LUA_OK) {
        enc->raising = true;
        return false;
    }
    bool ok = put_hooked(enc);
    lua_pop(L, 2);
    return ok;
}

/* A lazy value's text goes out as it is. It fits by itself, but may be too deep for its place in here; two bytes
 * at least make a level. */
static bool put_whole(struct encoder *enc, struct slice json) {
    const char *at = json.ptr;
    struct json_fault fault;
    bool may_be_deep = enc->depth > 0 && enc->depth + json.len / 2 > JSON_DEPTH_MAX;
    if (may_be_deep && json_scan_value(&at, json.ptr + json.len, (unsigned)enc->depth, &fault) != JSON_OK) {
        return refuse(enc, "nested deeper than 1000 levels");
    }
    lua_pop(enc->L, 1);
    return put(enc, json.ptr, json.len);
}

static int settle(lua_State *L) {
    lazy_settle(L, 1);
    return 0;
}

static bool settle_protected(struct encoder *enc) {
    lua_pushcfunction(enc->L, settle);
    lua_pushvalue(enc->L, -2);
    enc->raising = lua_pcall(enc->L, 1, 0, 0) != LUA_OK;
    return !enc->raising;
}

static bool put_table(struct encoder *enc) {
    struct slice json;
    enum lazy_state lazy = lazy_look(enc->L, -1, &json);
    if (lazy == LAZY_WHOLE) {
        return put_whole(enc, json);
    }
    if (lazy == LAZY_TOUCHED && !settle_protected(enc)) {
        return false;
    }
    return push_hook(enc->L) == LUA_TNIL ? open_level(enc) : put_by_hook(enc);
}

static bool refuse_type(struct encoder *enc, const char *name) {
    char reason[100];
    snprintf(reason, sizeof reason, "a %s cannot be written as JSON", name);
    return refuse(enc, reason);
}

/* The value on top of the stack: taken off, or opened as a level. */
static bool put_value(struct encoder *enc) {
    lua_State *L = enc->L;
    struct slice text = {0};
    bool ok;
    switch (lua_type(L, -1)) {
    case LUA_TBOOLEAN:
        ok = lua_toboolean(L, -1) ? put(enc, "true", 4) : put(enc, "false", 5);
        break;
    case LUA_TNUMBER:
        ok = put_number(enc);
        break;
    case LUA_TSTRING:
        text.ptr = lua_tolstring(L, -1, &text.len);
        ok = put_string(enc, text);
        break;
    case LUA_TTABLE:
        return put_table(enc);
    case LUA_TUSERDATA:
        if (convert_is_null(L, -1)) {
            ok = put(enc, "null", 4);
            break;
        }
        return push_hook(L) == LUA_TNIL ? refuse_type(enc, "userdata") : put_by_hook(enc);
    case LUA_TNIL:
        return refuse(enc, "nil cannot be written as JSON (weir.null can)");
    default:
        return refuse_type(enc, lua_typename(L, lua_type(L, -1)));
    }
    lua_pop(L, 1);
    return ok;
}

/* Pushes the innermost level's next value, behind what separates and names it. */
static bool next_value(struct encoder *enc, struct level *level) {
    lua_State *L = enc->L;
    if (level->next++ > 0 && !put_byte(enc, ',')) {
        return false;
    }
    if (!lua_checkstack(L, 10)) {
        return refuse(enc, "no room on Lua's stack for what is in here");
    }
    if (level->array) {
        lua_rawgeti(L, level->table, level->next);
        return true;
    }
    struct name *name = &enc->names[level->names + (size_t)level->next - 1];
    /* A level with count > 0 has its names. NOLINTNEXTLINE(clang-analyzer-core.NullDereference) */
    lua_pushvalue(L, name->slot);
    lua_rawget(L, level->table);
    return put_string(enc, name->bytes) && put_byte(enc, ':');
}

static bool put_all(struct encoder *enc) {
    bool ok = put_value(enc);
    while (ok && enc->depth > 0) {
        struct level *level = &enc->levels[enc->depth - 1];
        if (level->next == level->count) {
            ok = close_level(enc);
        } else {
            ok = next_value(enc, level) && put_value(enc);
        }
    }
    return ok;
}

bool convert_append(lua_State *L, int index, struct buf *out, struct error *e) {
    struct encoder enc = {.L = L, .out = out, .e = e};
    size_t before = out->len;
    int top = lua_gettop(L);
    index = lua_absindex(L, index);
    if (!lua_checkstack(L, 10)) {
        return error_set(e, ERROR_LIMIT, "no room on Lua's stack for a value to be written as JSON");
    }
    lua_pushvalue(L, index);
    bool ok = put_all(&enc);
    free(enc.levels);
    free(enc.names);
    if (!ok) {
        out->len = before;
    }
    if (enc.raising) {
        lua_error(L);
    }
    lua_settop(L, top);
    return ok;
}
