/* DescribeLogDirs of brokers, for `cluster log-dirs` and `topic describe`. */
#ifndef CLI_LOG_DIRS_H
#define CLI_LOG_DIRS_H

#include "cli/client.h"
#include "protocol/describe_log_dirs_response.h"

/* topic NULL: every partition of the broker. */
int log_dirs_ask(struct client *client, int broker, const struct metadata_response_metadata_response_topic *topic,
                 struct describe_log_dirs_response *ret_response);
/* sizes[i] of topic->partitions[i] at its leader, -1: not known. */
int log_dirs_sizes(struct client *client, const struct metadata_response_metadata_response_topic *topic, int64_t *ret_sizes);

int cluster_log_dirs_run(struct options *options);

#endif
