#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/plain.h"
#include "cli/command.h"
#include "cli/session.h"
#include "cli/unused.h"

static const char help[] =
    "Compares the sinks of SCRIPT with its streams: reads each stream from its start up to the place that a "
    "sink\n"
    "has come to, and asks the sink for every row. Rules are asked, handlers are not called; nothing is "
    "changed.\n"
    "A worker that commits meanwhile makes it fail: stop it first.\n"
    "\n"
    "A line is printed for each row that differs (missing: the sink lacks it; extra: the stream does not "
    "have it;\n"
    "other: it has another value), and one for each sink.\n"
    "\n"
    "  --repair          mend what differs; a worker that runs is stopped by that, as by a newer one\n"
    "  --source SOURCE   as for run\n"
    "  --config FILE     as for run\n"
    "  --set NAME=VALUE  as for run\n"
    "\n"
    "Exit codes: 0 equal, or mended; 1 different, or it could not be compared; 2 the command line is "
    "wrong.\n";

struct verify {
    const char *script, *source;
    uint64_t missing, extra, other; /* of the present sink */
    uint64_t differences, sinks;
    bool repair;
};

/* Types and keys are a stranger's. */
static void print_name(struct slice name) {
    char text[256];
    size_t len = name.len < sizeof text - 1 ? name.len : sizeof text - 1;
    memcpy(text, len ? name.ptr : "", len);
    text[len] = '\0';
    for (size_t i = 0; i < len; i++) {
        if (!text[i]) {
            text[i] = '?';
        } else if (text[i] == '\n') {
            text[i] = ' ';
        }
    }
    plain_text(text);
    printf("%s%s", text, len < name.len ? "..." : "");
}

static void on_difference(void *user, const char *stream, const char *sink, enum sink_difference difference,
                          struct slice type, struct slice key) {
    static const char *const names[] = {
        [SINK_MISSING] = "missing", [SINK_EXTRA] = "extra", [SINK_OTHER] = "other"};
    struct verify *verify = user;
    uint64_t *counts[] = {
        [SINK_MISSING] = &verify->missing, [SINK_EXTRA] = &verify->extra, [SINK_OTHER] = &verify->other};
    ++*counts[difference];
    printf("%s: %s: ", stream, sink);
    print_name(type);
    putchar('/');
    print_name(key);
    printf(": %s\n", names[difference]);
}

static void on_compared(void *user, const char *stream, const char *sink, uint64_t rows) {
    struct verify *verify = user;
    uint64_t differences = verify->missing + verify->extra + verify->other;
    if (differences == 0) {
        printf("%s: %s: equal, %" PRIu64 " row%s\n", stream, sink, rows, rows == 1 ? "" : "s");
    } else {
        printf("%s: %s: %" PRIu64 " of %" PRIu64 " row%s differ%s (%" PRIu64 " missing, %" PRIu64
               " extra, %" PRIu64 " other)%s\n",
               stream, sink, differences, rows, rows == 1 ? "" : "s", differences == 1 ? "s" : "",
               verify->missing, verify->extra, verify->other, verify->repair ? ": mended" : "");
    }
    verify->sinks++;
    verify->differences += differences;
    verify->missing = verify->extra = verify->other = 0;
}

static void on_passed_over(void *user, const char *stream, const char *sink) {
    (void)user;
    fprintf(stderr, "weir: %s: %s is passed over: it cannot be asked what it holds\n", stream, sink);
}

/* -1, or an exit code. */
static int parse(const struct command *command, int argc, char **argv, struct config *config,
                 struct verify *verify, struct error *e) {
    static const struct option options[] = {{"repair", no_argument, NULL, 'r'},
                                            {"source", required_argument, NULL, 's'},
                                            {"config", required_argument, NULL, 'c'},
                                            {"set", required_argument, NULL, 'S'},
                                            {NULL, 0, NULL, 0}};
    bool ok = true;
    opterr = 0;
    for (int answer; ok && (answer = getopt_long(argc, argv, ":", options, NULL)) != -1;) {
        if (answer == 'r') {
            verify->repair = true;
        } else if (answer == 's') {
            verify->source = optarg;
        } else if (answer == 'c') {
            ok = config_read_file(config, optarg, e);
        } else if (answer == 'S') {
            if (!config_set(config, optarg, e)) {
                return command_misuse(command, "%s", e->message);
            }
        } else {
            return command_bad_option(command, answer, argv);
        }
    }
    if (!ok) {
        return command_fail(e);
    }
    if (optind != argc - 1) {
        return command_misuse(command, optind == argc ? "SCRIPT is missing" : "more than one SCRIPT");
    }
    int code = verify->source ? command_check_source(command, "--source", verify->source) : -1;
    if (code >= 0) {
        return code;
    }
    verify->script = argv[optind];
    ok = config_read_environment(config, e) &&
         (!verify->source || config_set_source(config, verify->source, e));
    return ok ? -1 : command_fail(e);
}

static bool has_sinks(const struct session *session, const char *script, struct error *e) {
    for (const struct api_stream *stream = worker_streams(session->worker); stream; stream = stream->next) {
        if (stream->sinks.count > 0) {
            return true;
        }
    }
    return error_set(e, ERROR_SCRIPT, "%s declares no stream with sinks: there is nothing to compare",
                     script);
}

static int work(const struct command *command, int argc, char **argv, struct session *session) {
    struct verify verify = {0};
    struct error e;
    int code = parse(command, argc, argv, session->config, &verify, &e);
    if (code >= 0) {
        return code;
    }
    struct outlet_audit audit = {
        .user = &verify,
        .repair = verify.repair,
        .difference = on_difference,
        .compared = on_compared,
        .passed_over = on_passed_over,
    };
    struct worker_options options = {.once = true, .audit = &audit};
    bool ok = session_start(session, options, &e) && worker_load(session->worker, verify.script, &e) &&
              has_sinks(session, verify.script, &e);
    if (ok) {
        unused_warn(session->config, verify.script, worker_log(session->worker));
    }
    config_forget_source(session->config);
    if (!ok || !worker_run(session->worker, &e)) {
        fflush(stdout);
        return command_fail(&e);
    }
    code = command_flush();
    return code != EXIT_DONE || (verify.differences > 0 && !verify.repair) ? EXIT_FAILED : EXIT_DONE;
}

static int run(const struct command *command, int argc, char **argv) {
    return session_run(command, argc, argv, work);
}

const struct command command_verify = {
    .name = "verify",
    .usage = "SCRIPT [--repair] [--source SOURCE] [--config FILE] [--set NAME=VALUE]...",
    .summary = "compare sinks with their streams, and mend them",
    .help = help,
    .run = run,
};
