/* weir.serve{}: a stream server in the script's own process, on its worker's loop (server/server.h).
 * lua/weir/serve.lua checks what the script wrote, and documents it. A server lives until it is stopped,
 * and at most as long as the worker. */
#ifndef SCRIPT_API_SERVE_H
#define SCRIPT_API_SERVE_H

#include <lua.h>

#include "script/script.h"

/* Adds the private functions that lua/weir/serve.lua uses. The module table is on top of the stack. */
void api_serve_open(lua_State *L);

/* Ends all of the script's servers, cutting off what is under way. */
void api_serve_close_all(struct script *script);

#endif
