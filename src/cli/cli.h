/* The commands of `myelin`, a file each, and how one is found and run. A new command is a `const struct command` in
 * its own file, its declaration here and its row in commands.c; help and completion follow from the table. */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include "cli/options.h"

extern const struct command command_server;
extern const struct command command_topic;
extern const struct command command_group;
extern const struct command command_produce;
extern const struct command command_consume;
extern const struct command command_txn;
extern const struct command command_config;
extern const struct command command_cluster;
extern const struct command command_bench;
extern const struct command command_completion;
extern const struct command command_log;
extern const struct command command_storage;

extern const struct command *const cli_commands[];
extern const int cli_command_count;

/* What `myelin` was called with, behind its name; gives the exit status. */
int cli_run(int argc, char **argv);

#endif
