#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/ask.h"
#include "cli/follow.h"

static const char help[] =
    "Prints what is in a stream: the messages of a JSON stream one a line, the bytes of others as they are.\n"
    "It ends at the stream's tail; with --live it goes on until the stream is closed (or Ctrl-C).\n"
    "\n"
    "  --offset OFFSET           start there: one that was printed, -1 (default: the beginning), or now\n"
    "  --skip N                  and pass over N messages (of a stream that is not JSON: bytes)\n"
    "  --limit N                 end after N messages (bytes)\n"
    "  --live [auto|sse|long-poll]  go on with what comes (auto: SSE, or long-poll where SSE does not work)\n"
    "  --raw                     messages as they were written, white space and line ends inside too\n"
    "  --print-offset            at the end, on stderr: offset=OFFSET, and skip=N where it ended inside "
    "what\n"
    "                            the server handed over in one piece. To go on: --offset OFFSET --skip N\n"
    "\n" CLIENT_HELP;

enum { OFFSET = 'a', SKIP, LIMIT, LIVE, RAW, PRINT_OFFSET };

static const struct option options[] = {
    {"offset", required_argument, NULL, OFFSET},
    {"skip", required_argument, NULL, SKIP},
    {"limit", required_argument, NULL, LIMIT},
    {"live", optional_argument, NULL, LIVE},
    {"raw", no_argument, NULL, RAW},
    {"print-offset", no_argument, NULL, PRINT_OFFSET},
    CLIENT_OPTIONS,
};

static bool live_of(const char *name, enum source_live *live) {
    static const char *const names[] = {
        [SOURCE_LIVE_AUTO] = "auto", [SOURCE_LIVE_SSE] = "sse", [SOURCE_LIVE_LONG_POLL] = "long-poll"};
    for (size_t i = SOURCE_LIVE_AUTO; i < sizeof names / sizeof *names; i++) {
        if (strcmp(name, names[i]) == 0) {
            *live = (enum source_live)i;
            return true;
        }
    }
    return false;
}

/* --live=MODE, or --live MODE, or --live alone. */
static int take_live(struct client *client, struct follow *follow, char **argv) {
    const char *next = argv[optind];
    follow->live = SOURCE_LIVE_AUTO;
    if (!optarg && next && live_of(next, &follow->live)) {
        optind++;
        return -1;
    }
    if (optarg && !live_of(optarg, &follow->live)) {
        return command_misuse(client->command, "--live: expected auto, sse or long-poll, got %s", optarg);
    }
    return -1;
}

static int take_number(struct client *client, const char *name, uint64_t least, uint64_t *number) {
    if (!client_number(optarg, number) || *number < least) {
        return command_misuse(client->command, "--%s: expected a whole number%s, got %s", name,
                              least ? " of 1 or more" : "", optarg);
    }
    return -1;
}

static int take(struct client *client, struct follow *follow, bool *print_offset, int answer, char **argv) {
    switch (answer) {
    case OFFSET:
        follow->from = optarg;
        return *optarg ? -1 : command_misuse(client->command, "--offset is empty");
    case SKIP:
        return take_number(client, "skip", 0, &follow->skip);
    case LIMIT:
        follow->limited = true;
        return take_number(client, "limit", 1, &follow->left);
    case LIVE:
        return take_live(client, follow, argv);
    case RAW:
        follow->raw = true;
        return -1;
    case PRINT_OFFSET:
        *print_offset = true;
        return -1;
    default:
        return client_option(client, answer, argv);
    }
}

static void put_offset(const struct follow *follow) {
    struct slice offset = follow_offset(follow);
    uint64_t skip = follow_skip(follow);
    fprintf(stderr, "offset=%.*s", (int)offset.len, offset.ptr);
    if (skip) {
        fprintf(stderr, " skip=%" PRIu64, skip);
    }
    fputc('\n', stderr);
}

static int read_stream(struct client *client, struct follow *follow, bool print_offset) {
    struct error e;
    bool ok = client_open(client, &e) && follow_run(follow, client, &e);
    /* First what was read, then how far; where not all of it was written, nobody knows that. */
    bool written = output_flush(&client->output);
    if (client->loop && print_offset && written) {
        put_offset(follow);
    }
    if (ok && !written) {
        e = client->output.e;
    } else if (!ok) {
        ask_advise(client, CALL_HEAD, &e);
    }
    return ok && written ? EXIT_DONE : command_fail(&e);
}

static int work(struct client *client, int argc, char **argv) {
    struct follow follow;
    bool print_offset = false;
    int code = -1;
    follow_init(&follow);
    for (int answer; code < 0 && (answer = client_next(argc, argv, options)) != -1;) {
        code = take(client, &follow, &print_offset, answer, argv);
    }
    code = code < 0 ? client_url(client, argc, argv, true) : code;
    code = code < 0 ? read_stream(client, &follow, print_offset) : code;
    follow_free(&follow);
    return code;
}

static int run(const struct command *command, int argc, char **argv) {
    return client_command(command, argc, argv, work);
}

const struct command command_read = {
    .name = "read",
    .usage =
        "URL [--offset OFFSET [--skip N]] [--limit N] [--live [auto|sse|long-poll]] [--raw] [--print-offset]",
    .summary = "print what is in a stream",
    .help = help,
    .run = run,
};
