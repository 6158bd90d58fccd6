#include "cli/ask.h"
#include "cli/data.h"

static const char help[] =
    "Closes a stream for good, and prints the offset at which it ends. To close it again is no mistake.\n"
    "\n"
    "  --data TEXT               append this and close, in one step\n"
    "  --content-type TYPE       of --data (default: the stream is asked)\n"
    "\n" CLIENT_HELP;

enum { DATA = 'a', CONTENT_TYPE };

static const struct option options[] = {
    {"data", required_argument, NULL, DATA},
    {"content-type", required_argument, NULL, CONTENT_TYPE},
    CLIENT_OPTIONS,
};

struct arguments {
    const char *data, *content_type;
};

static bool find_type(struct client *client, struct arguments *arguments, struct answer *head,
                      struct error *e) {
    if (!arguments->data || arguments->content_type) {
        return true;
    }
    if (!ask_head(client, head, e)) {
        return false;
    }
    arguments->content_type = head->content_type.len ? head->content_type.ptr : "application/octet-stream";
    return true;
}

static int close_stream(struct client *client, struct arguments *arguments) {
    struct answer head;
    struct answer answer;
    struct error e;
    struct slice data = slice_from(arguments->data);
    answer_init(&head);
    answer_init(&answer);
    bool ok = client_open(client, &e) && find_type(client, arguments, &head, &e) &&
              (!data.ptr || !ask_is_json(arguments->content_type) || data_check_json(data, "--data", &e));
    struct call_options call = {.kind = CALL_CLOSE, .content_type = arguments->content_type, .body = data};
    ok = ok && ask(client, call, &answer, &e);
    if (ok) {
        client_say(client, "closed %s", client->shown);
        ok = ask_put_offset(client, buf_slice(&answer.offset), &e);
    }
    answer_free(&answer);
    answer_free(&head);
    return ok ? EXIT_DONE : command_fail(&e);
}

static int work(struct client *client, int argc, char **argv) {
    struct arguments arguments = {0};
    int code = -1;
    for (int option; code < 0 && (option = client_next(argc, argv, options)) != -1;) {
        if (option == DATA) {
            arguments.data = optarg;
        } else if (option == CONTENT_TYPE) {
            arguments.content_type = optarg;
        } else {
            code = client_option(client, option, argv);
        }
    }
    code = code < 0 ? client_url(client, argc, argv, true) : code;
    if (code >= 0) {
        return code;
    }
    if (arguments.data && !*arguments.data) {
        return command_misuse(client->command, "--data is empty: leave it out to close without");
    }
    if (arguments.content_type && !*arguments.content_type) {
        return command_misuse(client->command, "--content-type is empty");
    }
    if (arguments.content_type && !arguments.data) {
        return command_misuse(client->command, "--content-type needs --data");
    }
    return close_stream(client, &arguments);
}

static int run(const struct command *command, int argc, char **argv) {
    return client_command(command, argc, argv, work);
}

const struct command command_close = {
    .name = "close",
    .usage = "URL [--data TEXT [--content-type TYPE]]",
    .summary = "close a stream for good",
    .help = help,
    .run = run,
};
