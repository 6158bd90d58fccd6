#include "cli/command.h"

#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const struct command *const commands[] = {
    &command_run, &command_check, &command_state, &command_version, &command_help, NULL,
};

const struct command *command_find(const char *name) {
    for (const struct command *const *command = commands; *command; command++) {
        if (strcmp((*command)->name, name) == 0) {
            return *command;
        }
    }
    return NULL;
}

int command_fail(const struct error *e) {
    if (e->code == ERROR_INTERRUPTED) {
        return EXIT_INTERRUPTED;
    }
    fprintf(stderr, "weir: %s\n", e->message);
    return EXIT_FAILED;
}

int command_misuse(const struct command *command, const char *format, ...) {
    va_list args;
    va_start(args, format);
    fputs("weir: ", stderr);
    vfprintf(stderr, format, args);
    va_end(args);
    fprintf(stderr, "\nusage: weir %s %s\nTry 'weir help %s'.\n", command->name, command->usage, command->name);
    return EXIT_USAGE;
}

int command_bad_option(const struct command *command, int answer, char **argv) {
    if (answer == ':') {
        return command_misuse(command, "%s needs a value", argv[optind - 1]);
    }
    return command_misuse(command, "unknown option %s", argv[optind - 1]);
}

int command_flush(void) {
    if (fflush(stdout) != 0 || ferror(stdout)) {
        fprintf(stderr, "weir: cannot write to standard output: %s\n", strerror(errno));
        return EXIT_FAILED;
    }
    return EXIT_DONE;
}
