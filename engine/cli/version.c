#include <cjson/cJSON.h>
#include <curl/curl.h>
#include <lua.h>
#include <stdio.h>
#include <uv.h>

#include "cli/command.h"

static int run(const struct command *command, int argc, char **argv) {
    if (argc > 1) {
        return command_misuse(command, "unexpected argument %s", argv[1]);
    }
    printf("weir %s (%s, libuv %s, libcurl %s, cJSON %s)\n", WEIR_VERSION, LUA_RELEASE, uv_version_string(),
           curl_version_info(CURLVERSION_NOW)->version, cJSON_Version());
    return command_flush();
}

const struct command command_version = {
    .name = "version",
    .usage = "",
    .summary = "print the version of weir and of what it is built on",
    .help = "",
    .run = run,
};
