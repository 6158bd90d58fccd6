/* What handlers write to derived streams (lua/weir/stream_emit.lua): kept until the handler has returned,
 * then handed to the driver of the stream whose event was handled. What a handler wrote that raised is
 * dropped, so that one that is called again writes it once. */
#ifndef SCRIPT_API_EMIT_H
#define SCRIPT_API_EMIT_H

#include <lua.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/error.h"

struct api_emit;
struct api_stream;

/* A part of the stream. Zero is empty. */
struct api_emits {
    struct buf bytes; /* the events, one behind the other */
    struct api_emit *items;
    size_t count, room;
};

/* Adds handled and emit to the table on top of the stack. */
void api_emit_open(lua_State *L);

/* The handler has returned: the driver gets what it wrote. False with e. */
bool api_emit_pass(struct api_stream *stream, struct error *e);

void api_emit_drop(struct api_stream *stream);
void api_emit_free(struct api_stream *stream);

#endif
