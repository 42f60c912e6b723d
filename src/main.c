#include <stdio.h>
#include <string.h>
#include "base/mem.h"
#include "cli/cli.h"

static const struct command {
    const char *name, *what;
    int (*run)(int argc, char **argv);
} commands[] = {
    {"server", "run a node", cli_server},
};

static int usage(FILE *out) {
    fputs("usage: myelin COMMAND [ARGUMENT]...\n\n", out);
    for (int i = 0; i < COUNT_OF(commands); i++)
        fprintf(out, "  %-12s %s\n", commands[i].name, commands[i].what);
    return CLI_USAGE;
}

int main(int argc, char **argv) {
    if (argc < 2)
        return usage(stderr);
    for (int i = 0; i < COUNT_OF(commands); i++)
        if (strcmp(argv[1], commands[i].name) == 0)
            return commands[i].run(argc - 2, argv + 2);
    if (strcmp(argv[1], "--version") == 0) {
        puts("myelin " MYELIN_VERSION);
        return CLI_OK;
    }
    if (strcmp(argv[1], "help") == 0 || strcmp(argv[1], "--help") == 0) {
        usage(stdout);
        return CLI_OK;
    }
    fprintf(stderr, "myelin: there is no command '%s'\n", argv[1]);
    return usage(stderr);
}
