#include "script/api_materialized.h"

#include <lauxlib.h>
#include <stdlib.h>

#include "script/api_stream.h"
#include "script/convert.h"
#include "state/store.h"
#include "json/merge.h"
#include "json/read.h"
#include "json/scan.h"

static const char core_name[] = "weir.materialized";

/* What is stored: the entity's place in the order of all (8 bytes), then the value's JSON text. */
enum { PLACE = sizeof(uint64_t), RECORD_KEPT = 1 << 20 };

struct core {
    struct store *store;
    struct event_decoder decoder; /* its default type is kept in the userdata's user value */
    struct buf record;            /* what is to be stored */
    uint64_t next_place;
    uint64_t
        changes; /* how many so far: whoever walks over the store sees whether it has changed meanwhile */
};

static struct core *check_core(lua_State *L) {
    struct core *core = luaL_checkudata(L, 1, core_name);
    if (!core->store) {
        luaL_error(L, "this state has been closed");
    }
    return core;
}

static struct slice check_text(lua_State *L, int index) {
    luaL_checktype(L, index, LUA_TSTRING);
    size_t len;
    const char *ptr = lua_tolstring(L, index, &len);
    return slice_of(ptr, len);
}

static struct slice optional_text(lua_State *L, int index) {
    return lua_isnoneornil(L, index) ? (struct slice){0} : check_text(L, index);
}

/* --- life --- */

static int core_new(lua_State *L) {
    struct slice type = check_text(L, 1);
    struct core *core = lua_newuserdatauv(L, sizeof *core, 1);
    *core = (struct core){0};
    event_decoder_init(&core->decoder);
    core->decoder.default_type = type;
    buf_init(&core->record, API_MATERIALIZED_MAX);
    luaL_setmetatable(L, core_name);
    lua_pushvalue(L, 1);
    lua_setiuservalue(L, -2, 1);
    core->store = store_new(API_MATERIALIZED_MAX);
    if (!core->store) {
        return luaL_error(L, "out of memory");
    }
    return 1;
}

static int core_collect(lua_State *L) {
    struct core *core = luaL_checkudata(L, 1, core_name);
    store_free(core->store);
    core->store = NULL;
    event_decoder_free(&core->decoder);
    buf_free(&core->record);
    return 0;
}

/* --- changes: no Lua runs between the reading of an event and the end of its change --- */

static bool decode(struct core *core, struct slice text, bool need_key, struct error *e) {
    struct slice message = json_trim(text);
    const char *at = message.ptr;
    const char *end = message.ptr + message.len;
    core->decoder.key_optional = !need_key;
    if (event_decode(&core->decoder, &at, end, e) != MESSAGE_OK) {
        return false;
    }
    if (at < end) {
        return error_set(e, ERROR_SYNTAX, "expected one event, found more behind it");
    }
    return true;
}

/* The stored value without its place; ptr NULL where there is none. */
static struct slice stored(const struct core *core, struct slice type, struct slice key) {
    struct slice record = store_get(core->store, type, key);
    return record.ptr ? slice_of(record.ptr + PLACE, record.len - PLACE) : record;
}

static bool put(struct core *core, const struct event *event, struct error *e) {
    struct slice old = stored(core, event->type, event->key);
    uint64_t place = core->next_place;
    if (old.ptr) {
        memcpy(&place, old.ptr - PLACE, PLACE);
    }
    struct buf *record = &core->record;
    buf_clear(record);
    bool ok = buf_append(record, &place, PLACE) || buf_error(record, e, "the value", NULL);
    if (ok && event->operation == EVENT_PATCH) {
        ok = json_merge_patch(record, old, event->value, e);
    } else if (ok) {
        ok = buf_append_slice(record, event->value) || buf_error(record, e, "the value", NULL);
    }
    struct event change = {
        .operation = EVENT_UPSERT, .type = event->type, .key = event->key, .value = buf_slice(record)};
    ok = ok && store_apply(core->store, &change, e);
    if (ok && !old.ptr) {
        core->next_place++;
    }
    buf_clear(record);
    buf_shrink(record, RECORD_KEPT);
    return ok;
}

static void clear(struct core *core) {
    store_clear(core->store);
    core->next_place = 0;
    core->changes++;
}

static bool apply(struct core *core, const struct event *event, struct error *e) {
    if (event->kind == EVENT_CONTROL) {
        if (event->control == EVENT_RESET) {
            clear(core);
        }
        return true;
    }
    core->changes++;
    return event->operation == EVENT_DELETE ? store_apply(core->store, event, e) : put(core, event, e);
}

static const char *kind_name(const struct event *event) {
    if (event->kind == EVENT_CHANGE) {
        return "change";
    }
    return event->control == EVENT_RESET ? "reset" : "control";
}

static int push_refusal(lua_State *L, const struct error *e) {
    lua_pushnil(L);
    lua_pushstring(L, e->message);
    return 2;
}

static void push_optional(lua_State *L, struct slice text) {
    if (text.ptr) {
        lua_pushlstring(L, text.ptr, text.len);
    } else {
        lua_pushnil(L);
    }
}

/* The event of the text at index 2, with the key at index 3 in the place of its own, where there is one. */
static bool take(lua_State *L, struct core *core, struct event *event, struct error *e) {
    struct slice text = check_text(L, 2);
    struct slice key = optional_text(L, 3);
    if (!decode(core, text, !key.ptr, e)) {
        return false;
    }
    *event = *core->decoder.event;
    event->key = key.ptr ? key : event->key;
    return true;
}

static int core_read(lua_State *L) {
    struct core *core = check_core(L);
    struct error e;
    if (!decode(core, check_text(L, 2), false, &e)) {
        return push_refusal(L, &e);
    }
    const struct event event = *core->decoder.event;
    push_optional(L, event.type); /* first: what follows may run a finalizer, which may use the decoder */
    lua_pushstring(L, kind_name(&event));
    lua_insert(L, -2);
    lua_pushboolean(L, event.type.ptr != core->decoder.default_type.ptr);
    lua_pushboolean(L, event.key.ptr != NULL);
    return 4;
}

static int core_apply(lua_State *L) {
    struct core *core = check_core(L);
    struct event event;
    struct error e;
    if (!take(L, core, &event, &e) || !apply(core, &event, &e)) {
        return push_refusal(L, &e);
    }
    lua_pushboolean(L, true);
    return 1;
}

static int core_merged(lua_State *L) {
    struct core *core = check_core(L);
    struct event event;
    struct error e;
    buf_clear(&core->record);
    if (!take(L, core, &event, &e) ||
        !json_merge_patch(&core->record, stored(core, event.type, event.key), event.value, &e)) {
        return push_refusal(L, &e);
    }
    lua_pushlstring(L, core->record.ptr, core->record.len);
    return 1;
}

static int core_clear(lua_State *L) {
    clear(check_core(L));
    return 0;
}

/* --- reading: a copy of the text comes first, since making a value may run a finalizer, and that may
 * change the store --- */

static void push_value(lua_State *L, struct slice json) {
    const char *copy = lua_pushlstring(L, json.ptr, json.len);
    convert_push(L, slice_of(copy, json.len));
    lua_remove(L, -2);
}

static int core_get(lua_State *L) {
    struct slice json = stored(check_core(L), check_text(L, 2), check_text(L, 3));
    if (json.ptr) {
        push_value(L, json);
    } else {
        lua_pushnil(L);
    }
    return 1;
}

static int core_json(lua_State *L) {
    push_optional(L, stored(check_core(L), check_text(L, 2), check_text(L, 3)));
    return 1;
}

static int core_has(lua_State *L) {
    lua_pushboolean(L, stored(check_core(L), check_text(L, 2), check_text(L, 3)).ptr != NULL);
    return 1;
}

static int core_count(lua_State *L) {
    lua_pushinteger(L, (lua_Integer)store_count(check_core(L)->store, optional_text(L, 2)));
    return 1;
}

struct row {
    uint64_t place;
    struct slice key;
    struct slice json;
};

/* Rows of a core in the order in which they came, in a userdata that is on the stack. */
struct walk {
    lua_State *L;
    const struct core *core;
    uint64_t changes;
    struct row *rows;
    size_t count;
};

static int compare_rows(const void *a, const void *b) {
    uint64_t left = ((const struct row *)a)->place;
    uint64_t right = ((const struct row *)b)->place;
    return (left > right) - (left < right);
}

static void add_rows(struct walk *walk, struct slice type) {
    struct store_row row;
    for (size_t cursor = 0; store_next(walk->core->store, type, &cursor, &row);) {
        struct row *to = &walk->rows[walk->count++];
        memcpy(&to->place, row.value.ptr, PLACE);
        to->key = row.key;
        to->json = slice_of(row.value.ptr + PLACE, row.value.len - PLACE);
    }
}

/* The array at `types` has no type twice (lua/weir/state_materialized.lua), so all rows fit. */
static void walk_open(lua_State *L, const struct core *core, int types, struct walk *walk) {
    size_t room = store_count(core->store, (struct slice){0});
    *walk = (struct walk){
        .L = L, .core = core, .rows = lua_newuserdatauv(L, (room + 1) * sizeof *walk->rows, 0)};
    if (store_count(core->store, (struct slice){0}) > room) {
        luaL_error(L, "the state was changed while it was read"); /* by a finalizer */
    }
    walk->changes = core->changes;
    if (lua_type(L, types) == LUA_TSTRING) {
        add_rows(walk, check_text(L, types));
    } else {
        for (lua_Integer i = 1; lua_rawgeti(L, types, i) == LUA_TSTRING; i++) {
            add_rows(walk, check_text(L, -1));
            lua_pop(L, 1);
        }
        lua_pop(L, 1);
    }
    qsort(walk->rows, walk->count, sizeof *walk->rows, compare_rows);
}

static const struct row *walk_row(const struct walk *walk, size_t i) {
    if (walk->changes != walk->core->changes) {
        luaL_error(walk->L, "the state was changed while it was read");
    }
    return &walk->rows[i];
}

static void push_row_key(lua_State *L, const struct row *row) {
    lua_pushlstring(L, row->key.ptr, row->key.len);
}

static void push_row_value(lua_State *L, const struct row *row) {
    push_value(L, row->json);
}

/* The array of what `push` has for each row. */
static int push_list(lua_State *L, void (*push)(lua_State *L, const struct row *row)) {
    const struct core *core = check_core(L);
    struct walk walk;
    lua_settop(L, 2);
    lua_newtable(L);
    convert_mark_array(L, 3);
    walk_open(L, core, 2, &walk);
    for (size_t i = 0; i < walk.count; i++) {
        push(L, walk_row(&walk, i));
        lua_rawseti(L, 3, (lua_Integer)i + 1);
    }
    lua_settop(L, 3);
    return 1;
}

static int core_rows(lua_State *L) {
    return push_list(L, push_row_value);
}

static int core_keys(lua_State *L) {
    return push_list(L, push_row_key);
}

static int core_entries(lua_State *L) {
    const struct core *core = check_core(L);
    struct walk walk;
    check_text(L, 2);
    lua_settop(L, 2);
    lua_newtable(L);
    walk_open(L, core, 2, &walk);
    for (size_t i = 0; i < walk.count; i++) {
        push_row_key(L, walk_row(&walk, i));
        push_row_value(L, walk_row(&walk, i));
        lua_rawset(L, 3);
    }
    lua_settop(L, 3);
    return 1;
}

static int source(lua_State *L) {
    const struct api_stream *stream = api_stream_check(L, 1);
    lua_pushboolean(L, stream->driver.user != NULL);
    lua_pushboolean(L, stream->live != SOURCE_LIVE_NO);
    return 2;
}

void api_materialized_open(lua_State *L) {
    static const luaL_Reg functions[] = {
        {"new", core_new},     {"read", core_read}, {"apply", core_apply}, {"merged", core_merged},
        {"clear", core_clear}, {"get", core_get},   {"json", core_json},   {"has", core_has},
        {"count", core_count}, {"rows", core_rows}, {"keys", core_keys},   {"entries", core_entries},
        {"source", source},    {NULL, NULL},
    };
    luaL_newmetatable(L, core_name);
    lua_pushcfunction(L, core_collect);
    lua_setfield(L, -2, "__gc");
    lua_pop(L, 1);
    luaL_newlib(L, functions);
    lua_setfield(L, -2, "_materialized");
}
