/* weir.env(name, default): the value given with --set NAME=value (or in the configuration), else the
 * environment's, else default. Always a string, or default as it is; nil where there is none. */
#ifndef SCRIPT_API_ENV_H
#define SCRIPT_API_ENV_H

#include <lua.h>

void api_env_open(lua_State *L);

#endif
