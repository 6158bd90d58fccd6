/* A script: what weir keeps for one Lua state. It knows the loop and the streams, timers and rules that
 * were declared in Lua; the worker (its host) makes them run.
 *
 * All Lua runs through script_protect, and only at the loop's drain point or from Lua itself. */
#ifndef SCRIPT_SCRIPT_H
#define SCRIPT_SCRIPT_H

#include <lauxlib.h>
#include <lua.h>
#include <signal.h>
#include <stdbool.h>

#include "base/error.h"
#include "base/log.h"
#include "io/http.h"
#include "io/loop.h"
#include "script/watch.h"

struct api_producer;
struct api_server;
struct api_stream;
struct api_timer;
struct script;
struct task;

/* What a script asks of the worker. */
struct script_host {
    void *user;
    /* weir.stream{} was called: before or while the worker runs. */
    void (*stream_declared)(void *user, struct api_stream *stream);
    /* weir.run(): run until every stream has ended. */
    bool (*run)(void *user, struct error *e);
    /* The main part of the script waits for what a stream will say: read those that were declared. */
    bool (*start)(void *user, struct error *e);
    /* weir.stop(): end the work in an orderly way. */
    void (*stop)(void *user);
    /* A task failed and nobody handles it: the work has to stop. */
    void (*failed)(void *user, const struct error *e);
    /* The value given with --set or in the configuration, NULL where there is none. */
    const char *(*setting)(void *user, const char *name);
    /* What the configuration and the command line say about the stream of that name: a JSON object of
       options that win over the script's, and where they come from, for messages; owned by the host.
       NULL: nothing. */
    const char *(*stream_settings)(void *user, const char *name, const char **origin);
};

struct script {
    lua_State *L; /* the main state, never the coroutine that happened to call */
    struct loop *loop;
    struct http *http;
    struct log *log;
    struct script_host host;
    bool own;                       /* the Lua state is weir's: it may be changed, see script/lazy.h */
    bool alone;                     /* so is the process: see script/watch.h */
    struct task *current;           /* whose coroutine runs now; NULL in the main chunk */
    struct api_stream *streams;     /* declared ones, the first declared first */
    struct api_timer *timers;       /* weir.every and weir.after that have not ended */
    struct api_producer *producers; /* weir.producer{} that have not ended */
    struct api_server *servers;     /* weir.serve{} that have not ended */
    bool produced;                  /* weir.producer{} was called */
    bool asked;         /* a function of headers, params or onError runs: see script/api_hooks.h */
    bool stopping;      /* no further Lua: waits raise */
    struct watch watch; /* what stops Lua that runs too long */
    const volatile sig_atomic_t *interrupt; /* becomes true on Ctrl-C; NULL where nobody sets it */
};

/* Puts the weir module on top of L's stack. The script struct is the caller's (zeroed, with loop, http,
 * log and host set) and must outlive the Lua state. Raises on memory. */
void script_open(lua_State *L, struct script *script);

/* The script of this Lua state. Raises where it has been closed. */
struct script *script_of(lua_State *L);

/* Closes timers and the streams' writers, and frees the streams: nothing may drive them any longer. What
 * the script still does with them raises. */
void script_close(struct script *script);

/* Calls fn(L) with one light userdata, arg, on the main state: the one protected call. On an error, e gets
 * the message with a traceback. */
bool script_protect(struct script *script, lua_CFunction fn, void *arg, struct error *e);

/* A message handler for lua_pcall and xpcall: adds a traceback to the error value. A table stays the table
 * it is, and its traceback is kept aside; all else becomes a string. One that has been through it before
 * is left alone. */
int script_traceback(lua_State *L);

/* The same for the error value on top of L's stack, which came out of the coroutine `from`. */
void script_trace(lua_State *L, lua_State *from);

/* A Lua function: the text of the error value that is its argument. Raises what __tostring raises. */
int script_describe(lua_State *L);

/* Fills e from the error value on top of L's stack, and pops it. Code ERROR_SCRIPT, or that of an error
 * object raised by script_raise. */
void script_take_error(lua_State *L, struct error *e);

/* Raises e as an error object: a table {code=, status=, message=} whose tostring is the message. */
int script_raise(lua_State *L, const struct error *e);

/* Pushes e as such an object. */
void script_push_error(lua_State *L, const struct error *e);

/* Raises where a function of headers, params, onError or onMutate is running: `what` waits, or would change what
 * asks that function. */
void script_check_unasked(lua_State *L, const char *what);

/* The same as script_raise for an error that is not the script's: it needs no traceback. */
int script_raise_bare(lua_State *L, const struct error *e);

#endif
