/* What the files of `myelin cluster` share. */
#ifndef CLI_CLUSTER_H
#define CLI_CLUSTER_H

#include "cli/client.h"
#include "protocol/api_versions_response.h"

int cluster_api_versions(struct client *client, int node, struct api_versions_response *ret_response);
/* "4.3-IV0" of a level of metadata.version, the number of another feature; null for level 0 of the former. */
json_t *feature_level_json(const char *feature, int level);
int cluster_features_run(struct options *options);

#endif
