#include "cli/ask.h"

static const char help[] = "Deletes a stream with all that is in it.\n"
                           "\n" CLIENT_HELP;

static int work(struct client *client, int argc, char **argv) {
    struct answer answer;
    struct error e;
    int code = client_only_url(client, argc, argv);
    if (code >= 0) {
        return code;
    }
    answer_init(&answer);
    struct call_options call = {.kind = CALL_DELETE};
    bool ok = client_open(client, &e) && ask(client, call, &answer, &e);
    answer_free(&answer);
    if (!ok) {
        return command_fail(&e);
    }
    client_say(client, "deleted %s", client->shown);
    return EXIT_DONE;
}

static int run(const struct command *command, int argc, char **argv) {
    return client_command(command, argc, argv, work);
}

const struct command command_delete = {
    .name = "delete",
    .usage = "URL",
    .summary = "delete a stream",
    .help = help,
    .run = run,
};
