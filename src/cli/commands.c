#include "cli/cli.h"

#include <poll.h>
#include <unistd.h>
#include "base/mem.h"
#include "cli/output.h"

static int help_run(struct options *options);
static const struct command command_help_of = {
    .name = "help",
    .summary = "tell about a command: `myelin help topic create`",
    .arguments = "[COMMAND [SUBCOMMAND]]",
    .argument_max = 2,
    .plain = true,
    .run = help_run,
};

const struct command *const cli_commands[] = {
    &command_server,
    &command_topic,
    &command_group,
    &command_produce,
    &command_consume,
    &command_txn,
    &command_config,
    &command_cluster,
    &command_bench,
    &command_log,
    &command_completion,
    &command_storage,
    &command_help_of,
};
const int cli_command_count = COUNT_OF(cli_commands);

static void usage(FILE *out) {
    fputs("usage: myelin COMMAND [ARGUMENT]...\n\n", out);
    for (int i = 0; i < cli_command_count; i++)
        fprintf(out, "  %-12s %s\n", cli_commands[i]->name, cli_commands[i]->summary);
    fputs("\n`myelin help COMMAND` tells more about one; `myelin --version` says which this is.\n", out);
}

static const struct command *find_command(const char *name) {
    for (int i = 0; i < cli_command_count; i++)
        if (strcmp(cli_commands[i]->name, name) == 0)
            return cli_commands[i];
    return NULL;
}

static const struct command *find_sub(const struct command *command, const char *name) {
    for (int i = 0; i < command->sub_count; i++)
        if (strcmp(command->sub[i].name, name) == 0)
            return &command->sub[i];
    return NULL;
}

/* Both give CLI_USAGE. `command` NULL: a command of the program itself. */
static int unknown(const struct command *command, const char *name) {
    if (name[0] == '-') {
        fprintf(stderr, "myelin: '%s' comes too early; options go behind the command: myelin %s%sCOMMAND %s ...\n", name,
                command ? command->name : "", command ? " " : "", name);
        return CLI_USAGE;
    }
    int count = command ? command->sub_count : cli_command_count;
    const char **names = mem_alloc(sizeof *names * (size_t)(count + 1));
    for (int i = 0; i < count; i++)
        names[i] = command ? command->sub[i].name : cli_commands[i]->name;
    names[count] = NULL;
    const char *near = nearest(name, names);
    const char *parent = command ? command->name : "", *blank = command ? " " : "";
    fprintf(stderr, "myelin: there is no command '%s%s%s'; ", parent, blank, name);
    if (near)
        fprintf(stderr, "did you mean `myelin %s%s%s`?\n", parent, blank, near);
    else
        fprintf(stderr, "`myelin help%s%s` lists them\n", blank, parent);
    mem_free(names);
    return CLI_USAGE;
}

static int help_run(struct options *options) {
    if (options->argument_count == 0) {
        usage(stdout);
        return CLI_OK;
    }
    const char *name = options->arguments[0], *sub_name = options->arguments[1];
    const struct command *command = find_command(name);
    if (!command)
        return unknown(NULL, name);
    if (!sub_name) {
        command_help(command, name, stdout);
        return CLI_OK;
    }
    const struct command *sub = find_sub(command, sub_name);
    if (!sub)
        return unknown(command, sub_name);
    char path[64];
    snprintf(path, sizeof path, "%s %s", name, sub_name);
    command_help(sub, path, stdout);
    return CLI_OK;
}

/* Of a pipe, as with `| head`: nobody is there to be told. */
static bool reader_has_left(void) {
    struct pollfd out = {.fd = STDOUT_FILENO, .events = POLLOUT};
    return poll(&out, 1, 0) == 1 && (out.revents & POLLERR);
}

static int run_command(const struct command *command, const char *path, int argc, char **argv) {
    struct options options;
    struct buf error = {0};
    int status;
    if (options_parse(&options, command, path, argc, argv, &error)) {
        status = cli_usage(&options, "%s", buf_text(&error));
    } else if (options.help) {
        command_help(command, path, stdout);
        status = CLI_OK;
    } else {
        status = command->run(&options);
    }
    buf_deinit(&error);
    options_deinit(&options);
    if (fflush(stdout) || ferror(stdout))
        status = reader_has_left() ? CLI_FAILED : cli_fail("standard output cannot be written: the output is not complete");
    return status;
}

int cli_run(int argc, char **argv) {
    if (argc < 1) {
        usage(stderr);
        return CLI_USAGE;
    }
    if (strcmp(argv[0], "--version") == 0) {
        puts("myelin " MYELIN_VERSION);
        return CLI_OK;
    }
    if (strcmp(argv[0], "--help") == 0 || strcmp(argv[0], "-h") == 0) {
        usage(stdout);
        return CLI_OK;
    }
    const struct command *command = find_command(argv[0]);
    if (!command)
        return unknown(NULL, argv[0]);
    if (!command->sub_count)
        return run_command(command, command->name, argc - 1, argv + 1);
    if (argc < 2) {
        command_help(command, command->name, stderr);
        return CLI_USAGE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        command_help(command, command->name, stdout);
        return CLI_OK;
    }
    const struct command *sub = find_sub(command, argv[1]);
    if (!sub)
        return unknown(command, argv[1]);
    char path[64];
    snprintf(path, sizeof path, "%s %s", command->name, sub->name);
    return run_command(sub, path, argc - 2, argv + 2);
}
