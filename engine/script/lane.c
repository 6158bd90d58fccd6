#include "script/lane.h"

#include <lauxlib.h>
#include <string.h>

#include "script/api_emit.h"
#include "script/api_event.h"
#include "script/api_stream.h"
#include "script/lane_calls.h"

/* Their addresses are the registry keys of the two functions of lua/weir/lane.lua. */
static const char before_key; /* what comes before the handlers of an event that needs it */
static const char failed_key; /* what becomes of a handler that raised */

/* Where a lane is: a userdata that outlives the calls in which an error can unwind the stack. Its user value
 * is the event whose handlers are called. */
struct lane_run {
    struct api_stream *stream;
    bool handling;     /* handlers are being called: what is raised is theirs */
    bool is_change;    /* they get the state and the event; otherwise the event, */
    bool has_event;    /* or, where there is none, the state */
    bool of_item;      /* what is done is about the driver's last item: a message, which has a place */
    int type;          /* its number, see api_event_push */
    const char *bound; /* a batch or transaction: who is told of it, once lane.lua has said what */
    const char *told;  /* they get the value that is told, and the state; NULL: nothing is */
    bool all;          /* the handlers for all types are at it, after those of the type */
    lua_Integer at;    /* the handler under way, from 1 */
    lua_Number pause;  /* seconds that were waited before it was called again; 0: it has not failed */
};

enum { EVENT_VALUE = 1 };

/* The stack of the part that runs protected. */
enum {
    RUN_SELF = 1,
    RUN_STREAM,
    RUN_STATE,
    RUN_CHANGE, /* handlers by type */
    RUN_ALL,    /* handlers for all types */
    RUN_OTHER,  /* a table of the other handlers: control, upToDate */
    RUN_LISTS,  /* handlers by the number of their type */
    RUN_KIT,
    RUN_EVENT = RUN_KIT + API_EVENT_KIT,
    RUN_LIST, /* the handlers that are being called */
};

static int go_on(lua_State *L, struct lane_run *run);

/* ---- which handlers ---- */

/* Pushes the list of a type that has a number: one that is empty yet may be filled later. */
static void push_numbered(lua_State *L, int type) {
    if (lua_rawgeti(L, RUN_LISTS, type) == LUA_TTABLE) {
        return;
    }
    lua_pop(L, 1);
    api_event_push_type(L, RUN_KIT, type);
    lua_pushvalue(L, -1);
    if (lua_rawget(L, RUN_CHANGE) != LUA_TTABLE) {
        lua_pop(L, 1);
        lua_newtable(L);
        lua_pushvalue(L, -2);
        lua_pushvalue(L, -2);
        lua_rawset(L, RUN_CHANGE);
    }
    lua_remove(L, -2);
    lua_pushvalue(L, -1);
    lua_rawseti(L, RUN_LISTS, type);
}

/* The list of the event's own type, or one without any. */
static void push_own(lua_State *L, int type) {
    if (type != 0) {
        push_numbered(L, type);
        return;
    }
    lua_getfield(L, RUN_EVENT, "type");
    if (lua_isnil(L, -1) || (lua_rawget(L, RUN_CHANGE) != LUA_TTABLE)) {
        lua_pop(L, 1);
        lua_newtable(L);
    }
}

static void push_list(lua_State *L, const struct lane_run *run) {
    if (run->told) {
        lua_getfield(L, RUN_OTHER, run->told);
    } else if (!run->is_change) {
        lua_getfield(L, RUN_OTHER, run->has_event ? "control" : "upToDate");
    } else if (run->all) {
        lua_pushvalue(L, RUN_ALL);
    } else {
        push_own(L, run->type);
    }
}

/* ---- calling them ---- */

enum { NO_EVENT = -1 };

/* The event at RUN_EVENT is next to be handled; nil, and type NO_EVENT, where there is none. */
static void begin(lua_State *L, struct lane_run *run, bool is_change, int type) {
    run->is_change = is_change;
    run->told = NULL;
    run->has_event = type >= 0;
    run->type = type;
    run->all = false;
    run->at = 1;
    run->pause = 0;
    run->handling = true;
    lua_pushvalue(L, RUN_EVENT);
    lua_setiuservalue(L, RUN_SELF, EVENT_VALUE);
    push_list(L, run);
}

/* The value at RUN_EVENT is for the handlers of that name. */
static void begin_told(lua_State *L, struct lane_run *run, const char *name) {
    begin(L, run, false, 0);
    run->told = name;
    lua_pop(L, 1);
    push_list(L, run);
}

/* After an error: the same handler again. */
static void begin_again(lua_State *L, const struct lane_run *run) {
    lua_getiuservalue(L, RUN_SELF, EVENT_VALUE);
    push_list(L, run);
}

/* The handler has returned. What it has written that cannot be taken ends the work: no handler mends that. */
static void step(lua_State *L, struct lane_run *run) {
    struct error e;
    if (run->stream->emits.count > 0 && !api_emit_pass(run->stream, &e)) {
        run->handling = false;
        script_raise_bare(L, &e);
    }
    run->at++;
    run->pause = 0;
}

static int handled(lua_State *L, int status, lua_KContext context) {
    struct lane_run *run = lua_touserdata(L, RUN_SELF);
    (void)status;
    (void)context;
    step(L, run);
    return go_on(L, run);
}

static int push_arguments(lua_State *L, const struct lane_run *run) {
    if (run->is_change || !run->has_event) {
        lua_pushvalue(L, RUN_STATE);
    }
    if (run->has_event) {
        lua_pushvalue(L, RUN_EVENT);
    }
    if (run->told) {
        lua_pushvalue(L, RUN_STATE);
    }
    return run->is_change || run->told ? 2 : 1;
}

/* Calls the handlers of RUN_LIST, those included that are added meanwhile, and then those for all types. */
static void call_handlers(lua_State *L, struct lane_run *run) {
    while (run->handling) {
        while (lua_rawgeti(L, RUN_LIST, run->at) != LUA_TNIL) {
            run->stream->script->watch.calls++;
            lua_callk(L, push_arguments(L, run), 0, 0, handled);
            step(L, run);
        }
        run->handling = run->is_change && !run->all && run->stream->all.handlers;
        run->all = true;
        run->at = 1;
        if (run->handling) {
            lua_pushvalue(L, RUN_ALL);
            lua_replace(L, RUN_LIST);
            lua_settop(L, RUN_LIST);
        }
    }
}

/* ---- what comes before ---- */

/* The event at RUN_EVENT, of the stream, is a part of a batch or transaction that somebody wants. */
static void collect(lua_State *L, const struct lane_run *run) {
    if (run->stream->bounds) {
        lua_getfield(L, RUN_OTHER, "collected");
        lua_pushvalue(L, RUN_EVENT);
        lua_rawseti(L, -2, (lua_Integer)lua_rawlen(L, -2) + 1);
        lua_pop(L, 1);
    }
}

/* lane.lua's answer is on top: the event whose handlers are to be called, what the handlers of run->bound are to be
 * told, or nil. */
static void take_answer(lua_State *L, struct lane_run *run) {
    if (lua_isnil(L, -1)) {
        return;
    }
    lua_replace(L, RUN_EVENT);
    lua_settop(L, RUN_EVENT);
    if (lua_istable(L, RUN_EVENT)) {
        begin_told(L, run, run->bound);
        return;
    }
    collect(L, run);
    begin(L, run, true, api_event_type(L, RUN_EVENT));
}

static int prepared(lua_State *L, int status, lua_KContext context) {
    struct lane_run *run = lua_touserdata(L, RUN_SELF);
    (void)status;
    (void)context;
    take_answer(L, run);
    return go_on(L, run);
}

/* Rules, refusals, keys to be made: the script's functions may wait in there. */
static void prepare(lua_State *L, struct lane_run *run, enum driver_kind kind,
                    const struct driver_item *item) {
    lua_settop(L, RUN_EVENT);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &before_key);
    lua_pushvalue(L, RUN_STREAM);
    int count = 1 + lane_calls_push_item(L, RUN_KIT, kind, item);
    lua_callk(L, count, 1, 0, prepared);
    take_answer(L, run);
}

/* ---- the loop ---- */

/* Puts the event where its handlers will get it from; returns the number of its type. */
static int push_event(lua_State *L, const struct driver_item *item) {
    lua_settop(L, RUN_EVENT - 1);
    return api_event_push(L, RUN_KIT, item);
}

/* One thing that the driver has, up to where its handlers are to be called. */
static void take_applied(lua_State *L, struct lane_run *run, const struct driver_item *item) {
    int type = push_event(L, item);
    if (item->local == DRIVER_STREAM) {
        collect(L, run);
    }
    begin(L, run, true, type);
}

static void take_told(lua_State *L, struct lane_run *run, const struct driver_item *item) {
    if (item->value == DRIVER_NO_VALUE) {
        run->bound = item->list;
        prepare(L, run, DRIVER_TOLD, item);
        return;
    }
    lua_settop(L, RUN_EVENT - 1);
    lua_rawgeti(L, LUA_REGISTRYINDEX, item->value);
    luaL_unref(L, LUA_REGISTRYINDEX, item->value);
    begin_told(L, run, item->list);
}

static void take(lua_State *L, struct lane_run *run, enum driver_kind kind, const struct driver_item *item) {
    switch (kind) {
    case DRIVER_NOTHING:
        break;
    case DRIVER_APPLIED:
        take_applied(L, run, item);
        break;
    case DRIVER_CONTROL:
        begin(L, run, false, push_event(L, item));
        break;
    case DRIVER_UP_TO_DATE:
        lua_settop(L, RUN_EVENT - 1);
        lua_pushnil(L);
        begin(L, run, false, NO_EVENT);
        break;
    case DRIVER_TOLD:
        take_told(L, run, item);
        break;
    case DRIVER_CHANGE:
    case DRIVER_QUIET:
    case DRIVER_KEYLESS:
    case DRIVER_INVALID:
        prepare(L, run, kind, item);
        break;
    }
}

static int woken(lua_State *L, int status, lua_KContext context) {
    (void)status;
    (void)context;
    return go_on(L, lua_touserdata(L, RUN_SELF));
}

static int go_on(lua_State *L, struct lane_run *run) {
    struct api_stream *stream = run->stream;
    while (true) {
        call_handlers(L, run);
        struct driver_item item = {0};
        enum driver_kind kind = stream->driver.next(stream->driver.user, &item);
        if (kind == DRIVER_NOTHING) {
            return task_park(L, &stream->lane, woken, 0);
        }
        run->of_item = kind != DRIVER_UP_TO_DATE && kind != DRIVER_TOLD;
        take(L, run, kind, &item);
    }
}

/* Protected. Never returns but by an error. */
static int run_lane(lua_State *L) {
    struct lane_run *run = lua_touserdata(L, RUN_SELF);
    luaL_checkstack(L, RUN_LIST + LUA_MINSTACK, NULL);
    api_stream_push(L, run->stream);
    lua_getfield(L, RUN_STREAM, "state");
    lua_getfield(L, RUN_STREAM, "_handlers");
    lua_getfield(L, -1, "change");
    lua_insert(L, -2);
    lua_getfield(L, -1, "allChange");
    lua_insert(L, -2);
    lua_newtable(L);
    api_event_push_kit(L);
    if (run->handling) {
        begin_again(L, run);
    } else {
        lua_pushnil(L);
    }
    return go_on(L, run);
}

/* ---- errors ---- */

enum { BODY_TRACEBACK = 1, BODY_RUN, BODY_TOP = BODY_RUN };

enum body_step { BODY_ENTER, BODY_LEFT, BODY_DECIDED };

static int body_left(lua_State *L, int status, lua_KContext context);
static int body_decided(lua_State *L, int status, lua_KContext context);

/* A handler has raised what is on top: asks lane.lua, which raises it again where the lane is to stop. */
static void ask_what_now(lua_State *L, struct lane_run *run) {
    lua_rawgetp(L, LUA_REGISTRYINDEX, &failed_key);
    lua_insert(L, -2);
    api_stream_push(L, run->stream);
    lua_insert(L, -2);
    lua_getiuservalue(L, BODY_RUN, EVENT_VALUE);
    lua_pushnumber(L, run->pause);
    lua_callk(L, 4, 1, 0, body_decided);
}

/* A number: it has paused so long, and the handler is called again. Nil: the event is given up, and what
 * onError has written stays. */
static void follow(lua_State *L, struct lane_run *run) {
    struct error e;
    run->handling = lua_isnumber(L, -1);
    run->pause = lua_tonumber(L, -1);
    if (run->handling) {
        api_emit_drop(run->stream);
    } else if (!api_emit_pass(run->stream, &e)) {
        script_raise_bare(L, &e);
    }
}

static int body_go_on(lua_State *L, enum body_step next) {
    struct lane_run *run = lua_touserdata(L, BODY_RUN);
    while (true) {
        switch (next) {
        case BODY_ENTER:
            lua_settop(L, BODY_TOP);
            lua_pushcfunction(L, run_lane);
            lua_pushvalue(L, BODY_RUN);
            lua_pcallk(L, 1, 0, BODY_TRACEBACK, 0, body_left);
            next = BODY_LEFT;
            break;
        case BODY_LEFT:
            if (!run->handling) {
                return lua_error(L);
            }
            api_emit_drop(run->stream);
            ask_what_now(L, run);
            next = BODY_DECIDED;
            break;
        case BODY_DECIDED:
            follow(L, run);
            next = BODY_ENTER;
            break;
        }
    }
}

static int body_left(lua_State *L, int status, lua_KContext context) {
    (void)status;
    (void)context;
    return body_go_on(L, BODY_LEFT);
}

static int body_decided(lua_State *L, int status, lua_KContext context) {
    (void)status;
    (void)context;
    return body_go_on(L, BODY_DECIDED);
}

static int body(lua_State *L) {
    return body_go_on(L, BODY_ENTER);
}

/* ---- its task ---- */

static void over(struct task *task, const struct error *e) {
    const struct api_stream *stream = task->owner;
    if (e) {
        struct error located = *e;
        if (e->code == ERROR_SCRIPT) { /* the others name their place themselves */
            stream->driver.locate(stream->driver.user, stream->run->of_item, &located);
        }
        stream->script->host.failed(stream->script->host.user, &located);
    }
}

void lane_init(struct api_stream *stream) {
    task_init(&stream->lane, stream->script, over, stream);
}

enum lane_work lane_handles(lua_State *L, const struct api_stream *stream) {
    const struct lane_run *run = stream->run;
    struct driver_item item;
    if (!run->handling || run->told || !run->has_event) {
        return LANE_OTHER;
    }
    lua_rawgetp(L, LUA_REGISTRYINDEX, &stream->run);
    lua_getiuservalue(L, -1, EVENT_VALUE);
    lua_remove(L, -2);
    api_event_check(L, -1, &item);
    if (item.local == DRIVER_STREAM) {
        return LANE_EVENT;
    }
    lua_pop(L, 1);
    return LANE_OPTIMISTIC;
}

bool lane_is_busy(const struct api_stream *stream) {
    return task_is_alive(&stream->lane) && !stream->lane.parked;
}

static int push_body(lua_State *L, void *arg) {
    struct api_stream *stream = arg;
    lua_pushcfunction(L, body);
    lua_pushcfunction(L, script_traceback);
    struct lane_run *run = lua_newuserdatauv(L, sizeof *run, EVENT_VALUE);
    *run = (struct lane_run){.stream = stream};
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &stream->run);
    stream->run = run;
    return 2;
}

void lane_wake(struct api_stream *stream) {
    struct error e;
    if (stream->lane.parked) {
        task_resume(&stream->lane);
    } else if (!task_is_alive(&stream->lane)) {
        if (!task_start(&stream->lane, push_body, stream, &e)) {
            stream->script->host.failed(stream->script->host.user, &e);
        }
    }
}

/* functions(before, failed): what lua/weir/lane.lua has for a lane. */
static int set_functions(lua_State *L) {
    luaL_checktype(L, 1, LUA_TFUNCTION);
    luaL_checktype(L, 2, LUA_TFUNCTION);
    lua_settop(L, 2);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &failed_key);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &before_key);
    return 0;
}

void lane_open(lua_State *L) {
    lua_newtable(L);
    lane_calls_open(L);
    lua_pushcfunction(L, set_functions);
    lua_setfield(L, -2, "functions");
    lua_setfield(L, -2, "_lane");
}
