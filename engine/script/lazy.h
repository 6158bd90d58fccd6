/* Objects and arrays that are decoded when they are touched.
 *
 * A lazy value is a real table with a metatable. One hidden slot, whose key no script comes upon, leads to its
 * JSON text; nothing else is in it. To read a member of an object looks for that member in the text. What else
 * is done to it (a write, pairs, next, #, the elements of an array) settles it: its text is decoded into the
 * same table, and the slot and the metatable go. A member that is an object or array is lazy in its turn, and
 * always the same table. So a script sees what convert_push would have given, and what it did not change goes
 * out again byte for byte.
 *
 * The global functions that look into tables behind metatables' back (next, rawget, getmetatable and so on) are
 * replaced by ones that settle first. That is done in Lua states of weir's own only: in those of others nothing
 * is lazy, and every function here decodes at once. C libraries that walk over such a table by lua_next see the
 * slot, which holds a userdata: as a rule they refuse it, by name. */
#ifndef SCRIPT_LAZY_H
#define SCRIPT_LAZY_H

#include <lua.h>
#include <stdbool.h>

#include "base/slice.h"

/* What a lazy value's slot leads to: a userdata that begins with this. */
struct lazy_text {
    struct slice json;        /* validated; lies in the userdata, or in one that its user value keeps alive */
    struct lazy_text *parent; /* of the value that this one is a part of; NULL: of none */
    unsigned reads;           /* members looked for so far */
    bool known;               /* a second slot has a table of members that are known */
    bool complete;            /* it has all of them */
    bool touched;             /* a part of it has settled, and may be different from the text now */
};

/* Lua state of weir's own: from here on values are lazy. After luaL_openlibs and convert_open. */
void lazy_open(lua_State *L);

/* Pushes what lazy_push_own wants as two upvalues of the function that calls it. */
enum { LAZY_UPVALUES = 2 };
void lazy_push_upvalues(lua_State *L);

/* Pushes the value of text->json, which is the beginning of the userdata at `owner`. For one value only. The
 * function that runs has the upvalues from number `first` on. */
void lazy_push_own(lua_State *L, int owner, struct lazy_text *text, int first);

/* Pushes the value of JSON text in memory that the userdata at `owner` keeps alive. */
void lazy_push_of(lua_State *L, int owner, struct slice json);

/* Pushes the value of JSON text that is copied. */
void lazy_push(lua_State *L, struct slice json);

/* Where the value at index is lazy, decodes it. */
void lazy_settle(lua_State *L, int index);

enum lazy_state {
    LAZY_NOT,     /* an ordinary value */
    LAZY_WHOLE,   /* lazy, and its text is what it is */
    LAZY_TOUCHED, /* lazy, but a part of it may have changed: settle it */
};

/* Never raises. *json: its text, where it is whole. */
enum lazy_state lazy_look(lua_State *L, int index, struct slice *json);

#endif
