#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/units.h"
#include "cli/appending.h"
#include "cli/ask.h"
#include "stream/source.h"

static const char help[] =
    "Appends each DATA, or what standard input holds, and prints the stream's next offset. Retries store\n"
    "nothing twice. To a JSON stream: the elements of one array, or one JSON value a line, each checked\n"
    "before it is sent; where one is no JSON, those before it are stored and nothing behind it is. To other\n"
    "streams: the bytes as they are. A DATA that begins with - goes behind --.\n"
    "\n"
    "  --file FILE               append what is in this file; - is standard input\n"
    "  --lines                   each line is a message, also one that is an array; of a stream that is not\n"
    "                            JSON, each line with its end is one append\n"
    "  --content-type TYPE       of the data (default: the stream is asked)\n"
    "  --producer ID             append under this name: the same input, sent again under the same name,\n"
    "                            epoch and batch, is stored once\n"
    "  --epoch N                 of --producer (default: 0); what is new needs a higher one\n"
    "  --claim                   where another took the producer over, take it back\n"
    "  --batch N                 send N messages at a time (of a stream that is not JSON: bytes, as 64KB).\n"
    "                            With --producer 1000 (1MB) by default, and one that is not full waits for\n"
    "                            more input or its end\n"
    "  --seq SEQ                 send everything as one append with this Stream-Seq, which has to be above\n"
    "                            the last one in byte order\n"
    "\n" CLIENT_HELP;

enum { FILE_OPTION = 'a', LINES, CONTENT_TYPE, PRODUCER, EPOCH, CLAIM, BATCH, SEQ };

static const struct option options[] = {
    {"file", required_argument, NULL, FILE_OPTION},
    {"lines", no_argument, NULL, LINES},
    {"content-type", required_argument, NULL, CONTENT_TYPE},
    {"producer", required_argument, NULL, PRODUCER},
    {"epoch", required_argument, NULL, EPOCH},
    {"claim", no_argument, NULL, CLAIM},
    {"batch", required_argument, NULL, BATCH},
    {"seq", required_argument, NULL, SEQ},
    CLIENT_OPTIONS,
};

#define EPOCH_MAX ((UINT64_C(1) << 53) - 1)

struct arguments {
    struct appending_options o;
    bool has_epoch;
};

static int take_number(struct client *client, struct arguments *arguments, int answer) {
    size_t size = 0;
    if (answer == BATCH) {
        if (!units_size(optarg, &size) || size == 0) {
            return command_misuse(client->command,
                                  "--batch: expected a number such as 100, or a size such as 64KB, "
                                  "got %s",
                                  optarg);
        }
        arguments->o.batch = size;
        return -1;
    }
    arguments->has_epoch = true;
    if (!client_number(optarg, &arguments->o.epoch) || arguments->o.epoch > EPOCH_MAX) {
        return command_misuse(client->command, "--epoch: expected a whole number up to %" PRIu64 ", got %s",
                              EPOCH_MAX, optarg);
    }
    return -1;
}

static int take(struct client *client, struct arguments *arguments, int answer, char **argv) {
    switch (answer) {
    case FILE_OPTION:
        arguments->o.path = optarg;
        return *optarg ? -1 : command_misuse(client->command, "--file is empty");
    case LINES:
        arguments->o.lines = true;
        return -1;
    case CONTENT_TYPE:
        arguments->o.content_type = optarg;
        return *optarg ? -1 : command_misuse(client->command, "--content-type is empty");
    case PRODUCER:
        arguments->o.producer_id = optarg;
        return *optarg ? -1 : command_misuse(client->command, "--producer is empty");
    case CLAIM:
        arguments->o.claim = true;
        return -1;
    case SEQ:
        arguments->o.seq = optarg;
        return *optarg ? -1 : command_misuse(client->command, "--seq is empty");
    case EPOCH:
    case BATCH:
        return take_number(client, arguments, answer);
    default:
        return client_option(client, answer, argv);
    }
}

/* -1, or an exit code. */
static int check(const struct client *client, const struct arguments *arguments) {
    const struct command *command = client->command;
    const struct appending_options *o = &arguments->o;
    for (size_t i = 0; i < o->data_count; i++) {
        if (!*o->data[i]) {
            return command_misuse(command, "DATA %zu is empty", i + 1);
        }
    }
    if (o->data_count && (o->path || o->lines)) {
        return command_misuse(command, "DATA and --%s: give one", o->path ? "file" : "lines");
    }
    if (!o->producer_id && (arguments->has_epoch || o->claim)) {
        return command_misuse(command, "--%s needs --producer", o->claim ? "claim" : "epoch");
    }
    if (o->seq && (o->producer_id || o->batch)) {
        return command_misuse(command, "--seq and --%s: give one", o->producer_id ? "producer" : "batch");
    }
    return -1;
}

static void report(const struct client *client, const struct appending *a) {
    const char *unit = a->json ? "message" : "byte";
    char before[64] = "";
    if (a->before) {
        snprintf(before, sizeof before, "; the server had %" PRIu64 " already", a->before);
    }
    client_say(client, "appended %" PRIu64 " %s%s%s", a->stored, unit, a->stored == 1 ? "" : "s", before);
    if (a->before && !a->stored) {
        client_say(client,
                   "nothing is new: producer %s has sent as much in epoch %" PRIu64
                   " before; for new data give a higher --epoch",
                   a->o.producer_id, a->o.epoch);
    }
}

static bool find_type(struct client *client, struct arguments *arguments, struct answer *head,
                      struct error *e) {
    if (arguments->o.content_type) {
        return true;
    }
    if (!ask_head(client, head, e)) {
        return false;
    }
    arguments->o.content_type = head->content_type.len ? head->content_type.ptr : "application/octet-stream";
    return true;
}

/* Before the server is asked anything. It is not opened: a pipe's writer would see that close. */
static bool file_is_there(const char *path, struct error *e) {
    return strcmp(path, "-") == 0 || source_is_url(path) || access(path, R_OK) == 0 ||
           error_set(e, ERROR_SYSTEM, "%s: cannot be opened: %s", path, strerror(errno));
}

static int append(struct client *client, struct arguments *arguments) {
    struct answer head;
    struct error e;
    answer_init(&head);
    bool ok = file_is_there(arguments->o.path, &e) && client_open(client, &e) &&
              find_type(client, arguments, &head, &e);
    if (ok) {
        struct appending appending;
        appending_init(&appending, client, &arguments->o);
        ok = appending_run(&appending, &e);
        if (ok) {
            report(client, &appending);
            ok = ask_put_offset(client, buf_slice(&appending.offset), &e);
        }
        appending_free(&appending);
    }
    answer_free(&head);
    return ok ? EXIT_DONE : command_fail(&e);
}

static int work(struct client *client, int argc, char **argv) {
    struct arguments arguments = {0};
    int code = -1;
    for (int answer; code < 0 && (answer = client_next(argc, argv, options)) != -1;) {
        code = take(client, &arguments, answer, argv);
    }
    code = code < 0 ? client_url(client, argc, argv, false) : code;
    if (code >= 0) {
        return code;
    }
    arguments.o.data = (const char *const *)argv + optind + 1;
    arguments.o.data_count = (size_t)(argc - optind - 1);
    code = check(client, &arguments);
    if (!arguments.o.path) {
        arguments.o.path = "-";
    }
    return code < 0 ? append(client, &arguments) : code;
}

static int run(const struct command *command, int argc, char **argv) {
    return client_command(command, argc, argv, work);
}

const struct command command_append = {
    .name = "append",
    .usage =
        "URL [DATA... | --file FILE] [--lines] [--content-type TYPE] [--producer ID [--epoch N] [--claim]] "
        "[--batch N | --seq SEQ]",
    .summary = "append to a stream",
    .help = help,
    .run = run,
};
