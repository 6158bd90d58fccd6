#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/command.h"

/* A standard stream that is closed would lend its number to the next file or socket. In its place comes one
 * that fails: nothing can be read from 0, nothing written to 1 and 2. */
static void occupy_standard_streams(void) {
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (fcntl(fd, F_GETFD) < 0) {
            (void)!open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY);
        }
    }
}

int main(int argc, char **argv) {
    occupy_standard_streams();
    signal(SIGPIPE, SIG_IGN); /* writing says that nobody reads, and the exit code is one of the program's */
    if (argc < 2) {
        fputs("weir: COMMAND is missing\nusage: weir COMMAND [ARGUMENTS]\nTry 'weir help'.\n", stderr);
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
        fprintf(stderr, "weir: there is no command '%s'\nusage: weir COMMAND [ARGUMENTS]\nTry 'weir help'.\n",
                name);
        return EXIT_USAGE;
    }
    for (int i = 2; i < argc && strcmp(argv[i], "--") != 0; i++) {
        if (strcmp(argv[i], "--help") == 0 || (i == 2 && strcmp(argv[i], "-h") == 0)) {
            char *arguments[] = {(char *)"help", (char *)name, NULL};
            return command_help.run(&command_help, 2, arguments);
        }
    }
    return command->run(command, argc - 1, argv + 1);
}
