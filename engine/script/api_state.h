/* The materialized state of a stream, read from Lua:
 *
 *     state:get(type, key)    a fresh Lua value, or nil; changing it changes nothing else
 *     state:has(type, key)    true or false
 *     state:size([type])      entities of that type, or of all
 *     state:rows(type)        an array of all values of that type, in byte order of their keys
 *     state:keys(type)        an array of the keys, in byte order
 *     state:where(type, {field = value})  those rows whose fields have these values (script/api_where.h)
 *     state:each(type)        for key, value in state:each("users"): the keys as they were at the start,
 *                             the values as they are when their turn comes; what has gone is passed over
 *     state:types()           an array of the types that have entities, in byte order
 *     state:json(type, key)   the value's text as it was written, or nil
 *
 * Types and keys are strings; anything else raises an argument error. */
#ifndef SCRIPT_API_STATE_H
#define SCRIPT_API_STATE_H

#include <lua.h>
#include <stdbool.h>

struct api_stream;
struct store;

void api_state_open(lua_State *L);

/* The store of the state at index 1; raises where it is none, or the worker has ended. */
struct store *api_state_check(lua_State *L);

struct overlay;

/* What lies on top of that store; NULL: nothing. */
struct overlay *api_state_overlay(lua_State *L);

enum api_state_kind {
    API_STATE_SEEN,     /* what is stored, with the script's own writes that have not come back yet on top */
    API_STATE_STORED,   /* what is stored */
    API_STATE_BUILDING, /* what is being built to take its place, while something is */
};

/* Pushes a state of the stream, whose userdata is at `owner` and is kept alive by it. */
void api_state_push(lua_State *L, const struct api_stream *stream, int owner, enum api_state_kind kind);

#endif
