#include <getopt.h>
#include <stdio.h>

#include "cli/command.h"
#include "cli/session.h"
#include "cli/unused.h"

static const char help[] =
    "Runs a worker: reads the streams that SCRIPT declares, keeps their state, and calls its handlers for\n"
    "each applied event, until the streams end (or Ctrl-C).\n"
    "\n"
    "  --source SOURCE   read this in the place of the url in the script (which declares one stream):\n"
    "                    an http(s) URL, a file (a JSON array, or one event a line), or - for standard "
    "input\n"
    "  --once            end when every stream is up to date\n"
    "  --set NAME=VALUE  what weir.env(NAME) sees, before the environment; may be repeated\n"
    "  --config FILE     a JSON file with options of streams, settings, log, limits (docs/operations.md)\n"
    "  --data DIR        keep a snapshot of each stream's state and offset in this folder, and go on from\n"
    "                    there the next time, without reading and handling again what was before\n"
    "  --snapshot-every DURATION\n"
    "                    how often, by default 1m (0s: at the end only); always at the end\n"
    "\n"
    "Exit codes: 0 done, 1 the work failed, 2 the command line is wrong, 130 interrupted.\n";

struct arguments {
    const char *script;
    const char *source, *data, *every;
    bool once;
};

/* What the command line says, over all else. -1, or an exit code. */
static int take_options(const struct command *command, struct config *config,
                        const struct arguments *arguments, struct error *e) {
    bool right = (!arguments->data || config_set_data(config, arguments->data, e)) &&
                 (!arguments->every || config_set_snapshot_every(config, arguments->every, e));
    if (!right) {
        return command_misuse(command, "%s", e->message);
    }
    if (arguments->source && !config_set_source(config, arguments->source, e)) {
        return command_fail(e);
    }
    return -1;
}

/* -1, or an exit code. */
static int parse(const struct command *command, int argc, char **argv, struct config *config,
                 struct arguments *arguments, struct error *e) {
    static const struct option options[] = {
        {"source", required_argument, NULL, 's'},
        {"once", no_argument, NULL, 'o'},
        {"set", required_argument, NULL, 'S'},
        {"config", required_argument, NULL, 'c'},
        {"data", required_argument, NULL, 'd'},
        {"snapshot-every", required_argument, NULL, 'e'},
        {NULL, 0, NULL, 0},
    };
    const char *sets[64];
    int set_count = 0;
    bool ok = true;
    opterr = 0;
    for (int answer; ok && (answer = getopt_long(argc, argv, ":", options, NULL)) != -1;) {
        switch (answer) {
        case 's':
            arguments->source = optarg;
            break;
        case 'd':
            arguments->data = optarg;
            break;
        case 'e':
            arguments->every = optarg;
            break;
        case 'o':
            arguments->once = true;
            break;
        case 'S':
            if (set_count == (int)(sizeof sets / sizeof *sets)) {
                return command_misuse(command, "more than %d --set", set_count);
            }
            sets[set_count++] = optarg;
            break;
        case 'c':
            ok = config_read_file(config, optarg, e);
            break;
        default:
            return command_bad_option(command, answer, argv);
        }
    }
    if (!ok) {
        return command_fail(e);
    }
    if (optind != argc - 1) {
        return command_misuse(command, optind == argc ? "SCRIPT is missing" : "more than one SCRIPT");
    }
    int code = arguments->source ? command_check_source(command, "--source", arguments->source) : -1;
    if (code >= 0) {
        return code;
    }
    arguments->script = argv[optind];
    /* The environment wins over the file, the command line over both. */
    if (!config_read_environment(config, e)) {
        return command_fail(e);
    }
    for (int i = 0; i < set_count; i++) {
        if (!config_set(config, sets[i], e)) {
            return command_misuse(command, "%s", e->message);
        }
    }
    return take_options(command, config, arguments, e);
}

static bool declares_something(const struct session *session, const char *script, struct error *e) {
    const struct api_stream *first = worker_streams(session->worker);
    if (!first && !worker_has_timers(session->worker)) {
        return error_set(e, ERROR_SCRIPT, "%s declares nothing to run: call weir.stream { url = ... } in it",
                         script);
    }
    if (config_source(session->config) && first && first->next) {
        return error_set(e, ERROR_ARGUMENT,
                         "--source: %s declares more than one stream: name each in the configuration instead",
                         script);
    }
    unused_warn(session->config, script, worker_log(session->worker));
    config_forget_source(session->config);
    return true;
}

static int work(const struct command *command, int argc, char **argv, struct session *session) {
    struct arguments arguments = {0};
    struct error e;
    int code = parse(command, argc, argv, session->config, &arguments, &e);
    if (code >= 0) {
        return code;
    }
    struct worker_options options = {.once = arguments.once};
    setvbuf(stdout, NULL, _IOLBF, BUFSIZ); /* what a handler writes is seen when it is written */
    bool ok = session_start(session, options, &e) && worker_load(session->worker, arguments.script, &e) &&
              declares_something(session, arguments.script, &e) && worker_run(session->worker, &e);
    if (!ok) {
        return command_fail(&e);
    }
    return command_flush();
}

static int run(const struct command *command, int argc, char **argv) {
    return session_run(command, argc, argv, work);
}

const struct command command_run = {
    .name = "run",
    .usage = "SCRIPT [--source SOURCE] [--once] [--set NAME=VALUE]... [--config FILE] "
             "[--data DIR [--snapshot-every DURATION]]",
    .summary = "run a worker script",
    .help = help,
    .run = run,
};
