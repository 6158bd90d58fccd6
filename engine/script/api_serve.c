#include "script/api_serve.h"

#include <lauxlib.h>
#include <stdlib.h>

#include "script/options.h"
#include "server/server.h"

static const char server_name[] = "weir.Server";

enum { GRACE_MS = 2000, HOST_MAX = 128 };

/* Freed when the server is; the Lua userdata only points here. */
struct api_server {
    struct server *server;
    struct script *script;    /* NULL: it has been closed, or the server is ending */
    struct api_server **held; /* the userdata's pointer to this; NULL: Lua dropped it */
    struct api_server *next, *prev;
};

static void unlink_server(struct api_server *s) {
    if (!s->script) {
        return;
    }
    if (s->prev) {
        s->prev->next = s->next;
    } else {
        s->script->servers = s->next;
    }
    if (s->next) {
        s->next->prev = s->prev;
    }
    s->script = NULL;
}

static void on_closed(void *user) {
    struct api_server *s = user;
    unlink_server(s);
    if (s->held) {
        *s->held = NULL;
    }
    free(s);
}

void api_serve_close_all(struct script *script) {
    while (script->servers) {
        struct api_server *s = script->servers;
        unlink_server(s);
        server_close(s->server, 0, on_closed, s);
    }
}

/* Orderly; the worker does not wait for it, but its end cuts it off. */
static int stop(lua_State *L) {
    struct api_server **held = luaL_checkudata(L, 1, server_name);
    if (*held) {
        server_close((*held)->server, GRACE_MS, on_closed, *held);
        (*held)->held = NULL;
        *held = NULL;
    }
    return 0;
}

/* A server whose object nobody keeps goes on: who wants it to end stops it. */
static int collect(lua_State *L) {
    struct api_server **held = luaL_checkudata(L, 1, server_name);
    if (*held) {
        (*held)->held = NULL;
        *held = NULL;
    }
    return 0;
}

static int index_field(lua_State *L) {
    struct api_server **held = luaL_checkudata(L, 1, server_name);
    const char *name = luaL_checkstring(L, 2);
    if (strcmp(name, "url") == 0) {
        lua_getiuservalue(L, 1, 1);
    } else if (strcmp(name, "running") == 0) {
        lua_pushboolean(L, *held != NULL);
    } else if (strcmp(name, "stop") == 0) {
        lua_pushcfunction(L, stop);
    } else {
        lua_pushnil(L);
    }
    return 1;
}

/* The text stays as long as the table of options does, which is on the stack. */
static const char *text_option(lua_State *L, const char *name) {
    lua_getfield(L, 1, name);
    const char *text = lua_tostring(L, -1);
    lua_pop(L, 1);
    return text;
}

static size_t count_option(lua_State *L, const char *name) {
    lua_getfield(L, 1, name);
    size_t count = (size_t)lua_tointeger(L, -1);
    lua_pop(L, 1);
    return count;
}

static size_t size_option(lua_State *L, const char *name) {
    return options_size(L, 1, name, 0);
}

static enum streams_fsync fsync_option(lua_State *L) {
    static const char *const names[] = {"batch", "always", "none", NULL};
    static const enum streams_fsync values[] = {STREAMS_FSYNC_BATCH, STREAMS_FSYNC_ALWAYS,
                                                STREAMS_FSYNC_NONE};
    return values[options_choice(L, 1, "fsync", names, "batch")];
}

static void take_options(lua_State *L, struct server_options *o) {
    o->streams.folder = text_option(L, "data");
    o->streams.fsync = fsync_option(L);
    o->streams.max_streams = count_option(L, "maxStreams");
    o->streams.max_bytes = size_option(L, "maxBytes");
    o->streams.checkpoint_bytes = size_option(L, "checkpointSize");
    o->long_poll_ms = options_duration(L, 1, "longPollTimeout", 0);
    o->sse_life_ms = options_duration(L, 1, "sseLifetime", 0);
    o->request_ms = options_duration(L, 1, "requestTimeout", 0);
    o->max_body = size_option(L, "maxBody");
    o->max_input = size_option(L, "maxInput");
    o->max_connections = count_option(L, "maxConnections");
    o->max_output = size_option(L, "maxOutput");
    o->token_file = text_option(L, "tokenFile");
    o->tls_cert = text_option(L, "tlsCert");
    o->tls_key = text_option(L, "tlsKey");
    o->cors_origin = text_option(L, "corsOrigin");
    o->access_log = text_option(L, "accessLog");
    o->faults = options_boolean(L, 1, "faults");
}

static void link_server(struct script *script, struct api_server *s) {
    s->script = script;
    s->next = script->servers;
    if (s->next) {
        s->next->prev = s;
    }
    script->servers = s;
}

/* (options) -> server, or nil and a message. */
static int serve(lua_State *L) {
    struct script *script = script_of(L);
    struct server_options options = {.log = script->log};
    struct error e;
    char host[HOST_MAX];
    const char *listen = text_option(L, "listen");
    script_check_unasked(L, "weir.serve");
    take_options(L, &options);
    struct api_server **held = lua_newuserdatauv(L, sizeof *held, 1);
    *held = NULL;
    luaL_setmetatable(L, server_name);
    bool ok = server_parse_listen(listen ? listen : "127.0.0.1:4437", host, sizeof host, &options.port, &e);
    options.host = host;
    struct api_server *s = ok ? calloc(1, sizeof *s) : NULL;
    if (ok && !s) {
        error_set(&e, ERROR_MEMORY, "out of memory");
        ok = false;
    }
    if (s) {
        s->server = server_open(script->loop, &options, &e);
        ok = s->server != NULL;
    }
    if (!ok) {
        free(s);
        lua_pushnil(L);
        lua_pushstring(L, e.message);
        return 2;
    }
    s->held = held;
    *held = s;
    link_server(script, s);
    lua_pushstring(L, server_url(s->server));
    lua_setiuservalue(L, -2, 1);
    return 1;
}

void api_serve_open(lua_State *L) {
    luaL_newmetatable(L, server_name);
    lua_pushcfunction(L, index_field);
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, collect);
    lua_setfield(L, -2, "__gc");
    lua_pop(L, 1);
    lua_pushcfunction(L, serve);
    lua_setfield(L, -2, "_serve");
}
