#include "script/api_emit.h"

#include <lauxlib.h>
#include <stdlib.h>

#include "base/list.h"
#include "script/api_sink.h"
#include "script/api_stream.h"
#include "script/lane.h"

struct api_emit {
    const struct api_sink *sink;
    size_t at, len;
};

enum { BYTES_MAX = 64 << 20, ROOM_FIRST = 8 };

void api_emit_drop(struct api_stream *stream) {
    stream->emits.count = 0;
    buf_clear(&stream->emits.bytes);
}

void api_emit_free(struct api_stream *stream) {
    buf_free(&stream->emits.bytes);
    free(stream->emits.items);
    stream->emits = (struct api_emits){0};
}

bool api_emit_pass(struct api_stream *stream, struct error *e) {
    const struct api_emits *emits = &stream->emits;
    bool ok = true;
    for (size_t i = 0; ok && i < emits->count; i++) {
        const struct api_emit *item = &emits->items[i];
        ok = stream->driver.emit(stream->driver.user, item->sink->name,
                                 slice_of(emits->bytes.ptr + item->at, item->len), e);
    }
    api_emit_drop(stream);
    return ok;
}

static bool lists(const struct api_stream *stream, const struct api_sink *sink) {
    for (size_t i = 0; i < stream->sinks.count; i++) {
        if (stream->sinks.items[i] == sink) {
            return true;
        }
    }
    return false;
}

/* The stream of whose lane the running coroutine is one; NULL: of none. */
static struct api_stream *running_stream(const struct script *script) {
    struct api_stream *stream = script->streams;
    while (stream && script->current != &stream->lane) {
        stream = stream->next;
    }
    return stream;
}

/* The stream whose handler writes to the sink, with the event that it handles pushed. NULL with a message
 * pushed. */
static struct api_stream *writer_of(lua_State *L, const struct api_sink *sink) {
    static const char rule[] =
        "a derived stream is written to by the onChange and onControl handlers of a stream "
        "that has it in its option sinks";
    if (!sink->emits) {
        lua_pushfstring(L, "%s is not written to by hand: it gets what becomes of the state", sink->name);
        return NULL;
    }
    struct api_stream *stream = running_stream(sink->script);
    if (!stream || !lists(stream, sink) || !stream->driver.emit) {
        lua_pushfstring(L, "%s: %s%s%s", sink->name, rule, stream ? ", and this is one of " : "",
                        stream ? stream->name : "");
        return NULL;
    }
    switch (lane_handles(L, stream)) {
    case LANE_EVENT:
        return stream;
    case LANE_OPTIMISTIC:
        lua_pushfstring(L,
                        "%s: an optimistic write of this script is not in %s yet: leave the handler while "
                        "event.optimistic is true",
                        sink->name, stream->name);
        return NULL;
    case LANE_OTHER:
        break;
    }
    lua_pushfstring(L, "%s: %s; when other functions are called depends on the time", sink->name, rule);
    return NULL;
}

/* handled(sink) -> true, the event that is handled; or false and why the sink cannot be written to here. */
static int handled(lua_State *L) {
    const struct api_sink *sink = api_sink_check(L, 1);
    bool ok = writer_of(L, sink) != NULL;
    lua_pushboolean(L, ok);
    lua_insert(L, -2);
    return 2;
}

static bool reserve(struct api_emits *emits) {
    struct api_emit *items = list_room(emits->items, emits->count, &emits->room, ROOM_FIRST, sizeof *items);
    emits->items = items ? items : emits->items;
    return items;
}

/* emit(sink, text): behind a call of handled that said true. */
static int emit(lua_State *L) {
    const struct api_sink *sink = api_sink_check(L, 1);
    struct slice text;
    struct error e;
    text.ptr = luaL_checklstring(L, 2, &text.len);
    struct api_stream *stream = writer_of(L, sink);
    if (!stream) {
        return lua_error(L);
    }
    struct api_emits *emits = &stream->emits;
    emits->bytes.max = stream->sinks.batch_max ? stream->sinks.batch_max : BYTES_MAX;
    if (!reserve(emits)) {
        return luaL_error(L, "out of memory");
    }
    size_t at = emits->bytes.len;
    if (!buf_append_slice(&emits->bytes, text)) {
        buf_error(&emits->bytes, &e, "what one handler writes to derived streams", "raise limits.sinkBatch");
        return script_raise(L, &e);
    }
    emits->items[emits->count++] = (struct api_emit){sink, at, text.len};
    return 0;
}

void api_emit_open(lua_State *L) {
    static const luaL_Reg functions[] = {{"handled", handled}, {"emit", emit}, {NULL, NULL}};
    luaL_setfuncs(L, functions, 0);
}
