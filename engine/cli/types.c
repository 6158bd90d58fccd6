#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/command.h"
#include "cli/output.h"
#include "cli/session.h"
#include "script/api_stream.h"
#include "script/api_types.h"

enum { TYPES_MAX = 16 * 1024 * 1024 };

extern const char types_library[]; /* types/weir.lua, compiled in */

static const char first_line[] = "---@meta";

static const char help[] =
    "Writes annotations for lua-language-server, so that an editor completes event.value. and underlines a\n"
    "field that is misspelt: the classes of the entities that SCRIPT declares, from its schemas. No stream\n"
    "is read. Without SCRIPT: what weir itself has, for the option workspace.library of a .luarc.json.\n"
    "\n"
    "  --output FILE     write into FILE, not on standard output\n"
    "  --config FILE     as for run\n"
    "  --set NAME=VALUE  as for run\n";

struct asked {
    const char *script; /* NULL: weir itself */
    const char *output; /* NULL: standard output */
};

/* A file that is there is replaced only where it holds annotations: a slip must not cost a script. */
static bool may_replace(const char *path, struct error *e) {
    char start[sizeof first_line] = "";
    struct stat st;
    if (stat(path, &st) == 0 && !S_ISREG(st.st_mode)) {
        return true;
    }
    FILE *file = fopen(path, "rb");
    if (!file) {
        return errno == ENOENT || error_set(e, ERROR_SYSTEM, "cannot read %s: %s", path, strerror(errno));
    }
    size_t len = fread(start, 1, sizeof start - 1, file);
    fclose(file);
    return len == 0 || strcmp(start, first_line) == 0 ||
           error_set(e, ERROR_ARGUMENT,
                     "%s is not a file of annotations (it does not begin with %s): "
                     "name another one with --output",
                     path, first_line);
}

static bool write_file(const char *path, const struct buf *text, struct error *e) {
    if (!may_replace(path, e)) {
        return false;
    }
    FILE *file = fopen(path, "wb");
    bool ok = file && fwrite(text->ptr, 1, text->len, file) == text->len;
    int why = errno;
    if (file && fclose(file) != 0 && ok) {
        ok = false;
        why = errno;
    }
    return ok || error_set(e, ERROR_SYSTEM, "cannot write %s: %s", path, strerror(why));
}

static bool write_out(const struct buf *text, struct error *e) {
    struct output output;
    output_init(&output);
    bool ok = output_write(&output, text->ptr, text->len) && output_flush(&output);
    if (!ok) {
        *e = output.e;
    }
    output_free(&output);
    return ok;
}

static bool types_of_script(struct session *session, const char *path, struct buf *text, struct error *e) {
    struct worker_options options = {0};
    if (!config_read_environment(session->config, e) || !session_start(session, options, e) ||
        !worker_load(session->worker, path, e)) {
        return false;
    }
    const struct api_stream *stream = worker_streams(session->worker);
    if (stream && !api_types_write(stream->script, path, text, e)) {
        return false;
    }
    return text->len > 0 || error_set(e, ERROR_SCRIPT,
                                      "%s declares no types: give a stream the option schema = "
                                      "weir.defineStreamSchema { types = { ... } }",
                                      path);
}

static int write_types(struct session *session, const struct asked *asked) {
    struct error e;
    struct buf text;
    buf_init(&text, TYPES_MAX);
    bool ok = asked->script
                  ? types_of_script(session, asked->script, &text, &e)
                  : buf_append_text(&text, types_library) || buf_error(&text, &e, "annotations", NULL);
    ok = ok && (asked->output ? write_file(asked->output, &text, &e) : write_out(&text, &e));
    buf_free(&text);
    return ok ? EXIT_DONE : command_fail(&e);
}

static int work(const struct command *command, int argc, char **argv, struct session *session) {
    static const struct option options[] = {{"output", required_argument, NULL, 'o'},
                                            {"config", required_argument, NULL, 'c'},
                                            {"set", required_argument, NULL, 'S'},
                                            {NULL, 0, NULL, 0}};
    struct asked asked = {0};
    struct error e;
    opterr = 0;
    for (int answer; (answer = getopt_long(argc, argv, ":", options, NULL)) != -1;) {
        if (answer == 'o') {
            asked.output = optarg;
        } else if (answer == 'c') {
            if (!config_read_file(session->config, optarg, &e)) {
                return command_fail(&e);
            }
        } else if (answer == 'S') {
            if (!config_set(session->config, optarg, &e)) {
                return command_misuse(command, "%s", e.message);
            }
        } else {
            return command_bad_option(command, answer, argv);
        }
    }
    if (optind < argc - 1) {
        return command_misuse(command, "more than one SCRIPT");
    }
    asked.script = argv[optind];
    return write_types(session, &asked);
}

static int run(const struct command *command, int argc, char **argv) {
    return session_run(command, argc, argv, work);
}

const struct command command_types = {
    .name = "types",
    .usage = "[SCRIPT] [--output FILE] [--config FILE] [--set NAME=VALUE]...",
    .summary = "write what a script declares as annotations for the editor",
    .help = help,
    .run = run,
};
