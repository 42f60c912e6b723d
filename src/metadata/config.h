/* The broker's configuration: Apache Kafka's server.properties, its defaults, and a few keys of our own. */
#ifndef BROKER_CONFIG_H
#define BROKER_CONFIG_H

#include "log/log.h"
#include "metadata/image.h"
#include "protocol/config_defs.h"

struct config_listener {
    struct slice name;    /* "PLAINTEXT" */
    char *host;           /* "": all addresses */
    uint16_t port;
    int16_t protocol;     /* security protocol: 0 PLAINTEXT */
    bool controller;
};
struct config_prefixed { /* listener.name.NAME.key */
    struct slice listener;
    const struct config_def *def;
    const char *value, *where;
};
enum { LISTENERS_MAX = 16, CONFIG_PREFIXED_MAX = 256 };

struct broker_config {
    struct arena arena;
    const char **values; /* of broker_config_defs, by index; NULL: the default holds */
    const char **origins; /* by index: where the value was written ("server.properties:12"); NULL: nowhere */
    struct config_prefixed prefixed[CONFIG_PREFIXED_MAX];
    int prefixed_count;
    bool embedded;       /* no file was given */
    int32_t node_id;
    bool is_broker, is_controller;
    struct config_listener listeners[LISTENERS_MAX], advertised[LISTENERS_MAX]; /* without the controllers' */
    int listener_count, advertised_count;
    struct config_listener controller_listener;
    bool has_controller_listener;
    const char *log_dirs[LOG_DIRS_MAX];
    int log_dir_count;
    int metadata_dir; /* index of metadata.log.dir in log_dirs */
    /* ours */
    int shards;
    enum runtime_backend backend;
    bool journal_flush;
    int64_t journal_bytes, tail_bytes;
    const char *http_host; /* "": all addresses */
    int http_port;   /* -1: none */
    bool http_is_set; /* it was asked for: a port that is taken stops the start */
    int64_t metrics_topics_max, metrics_partitions_max, metrics_client_series_max, metrics_lags_max; /* what /metrics shows one by one */
    int log_level;   /* enum trace_level */
    bool log_json;
};

/* `file` NULL: one embedded node. Overrides are "key=value". On failure *ret_error has one line: where, which key, why.
 * Warnings go to the log. Blocking. */
enum err broker_config_load(const char *file, const char *const *overrides, int override_count,
                            struct broker_config **ret_config, struct buf *ret_error) MUST_USE;
void broker_config_free(struct broker_config *config);
/* The value in the file, else the default; null slice when there is neither. `key` must be one of Kafka's. */
struct slice broker_config_get(const struct broker_config *config, const char *key);
bool broker_config_is_set(const struct broker_config *config, const char *key);
int64_t broker_config_int(const struct broker_config *config, const char *key);
bool broker_config_bool(const struct broker_config *config, const char *key);
/* What listener.name.NAME.key says for one listener; false: nothing. */
bool broker_config_listener_int(const struct broker_config *config, struct slice listener, const char *key, int64_t *ret_value);

/* Where the value of a setting comes from, as DescribeConfigs numbers it. */
enum config_source {
    CONFIG_SOURCE_TOPIC = 1,
    CONFIG_SOURCE_DYNAMIC_BROKER = 2,
    CONFIG_SOURCE_DYNAMIC_DEFAULT = 3,
    CONFIG_SOURCE_STATIC = 4,
    CONFIG_SOURCE_DEFAULT = 5,
    CONFIG_SOURCE_CLIENT_METRICS = 7,
    CONFIG_SOURCE_GROUP = 8,
};
struct config_synonym {
    const char *name;
    struct slice value; /* in the unit of the key that was asked for */
    struct slice raw;   /* as it was set, for synonyms in hours */
    enum config_source source;
};
enum { CONFIG_SYNONYMS_MAX = 16 };
/* The values that compete for a topic's key, the one that holds first; the count. The arena takes converted ones (hours to
 * milliseconds). */
int config_topic_synonyms(const struct broker_config *config, const struct image *image, struct slice topic,
                          const struct config_def *def, struct arena *arena, struct config_synonym synonyms[CONFIG_SYNONYMS_MAX]);
/* Of a topic's synonyms those that are shown: not the broker's values that come before the first of the key's main name. */
int config_shown_synonyms(const struct config_def *def, struct config_synonym *synonyms, int count);
int config_broker_synonyms(const struct broker_config *config, const struct image *image, const struct config_def *def,
                           struct arena *arena, struct config_synonym synonyms[CONFIG_SYNONYMS_MAX]);
/* What holds for a broker's key now, changes while it runs included. */
struct slice config_broker_value(const struct broker_config *config, const struct image *image, const char *key, struct arena *arena);
struct slice config_topic_value(const struct broker_config *config, const struct image *image, struct slice topic,
                                const char *key, struct arena *arena);
/* The broker's setting that bounds a group's from above or below; false: none does. */
enum { CONFIG_GROUP_NAME_MAX = 96 };
bool config_group_bound(struct slice key, bool upper, char name[CONFIG_GROUP_NAME_MAX]);
/* What a group's setting counts as when the bounds have moved since it was set. */
int64_t config_group_clamp(const struct broker_config *config, struct slice key, int64_t value);
/* What a setting means; NULL: no text. Static storage. */
const char *config_documentation(const char *name);
void config_log_settings(const struct broker_config *config, const struct image *image, struct slice topic,
                         struct log_settings *ret_settings);

#endif
