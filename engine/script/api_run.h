/* weir.run()    runs until every stream has ended; raises the error that stopped it. Under `weir run` it is
 *              called for the script, and calling it there does the same, earlier.
 * weir.stop()   asks the worker to end: handlers under way finish, then weir.run returns.
 * weir.version  "0.1.0" */
#ifndef SCRIPT_API_RUN_H
#define SCRIPT_API_RUN_H

#include <lua.h>

void api_run_open(lua_State *L);

#endif
