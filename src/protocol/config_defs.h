/* Kafka's configuration keys with their types, defaults and valid values; features and metadata versions. The
 * tables are generated from src/protocol/schema/tables. */
#ifndef PROTOCOL_CONFIG_DEFS_H
#define PROTOCOL_CONFIG_DEFS_H

#include <stdbool.h>

enum config_type { /* the numbers of DescribeConfigs */
    CONFIG_UNKNOWN = 0,
    CONFIG_BOOLEAN = 1,
    CONFIG_STRING = 2,
    CONFIG_INT = 3,
    CONFIG_SHORT = 4,
    CONFIG_LONG = 5,
    CONFIG_DOUBLE = 6,
    CONFIG_LIST = 7,
    CONFIG_CLASS = 8,
    CONFIG_PASSWORD = 9,
};
enum config_importance { CONFIG_IMPORTANCE_HIGH, CONFIG_IMPORTANCE_MEDIUM, CONFIG_IMPORTANCE_LOW };

struct config_def {
    const char *name;
    enum config_type type;
    const char *default_value; /* NULL: null, or required */
    const char *valid;         /* as Kafka prints it, e.g. "[1,...]", "[delete, compact]"; "" for anything */
    enum config_importance importance;
    const char *const *synonyms; /* of a topic's key: broker keys, first wins, NULL-terminated; or NULL */
};
extern const struct config_def broker_config_defs[], topic_config_defs[], group_config_defs[];
extern const int broker_config_def_count, topic_config_def_count, group_config_def_count;

struct feature_def {
    const char *name;
    int level;
    const char *metadata_version; /* a new cluster of this version or above begins with this level */
    bool latest_production;
    const char *dependencies; /* "metadata.version=23": at least; "": none */
};
extern const struct feature_def feature_defs[];
extern const int feature_def_count;

struct metadata_version_def {
    int level;
    const char *name;
    bool latest_production;
};
extern const struct metadata_version_def metadata_version_defs[];
extern const int metadata_version_def_count;

#endif
