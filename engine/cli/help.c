#include <stdio.h>

#include "cli/command.h"

static int help_on(const struct command *asked, const char *name) {
    const struct command *command = command_find(name);
    if (!command) {
        return command_misuse(asked, "there is no command '%s'", name);
    }
    printf("usage: weir %s%s%s\n\n%s.\n", command->name, *command->usage ? " " : "", command->usage,
           command->summary);
    if (*command->help) {
        printf("\n%s", command->help);
    }
    return command_flush();
}

static int run(const struct command *command, int argc, char **argv) {
    if (argc > 2) {
        return command_misuse(command, "one COMMAND at a time");
    }
    if (argc == 2) {
        return help_on(command, argv[1]);
    }
    printf("weir runs Lua handlers over durable streams.\n\nusage: weir COMMAND [ARGUMENTS]\n\n");
    for (const struct command *const *each = commands; *each; each++) {
        printf("  %-8s %s\n", (*each)->name, (*each)->summary);
    }
    printf("\nTry 'weir help COMMAND'.\n");
    return command_flush();
}

const struct command command_help = {
    .name = "help",
    .usage = "[COMMAND]",
    .summary = "explain a command",
    .help = "",
    .run = run,
};
