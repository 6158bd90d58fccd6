/* What the protocol's commands (read, append, create, head, close, delete) have in common: a loop and an
 * HTTP client, the options that all of them take, standard output, Ctrl-C.
 *
 *     client_command { client_next, client_option..., client_url, client_open, client_run... }
 *
 * SIGINT and SIGTERM end the loop's run; a second one ends the process. A closed standard output is an
 * error of the write, not a signal. */
#ifndef CLI_CLIENT_H
#define CLI_CLIENT_H

#include <getopt.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/log.h"
#include "cli/command.h"
#include "cli/headers.h"
#include "cli/output.h"
#include "io/http.h"
#include "io/loop.h"
#include "stream/hooks.h"
#include "stream/retry.h"

struct client {
    const struct command *command;
    struct loop *loop;
    struct http *http;
    struct log log;
    struct output output;
    struct headers headers;
    const char *url; /* as it was given */
    char shown[512]; /* the same, fit for messages */
    const char *ca_file;
    uint64_t timeout_ms; /* 0: not given */
    struct retry retry;
    bool quiet;
};

/* The common options, for the commands' own tables. Commands number theirs below CLIENT_OPTION_FIRST. */
enum { CLIENT_OPTION_FIRST = 1000, CLIENT_CA_FILE, CLIENT_TIMEOUT, CLIENT_RETRIES, CLIENT_QUIET };

#define CLIENT_OPTIONS                                                                                       \
    {"header", required_argument, NULL, 'H'}, {"ca-file", required_argument, NULL, CLIENT_CA_FILE},          \
        {"timeout", required_argument, NULL, CLIENT_TIMEOUT},                                                \
        {"retries", required_argument, NULL, CLIENT_RETRIES}, {"quiet", no_argument, NULL, CLIENT_QUIET}, {  \
        NULL, 0, NULL, 0                                                                                     \
    }

#define CLIENT_LETTERS ":H:"

#define CLIENT_HELP                                                                                          \
    "  --header, -H 'NAME: VALUE'  send this header; may be repeated. 'NAME: @FILE': the value is that\n"    \
    "                              file's text, read again before each request\n"                            \
    "  --ca-file FILE              trust the certificates in this file, in the place of the system's\n"      \
    "  --timeout DURATION          give up where the server has not answered for so long: 500ms, 30s, 5m\n"  \
    "  --retries N                 try again at most N times in a row (default: as long as time is left)\n"  \
    "  --quiet                     nothing on stderr but errors\n"

/* The next option, as getopt_long; an option that is not the command's own is for client_option. */
int client_next(int argc, char **argv, const struct option *options);

/* What client_next answered: -1 where it was a common option, else the exit code. */
int client_option(struct client *client, int answer, char **argv);

/* Takes argv[optind] as URL, which nothing may follow where it is to be `alone`: -1, or the exit code. */
int client_url(struct client *client, int argc, char **argv, bool alone);

/* The whole command line of a command that takes the common options and one URL: -1, or the exit code. */
int client_only_url(struct client *client, int argc, char **argv);

bool client_open(struct client *client, struct error *e);

/* Runs the loop until *over. False with e: interrupted. */
bool client_run(struct client *client, const bool *over, struct error *e);

/* What requests ask before they leave. Points to the client. */
struct hooks client_hooks(struct client *client);

/* A line on stderr, unless --quiet. */
void client_say(const struct client *client, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Writes what waits for standard output: the exit code. */
int client_flush(struct client *client);

/* Runs a command: work does everything between client_init and the close, and gives the exit code. A
 * leaked handle makes a success a failure. */
int client_command(const struct command *command, int argc, char **argv,
                   int (*work)(struct client *client, int argc, char **argv));

/* A whole number, as options have it. False: it is none, or too large. */
bool client_number(const char *text, uint64_t *number);

#endif
