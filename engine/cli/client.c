#include "cli/client.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/units.h"
#include "io/url.h"
#include "stream/source.h"
#include "worker/interrupt.h"

/* ---- the command line ---- */

bool client_number(const char *text, uint64_t *number) {
    uint64_t sum = 0;
    if (!*text || strlen(text) > 18) { /* whatever has 18 digits fits */
        return false;
    }
    for (; *text; text++) {
        if (*text < '0' || *text > '9') {
            return false;
        }
        sum = sum * 10 + (uint64_t)(*text - '0');
    }
    *number = sum;
    return true;
}

int client_next(int argc, char **argv, const struct option *options) {
    opterr = 0;
    return getopt_long(argc, argv, CLIENT_LETTERS, options, NULL);
}

static bool log_from_environment(struct log *log, struct error *e) {
    const char *level = getenv("WEIR_LOG");
    const char *format = getenv("WEIR_LOG_FORMAT");
    log_init(log, stderr, LOG_WARN);
    if (level && !log_level_parse(level, &log->level)) {
        return error_set(e, ERROR_ARGUMENT, "WEIR_LOG: expected debug, info, warn, error or off, got %s",
                         level);
    }
    if (format && strcmp(format, "text") != 0 && strcmp(format, "json") != 0) {
        return error_set(e, ERROR_ARGUMENT, "WEIR_LOG_FORMAT: expected text or json, got %s", format);
    }
    log->json = format && strcmp(format, "json") == 0;
    return true;
}

static bool client_init(struct client *client, const struct command *command, struct error *e) {
    *client = (struct client){.command = command, .retry = retry_default()};
    headers_init(&client->headers);
    output_init(&client->output);
    return log_from_environment(&client->log, e);
}

static int take_header(struct client *client, const char *text) {
    struct error e;
    if (headers_add(&client->headers, text, &e)) {
        return -1;
    }
    return e.code == ERROR_ARGUMENT ? command_misuse(client->command, "%s", e.message) : command_fail(&e);
}

int client_option(struct client *client, int answer, char **argv) {
    uint64_t number = 0;
    switch (answer) {
    case 'H':
        return take_header(client, optarg);
    case CLIENT_CA_FILE:
        client->ca_file = optarg;
        return -1;
    case CLIENT_TIMEOUT:
        if (!units_duration(optarg, &client->timeout_ms) || client->timeout_ms == 0) {
            return command_misuse(client->command,
                                  "--timeout: expected a duration such as 500ms, 30s or 5m, got %s", optarg);
        }
        return -1;
    case CLIENT_RETRIES:
        if (!client_number(optarg, &number)) {
            return command_misuse(client->command, "--retries: expected a whole number, got %s", optarg);
        }
        client->retry.max_retries = (int64_t)number;
        return -1;
    case CLIENT_QUIET:
        client->quiet = true;
        client->log.level = client->log.level > LOG_ERROR ? client->log.level : LOG_ERROR;
        return -1;
    default:
        return command_bad_option(client->command, answer, argv);
    }
}

int client_url(struct client *client, int argc, char **argv, bool alone) {
    if (optind == argc) {
        return command_misuse(client->command, "URL is missing");
    }
    client->url = argv[optind];
    url_redact(client->url, client->shown, sizeof client->shown);
    if (!source_is_url(client->url)) {
        return command_misuse(client->command, "expected the http(s) URL of a stream, got \"%s\"",
                              client->shown);
    }
    if (alone && optind != argc - 1) {
        return command_misuse(client->command, "more than one URL");
    }
    return -1;
}

/* ---- Ctrl-C ---- */

/* A closed standard output is an error of the write here. */
static void watch(struct loop *loop) {
    interrupt_watch(loop, NULL);
    signal(SIGPIPE, SIG_IGN);
}

/* ---- life ---- */

int client_only_url(struct client *client, int argc, char **argv) {
    static const struct option options[] = {CLIENT_OPTIONS};
    int code = -1;
    for (int option; code < 0 && (option = client_next(argc, argv, options)) != -1;) {
        code = client_option(client, option, argv);
    }
    return code < 0 ? client_url(client, argc, argv, true) : code;
}

bool client_open(struct client *client, struct error *e) {
    client->loop = loop_new(e);
    if (!client->loop) {
        return false;
    }
    watch(client->loop);
    client->http = http_new(client->loop, e);
    return client->http != NULL;
}

static bool is_over(void *arg) {
    const bool *const *over = arg;
    return **over || *interrupt_flag();
}

bool client_run(struct client *client, const bool *over, struct error *e) {
    loop_run_until(client->loop, is_over, &over);
    if (*interrupt_flag()) {
        return error_set(e, ERROR_INTERRUPTED, "interrupted");
    }
    return *over || error_set(e, ERROR_SYSTEM, "%s: nothing is left that could happen (a mistake in weir)",
                              client->shown);
}

struct hooks client_hooks(struct client *client) {
    bool asks = client->headers.file_count > 0;
    return (struct hooks){.user = &client->headers, .refresh = asks ? headers_refresh : NULL};
}

void client_say(const struct client *client, const char *format, ...) {
    va_list args;
    if (client->quiet) {
        return;
    }
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
}

int client_flush(struct client *client) {
    return output_flush(&client->output) ? EXIT_DONE : command_fail(&client->output.e);
}

static int client_close(struct client *client, int code) {
    struct error e;
    if (client->http) {
        http_free(client->http);
    }
    if (client->loop) {
        watch(NULL);
    }
    bool clean = loop_free(client->loop, &e);
    headers_free(&client->headers);
    output_free(&client->output);
    if (!clean && code != EXIT_FAILED) {
        return command_fail(&e);
    }
    return code;
}

int client_command(const struct command *command, int argc, char **argv,
                   int (*work)(struct client *client, int argc, char **argv)) {
    struct client client;
    struct error e;
    bool ok = client_init(&client, command, &e);
    return client_close(&client, ok ? work(&client, argc, argv) : command_fail(&e));
}
