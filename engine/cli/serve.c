#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/units.h"
#include "cli/client.h"
#include "cli/command.h"
#include "server/server.h"

enum { GRACE_MS = 5000, HOST_MAX = 128 };

static const char help[] =
    "Runs a Durable Streams server until Ctrl-C. A stream is any path but '/': PUT creates it, POST appends, "
    "GET\n"
    "reads. By convention they live under /v1/stream/. The first line on standard error says where it "
    "listens.\n"
    "\n"
    "  --listen HOST:PORT   a numeric address and a port (default: 127.0.0.1:4437). Port 0: any that is "
    "free\n"
    "  --data DIR           keep the streams in this folder\n"
    "  --memory             keep them in memory only (the default)\n"
    "  --fsync WHEN         with --data, when an append is answered: batch (default), once it is on the "
    "disk,\n"
    "                       together with all that wait for it; always, the same, one by one; none, at once\n"
    "  --checkpoint-size SIZE\n"
    "                       with --data, how long the journal gets until its content goes to the streams' "
    "files\n"
    "                       (default: 64MB)\n"
    "  --long-poll-timeout DURATION\n"
    "                       how long a long-poll waits for data (default: 30s)\n"
    "  --sse-lifetime DURATION\n"
    "                       after which an SSE response ends, and the reader comes back (default: 60s)\n"
    "  --request-timeout DURATION\n"
    "                       for a request's head, between two pieces of its body, and for a client that "
    "takes\n"
    "                       nothing of what it is sent (default: 30s)\n"
    "  --max-body SIZE      of one request (default: 64MB)\n"
    "  --max-input SIZE     of the bodies of all requests at one time; above that the longest is refused\n"
    "                       (default: 256MB)\n"
    "  --max-connections N  (default: 10000)\n"
    "  --max-streams N      (default: 1000000)\n"
    "  --max-bytes SIZE     of all streams' content (default: 1GB in memory, no limit in a folder)\n"
    "  --max-output SIZE    of what waits for all clients to take it; above that the slowest are cut off\n"
    "                       (default: 256MB)\n"
    "  --token-file FILE    its first line is the token that requests have to bring: Authorization: Bearer "
    "TOKEN\n"
    "  --tls-cert FILE, --tls-key FILE\n"
    "                       serve https with this certificate (and its chain) and key, both PEM\n"
    "  --cors-origin ORIGIN the web pages that browsers let in: * (default), none, or one origin\n"
    "  --access-log FILE    a line for each request: time, address, method, path, status, bytes, ms; -: on\n"
    "                       standard output\n"
    "  --faults             take orders for faults under /_test/inject-error: for tests\n"
    "  --log LEVEL          debug, info, warn (default), error or off\n"
    "\n"
    "Exit codes: 0 ended by Ctrl-C or SIGTERM, 1 the work failed, 2 the command line is wrong.\n";

struct serve {
    const struct command *command;
    struct server_options options;
    char host[HOST_MAX];
    struct log log;
    struct loop *loop;
    struct server *server;
    uv_signal_t on_int, on_term;
    bool over;
    bool memory, fsync; /* were given */
};

enum {
    OPTION_LISTEN = 1,
    OPTION_DATA,
    OPTION_MEMORY,
    OPTION_FSYNC,
    OPTION_CHECKPOINT,
    OPTION_LONG_POLL,
    OPTION_SSE_LIFE,
    OPTION_REQUEST,
    OPTION_MAX_BODY,
    OPTION_MAX_INPUT,
    OPTION_MAX_CONNECTIONS,
    OPTION_MAX_STREAMS,
    OPTION_MAX_BYTES,
    OPTION_MAX_OUTPUT,
    OPTION_TOKEN,
    OPTION_CERT,
    OPTION_KEY,
    OPTION_CORS,
    OPTION_ACCESS_LOG,
    OPTION_FAULTS,
    OPTION_LOG,
};

/* ---- the command line ---- */

static int take_listen(struct serve *serve, const char *text) {
    struct error e;
    if (!server_parse_listen(text, serve->host, sizeof serve->host, &serve->options.port, &e)) {
        return command_misuse(serve->command, "--listen %s", e.message);
    }
    serve->options.host = serve->host;
    return -1;
}

static int take_fsync(struct serve *serve, const char *text) {
    enum streams_fsync *fsync = &serve->options.streams.fsync;
    serve->fsync = true;
    if (strcmp(text, "batch") == 0) {
        *fsync = STREAMS_FSYNC_BATCH;
    } else if (strcmp(text, "always") == 0) {
        *fsync = STREAMS_FSYNC_ALWAYS;
    } else if (strcmp(text, "none") == 0) {
        *fsync = STREAMS_FSYNC_NONE;
    } else {
        return command_misuse(serve->command, "--fsync %s: expected none, batch or always", text);
    }
    return -1;
}

static int take_duration(const struct serve *serve, const char *name, uint64_t *ms) {
    if (!units_duration(optarg, ms) || *ms == 0) {
        return command_misuse(serve->command, "%s %s: expected a duration such as 500ms, 30s, 5m", name,
                              optarg);
    }
    return -1;
}

static int take_size(const struct serve *serve, const char *name, size_t *size) {
    if (!units_size(optarg, size) || *size == 0) {
        return command_misuse(serve->command, "%s %s: expected a size such as 64KB, 10MB", name, optarg);
    }
    return -1;
}

static int take_count(const struct serve *serve, const char *name, size_t *count) {
    uint64_t number;
    if (!client_number(optarg, &number) || number == 0) {
        return command_misuse(serve->command, "%s %s: expected a whole number above 0", name, optarg);
    }
    *count = (size_t)number;
    return -1;
}

static int take_bytes(struct serve *serve) {
    size_t bytes;
    int code = take_size(serve, "--max-bytes", &bytes);
    if (code < 0) {
        serve->options.streams.max_bytes = bytes;
    }
    return code;
}

static int take_level(struct serve *serve) {
    enum log_level level;
    if (!log_level_parse(optarg, &level)) {
        return command_misuse(serve->command, "--log %s: expected debug, info, warn, error or off", optarg);
    }
    serve->log.level = level;
    return -1;
}

/* One option. -1, or an exit code. */
static int take_option(struct serve *serve, int answer, char **argv) {
    struct server_options *o = &serve->options;
    switch (answer) {
    case OPTION_LISTEN:
        return take_listen(serve, optarg);
    case OPTION_DATA:
        o->streams.folder = optarg;
        return -1;
    case OPTION_MEMORY:
        serve->memory = true;
        return -1;
    case OPTION_FSYNC:
        return take_fsync(serve, optarg);
    case OPTION_CHECKPOINT:
        return take_size(serve, "--checkpoint-size", &o->streams.checkpoint_bytes);
    case OPTION_LONG_POLL:
        return take_duration(serve, "--long-poll-timeout", &o->long_poll_ms);
    case OPTION_SSE_LIFE:
        return take_duration(serve, "--sse-lifetime", &o->sse_life_ms);
    case OPTION_REQUEST:
        return take_duration(serve, "--request-timeout", &o->request_ms);
    case OPTION_MAX_BODY:
        return take_size(serve, "--max-body", &o->max_body);
    case OPTION_MAX_INPUT:
        return take_size(serve, "--max-input", &o->max_input);
    case OPTION_MAX_CONNECTIONS:
        return take_count(serve, "--max-connections", &o->max_connections);
    case OPTION_MAX_STREAMS:
        return take_count(serve, "--max-streams", &o->streams.max_streams);
    case OPTION_MAX_BYTES:
        return take_bytes(serve);
    case OPTION_MAX_OUTPUT:
        return take_size(serve, "--max-output", &o->max_output);
    case OPTION_TOKEN:
        o->token_file = optarg;
        return -1;
    case OPTION_CERT:
        o->tls_cert = optarg;
        return -1;
    case OPTION_KEY:
        o->tls_key = optarg;
        return -1;
    case OPTION_CORS:
        o->cors_origin = optarg;
        return -1;
    case OPTION_ACCESS_LOG:
        o->access_log = optarg;
        return -1;
    case OPTION_FAULTS:
        o->faults = true;
        return -1;
    case OPTION_LOG:
        return take_level(serve);
    default:
        return command_bad_option(serve->command, answer, argv);
    }
}

/* What means nothing without a folder is not passed over: who asks for it believes that there is one. */
static int check_together(const struct serve *serve) {
    const struct server_options *o = &serve->options;
    if (serve->memory && o->streams.folder) {
        return command_misuse(serve->command, "--memory and --data exclude each other");
    }
    if (!o->streams.folder && (serve->fsync || o->streams.checkpoint_bytes)) {
        return command_misuse(serve->command, "%s needs --data: streams in memory are not written to a disk",
                              serve->fsync ? "--fsync" : "--checkpoint-size");
    }
    if (!o->tls_cert != !o->tls_key) {
        return command_misuse(serve->command, "--tls-cert and --tls-key belong together");
    }
    return -1;
}

static int parse(struct serve *serve, int argc, char **argv) {
    static const struct option options[] = {
        {"listen", required_argument, NULL, OPTION_LISTEN},
        {"data", required_argument, NULL, OPTION_DATA},
        {"memory", no_argument, NULL, OPTION_MEMORY},
        {"fsync", required_argument, NULL, OPTION_FSYNC},
        {"checkpoint-size", required_argument, NULL, OPTION_CHECKPOINT},
        {"long-poll-timeout", required_argument, NULL, OPTION_LONG_POLL},
        {"sse-lifetime", required_argument, NULL, OPTION_SSE_LIFE},
        {"request-timeout", required_argument, NULL, OPTION_REQUEST},
        {"max-body", required_argument, NULL, OPTION_MAX_BODY},
        {"max-input", required_argument, NULL, OPTION_MAX_INPUT},
        {"max-connections", required_argument, NULL, OPTION_MAX_CONNECTIONS},
        {"max-streams", required_argument, NULL, OPTION_MAX_STREAMS},
        {"max-bytes", required_argument, NULL, OPTION_MAX_BYTES},
        {"max-output", required_argument, NULL, OPTION_MAX_OUTPUT},
        {"token-file", required_argument, NULL, OPTION_TOKEN},
        {"tls-cert", required_argument, NULL, OPTION_CERT},
        {"tls-key", required_argument, NULL, OPTION_KEY},
        {"cors-origin", required_argument, NULL, OPTION_CORS},
        {"access-log", required_argument, NULL, OPTION_ACCESS_LOG},
        {"faults", no_argument, NULL, OPTION_FAULTS},
        {"log", required_argument, NULL, OPTION_LOG},
        {NULL, 0, NULL, 0},
    };
    opterr = 0;
    for (int answer; (answer = getopt_long(argc, argv, ":", options, NULL)) != -1;) {
        int code = take_option(serve, answer, argv);
        if (code >= 0) {
            return code;
        }
    }
    if (optind < argc) {
        return command_misuse(serve->command, "unexpected argument %s", argv[optind]);
    }
    return check_together(serve);
}

/* ---- running ---- */

/* Each connection is a descriptor: as many as the system lets this process have. */
static void raise_descriptors(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static void on_closed(void *user) {
    struct serve *serve = user;
    serve->server = NULL;
    serve->over = true;
}

/* The first one ends the server in an orderly way; a second one has its usual effect. */
static void on_signal(uv_signal_t *signal, int number) {
    struct serve *serve = signal->data;
    (void)number;
    uv_signal_stop(&serve->on_int);
    uv_signal_stop(&serve->on_term);
    if (serve->server) {
        server_close(serve->server, GRACE_MS, on_closed, serve);
    }
}

static void watch_signals(struct serve *serve) {
    uv_signal_init(loop_uv(serve->loop), &serve->on_int);
    uv_signal_init(loop_uv(serve->loop), &serve->on_term);
    serve->on_int.data = serve;
    serve->on_term.data = serve;
    uv_signal_start(&serve->on_int, on_signal, SIGINT);
    uv_signal_start(&serve->on_term, on_signal, SIGTERM);
}

static bool is_over(void *arg) {
    const struct serve *serve = arg;
    return serve->over;
}

static void say_where(const struct serve *serve) {
    static const char *const fsyncs[] = {
        [STREAMS_FSYNC_BATCH] = "batch", [STREAMS_FSYNC_ALWAYS] = "always", [STREAMS_FSYNC_NONE] = "none"};
    const struct streams_options *o = &serve->options.streams;
    if (o->folder) {
        fprintf(stderr, "weir: listening on %s, streams in %s (fsync %s)\n", server_url(serve->server),
                o->folder, fsyncs[o->fsync]);
    } else {
        fprintf(stderr, "weir: listening on %s, streams in memory\n", server_url(serve->server));
    }
}

/* Whoever reaches another address than this machine's own reaches every stream. */
static void warn_of_strangers(const struct serve *serve) {
    const struct server_options *o = &serve->options;
    if (!o->host || server_is_loopback(o->host)) {
        return;
    }
    if (!o->token_file) {
        log_write(&serve->log, LOG_WARN,
                  "whoever reaches %s may read, change and delete every stream: give it a --token-file",
                  o->host);
    } else if (!o->tls_cert) {
        log_write(&serve->log, LOG_WARN,
                  "the token crosses the network for all to read: give it a --tls-cert and a --tls-key");
    }
}

static void warn_of_descriptors(const struct serve *serve) {
    size_t most = server_most_connections(serve->server);
    if (most < serve->options.max_connections) {
        log_write(
            &serve->log, LOG_WARN,
            "%zu connections at most: the system lets this process have no more descriptors (ulimit -n)",
            most);
    }
}

static int serve_run(struct serve *serve) {
    struct error e;
    raise_descriptors();
    signal(SIGXFSZ, SIG_IGN); /* a limit of file sizes is to the streams' folder as a full disk is */
    serve->loop = loop_new(&e);
    if (!serve->loop) {
        return command_fail(&e);
    }
    watch_signals(serve);
    serve->server = server_open(serve->loop, &serve->options, &e);
    int code = EXIT_DONE;
    if (serve->server) {
        say_where(serve);
        warn_of_strangers(serve);
        warn_of_descriptors(serve);
        loop_run_until(serve->loop, is_over, serve);
    } else if (e.code == ERROR_ARGUMENT) { /* an option's; what is wrong with a file that it names is not */
        code = command_misuse(serve->command, "%s", e.message);
    } else {
        code = command_fail(&e);
    }
    uv_close((uv_handle_t *)&serve->on_int, NULL);
    uv_close((uv_handle_t *)&serve->on_term, NULL);
    if (!loop_free(serve->loop, &e) && code == EXIT_DONE) {
        return command_fail(&e);
    }
    return code;
}

static int run(const struct command *command, int argc, char **argv) {
    struct serve serve = {.command = command};
    serve.options.port = SERVER_PORT;
    log_init(&serve.log, stderr, LOG_WARN);
    serve.options.log = &serve.log;
    int code = parse(&serve, argc, argv);
    if (code >= 0) {
        return code;
    }
    return serve_run(&serve);
}

const struct command command_serve = {
    .name = "serve",
    .usage = "[--listen HOST:PORT] [--data DIR | --memory] [OPTIONS]",
    .summary = "run a stream server",
    .help = help,
    .run = run,
};
