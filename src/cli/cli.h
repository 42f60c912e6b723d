/* The commands of `myelin`: one function each, with what follows the command's name. Each gives the exit status:
 * 0 done, 1 it failed (one line on stderr says why), 2 it was called wrongly (with the usage). */
#ifndef CLI_CLI_H
#define CLI_CLI_H

enum { CLI_OK = 0, CLI_FAILED = 1, CLI_USAGE = 2 };

int cli_server(int argc, char **argv);

#endif
