#include "worker/worker.h"

#include <lualib.h>
#include <stdlib.h>
#include <string.h>

#include "script/api_timer.h"
#include "script/lane.h"
#include "script/luastate.h"
#include "worker/interrupt.h"
#include "worker/pipelines.h"

struct worker {
    struct luastate *luastate; /* owned; NULL where the Lua state is somebody else's */
    lua_State *L;              /* likewise */
    struct loop *loop;
    struct http *http;
    struct log log;
    struct script script;
    struct worker_options options;
    struct config *own_config;    /* where options had none */
    struct datadir *data;         /* NULL: no snapshots are kept, or it does not run yet */
    struct pipelines pipelines;   /* that were started */
    struct api_stream *unstarted; /* the first stream without a pipeline */
    struct loop_task starter;     /* starts streams that are declared while it runs */
    bool running;
    bool stopping; /* no more reading: handlers under way may end */
    bool failed;
    bool was_interrupted; /* the last run */
    struct error failure;
};

enum { SETTLE_MS = 10000 }; /* for what is committed last */

static const char worker_name[] = "weir.worker";

/* ---- what the script asks for ---- */

static void fail(void *user, const struct error *e) {
    struct worker *worker = user;
    if (!worker->failed) {
        worker->failed = true;
        worker->failure = *e;
    }
}

/* Right away, so that a handler that stops the worker is the last one. */
static void stop(void *user) {
    struct worker *worker = user;
    worker->stopping = true;
    pipelines_stop(&worker->pipelines);
}

static void pipeline_over(void *user, struct pipeline *pipeline, const struct error *e) {
    (void)pipeline;
    if (e) {
        fail(user, e);
    }
}

static void start_streams(struct worker *worker) {
    struct error e;
    const struct pipelines_options options = {
        .loop = worker->loop,
        .http = worker->http,
        .log = &worker->log,
        .config = worker->options.config,
        .data = worker->data,
        .audit = worker->options.audit,
        .once = worker->options.once || worker->options.no_handlers,
        .no_handlers = worker->options.no_handlers,
        .variant = worker->options.no_handlers ? worker->options.variant : NULL,
        .host = {worker, pipeline_over},
    };
    while (worker->unstarted && !worker->failed) {
        struct api_stream *stream = worker->unstarted;
        worker->unstarted = stream->next;
        if (!pipelines_start(&worker->pipelines, stream, &options, &e)) {
            fail(worker, &e);
        }
    }
}

static void run_starter(struct loop_task *task) {
    start_streams(task->owner);
}

static void stream_declared(void *user, struct api_stream *stream) {
    struct worker *worker = user;
    if (!worker->unstarted) {
        worker->unstarted = stream;
    }
    if (worker->running) {
        loop_defer(worker->loop, &worker->starter);
    }
}

static bool run_from_script(void *user, struct error *e) {
    return worker_run(user, e);
}

static bool open_data(struct worker *worker, struct error *e) {
    const char *path = worker->options.audit ? NULL : config_data(worker->options.config);
    if (path && !worker->data) {
        worker->data = datadir_open(path, e);
    }
    return !path || worker->data;
}

/* worker_run fails as well where this did. */
static bool start_from_script(void *user, struct error *e) {
    struct worker *worker = user;
    if (!worker->failed && !open_data(worker, &worker->failure)) {
        worker->failed = true;
    }
    start_streams(worker);
    if (worker->failed) {
        *e = worker->failure;
    }
    return !worker->failed;
}

static const char *setting(void *user, const char *name) {
    struct worker *worker = user;
    return config_setting(worker->options.config, name);
}

static const char *stream_settings(void *user, const char *name, const char **origin) {
    const struct worker *worker = user;
    return config_stream(worker->options.config, name, origin);
}

/* ---- life ---- */

static bool open_parts(struct worker *worker, const struct worker_options *options, struct error *e) {
    worker->options = *options;
    if (options->signals) {
        worker->options.interrupt = interrupt_flag();
    }
    if (!options->config) {
        worker->own_config = config_new();
        if (!worker->own_config) {
            return error_set(e, ERROR_MEMORY, "out of memory");
        }
        if (!config_read_environment(worker->own_config, e)) {
            return false;
        }
        worker->options.config = worker->own_config;
    }
    const struct config *config = worker->options.config;
    log_init(&worker->log, stderr, config_log_level(config));
    worker->log.json = config_log_json(config);
    worker->starter = (struct loop_task){.run = run_starter, .owner = worker};
    worker->loop = loop_new(e);
    worker->http = worker->loop ? http_new(worker->loop, e) : NULL;
    worker->script = (struct script){
        .loop = worker->loop,
        .http = worker->http,
        .log = &worker->log,
        .interrupt = worker->options.interrupt,
        .alone = options->alone,
        .watch.limit_ms = config_handler_limit(config),
        .host =
            {
                .user = worker,
                .stream_declared = stream_declared,
                .run = run_from_script,
                .start = start_from_script,
                .stop = stop,
                .failed = fail,
                .setting = setting,
                .stream_settings = stream_settings,
            },
    };
    return worker->http != NULL;
}

static bool close_parts(struct worker *worker, struct error *e) {
    bool ok = true;
    pipelines_close(&worker->pipelines);
    if (worker->script.L) {
        script_close(&worker->script);
    }
    luastate_free(worker->luastate);
    worker->luastate = NULL;
    worker->L = NULL;
    pipelines_free(&worker->pipelines); /* which may take turns of the loop: no script is there any more */
    if (worker->http) {
        http_free(worker->http);
    }
    if (worker->loop) {
        ok = loop_free(worker->loop, e);
    }
    datadir_close(worker->data);
    config_free(worker->own_config);
    return ok;
}

/* Protected: puts `weir` where require finds it. */
static int open_state(lua_State *L) {
    struct script *script = lua_touserdata(L, 1);
    luaL_openlibs(L);
    script->own = true;
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
    script_open(L, script);
    lua_setfield(L, -2, "weir");
    return 0;
}

struct worker *worker_new(const struct worker_options *options, struct error *e) {
    struct worker *worker = calloc(1, sizeof *worker);
    if (!worker || !open_parts(worker, options, e) || !(worker->luastate = luastate_new())) {
        if (!worker || (worker->http && !worker->luastate)) {
            error_set(e, ERROR_MEMORY, "out of memory");
        }
        worker_free(worker, NULL);
        return NULL;
    }
    worker->L = luastate_lua(worker->luastate);
    lua_pushcfunction(worker->L, open_state);
    lua_pushlightuserdata(worker->L, &worker->script);
    if (lua_pcall(worker->L, 1, 0, 0) != LUA_OK) {
        script_take_error(worker->L, e);
        worker_free(worker, NULL);
        return NULL;
    }
    return worker;
}

bool worker_free(struct worker *worker, struct error *e) {
    if (!worker) {
        return true;
    }
    bool ok = close_parts(worker, e);
    free(worker);
    return ok;
}

static int collect_module(lua_State *L) {
    struct worker **held = luaL_checkudata(L, 1, worker_name);
    struct worker *worker = *held;
    *held = NULL;
    worker_free(worker, NULL);
    return 0;
}

int worker_open_module(lua_State *L, const struct worker_options *options) {
    struct error e;
    struct worker **held = lua_newuserdatauv(L, sizeof *held, 0);
    *held = NULL;
    if (luaL_newmetatable(L, worker_name)) {
        lua_pushcfunction(L, collect_module);
        lua_setfield(L, -2, "__gc");
    }
    lua_setmetatable(L, -2);
    luaL_ref(L, LUA_REGISTRYINDEX);
    *held = calloc(1, sizeof **held);
    if (!*held || !open_parts(*held, options, &e)) {
        return luaL_error(L, "weir: %s", *held ? e.message : "out of memory");
    }
    script_open(L, &(*held)->script);
    return 1;
}

/* ---- running ---- */

static bool interrupted(const struct worker *worker) {
    return worker->options.interrupt && *worker->options.interrupt;
}

struct script_file {
    const char *path;
};

static int load_in_lua(lua_State *L) {
    const struct script_file *file = lua_touserdata(L, 1);
    if (luaL_loadfilex(L, file->path, "t") != LUA_OK) {
        struct error e;
        error_set(&e, ERROR_SCRIPT, "%s", lua_tostring(L, -1));
        return script_raise_bare(L, &e);
    }
    lua_call(L, 0, 0);
    return 0;
}

bool worker_load(struct worker *worker, const char *path, struct error *e) {
    struct script_file file = {path};
    watch_start(&worker->script, worker->L);
    bool ok = script_protect(&worker->script, load_in_lua, &file, e);
    watch_stop(&worker->script);
    if (!ok && interrupted(worker)) {
        error_set(e, ERROR_INTERRUPTED, "interrupted");
    } else if (!ok && !strstr(e->message, path)) {
        error_context(e, "%s", path);
    }
    return ok;
}

static int declare_in_lua(lua_State *L) {
    const char *url = lua_touserdata(L, 1);
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
    lua_getfield(L, -1, "weir");
    lua_getfield(L, -1, "stream");
    lua_createtable(L, 0, 2);
    lua_pushstring(L, url);
    lua_setfield(L, -2, "url");
    lua_pushboolean(L, false);
    lua_setfield(L, -2, "live");
    if (lua_pcall(L, 1, 0, 0) != LUA_OK) {
        struct error e;
        script_take_error(L, &e);
        return script_raise_bare(L, &e); /* no script is at fault: a traceback would tell nothing */
    }
    return 0;
}

bool worker_declare(struct worker *worker, const char *url, struct error *e) {
    return script_protect(&worker->script, declare_in_lua, (void *)url, e);
}

static bool some_function_is_at_work(const struct worker *worker) {
    for (const struct api_stream *stream = worker->script.streams; stream; stream = stream->next) {
        if (lane_is_busy(stream)) {
            return true;
        }
    }
    return api_timer_some_at_work(&worker->script);
}

/* Streams keep a worker running; a script without any is kept running by its timers and servers. */
static bool over(void *arg) {
    struct worker *worker = arg;
    if (worker->failed || interrupted(worker)) {
        return true;
    }
    if (worker->stopping) {
        pipelines_stop(&worker->pipelines); /* those declared since */
    } else if (worker->unstarted || !pipelines_ended(&worker->pipelines) ||
               (!worker->pipelines.first && (worker->script.timers || worker->script.servers))) {
        return false;
    }
    return !some_function_is_at_work(worker);
}

static void stop_everything(struct worker *worker) {
    pipelines_stop(&worker->pipelines);
    for (struct api_stream *stream = worker->script.streams; stream; stream = stream->next) {
        task_stop(&stream->lane);
    }
}

static bool run_loop(struct worker *worker) {
    struct interrupt_saved saved;
    if (worker->options.signals) {
        interrupt_watch(worker->loop, &saved);
    }
    bool finished = loop_run_until(worker->loop, over, worker);
    worker->was_interrupted = interrupted(worker);
    if (worker->options.signals) {
        interrupt_restore(&saved);
    }
    return finished;
}

/* Nothing reads or handles any more: what was handled goes to the sinks. */
static void settle(struct worker *worker) {
    struct error e;
    pipelines_stop(&worker->pipelines);
    if (!pipelines_settle(&worker->pipelines, SETTLE_MS, &e)) {
        if (worker->failed) {
            log_write(&worker->log, LOG_ERROR, "%s", e.message);
        } else {
            fail(worker, &e);
        }
    }
}

/* A snapshot that cannot be written fails what was a success: the next run
 * would handle again what this one did. Where nothing is handled, it only costs that time. */
static void keep_all(struct worker *worker) {
    struct error e;
    for (struct pipelines_entry *entry = worker->pipelines.first; entry; entry = entry->next) {
        if (!pipeline_keep(entry->pipeline, &e)) {
            if (worker->failed || worker->options.no_handlers) {
                log_write(&worker->log, LOG_ERROR, "%s", e.message);
            } else {
                fail(worker, &e);
            }
        }
    }
}

bool worker_run(struct worker *worker, struct error *e) {
    if (worker->running) {
        return error_set(e, ERROR_ARGUMENT, "weir.run: the worker runs already");
    }
    if (!open_data(worker, e)) {
        return false;
    }
    worker->running = true;
    start_streams(worker);
    bool ran = watch_pause(&worker->script);
    bool finished = run_loop(worker);
    watch_resume(&worker->script, ran);
    worker->running = worker->stopping = false;
    if (worker->was_interrupted) { /* whatever else has come of it */
        error_set(&worker->failure, ERROR_INTERRUPTED, "interrupted");
        worker->failed = true;
    } else if (!worker->failed && !finished) {
        error_set(&worker->failure, ERROR_SYSTEM,
                  "nothing is left that could happen, and a stream has not ended");
        worker->failed = true;
    }
    if (worker->failed) {
        stop_everything(worker);
    }
    settle(worker);
    keep_all(worker);
    if (worker->failed) {
        *e = worker->failure;
        worker->failed = false;
        return false;
    }
    return true;
}

void worker_wake(struct worker *worker) {
    loop_wake(worker->loop);
}

struct loop *worker_loop(const struct worker *worker) {
    return worker->loop;
}

const struct api_stream *worker_streams(const struct worker *worker) {
    return worker->script.streams;
}

bool worker_has_timers(const struct worker *worker) {
    return worker->script.timers || worker->script.servers || worker->script.produced;
}

const struct log *worker_log(const struct worker *worker) {
    return &worker->log;
}

void worker_counts(const struct worker *worker, struct pipeline_counts *counts) {
    pipelines_counts(&worker->pipelines, counts);
}
