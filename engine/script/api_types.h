/* `weir types`: what a script declares, as annotations for lua-language-server. They are written in
 * lua/weir/annotate.lua; here is the way there. */
#ifndef SCRIPT_API_TYPES_H
#define SCRIPT_API_TYPES_H

#include <lua.h>
#include <stdbool.h>

#include "base/buf.h"
#include "base/error.h"

struct script;

/* Adds the private functions that lua/weir/annotate.lua uses. The module table is on top of the stack. */
void api_types_open(lua_State *L);

/* Appends the annotations for the streams of a script that has been loaded from that path. Nothing is
 * appended where no stream has a schema. */
bool api_types_write(struct script *script, const char *path, struct buf *out, struct error *e);

#endif
