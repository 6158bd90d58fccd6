#include "script/luastate.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "script/memory.h"

struct luastate {
    lua_State *L;
    struct memory *memory;
    bool warn_on;
    bool warn_goes_on; /* the last piece was not the end of its warning */
};

/* An error outside of every protected call: a mistake in weir. */
static int panic(lua_State *L) {
    const char *message = lua_tostring(L, -1);
    fprintf(stderr, "weir: unprotected error in Lua: %s\n", message ? message : "an error without a message");
    return 0; /* Lua aborts */
}

/* warn(), as it is in lua5.4: off until warn("@on"). */
static void warn(void *user, const char *message, int to_be_continued) {
    struct luastate *state = user;
    if (!state->warn_goes_on && !to_be_continued && *message == '@') {
        state->warn_on = strcmp(message, "@on") == 0 || (state->warn_on && strcmp(message, "@off") != 0);
        return;
    }
    if (state->warn_on) {
        fprintf(stderr, "%s%s%s", state->warn_goes_on ? "" : "Lua warning: ", message,
                to_be_continued ? "" : "\n");
    }
    state->warn_goes_on = to_be_continued;
}

struct luastate *luastate_new(void) {
    struct luastate *state = calloc(1, sizeof *state);
    if (!state) {
        return NULL;
    }
    state->memory = memory_new();
    state->L = state->memory ? lua_newstate(memory_alloc, state->memory) : NULL;
    if (!state->L) {
        luastate_free(state);
        return NULL;
    }
    lua_atpanic(state->L, panic);
    lua_setwarnf(state->L, warn, state);
    /* Nearly all is garbage by the next event: it goes without what stays being looked at again and again. */
    lua_gc(state->L, LUA_GCGEN, 0, 0);
    return state;
}

lua_State *luastate_lua(const struct luastate *state) {
    return state->L;
}

void luastate_free(struct luastate *state) {
    if (!state) {
        return;
    }
    if (state->L) {
        lua_close(state->L);
    }
    memory_free(state->memory);
    free(state);
}
