/* weir.stream{}: a declared stream. The userdata that Lua holds is this struct; the worker reads it and
 * makes it run. The methods are documented in lua/weir/stream.lua, which checks what the script wrote and
 * calls weir._stream.new with options that are right. */
#ifndef SCRIPT_API_STREAM_H
#define SCRIPT_API_STREAM_H

#include <lua.h>
#include <stdbool.h>

#include "base/strmap.h"
#include "script/api_emit.h"
#include "script/api_follow.h"
#include "script/api_hooks.h"
#include "script/api_local.h"
#include "script/api_sink.h"
#include "script/driver.h"
#include "script/script.h"
#include "script/task.h"
#include "state/store.h"
#include "stream/source.h"
#include "stream/writer.h"

/* What is to be done with a message that is invalid, or an event that is refused. */
enum api_policy { POLICY_STOP, POLICY_SKIP, POLICY_DEADLETTER, POLICY_FUNCTION };

/* What concerns one type, or all of them. */
struct api_type {
    bool handlers;               /* onChange */
    bool rules;                  /* validate */
    bool get_key;                /* makes the key of a change that has none */
    bool key_is_id;              /* of its field id, since the script does not say how */
    bool foreign_schema;         /* it has to be asked in Lua, too (api_schema_needs_lua) */
    const struct schema *schema; /* owned by Lua, kept alive by the stream; NULL: none */
};

struct lane_run;
struct wait;

struct api_stream {
    struct script *script;
    struct api_stream *next; /* in the order of declaration */
    char *name;              /* for messages: the option `name`, else the URL */
    char *url;
    char *offset;       /* NULL: the beginning */
    char *default_type; /* NULL: "default" */
    char *deadletter;   /* a path; NULL: none */
    char *ca_file;
    enum source_live live;
    bool strict;
    bool replace; /* snapshots and resets replace the state, in one step */
    enum api_policy on_invalid;
    size_t message_max;      /* bytes */
    uint64_t first_limit_ms; /* 0: the source's own */
    uint64_t outage_limit_ms;
    uint64_t append_limit_ms;  /* 0: the writer's own */
    struct http_field *fields; /* request headers, owned */
    size_t field_count;
    struct api_sink_list sinks; /* where what becomes of the state goes */

    bool declared;          /* it is complete, and in the script's list */
    struct store *store;    /* NULL once the script is closed */
    struct store *building; /* the worker's: what will take its place, while that is being read */
    struct strmap types;    /* name -> struct api_type */
    struct api_type all;    /* handlers and rules for every type */
    bool controls;          /* onControl was called */
    bool up_to_dates;       /* onUpToDate was called */
    bool others;            /* handlers of what is told otherwise: script/api_local.h */
    bool bounds;            /* handlers of batches or transactions */
    bool get_keys;          /* some type has getKey */

    struct driver driver;   /* set by the worker before the lane is woken */
    struct task lane;       /* see script/lane.h */
    struct lane_run *run;   /* of the lane, once it was started */
    struct api_emits emits; /* what the handler that runs has written to derived streams */
    struct writer *writer;  /* made by the first append */
    struct wait *appends;   /* under way: see script/api_append.h */
    struct wait *calls;     /* under way: see script/api_call.h */
    struct api_hooks hooks; /* what is asked around each request */
    struct api_follow follow;
    struct api_local local;
};

void api_stream_open(lua_State *L);

/* The stream at index; raises where it is none. */
struct api_stream *api_stream_check(lua_State *L, int index);

/* Pushes the userdata of a declared stream. */
void api_stream_push(lua_State *L, struct api_stream *stream);

/* What concerns this type: its own entry, or NULL where nothing was said about it. */
const struct api_type *api_stream_type(const struct api_stream *stream, struct slice type);

/* Stops lanes, closes writers, frees stores and options. The structs stay until the Lua state goes. */
void api_stream_close_all(struct script *script);

#endif
