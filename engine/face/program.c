#include <stdio.h>
#include <string.h>

#include "cli/command.h"

int main(int argc, char **argv) {
    if (argc < 2) {
        command_help.run(&command_help, 1, argv);
        return EXIT_USAGE;
    }
    const char *name = argv[1];
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0) {
        name = "help";
    } else if (strcmp(name, "--version") == 0) {
        name = "version";
    }
    const struct command *command = command_find(name);
    if (!command) {
        fprintf(stderr, "weir: there is no command '%s'. Try 'weir help'.\n", name);
        return EXIT_USAGE;
    }
    for (int i = 2; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0) {
            char *arguments[] = {(char *)"help", (char *)name, NULL};
            return command_help.run(&command_help, 2, arguments);
        }
    }
    return command->run(command, argc - 1, argv + 1);
}
