/* The command line: `weir COMMAND ...`. Each command has one file, named after it. */
#ifndef CLI_COMMAND_H
#define CLI_COMMAND_H

#include "base/error.h"

/* Exit codes. */
enum { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_INTERRUPTED = 130 };

struct command {
    const char *name;
    const char *usage;   /* the arguments: "SCRIPT [--once]" */
    const char *summary; /* one line */
    const char *help;    /* the rest of `weir help NAME` */
    /* argv[0] is the command's name. Returns an exit code. */
    int (*run)(const struct command *command, int argc, char **argv);
};

extern const struct command command_run;
extern const struct command command_check;
extern const struct command command_verify;
extern const struct command command_types;
extern const struct command command_state;
extern const struct command command_read;
extern const struct command command_append;
extern const struct command command_create;
extern const struct command command_head;
extern const struct command command_close;
extern const struct command command_delete;
extern const struct command command_retry;
extern const struct command command_serve;
extern const struct command command_version;
extern const struct command command_help;

/* All of them, ended by NULL, in the order of `weir help`. */
extern const struct command *const commands[];

const struct command *command_find(const char *name);

/* Prints e on stderr, "weir: message", and returns the exit code it stands for. */
int command_fail(const struct error *e);

/* Says what is wrong with the command line, and how it is used. Returns EXIT_USAGE. */
int command_misuse(const struct command *command, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* What getopt_long said with '?' or ':', as a command_misuse. */
int command_bad_option(const struct command *command, int answer, char **argv);

/* text was given as `name`, a SOURCE. An empty one, or a URL of another scheme than http(s), is a
 * command_misuse. Otherwise -1. */
int command_check_source(const struct command *command, const char *name, const char *text);

/* Flushes stdout: EXIT_DONE; EXIT_FAILED with a message where that fails (a full disk, a closed pipe), or
 * EXIT_INTERRUPTED where a signal has broken off a write. */
int command_flush(void);

#endif
