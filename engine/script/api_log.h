/* weir.log.debug, .info, .warn, .error(format, ...): a line on stderr, as string.format makes it. With one
 * argument there is no formatting; a table is written as JSON. */
#ifndef SCRIPT_API_LOG_H
#define SCRIPT_API_LOG_H

#include <lua.h>

/* The module table is on top of the stack and stays there; string.format is taken as it is now. */
void api_log_open(lua_State *L);

#endif
