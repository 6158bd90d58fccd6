/* A gate: one function waits at it until another opens it. Private, for the Lua half:
 *
 *     _gate.new() -> gate     one waiter; it stays open once it was opened
 *     _gate.wait(gate, what)  waits; `what` names the wait in errors
 *     _gate.open(gate)
 *     _gate.inTask() -> boolean   a handler, rule or timer is calling, not the main part of a script */
#ifndef SCRIPT_API_GATE_H
#define SCRIPT_API_GATE_H

#include <lua.h>

/* The module table is on top of the stack: adds `_gate`. */
void api_gate_open(lua_State *L);

#endif
