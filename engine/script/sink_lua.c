#include "script/sink_lua.h"

#include <lauxlib.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "script/lazy.h"
#include "script/script.h"
#include "script/task.h"

/* Their addresses are the registry keys of the two functions of lua/weir/sink_functions.lua. */
static const char open_key;
static const char commit_key;

enum { SHOWN_MAX = 100 }; /* bytes of a type or key in a message */

struct sink_lua {
    struct sink sink; /* first */
    struct script *script;
    const struct api_sink *declared;
    struct task task;
    struct loop_task start;
    const struct sink_batch *batch; /* under way; NULL: none */
    size_t next;                    /* the row that write gets next */
    bool writing;                   /* the one before it is being written */
    bool refused;                   /* it was refused, and that ends the work: the error names all */
    bool placed;                    /* `open` has given a place */
    struct sink_place place;        /* that one */
    int stream;                     /* in the registry: the table that all functions get */
};

static const struct api_sink *declared_of(const struct sink_kind *kind) {
    return (const struct api_sink *)(const void *)((const char *)kind - offsetof(struct api_sink, own));
}

/* ---- what Lua is given ---- */

void sink_lua_keep(lua_State *L, const struct api_sink *sink) {
    lua_rawsetp(L, LUA_REGISTRYINDEX, sink);
}

void sink_lua_forget(lua_State *L, const struct api_sink *sink) {
    lua_pushnil(L);
    lua_rawsetp(L, LUA_REGISTRYINDEX, sink);
}

static void set_text(lua_State *L, const char *name, struct slice text) {
    lua_pushlstring(L, text.ptr ? text.ptr : "", text.len);
    lua_setfield(L, -2, name);
}

static void set_number(lua_State *L, const char *name, uint64_t number) {
    lua_pushinteger(L, (lua_Integer)number);
    lua_setfield(L, -2, name);
}

static void push_place(lua_State *L, const struct sink_place *place) {
    lua_createtable(L, 0, 4);
    lua_pushstring(L, place->offset);
    lua_setfield(L, -2, "offset");
    set_number(L, "skip", place->skip);
    set_number(L, "sequence", place->sequence);
    lua_pushstring(L, place->notes);
    lua_setfield(L, -2, "notes");
}

static void push_row(lua_State *L, const struct sink_row *row) {
    static const char *const ops[] = {[SINK_PUT] = "put", [SINK_DELETE] = "delete", [SINK_CLEAR] = "clear"};
    lua_createtable(L, 0, 7);
    lua_pushstring(L, ops[row->op]);
    lua_setfield(L, -2, "op");
    set_text(L, "offset", row->offset);
    set_number(L, "index", row->index);
    set_number(L, "sequence", row->sequence);
    if (row->op == SINK_CLEAR) {
        return;
    }
    set_text(L, "type", row->type);
    set_text(L, "key", row->key);
    if (row->op == SINK_PUT) {
        lazy_push(L, row->value);
        lua_setfield(L, -2, "value");
    }
}

/* ---- what Lua calls: the handle is the opening itself, which lives as long as its task ---- */

static struct sink_lua *handle(lua_State *L) {
    luaL_checktype(L, 1, LUA_TLIGHTUSERDATA);
    return lua_touserdata(L, 1);
}

static int no_row(lua_State *L, int status, lua_KContext context) {
    (void)L, (void)status, (void)context;
    return 0;
}

static void wake(struct sink *sink) {
    task_resume(&((struct sink_lua *)sink)->task);
}

/* row(handle) -> the next row of the batch, or nil, when those that were refused are kept. Each counts as a call of its
 * own for the limit of time. */
static int next_row(lua_State *L) {
    struct sink_lua *l = handle(L);
    size_t count = sink_batch_count(l->batch);
    for (l->writing = false; l->next < count && !l->writing; l->next++) {
        struct sink_row row = sink_batch_row(l->batch, l->next);
        if (row.op != SINK_EMIT) {
            l->script->watch.calls++;
            l->writing = true;
            push_row(L, &row);
        }
    }
    if (l->writing) {
        return 1;
    }
    return sink_may_commit(&l->sink, wake) ? 0 : task_park(L, &l->task, no_row, 0);
}

/* refuse(handle, reason): the row that `row` gave last is not taken. Raises where that ends the work. */
static int refuse(lua_State *L) {
    struct sink_lua *l = handle(L);
    struct sink_row row = sink_batch_row(l->batch, l->next - 1);
    struct error e;
    error_set(&e, ERROR_SCRIPT, "%s", luaL_checkstring(L, 2));
    l->writing = false;
    if (!l->sink.host.refused(l->sink.host.user, &l->sink, &row, &e)) {
        l->refused = true;
        return script_raise_bare(L, &e);
    }
    return 0;
}

/* place(handle, offset, skip, sequence, notes): what `open` has given, checked in Lua. */
static int set_place(lua_State *L) {
    struct sink_lua *l = handle(L);
    const struct sink_place place = {
        .offset = (char *)luaL_optstring(L, 2, NULL),
        .skip = (uint64_t)luaL_checkinteger(L, 3),
        .sequence = (uint64_t)luaL_checkinteger(L, 4),
        .notes = (char *)luaL_optstring(L, 5, NULL),
    };
    l->placed = sink_place_set(&l->place, &place);
    return l->placed ? 0 : luaL_error(L, "out of memory");
}

/* functions(open, commit): what lua/weir/sink_functions.lua has for an opening. */
static int set_functions(lua_State *L) {
    luaL_checktype(L, 1, LUA_TFUNCTION);
    luaL_checktype(L, 2, LUA_TFUNCTION);
    lua_settop(L, 2);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &commit_key);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &open_key);
    return 0;
}

void sink_lua_open(lua_State *L) {
    static const luaL_Reg functions[] = {
        {"row", next_row}, {"refuse", refuse}, {"place", set_place}, {"functions", set_functions},
        {NULL, NULL},
    };
    luaL_setfuncs(L, functions, 0);
}

/* ---- its task ---- */

/* function, functions, stream, handle */
static int push_call(lua_State *L, struct sink_lua *l, const void *function) {
    lua_rawgetp(L, LUA_REGISTRYINDEX, function);
    lua_rawgetp(L, LUA_REGISTRYINDEX, l->declared);
    lua_rawgeti(L, LUA_REGISTRYINDEX, l->stream);
    lua_pushlightuserdata(L, l);
    return 3;
}

static int push_open(lua_State *L, void *arg) {
    struct sink_lua *l = arg;
    lua_createtable(L, 0, 1);
    lua_pushstring(L, l->sink.stream);
    lua_setfield(L, -2, "url");
    l->stream = luaL_ref(L, LUA_REGISTRYINDEX);
    return push_call(L, l, &open_key);
}

static int push_commit(lua_State *L, void *arg) {
    struct sink_lua *l = arg;
    int count = push_call(L, l, &commit_key);
    push_place(L, sink_batch_place(l->batch));
    return count + 1;
}

/* In front of an error of the script's: the row that was being written. */
static void locate(const struct sink_lua *l, struct error *e) {
    if (l->refused) {
        return;
    }
    if (l->writing && e->code == ERROR_SCRIPT) {
        struct sink_row row = sink_batch_row(l->batch, l->next - 1);
        int type = (int)(row.type.len < SHOWN_MAX ? row.type.len : SHOWN_MAX);
        int key = (int)(row.key.len < SHOWN_MAX ? row.key.len : SHOWN_MAX);
        error_context(e, "offset %.*s, message %llu: %.*s%s%.*s", (int)row.offset.len, row.offset.ptr,
                      (unsigned long long)row.index + 1, type, row.type.ptr, type ? "/" : "clear", key,
                      row.key.ptr);
    }
    error_context(e, "%s", l->sink.name);
}

static void finish(struct sink_lua *l, struct error *e) {
    bool opening = !l->batch;
    if (e) {
        locate(l, e);
    }
    l->batch = NULL;
    l->writing = false;
    if (opening) {
        l->sink.host.opened(l->sink.host.user, &l->sink, l->placed && !e ? &l->place : NULL, e);
    } else {
        l->sink.host.committed(l->sink.host.user, &l->sink, e);
    }
}

static void over(struct task *task, const struct error *e) {
    struct error copy;
    if (e) {
        copy = *e;
    }
    finish(task->owner, e ? &copy : NULL);
}

static void start(struct loop_task *loop_task) {
    struct sink_lua *l = loop_task->owner;
    struct error e;
    if (!task_start(&l->task, l->batch ? push_commit : push_open, l, &e)) {
        finish(l, &e);
    }
}

/* ---- the sink ---- */

static struct sink *open_sink(const struct sink_kind *kind, const struct sink_options *options,
                              struct error *e) {
    struct sink_lua *l = sink_new(sizeof *l, kind, options, e);
    if (!l) {
        return NULL;
    }
    l->declared = declared_of(kind);
    l->script = l->declared->script;
    l->stream = LUA_NOREF;
    task_init(&l->task, l->script, over, l);
    l->start = (struct loop_task){.run = start, .owner = l};
    loop_defer(l->script->loop, &l->start);
    return &l->sink;
}

static void commit(struct sink *sink, const struct sink_batch *batch) {
    struct sink_lua *l = (struct sink_lua *)sink;
    l->batch = batch;
    l->next = 0;
    loop_defer(l->script->loop, &l->start);
}

/* Once the script is closed its Lua state goes, or is gone: what is in there is left to it. */
static void close_sink(struct sink *sink) {
    struct sink_lua *l = (struct sink_lua *)sink;
    loop_cancel(l->script->loop, &l->start);
    loop_cancel(l->script->loop, &l->task.step);
    if (!l->script->stopping) {
        task_stop(&l->task);
        luaL_unref(l->script->L, LUA_REGISTRYINDEX, l->stream);
    }
    sink_place_free(&l->place);
    sink_release(&l->sink);
    free(l);
}

struct sink_kind sink_lua_kind(bool placed, bool exact) {
    return (struct sink_kind){
        .name = "lua",
        .exact = exact,
        .placeless = !placed,
        .open = open_sink,
        .commit = commit,
        .close = close_sink,
    };
}
