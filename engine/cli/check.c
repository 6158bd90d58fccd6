#include <getopt.h>
#include <stdio.h>

#include "cli/command.h"
#include "cli/session.h"
#include "cli/unused.h"
#include "io/url.h"

static const char help[] =
    "Loads SCRIPT without reading any stream, and reports what it declares. Exits with 1 on a mistake.\n"
    "\n"
    "  --config FILE     as for run\n"
    "  --set NAME=VALUE  as for run\n";

static void report_types(const struct api_stream *stream) {
    size_t at = 0;
    for (const struct strmap_entry *entry; (entry = strmap_next(&stream->types, &at));) {
        const struct api_type *type = entry->value;
        printf("  type %.*s:%s%s%s%s\n", (int)entry->key.len, entry->key.ptr,
               type->schema || type->foreign_schema ? " schema" : "", type->rules ? " validate" : "",
               type->handlers ? " onChange" : "", type->get_key && !type->key_is_id ? " getKey" : "");
    }
}

static void report(const struct api_stream *stream) {
    static const char *const lives[] = {"no", "auto", "sse", "long-poll"};
    static const char *const policies[] = {"stop", "skip", "deadletter", "a function"};
    char url[1024];
    url_redact(stream->url, url, sizeof url);
    printf("stream %s\n", stream->name);
    printf("  url: %s\n  live: %s\n  onInvalid: %s\n", url, lives[stream->live],
           policies[stream->on_invalid]);
    for (size_t i = 0; i < stream->sinks.count; i++) {
        printf("  sink: %s\n", stream->sinks.items[i]->name);
    }
    report_types(stream);
    if (stream->all.handlers || stream->all.rules) {
        printf("  every type:%s%s\n", stream->all.rules ? " validate" : "",
               stream->all.handlers ? " onChange" : "");
    }
    if (stream->controls || stream->up_to_dates) {
        printf("  also:%s%s\n", stream->controls ? " onControl" : "",
               stream->up_to_dates ? " onUpToDate" : "");
    }
}

static int work(const struct command *command, int argc, char **argv, struct session *session) {
    static const struct option options[] = {
        {"config", required_argument, NULL, 'c'}, {"set", required_argument, NULL, 'S'}, {NULL, 0, NULL, 0}};
    struct error e;
    bool ok = true;
    opterr = 0;
    for (int answer; ok && (answer = getopt_long(argc, argv, ":", options, NULL)) != -1;) {
        if (answer == 'c') {
            ok = config_read_file(session->config, optarg, &e);
        } else if (answer == 'S') {
            if (!config_set(session->config, optarg, &e)) {
                return command_misuse(command, "%s", e.message);
            }
        } else {
            return command_bad_option(command, answer, argv);
        }
    }
    if (!ok) {
        return command_fail(&e);
    }
    if (optind != argc - 1) {
        return command_misuse(command, optind == argc ? "SCRIPT is missing" : "more than one SCRIPT");
    }
    struct worker_options worker_options = {0};
    if (!config_read_environment(session->config, &e) || !session_start(session, worker_options, &e) ||
        !worker_load(session->worker, argv[optind], &e)) {
        return command_fail(&e);
    }
    const struct api_stream *stream = worker_streams(session->worker);
    if (!stream && !worker_has_timers(session->worker)) {
        error_set(&e, ERROR_SCRIPT, "%s declares nothing: call weir.stream { url = ... } in it",
                  argv[optind]);
        return command_fail(&e);
    }
    if (!unused_check(session->config, argv[optind], &e)) {
        return command_fail(&e);
    }
    for (; stream; stream = stream->next) {
        report(stream);
    }
    return command_flush();
}

static int run(const struct command *command, int argc, char **argv) {
    return session_run(command, argc, argv, work);
}

const struct command command_check = {
    .name = "check",
    .usage = "SCRIPT [--config FILE] [--set NAME=VALUE]...",
    .summary = "load a script and report what it declares",
    .help = help,
    .run = run,
};
