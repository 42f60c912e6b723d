/* The subcommands of `myelin topic`, a function each; topic.c has their table. */
#ifndef CLI_TOPIC_H
#define CLI_TOPIC_H

#include "cli/options.h"

int topic_create_run(struct options *options);
int topic_list_run(struct options *options);
int topic_describe_run(struct options *options);
int topic_alter_run(struct options *options);
int topic_delete_run(struct options *options);
int topic_move_run(struct options *options);
int topic_producers_run(struct options *options);

#endif
