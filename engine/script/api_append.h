/* stream:append from C: one JSON message for the stream's writer, and the wait for its answer. */
#ifndef SCRIPT_API_APPEND_H
#define SCRIPT_API_APPEND_H

#include <lua.h>

struct api_stream;

/* append(stream, value) -> the stream's next offset. Waits; raises an error object (code, status,
 * message) where the append failed. */
int api_append(lua_State *L);

/* Drops the appends under way, and the writer. */
void api_append_close(struct api_stream *stream);

#endif
