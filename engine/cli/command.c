#include "cli/command.h"

#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <string.h>

#include "stream/source.h"
#include "worker/interrupt.h"

const struct command *const commands[] = {
    &command_run,   &command_check,   &command_types,  &command_state,
    &command_read,  &command_append,  &command_create, &command_head,
    &command_close, &command_delete,  &command_retry,  &command_verify,
    &command_serve, &command_version, &command_help,   NULL,
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
    if (e->code == ERROR_INTERRUPTED && interrupt_output_closed()) {
        fputs("weir: standard output was closed\n", stderr);
        return EXIT_FAILED;
    }
    fprintf(stderr, "weir: %s\n", e->message);
    return e->code == ERROR_INTERRUPTED ? EXIT_INTERRUPTED : EXIT_FAILED;
}

int command_misuse(const struct command *command, const char *format, ...) {
    va_list args;
    va_start(args, format);
    fputs("weir: ", stderr);
    vfprintf(stderr, format, args);
    va_end(args);
    fprintf(stderr, "\nusage: weir %s%s%s\n", command->name, *command->usage ? " " : "", command->usage);
    if (*command->help) {
        fprintf(stderr, "Try 'weir help %s'.\n", command->name);
    }
    return EXIT_USAGE;
}

int command_bad_option(const struct command *command, int answer, char **argv) {
    if (answer == ':') {
        return command_misuse(command, "%s needs a value", argv[optind - 1]);
    }
    const char *under_way = argv[optind];
    if (under_way && under_way[0] == '-' && under_way[1] != '-' && optopt && strchr(under_way + 1, optopt)) {
        return command_misuse(command, "unknown option -%c", optopt); /* one letter of several, as in -xyz */
    }
    return command_misuse(command, "unknown option %s", argv[optind - 1]);
}

int command_check_source(const struct command *command, const char *name, const char *text) {
    size_t scheme = strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-.");
    if (!*text) {
        return command_misuse(command, "%s is empty", name);
    }
    if (scheme > 0 && strncmp(text + scheme, "://", 3) == 0 && !source_is_url(text)) {
        return command_misuse(command, "%s: expected an http(s) URL, a file, or -, got %s", name, text);
    }
    return -1;
}

int command_flush(void) {
    bool failed = ferror(stdout) != 0;
    if (failed && *interrupt_flag()) {
        struct error e;
        __fpurge(stdout); /* nobody reads it: the exit must not wait for that either */
        error_set(&e, ERROR_INTERRUPTED, "interrupted");
        return command_fail(&e);
    }
    if (fflush(stdout) != 0) {
        fprintf(stderr, "weir: cannot write to standard output: %s\n", strerror(errno));
        return EXIT_FAILED;
    }
    if (failed) { /* before, and why is not known any more */
        fputs("weir: cannot write to standard output: a part of it is lost; is the disk full?\n", stderr);
        return EXIT_FAILED;
    }
    return EXIT_DONE;
}
