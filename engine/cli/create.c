#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/units.h"
#include "cli/ask.h"
#include "cli/data.h"
#include "state/schema_format.h"

static const char help[] =
    "Makes a stream and prints its next offset. It is no mistake that one made alike is there; stderr says\n"
    "\"created\" or \"exists\".\n"
    "\n"
    "  --content-type TYPE       what it holds (default: application/json; of a fork: as its source)\n"
    "  --ttl TTL                 it goes when nobody has read or written it for so long: 90, 90s, 5m, 2h\n"
    "  --expires-at TIME         it goes at this time: 2030-01-31T12:00:00Z\n"
    "  --closed                  closed from the start: it takes no appends\n"
    "  --data TEXT               its first content; for JSON, the elements of an array are a message each\n"
    "  --data-file FILE          the same from a file, - for standard input\n"
    "  --fork SOURCE             make it a fork of this stream of the same server: a path, or a URL\n"
    "  --fork-offset OFFSET      fork there (default: where the source ends)\n"
    "  --fork-sub-offset N       and N messages further; of a stream that is not JSON, N bytes\n"
    "\n" CLIENT_HELP;

struct arguments {
    const char *content_type, *expires_at, *data, *data_file, *fork, *fork_offset;
    bool has_ttl, closed, has_sub_offset;
    uint64_t ttl_s, sub_offset;
};

enum { CONTENT_TYPE = 'a', TTL, EXPIRES_AT, CLOSED, DATA, DATA_FILE, FORK, FORK_OFFSET, FORK_SUB_OFFSET };

static const struct option options[] = {
    {"content-type", required_argument, NULL, CONTENT_TYPE},
    {"ttl", required_argument, NULL, TTL},
    {"expires-at", required_argument, NULL, EXPIRES_AT},
    {"closed", no_argument, NULL, CLOSED},
    {"data", required_argument, NULL, DATA},
    {"data-file", required_argument, NULL, DATA_FILE},
    {"fork", required_argument, NULL, FORK},
    {"fork-offset", required_argument, NULL, FORK_OFFSET},
    {"fork-sub-offset", required_argument, NULL, FORK_SUB_OFFSET},
    CLIENT_OPTIONS,
};

/* Seconds, or a duration of whole seconds. */
static bool take_ttl(struct arguments *arguments, const char *text) {
    uint64_t ms = 0;
    arguments->has_ttl = true;
    if (client_number(text, &arguments->ttl_s)) {
        return true;
    }
    bool ok = units_duration(text, &ms) && ms % 1000 == 0;
    arguments->ttl_s = ms / 1000;
    return ok;
}

static int take(struct client *client, struct arguments *arguments, int answer, char **argv) {
    const char **const texts[] = {
        [CONTENT_TYPE - 'a'] = &arguments->content_type,
        [EXPIRES_AT - 'a'] = &arguments->expires_at,
        [DATA - 'a'] = &arguments->data,
        [DATA_FILE - 'a'] = &arguments->data_file,
        [FORK - 'a'] = &arguments->fork,
        [FORK_OFFSET - 'a'] = &arguments->fork_offset,
    };
    switch (answer) {
    case TTL:
        return take_ttl(arguments, optarg)
                   ? -1
                   : command_misuse(client->command,
                                    "--ttl: expected seconds, or a duration such as 90s, 5m or 2h, "
                                    "got %s",
                                    optarg);
    case CLOSED:
        arguments->closed = true;
        return -1;
    case FORK_SUB_OFFSET:
        arguments->has_sub_offset = true;
        return client_number(optarg, &arguments->sub_offset)
                   ? -1
                   : command_misuse(client->command, "--fork-sub-offset: expected a whole number, got %s",
                                    optarg);
    case CONTENT_TYPE:
    case EXPIRES_AT:
    case DATA:
    case DATA_FILE:
    case FORK:
    case FORK_OFFSET:
        *texts[answer - 'a'] = optarg;
        return -1;
    default:
        return client_option(client, answer, argv);
    }
}

/* The path of the stream to fork: forks stay on one server. NULL: it is on another, or none. */
static const char *fork_path(const char *url, const char *fork) {
    if (*fork == '/') {
        return fork;
    }
    const char *host = strstr(url, "://") + 3;
    const char *other = strstr(fork, "://");
    if (!other) {
        return NULL;
    }
    other += 3;
    size_t len = strcspn(host, "/?#");
    bool same = strncasecmp(url, fork, (size_t)(host - url)) == 0 && strcspn(other, "/?#") == len &&
                strncasecmp(host, other, len) == 0;
    return same && other[len] == '/' ? other + len : NULL;
}

/* -1, or an exit code. */
static int check(struct client *client, struct arguments *arguments) {
    const struct command *command = client->command;
    if (arguments->content_type && !*arguments->content_type) {
        return command_misuse(command, "--content-type is empty");
    }
    if (arguments->has_ttl && arguments->expires_at) {
        return command_misuse(command, "--ttl and --expires-at: give one");
    }
    if (arguments->expires_at && !schema_format_datetime(slice_from(arguments->expires_at))) {
        return command_misuse(command, "--expires-at: expected a time such as 2030-01-31T12:00:00Z, got %s",
                              arguments->expires_at);
    }
    if (arguments->data && arguments->data_file) {
        return command_misuse(command, "--data and --data-file: give one");
    }
    if (!arguments->fork && (arguments->fork_offset || arguments->has_sub_offset)) {
        return command_misuse(command, "--%s needs --fork",
                              arguments->fork_offset ? "fork-offset" : "fork-sub-offset");
    }
    if (arguments->fork && !fork_path(client->url, arguments->fork)) {
        return command_misuse(
            command, "--fork: expected a path such as /v1/stream/name, or the URL of a stream of the "
                     "same server");
    }
    return -1;
}

static bool load(const struct arguments *arguments, const char *content_type, struct buf *body,
                 struct error *e) {
    const char *name = arguments->data        ? "--data"
                       : arguments->data_file ? data_name(arguments->data_file)
                                              : NULL;
    if (arguments->data && !buf_append_text(body, arguments->data)) {
        return buf_error(body, e, "--data", "shorten it");
    }
    if (arguments->data_file && !data_read(body, arguments->data_file, e)) {
        return false;
    }
    if (name && body->len == 0) {
        return error_set(e, ERROR_ARGUMENT, "%s is empty: leave it out for a stream without content", name);
    }
    /* Of a fork without a type only the server knows what it holds. */
    return !name || !content_type || !ask_is_json(content_type) || data_check_json(buf_slice(body), name, e);
}

static int create(struct client *client, const struct arguments *arguments, struct buf *body) {
    struct error e;
    struct answer answer;
    const char *type = arguments->content_type ? arguments->content_type
                       : arguments->fork       ? NULL
                                               : "application/json";
    answer_init(&answer);
    bool ok = client_open(client, &e) && load(arguments, type, body, &e);
    struct call_options call = {
        .kind = CALL_CREATE,
        .content_type = type,
        .body = body->len ? buf_slice(body) : (struct slice){0},
        .has_ttl = arguments->has_ttl,
        .ttl_s = arguments->ttl_s,
        .expires_at = arguments->expires_at,
        .closed = arguments->closed,
        .fork_from = arguments->fork ? fork_path(client->url, arguments->fork) : NULL,
        .fork_offset = arguments->fork_offset,
        .has_fork_sub_offset = arguments->has_sub_offset,
        .fork_sub_offset = arguments->sub_offset,
    };
    ok = ok && ask(client, call, &answer, &e);
    if (ok) {
        client_say(client, "%s %s", answer.created ? "created" : "exists", client->shown);
        ok = ask_put_offset(client, buf_slice(&answer.offset), &e);
    }
    answer_free(&answer);
    return ok ? EXIT_DONE : command_fail(&e);
}

static int work(struct client *client, int argc, char **argv) {
    struct arguments arguments = {0};
    struct buf body;
    int code = -1;
    for (int answer; code < 0 && (answer = client_next(argc, argv, options)) != -1;) {
        code = take(client, &arguments, answer, argv);
    }
    code = code < 0 ? client_url(client, argc, argv, true) : code;
    code = code < 0 ? check(client, &arguments) : code;
    if (code >= 0) {
        return code;
    }
    buf_init(&body, DATA_MAX);
    code = create(client, &arguments, &body);
    buf_free(&body);
    return code;
}

static int run(const struct command *command, int argc, char **argv) {
    return client_command(command, argc, argv, work);
}

const struct command command_create = {
    .name = "create",
    .usage = "URL [--content-type TYPE] [--ttl TTL | --expires-at TIME] [--closed] [--data TEXT | "
             "--data-file FILE] "
             "[--fork SOURCE [--fork-offset OFFSET [--fork-sub-offset N]]]",
    .summary = "make a stream",
    .help = help,
    .run = run,
};
