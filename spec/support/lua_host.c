/*
 * A Lua interpreter linked with the sanitizers' runtime. weir.so of the sanitizer build needs that runtime to be the
 * first library of its process; preloading it into lua5.4 would reach every child process as well (shell, curl, node).
 *
 *   lua-host [-e CHUNK]... [SCRIPT [ARGUMENT]...]      SCRIPT may be "-", the standard input
 */
#include <dlfcn.h>
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <stdio.h>
#include <string.h>

static int traceback(lua_State *L) {
    const char *message = luaL_tolstring(L, 1, NULL);
    luaL_traceback(L, L, message, 1);
    return 1;
}

/* Calls the function below `arguments` values; reports an error and returns false. */
static int run(lua_State *L, int status, int arguments) {
    if (status == LUA_OK) {
        int base = lua_gettop(L) - arguments;
        lua_pushcfunction(L, traceback);
        lua_insert(L, base);
        status = lua_pcall(L, arguments, 0, base);
        lua_remove(L, base);
    }
    if (status != LUA_OK) {
        fprintf(stderr, "lua-host: %s\n", lua_tostring(L, -1));
        lua_pop(L, 1);
        return 0;
    }
    return 1;
}

static void push_arg_table(lua_State *L, int argc, char **argv, int script) {
    lua_newtable(L);
    for (int i = 0; i < argc; i++) {
        lua_pushstring(L, argv[i]);
        lua_rawseti(L, -2, i - script);
    }
    lua_setglobal(L, "arg");
}

static int run_script(lua_State *L, int argc, char **argv, int script) {
    const char *file = strcmp(argv[script], "-") == 0 ? NULL : argv[script];
    int status = luaL_loadfile(L, file);
    int arguments = 0;
    if (status == LUA_OK) {
        luaL_checkstack(L, argc, "too many arguments");
        for (int i = script + 1; i < argc; i++, arguments++) {
            lua_pushstring(L, argv[i]);
        }
    }
    return run(L, status, arguments);
}

/* Closing a state unloads its C modules; pinned, they keep their names in what the leak sanitizer reports. */
static void pin_modules(lua_State *L) {
    if (lua_getfield(L, LUA_REGISTRYINDEX, "_CLIBS") == LUA_TTABLE) {
        lua_pushnil(L);
        while (lua_next(L, -2)) {
            lua_pop(L, 1);
            if (lua_type(L, -1) == LUA_TSTRING) {
                dlopen(lua_tostring(L, -1), RTLD_NOW | RTLD_NOLOAD | RTLD_NODELETE);
            }
        }
    }
    lua_pop(L, 1);
}

int main(int argc, char **argv) {
    lua_State *L = luaL_newstate();
    if (!L) {
        fputs("lua-host: out of memory\n", stderr);
        return 1;
    }
    luaL_openlibs(L);
    int script = 1;
    while (script + 1 < argc && strcmp(argv[script], "-e") == 0) {
        script += 2;
    }
    push_arg_table(L, argc, argv, script < argc ? script : 0);
    int ok = 1;
    for (int i = 1; ok && i < script; i += 2) {
        const char *chunk = argv[i + 1];
        ok = run(L, luaL_loadbuffer(L, chunk, strlen(chunk), "=(command line)"), 0);
    }
    if (ok && script < argc) {
        ok = run_script(L, argc, argv, script);
    }
    pin_modules(L);
    lua_close(L);
    return ok ? 0 : 1;
}
