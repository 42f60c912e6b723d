#include "metadata/config.h"

#include <stdio.h>
#include <stdlib.h>
#include "base/check.h"
#include "base/mem.h"
#include "base/properties.h"
#include "base/trace.h"
#include "metadata/config_effect.h"
#include "metadata/config_check.h"

/* Keys of our own; what Kafka lacks. */
struct own_def {
    struct config_def def;
    void (*set)(struct broker_config *config, struct slice value);
};
static void set_shards(struct broker_config *config, struct slice value) {
    config->shards = (int)config_int(value);
}
static void set_runtime(struct broker_config *config, struct slice value) {
    config->backend = slice_eq_str(value, "io_uring") ? RUNTIME_IO_URING
                      : slice_eq_str(value, "epoll")  ? RUNTIME_EPOLL
                                                      : RUNTIME_AUTO;
}
static void set_flush(struct broker_config *config, struct slice value) {
    config->journal_flush = config_bool(value);
}
static void set_journal_bytes(struct broker_config *config, struct slice value) {
    config->journal_bytes = config_int(value);
}
static void set_tail_bytes(struct broker_config *config, struct slice value) {
    config->tail_bytes = config_int(value);
}
/* host:port, port, or none. */
static bool parse_http(struct slice value, struct slice *ret_host, int *ret_port) {
    *ret_host = SLICE_LIT("127.0.0.1");
    *ret_port = -1;
    if (!value.size || slice_eq_str(value, "none"))
        return true;
    const uint8_t *colon = memrchr(value.ptr, ':', value.size);
    struct slice port = colon ? slice_of(colon + 1, value.size - (size_t)(colon + 1 - value.ptr)) : value;
    if (colon)
        *ret_host = slice_of(value.ptr, (size_t)(colon - value.ptr));
    if (ret_host->size >= 2 && ret_host->ptr[0] == '[' && ret_host->ptr[ret_host->size - 1] == ']')
        *ret_host = slice_of(ret_host->ptr + 1, ret_host->size - 2);
    if (!port.size || port.size > 5)
        return false;
    *ret_port = 0;
    for (size_t i = 0; i < port.size; i++) {
        if (port.ptr[i] < '0' || port.ptr[i] > '9')
            return false;
        *ret_port = *ret_port * 10 + (port.ptr[i] - '0');
    }
    return *ret_port <= 65535;
}
static void set_http(struct broker_config *config, struct slice value) {
    struct slice host;
    parse_http(value, &host, &config->http_port);
    config->http_host = (const char *)arena_slice(&config->arena, host).ptr;
    config->http_is_set = true;
}
static void set_log_format(struct broker_config *config, struct slice value) {
    config->log_json = slice_eq_str(value, "json");
}
static void set_log_level(struct broker_config *config, struct slice value) {
    config->log_level = slice_eq_str(value, "debug")  ? TRACE_DEBUG
                        : slice_eq_str(value, "warn")  ? TRACE_WARN
                        : slice_eq_str(value, "error") ? TRACE_ERROR
                                                       : TRACE_INFO;
}
static void set_topics_max(struct broker_config *config, struct slice value) {
    config->metrics_topics_max = config_int(value);
}
static void set_partitions_max(struct broker_config *config, struct slice value) {
    config->metrics_partitions_max = config_int(value);
}
static void set_client_series_max(struct broker_config *config, struct slice value) {
    config->metrics_client_series_max = config_int(value);
}
static const struct own_def own_defs[] = {
    {{"myelin.http.listener", CONFIG_STRING, "127.0.0.1:9644", "", CONFIG_IMPORTANCE_MEDIUM, NULL}, set_http},
    {{"myelin.journal.bytes", CONFIG_LONG, "134217728", "[8388608,...]", CONFIG_IMPORTANCE_MEDIUM, NULL}, set_journal_bytes},
    {{"myelin.journal.flush", CONFIG_BOOLEAN, "true", "", CONFIG_IMPORTANCE_HIGH, NULL}, set_flush},
    {{"myelin.log.format", CONFIG_STRING, "text", "[text, json]", CONFIG_IMPORTANCE_MEDIUM, NULL}, set_log_format},
    {{"myelin.log.level", CONFIG_STRING, "info", "[debug, info, warn, error]", CONFIG_IMPORTANCE_MEDIUM, NULL}, set_log_level},
    {{"myelin.metrics.client.series.max", CONFIG_INT, "1000", "[0,...,100000]", CONFIG_IMPORTANCE_LOW, NULL}, set_client_series_max},
    {{"myelin.metrics.partitions.max", CONFIG_INT, "1000", "[0,...,100000]", CONFIG_IMPORTANCE_LOW, NULL}, set_partitions_max},
    {{"myelin.metrics.topics.max", CONFIG_INT, "1000", "[0,...,100000]", CONFIG_IMPORTANCE_LOW, NULL}, set_topics_max},
    {{"myelin.runtime", CONFIG_STRING, "auto", "[auto, io_uring, epoll]", CONFIG_IMPORTANCE_LOW, NULL}, set_runtime},
    {{"myelin.shards", CONFIG_INT, "0", "[0,...,64]", CONFIG_IMPORTANCE_MEDIUM, NULL}, set_shards},
    {{"myelin.tail.bytes", CONFIG_LONG, "268435456", "[1048576,...]", CONFIG_IMPORTANCE_MEDIUM, NULL}, set_tail_bytes},
};

static const struct config_def *broker_def(struct slice key) {
    return config_find(broker_config_defs, broker_config_def_count, key);
}

bool broker_config_is_set(const struct broker_config *config, const char *key) {
    const struct config_def *def = broker_def(slice_str(key));
    check(def, "no broker configuration %s", key);
    return config->values[def - broker_config_defs] != NULL;
}

static struct slice default_of(const struct config_def *def) {
    struct slice value = slice_str(def->default_value);
    if (def->type == CONFIG_LIST && value.size >= 2 && value.ptr[0] == '[') /* the tables show lists in brackets */
        value = slice_of(value.ptr + 1, value.size - 2);
    return value;
}

struct slice broker_config_get(const struct broker_config *config, const char *key) {
    const struct config_def *def = broker_def(slice_str(key));
    check(def, "no broker configuration %s", key);
    const char *value = config->values[def - broker_config_defs];
    return value ? slice_str(value) : default_of(def);
}
int64_t broker_config_int(const struct broker_config *config, const char *key) {
    return config_int(broker_config_get(config, key));
}
bool broker_config_bool(const struct broker_config *config, const char *key) {
    return config_bool(broker_config_get(config, key));
}

/* ---- listeners ------------------------------------------------------------------------------------------------------ */

static int16_t protocol_of(struct slice name) {
    static const char *const names[] = {"PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"};
    for (int i = 0; i < COUNT_OF(names); i++)
        if (slice_eq_str(name, names[i]))
            return (int16_t)i;
    return -1;
}

static int16_t listener_protocol(const struct broker_config *config, struct slice name) {
    struct slice map = broker_config_get(config, "listener.security.protocol.map"), item;
    while (config_list_next(&map, &item)) {
        const uint8_t *colon = memchr(item.ptr, ':', item.size);
        if (colon && slice_eq(slice_of(item.ptr, (size_t)(colon - item.ptr)), name))
            return protocol_of(slice_of(colon + 1, item.size - (size_t)(colon + 1 - item.ptr)));
    }
    return protocol_of(name);
}

/* NAME://host:port */
static enum err parse_listener(struct broker_config *config, struct slice text, struct config_listener *ret, struct buf *error) {
    const uint8_t *sep = text.size ? memmem(text.ptr, text.size, "://", 3) : NULL;
    const uint8_t *colon = text.size ? memrchr(text.ptr, ':', text.size) : NULL;
    if (!sep || colon == sep) {
        buf_printf(error, "%.*s is not of the form NAME://host:port", SLICE_FMT(text));
        return ERR_INVALID;
    }
    ret->name = arena_slice(&config->arena, slice_of(text.ptr, (size_t)(sep - text.ptr)));
    struct slice host = slice_of(sep + 3, (size_t)(colon - sep - 3));
    if (host.size >= 2 && host.ptr[0] == '[')
        host = slice_of(host.ptr + 1, host.size - 2);
    ret->host = (char *)arena_slice(&config->arena, host).ptr;
    int64_t port = config_int(slice_of(colon + 1, text.size - (size_t)(colon + 1 - text.ptr)));
    ret->port = (uint16_t)port;
    ret->protocol = listener_protocol(config, ret->name);
    ret->controller = config_list_has(broker_config_get(config, "controller.listener.names"), (const char *)ret->name.ptr);
    if (port < 0 || port > 65535)
        buf_printf(error, "%.*s has no valid port", SLICE_FMT(text));
    else if (ret->protocol < 0)
        buf_printf(error, "no security protocol defined for listener %.*s", SLICE_FMT(ret->name));
    else if (ret->protocol != 0)
        buf_printf(error, "listener %.*s: only PLAINTEXT is supported", SLICE_FMT(ret->name));
    else
        return ERR_OK;
    return ERR_INVALID;
}

static enum err parse_listeners(struct broker_config *config, struct slice text, struct config_listener *listeners, int *ret_count,
                                struct buf *error) {
    struct slice item;
    int count = 0;
    while (config_list_next(&text, &item)) {
        struct config_listener listener;
        enum err err = parse_listener(config, item, &listener, error);
        if (err)
            return err;
        if (listener.controller) {
            config->controller_listener = listener;
            config->has_controller_listener = true;
            continue;
        }
        if (count == LISTENERS_MAX) {
            buf_printf(error, "more than %d listeners", LISTENERS_MAX);
            return ERR_INVALID;
        }
        listeners[count++] = listener;
    }
    *ret_count = count;
    return ERR_OK;
}

/* ---- loading --------------------------------------------------------------------------------------------------------- */

static enum err set_value(struct broker_config *config, struct slice key, struct slice value, const char *where, struct buf *error) {
    const struct config_def *def = broker_def(key);
    struct buf reason = {0};
    enum err err = ERR_OK;
    bool own = false;
    for (int i = 0; !def && i < COUNT_OF(own_defs); i++)
        if (slice_eq_str(key, own_defs[i].def.name)) {
            err = config_check(&own_defs[i].def, value, &reason);
            struct slice host;
            int port;
            if (!err && own_defs[i].set == set_http && !parse_http(value, &host, &port)) {
                buf_printf(&reason, "Invalid value %.*s for configuration myelin.http.listener: must be host:port, port or none",
                           SLICE_FMT(value));
                err = ERR_INVALID;
            }
            if (!err)
                own_defs[i].set(config, value);
            own = true;
        }
    if (def) {
        err = config_check(def, value, &reason);
        if (!err)
            config->values[def - broker_config_defs] = (const char *)arena_slice(&config->arena, value).ptr;
    } else if (!own) { /* Kafka keeps unknown keys for plugins */
        trace_debug("config", "unknown key", TRACE_SLICE("key", key));
    }
    if (err)
        buf_printf(error, "%s: %s", where, buf_text(&reason));
    buf_deinit(&reason);
    return err;
}

static enum err read_file(struct broker_config *config, const char *path, struct buf *error) {
    FILE *file = fopen(path, "re");
    struct buf text = {0};
    if (!file) {
        buf_printf(error, "%s: cannot be opened", path);
        return ERR_NOT_FOUND;
    }
    size_t count;
    do {
        count = fread(buf_reserve(&text, 65536), 1, 65536, file);
        text.size += count;
    } while (count);
    bool failed = ferror(file);
    fclose(file);
    struct properties properties;
    int line = 0;
    enum err err = failed ? ERR_IO : properties_parse(&config->arena, buf_slice(&text), &properties, &line);
    if (err)
        buf_printf(error, "%s:%d: cannot be read", path, line);
    for (int i = 0; !err && i < properties.count; i++) {
        char *where = arena_printf(&config->arena, "%s:%d", path, properties.items[i].line);
        err = set_value(config, properties.items[i].key, properties.items[i].value, where, error);
    }
    buf_deinit(&text);
    return err;
}

static enum err set_override(struct broker_config *config, const char *override, struct buf *error) {
    const char *equals = strchr(override, '=');
    if (!equals) {
        buf_printf(error, "--override %s: not key=value", override);
        return ERR_INVALID;
    }
    return set_value(config, slice_of(override, (size_t)(equals - override)), slice_str(equals + 1), "--override", error);
}

static void set_default(struct broker_config *config, const char *key, const char *value) {
    const struct config_def *def = broker_def(slice_str(key));
    if (!config->values[def - broker_config_defs])
        config->values[def - broker_config_defs] = value;
}

static enum err find_dirs(struct broker_config *config, struct buf *error) {
    struct slice dirs = broker_config_get(config, "log.dirs"), item;
    if (!dirs.size)
        dirs = broker_config_get(config, "log.dir");
    while (config_list_next(&dirs, &item)) {
        if (config->log_dir_count == LOG_DIRS_MAX - 1) {
            buf_printf(error, "log.dirs: more than %d directories", LOG_DIRS_MAX - 1);
            return ERR_INVALID;
        }
        config->log_dirs[config->log_dir_count++] = (const char *)arena_slice(&config->arena, item).ptr;
    }
    if (!config->log_dir_count) {
        buf_printf(error, "log.dirs: at least one directory must be defined");
        return ERR_INVALID;
    }
    struct slice metadata = broker_config_get(config, "metadata.log.dir");
    for (int i = 0; metadata.size && i <= config->log_dir_count; i++) {
        if (i == config->log_dir_count)
            config->log_dirs[config->log_dir_count++] = (const char *)arena_slice(&config->arena, metadata).ptr;
        if (slice_eq_str(metadata, config->log_dirs[i])) {
            config->metadata_dir = i;
            break;
        }
    }
    return ERR_OK;
}

static enum err derive(struct broker_config *config, struct buf *error) {
    struct slice roles = broker_config_get(config, "process.roles");
    config->is_broker = config_list_has(roles, "broker");
    config->is_controller = config_list_has(roles, "controller");
    config->node_id = (int32_t)broker_config_int(config, "node.id");
    if (!broker_config_is_set(config, "node.id") || config->node_id < 0) {
        buf_printf(error, "node.id: must be set to a number of at least 0");
        return ERR_INVALID;
    }
    if (!config->is_broker || !config->is_controller) {
        buf_printf(error, "process.roles=%.*s: one node that is both broker and controller is what is supported",
                   SLICE_FMT(roles));
        return ERR_INVALID;
    }
    enum err err = parse_listeners(config, broker_config_get(config, "listeners"), config->listeners, &config->listener_count,
                                   error);
    if (err)
        return err;
    struct slice advertised = broker_config_get(config, "advertised.listeners");
    bool had = config->has_controller_listener;
    struct config_listener controller = config->controller_listener;
    if (advertised.size)
        err = parse_listeners(config, advertised, config->advertised, &config->advertised_count, error);
    config->has_controller_listener = had;
    config->controller_listener = controller;
    if (!advertised.size) {
        memcpy(config->advertised, config->listeners, sizeof config->advertised);
        config->advertised_count = config->listener_count;
    }
    for (int i = 0; !err && i < config->advertised_count; i++)
        if (!config->advertised[i].host[0] || strcmp(config->advertised[i].host, "0.0.0.0") == 0)
            config->advertised[i].host = "localhost";
    if (!err && !config->listener_count) {
        buf_printf(error, "listeners: a broker needs at least one");
        err = ERR_INVALID;
    }
    return err ? err : find_dirs(config, error);
}

enum err broker_config_load(const char *file, const char *const *overrides, int override_count,
                            struct broker_config **ret_config, struct buf *ret_error) {
    struct broker_config *config = mem_new(struct broker_config);
    config->values = mem_zalloc(sizeof *config->values * (size_t)broker_config_def_count);
    config->embedded = !file;
    for (int i = 0; i < COUNT_OF(own_defs); i++)
        own_defs[i].set(config, slice_str(own_defs[i].def.default_value));
    config->http_is_set = false;
    enum err err = file ? read_file(config, file, ret_error) : ERR_OK;
    for (int i = 0; !err && i < override_count; i++)
        err = set_override(config, overrides[i], ret_error);
    if (!err && !file) {
        set_default(config, "node.id", "1");
        set_default(config, "process.roles", "broker,controller");
        set_default(config, "listeners", "PLAINTEXT://127.0.0.1:9092");
        set_default(config, "controller.listener.names", "CONTROLLER");
        set_default(config, "log.dirs", "./myelin-data");
        set_default(config, "offsets.topic.replication.factor", "1");
        set_default(config, "transaction.state.log.replication.factor", "1");
        set_default(config, "transaction.state.log.min.isr", "1");
    }
    if (!err)
        err = derive(config, ret_error);
    if (err) {
        broker_config_free(config);
        return err;
    }
    trace_set_format((enum trace_level)config->log_level, config->log_json);
    for (int i = 0; i < broker_config_def_count; i++) {
        const char *reason = config->values[i] && file ? config_no_effect(broker_config_defs[i].name) : NULL;
        if (reason)
            trace_warn("config", "accepted, has no effect here", TRACE_STR("key", broker_config_defs[i].name),
                       TRACE_STR("because", reason));
    }
    *ret_config = config;
    return ERR_OK;
}

void broker_config_free(struct broker_config *config) {
    if (!config)
        return;
    mem_free(config->values);
    arena_deinit(&config->arena);
    mem_free(config);
}

/* ---- settings of topics ---------------------------------------------------------------------------------------------- */

static void add_synonym(struct config_synonym *synonyms, int *count, const char *name, struct slice value, enum config_source source) {
    if (value.ptr && *count < CONFIG_SYNONYMS_MAX)
        synonyms[(*count)++] = (struct config_synonym){name, value, source};
}

static bool ends_with(const char *s, const char *suffix) {
    size_t n = strlen(s), m = strlen(suffix);
    return n >= m && strcmp(s + n - m, suffix) == 0;
}

/* Broker keys in hours or minutes stand for topic keys in milliseconds. */
static struct slice in_topic_unit(const char *topic_key, const char *broker_key, struct slice value, struct arena *arena) {
    int64_t factor = !ends_with(topic_key, ".ms")           ? 1
                     : ends_with(broker_key, ".hours")      ? 3600000
                     : ends_with(broker_key, ".minutes")    ? 60000
                                                            : 1;
    if (factor == 1 || !value.ptr)
        return value;
    int64_t number = config_int(value);
    return slice_str(arena_printf(arena, "%lld", (long long)(number < 0 ? number : number * factor)));
}

static void add_broker_values(const struct broker_config *config, const struct image *image, const struct config_def *def,
                              const char *topic_key, struct arena *arena, struct config_synonym *synonyms, int *count) {
    char id[16];
    snprintf(id, sizeof id, "%d", (int)config->node_id);
    struct slice key = slice_str(def->name);
    const char *set = config->values[def - broker_config_defs];
    const char *unit = topic_key ? topic_key : def->name;
    add_synonym(synonyms, count, def->name,
                in_topic_unit(unit, def->name, image_config(image, CONFIG_RESOURCE_BROKER, slice_str(id), key), arena),
                CONFIG_SOURCE_DYNAMIC_BROKER);
    add_synonym(synonyms, count, def->name,
                in_topic_unit(unit, def->name, image_config(image, CONFIG_RESOURCE_BROKER, SLICE_EMPTY, key), arena),
                CONFIG_SOURCE_DYNAMIC_DEFAULT);
    add_synonym(synonyms, count, def->name, in_topic_unit(unit, def->name, slice_str(set), arena), CONFIG_SOURCE_STATIC);
}

int config_broker_synonyms(const struct broker_config *config, const struct image *image, const struct config_def *def,
                           struct arena *arena, struct config_synonym synonyms[CONFIG_SYNONYMS_MAX]) {
    int count = 0;
    add_broker_values(config, image, def, NULL, arena, synonyms, &count);
    add_synonym(synonyms, &count, def->name, default_of(def), CONFIG_SOURCE_DEFAULT);
    return count;
}

int config_topic_synonyms(const struct broker_config *config, const struct image *image, struct slice topic,
                          const struct config_def *def, struct arena *arena, struct config_synonym synonyms[CONFIG_SYNONYMS_MAX]) {
    int count = 0;
    if (topic.ptr)
        add_synonym(synonyms, &count, def->name, image_config(image, CONFIG_RESOURCE_TOPIC, topic, slice_str(def->name)),
                    CONFIG_SOURCE_TOPIC);
    for (int i = 0; def->synonyms && def->synonyms[i]; i++) {
        const struct config_def *broker = broker_def(slice_str(def->synonyms[i]));
        if (broker)
            add_broker_values(config, image, broker, def->name, arena, synonyms, &count);
    }
    /* The default is that of the first broker key that has one. */
    for (int i = 0; def->synonyms && def->synonyms[i]; i++) {
        const struct config_def *broker = broker_def(slice_str(def->synonyms[i]));
        if (broker && broker->default_value)
            add_synonym(synonyms, &count, broker->name, in_topic_unit(def->name, broker->name, default_of(broker), arena),
                        CONFIG_SOURCE_DEFAULT);
    }
    if (!def->synonyms)
        add_synonym(synonyms, &count, def->name, default_of(def), CONFIG_SOURCE_DEFAULT);
    return count;
}

struct slice config_topic_value(const struct broker_config *config, const struct image *image, struct slice topic,
                                const char *key, struct arena *arena) {
    const struct config_def *def = config_find(topic_config_defs, topic_config_def_count, slice_str(key));
    check(def, "no topic configuration %s", key);
    struct config_synonym synonyms[CONFIG_SYNONYMS_MAX];
    return config_topic_synonyms(config, image, topic, def, arena, synonyms) ? synonyms[0].value : SLICE_NULL;
}

static int codec_of(struct slice name) {
    for (int codec = CODEC_GZIP; codec < CODEC_COUNT; codec++)
        if (slice_eq_str(name, codec_name(codec)))
            return codec;
    return slice_eq_str(name, "uncompressed") ? CODEC_NONE : VALIDATE_CODEC_PRODUCER;
}

void config_log_settings(const struct broker_config *config, const struct image *image, struct slice topic,
                         struct log_settings *ret_settings) {
    struct arena arena = {0};
    log_settings_default(ret_settings);
#define VALUE(key) config_topic_value(config, image, topic, key, &arena)
#define INT(key) config_int(VALUE(key))
    struct log_settings *s = ret_settings;
    s->segment_bytes = (int32_t)INT("segment.bytes");
    struct slice internal = VALUE("internal.segment.bytes");
    if (internal.size)
        s->segment_bytes = (int32_t)config_int(internal);
    s->segment_index_bytes = (int32_t)INT("segment.index.bytes");
    s->index_interval_bytes = (int32_t)INT("index.interval.bytes");
    s->segment_ms = INT("segment.ms");
    s->segment_jitter_ms = INT("segment.jitter.ms");
    s->retention_bytes = INT("retention.bytes");
    s->retention_ms = INT("retention.ms");
    s->file_delete_delay_ms = INT("file.delete.delay.ms");
    s->flush_messages = INT("flush.messages");
    s->flush_ms = INT("flush.ms");
    s->delete_policy = config_list_has(VALUE("cleanup.policy"), "delete");
    s->compact_policy = config_list_has(VALUE("cleanup.policy"), "compact");
    s->preallocate = config_bool(VALUE("preallocate"));
    s->producer_id_expiration_ms = broker_config_int(config, "producer.id.expiration.ms");
    s->validate.codec = codec_of(VALUE("compression.type"));
    s->validate.gzip_level = (int)INT("compression.gzip.level");
    s->validate.lz4_level = (int)INT("compression.lz4.level");
    s->validate.zstd_level = (int)INT("compression.zstd.level");
    s->validate.append_time = slice_eq_str(VALUE("message.timestamp.type"), "LogAppendTime");
    s->validate.compact = s->compact_policy;
    s->validate.timestamp_before_max_ms = INT("message.timestamp.before.max.ms");
    s->validate.timestamp_after_max_ms = INT("message.timestamp.after.max.ms");
    s->validate.message_bytes_max = (int32_t)INT("max.message.bytes");
#undef INT
#undef VALUE
    arena_deinit(&arena);
}
