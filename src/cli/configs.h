/* Configurations of a resource, asked for and altered; for `config` and for `topic`. */
#ifndef CLI_CONFIGS_H
#define CLI_CONFIGS_H

#include "cli/client.h"

enum { RESOURCE_TOPIC = 2, RESOURCE_BROKER = 4, RESOURCE_BROKER_LOGGER = 8, RESOURCE_CLIENT_METRICS = 16, RESOURCE_GROUP = 32 };
enum { CONFIG_SET = 0, CONFIG_DELETE = 1, CONFIG_APPEND = 2, CONFIG_SUBTRACT = 3 };

/* An array of {name, value, source, type, read_only, sensitive, synonyms, documentation}, by name; all: those that are
 * defaults too. `name` "" with RESOURCE_BROKER is the cluster's default. */
int configs_describe(struct client *client, int resource_type, const char *name, bool all, bool document, json_t **ret_configs);

struct config_change {
    const char *key, *value; /* value NULL: CONFIG_DELETE */
    int operation;
};
/* Reads the lists of the options: `set_option` (CONFIG_SET) and so on; NULL: the command has none such. */
int config_changes_read(struct client *client, const char *const option_of_operation[4], struct config_change **ret_changes,
                        int *ret_count);
int configs_alter(struct client *client, int resource_type, const char *name, const struct config_change *changes, int count,
                  bool validate_only);
/* The key that an unknown one is near to; NULL: it is known, or none is near. */
const char *config_key_nearest(int resource_type, const char *key);

#endif
