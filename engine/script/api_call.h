/* What a script asks of a whole stream: weir._stream.create, head, close, remove. One request each, repeated
 * where the connection breaks (stream/call.h). They wait as append does, and raise error objects. */
#ifndef SCRIPT_API_CALL_H
#define SCRIPT_API_CALL_H

#include <lua.h>

struct api_stream;

/* create(stream, options) -> { created =, offset =, closed = }: options as lua/weir/options.lua checked
 * them. */
int api_call_create(lua_State *L);

/* head(stream) -> { offset =, contentType =, closed =, ttl =, expiresAt = } */
int api_call_head(lua_State *L);

/* close(stream, value) -> the final offset. value nil: nothing is appended before. */
int api_call_close(lua_State *L);

/* remove(stream) */
int api_call_remove(lua_State *L);

/* Drops the calls under way. */
void api_call_close_all(struct api_stream *stream);

#endif
