/* A sink that the script defines: weir.sink{ write = ..., ... }. Its functions are called in a task of the
 * opening's own, at the loop's drain point, so that they may wait; one after another, as
 * lua/weir/sink_functions.lua says. The place is what `open` gives, where there is such a function;
 * without it the sink never has one.
 *
 * It must not be closed from within host.refused. A commit that waits when it is closed is given up:
 * neither commit nor rollback is called then. */
#ifndef SCRIPT_SINK_LUA_H
#define SCRIPT_SINK_LUA_H

#include <lua.h>

#include "script/api_sink.h"

/* The sink's own kind, to be put into sink->own. The sink's userdata must outlive what is opened of it. placed:
 * its functions give the place back. exact: and they store rows and place together. */
struct sink_kind sink_lua_kind(bool placed, bool exact);

/* Adds what lua/weir/sink_functions.lua calls to the table on top of the stack. */
void sink_lua_open(lua_State *L);

/* The functions of a sink are kept in the registry as long as its userdata: takes the table on top of the
 * stack, and pops it. forget lets go of it. */
void sink_lua_keep(lua_State *L, const struct api_sink *sink);
void sink_lua_forget(lua_State *L, const struct api_sink *sink);

#endif
