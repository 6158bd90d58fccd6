/* weir.sink.sqlite{} and its like: a sink that the script or the configuration has declared. The userdata
 * that Lua holds is this struct. It is a description and opens nothing: the worker's outlet opens one
 * struct sink of it for each stream that lists it, with kind, name and settings as they are here.
 *
 * The options are checked in lua/weir/sink.lua, which calls weir._sink.new; a sink that the script defines
 * by functions of its own (weir.sink{write = ...}) has a kind of its own, see script/sink_lua.h. */
#ifndef SCRIPT_API_SINK_H
#define SCRIPT_API_SINK_H

#include <lua.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sink/sink.h"

struct script;

struct api_sink {
    struct script *script;
    const struct sink_kind *kind;
    char *name; /* for messages, without secrets: "sqlite room.db". Unique among a stream's */
    struct sink_setting *settings; /* owned; their values may be secrets */
    size_t setting_count;
    bool emits;           /* a derived stream: rows SINK_EMIT whose key is `name` are for it, and no others */
    struct sink_kind own; /* what `kind` points to where the script defines the sink; otherwise unused */
};

/* The sinks of one stream, in the order in which they were listed. The stream's userdata keeps them alive:
 * they are good until script_close, like the stream's name. */
struct api_sink_list {
    const struct api_sink **items; /* NULL where there are none */
    size_t count;
    /* When a batch is committed; 0: as the outlet sees fit. */
    size_t rows;       /* limits.sinkRows: it has so many */
    size_t bytes;      /* limits.sinkBytes: they are so long */
    uint64_t delay_ms; /* limits.sinkDelay: the first of them is so old */
    size_t batch_max;  /* limits.sinkBatch: bytes that are in one at most */
};

/* Adds weir._sink. The module table is on top of the stack. */
void api_sink_open(lua_State *L);

/* The sink at index; raises where it is none. */
struct api_sink *api_sink_check(lua_State *L, int index);

/* Fills list from the Lua array at index, whose items are sinks. Raises; what is in the list then is freed by
 * api_sink_list_free. The caller keeps the array alive. */
void api_sink_list_take(lua_State *L, int index, struct api_sink_list *list);
void api_sink_list_free(struct api_sink_list *list);

#endif
