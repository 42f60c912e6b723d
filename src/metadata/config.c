#include "metadata/config.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include "base/check.h"
#include "base/mem.h"
#include "base/properties.h"
#include "base/trace.h"
#include "metadata/config_check.h"
#include "metadata/config_dynamic.h"
#include "metadata/config_effect.h"
#include "metadata/config_internal.h"

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
static void set_lags_max(struct broker_config *config, struct slice value) {
    config->metrics_lags_max = config_int(value);
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
    {{"myelin.metrics.client.series.max", CONFIG_INT, "1000", "[0,...,10000]", CONFIG_IMPORTANCE_LOW, NULL}, set_client_series_max},
    {{"myelin.metrics.lags.max", CONFIG_INT, "1000", "[0,...,100000]", CONFIG_IMPORTANCE_LOW, NULL}, set_lags_max},
    {{"myelin.metrics.partitions.max", CONFIG_INT, "1000", "[0,...,100000]", CONFIG_IMPORTANCE_LOW, NULL}, set_partitions_max},
    {{"myelin.metrics.topics.max", CONFIG_INT, "1000", "[0,...,100000]", CONFIG_IMPORTANCE_LOW, NULL}, set_topics_max},
    {{"myelin.runtime", CONFIG_STRING, "auto", "[auto, io_uring, epoll]", CONFIG_IMPORTANCE_LOW, NULL}, set_runtime},
    {{"myelin.shards", CONFIG_INT, "0", "[0,...,64]", CONFIG_IMPORTANCE_MEDIUM, NULL}, set_shards},
    {{"myelin.tail.bytes", CONFIG_LONG, "268435456", "[1048576,...]", CONFIG_IMPORTANCE_MEDIUM, NULL}, set_tail_bytes},
};

static const struct config_def *broker_def(struct slice key) {
    return config_find(broker_config_defs, broker_config_def_count, key);
}

bool broker_config_listener_int(const struct broker_config *config, struct slice listener, const char *key, int64_t *ret_value) {
    for (int i = config->prefixed_count; i-- > 0;) { /* the last one written holds */
        const struct config_prefixed *prefixed = &config->prefixed[i];
        if (strcmp(prefixed->def->name, key) == 0 && config_eq_no_case(prefixed->listener, listener)) {
            *ret_value = config_int(slice_str(prefixed->value));
            return true;
        }
    }
    return false;
}

bool broker_config_is_set(const struct broker_config *config, const char *key) {
    const struct config_def *def = broker_def(slice_str(key));
    check(def, "no broker configuration %s", key);
    return config->values[def - broker_config_defs] != NULL;
}

struct slice broker_config_get(const struct broker_config *config, const char *key) {
    const struct config_def *def = broker_def(slice_str(key));
    check(def, "no broker configuration %s", key);
    const char *value = config->values[def - broker_config_defs];
    return slice_str(value ? value : def->default_value);
}
int64_t broker_config_int(const struct broker_config *config, const char *key) {
    return config_int(broker_config_get(config, key));
}
bool broker_config_bool(const struct broker_config *config, const char *key) {
    return config_bool(broker_config_get(config, key));
}

/* ---- loading --------------------------------------------------------------------------------------------------------- */

const char *config_where(const struct broker_config *config, const char *key) {
    const struct config_def *def = broker_def(slice_str(key));
    check(def, "no broker configuration %s", key);
    return config->origins[def - broker_config_defs];
}

enum err config_refuse(const struct broker_config *config, const char *key, struct buf *error, const char *why, ...) {
    const struct config_def *def = broker_def(slice_str(key));
    const char *where = config->origins[def - broker_config_defs];
    char reason[512];
    va_list args;
    va_start(args, why);
    vsnprintf(reason, sizeof reason, why, args);
    va_end(args);
    if (where)
        buf_printf(error, "%s: Invalid value %.*s for configuration %s: %s", where, SLICE_FMT(broker_config_get(config, key)), key, reason);
    else
        buf_printf(error, "configuration %s: %s", key, reason);
    return ERR_INVALID;
}

/* A line of its own for each: the log's limit on lines of one kind is not for these. */
static void warn_no_effect(const char *where, const char *key, const char *reason) {
    struct trace_site site = {0};
    const struct trace_field fields[] = {TRACE_STR("key", key), TRACE_STR("because", reason), TRACE_STR("where", where)};
    if (trace_enabled(TRACE_WARN))
        trace_write(&site, TRACE_WARN, "config", "accepted, has no effect here", fields, COUNT_OF(fields));
}

static enum err set_own(struct broker_config *config, struct slice key, struct slice value, const char *where, struct buf *reason) {
    for (int i = 0; i < COUNT_OF(own_defs); i++) {
        if (!slice_eq_str(key, own_defs[i].def.name))
            continue;
        enum err err = config_check(&own_defs[i].def, value, reason);
        if (err)
            return err;
        struct slice host;
        int port;
        if (own_defs[i].set == set_http && !parse_http(value, &host, &port)) {
            buf_printf(reason, "Invalid value %.*s for configuration %.*s: must be host:port, port or none", SLICE_FMT(value), SLICE_FMT(key));
            return ERR_INVALID;
        }
        own_defs[i].set(config, value);
        return ERR_OK;
    }
    if (key.size > 7 && memcmp(key.ptr, "myelin.", 7) == 0) {
        buf_printf(reason, "there is no configuration %.*s; known are", SLICE_FMT(key));
        for (int i = 0; i < COUNT_OF(own_defs); i++)
            buf_printf(reason, " %s", own_defs[i].def.name);
        return ERR_INVALID;
    }
    const char *name = (const char *)arena_slice(&config->arena, key).ptr, *why = config_no_effect(name);
    if (why) /* the authorizer's, and such as are gone from Kafka */
        warn_no_effect(where, name, why);
    else
        trace_info("config", "unknown key, ignored", TRACE_SLICE("key", key), TRACE_STR("where", where)); /* Kafka keeps it for plugins */
    return ERR_OK;
}

/* listener.name.NAME.key: how a key is for one listener. */
static enum err set_prefixed(struct broker_config *config, struct slice name, const struct config_def *def, struct slice value,
                             const char *where, struct buf *reason) {
    enum err err = config_check(def, value, reason);
    if (err)
        return err;
    if (config->prefixed_count == CONFIG_PREFIXED_MAX) {
        buf_printf(reason, "more than %d settings of listeners", CONFIG_PREFIXED_MAX);
        return ERR_INVALID;
    }
    config->prefixed[config->prefixed_count++] = (struct config_prefixed){
        arena_slice(&config->arena, name), def, (const char *)arena_slice(&config->arena, value).ptr, where};
    return ERR_OK;
}

static enum err set_value(struct broker_config *config, struct slice key, struct slice value, const char *where, struct buf *error) {
    static const char prefix[] = "listener.name.";
    struct slice stripped = key;
    const struct config_def *def = broker_def(key);
    struct buf reason = {0};
    enum err err = ERR_OK;
    if (def) {
        err = config_check(def, value, &reason);
        if (!err) {
            config->values[def - broker_config_defs] = (const char *)arena_slice(&config->arena, value).ptr;
            config->origins[def - broker_config_defs] = where;
        }
    } else if (config_strip_listener(&stripped) && broker_def(stripped)) {
        size_t at = sizeof prefix - 1;
        err = set_prefixed(config, slice_of(key.ptr + at, key.size - at - stripped.size - 1), broker_def(stripped), value, where, &reason);
    } else {
        err = set_own(config, key, value, where, &reason);
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
        buf_printf(error, "%s: cannot be opened: %s", path, strerror(errno));
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
    if (failed)
        buf_printf(error, "%s: cannot be read", path);
    else if (err)
        buf_printf(error, "%s:%d: malformed \\uxxxx encoding", path, line);
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
    const char *key = broker_config_get(config, "log.dirs").ptr ? "log.dirs" : "log.dir";
    struct slice dirs = broker_config_get(config, key), item;
    while (config_list_next(&dirs, &item)) {
        if (config->log_dir_count == LOG_DIRS_MAX - 1)
            return config_refuse(config, key, error, "there are more than %d directories", LOG_DIRS_MAX - 1);
        for (int i = 0; i < config->log_dir_count; i++)
            if (slice_eq_str(item, config->log_dirs[i]))
                return config_refuse(config, key, error, "%.*s is named twice", SLICE_FMT(item));
        config->log_dirs[config->log_dir_count++] = (const char *)arena_slice(&config->arena, item).ptr;
    }
    if (!config->log_dir_count)
        return config_refuse(config, key, error, "At least one log directory must be defined via log.dirs or log.dir");
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
    bool old_name = !config_where(config, "node.id") && config_where(config, "broker.id");
    config->node_id = (int32_t)broker_config_int(config, old_name ? "broker.id" : "node.id");
    enum err err = find_dirs(config, error);
    if (!err)
        err = config_read_listeners(config, error);
    return err ? err : config_validate(config, error);
}

static void warn_all(const struct broker_config *config) {
    for (int i = 0; i < broker_config_def_count; i++) {
        const char *reason = config->origins[i] ? config_no_effect(broker_config_defs[i].name) : NULL;
        if (reason)
            warn_no_effect(config->origins[i], broker_config_defs[i].name, reason);
    }
    for (int i = 0; i < config->prefixed_count; i++) {
        const struct config_prefixed *prefixed = &config->prefixed[i];
        const char *reason = config_no_effect(prefixed->def->name);
        if (!reason && !config_listener_may_set(prefixed->def->name))
            reason = "it is a setting of the broker, not of a listener";
        char *key = reason ? mem_printf("listener.name.%.*s.%s", SLICE_FMT(prefixed->listener), prefixed->def->name) : NULL;
        if (reason)
            warn_no_effect(prefixed->where, key, reason);
        mem_free(key);
    }
}

enum err broker_config_load(const char *file, const char *const *overrides, int override_count,
                            struct broker_config **ret_config, struct buf *ret_error) {
    struct broker_config *config = mem_new(struct broker_config);
    config->values = mem_zalloc(sizeof *config->values * (size_t)broker_config_def_count);
    config->origins = mem_zalloc(sizeof *config->origins * (size_t)broker_config_def_count);
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
        set_default(config, "share.coordinator.state.topic.replication.factor", "1");
        set_default(config, "share.coordinator.state.topic.min.isr", "1");
        set_default(config, "transaction.state.log.min.isr", "1");
    }
    if (!err)
        err = derive(config, ret_error);
    if (err) {
        broker_config_free(config);
        return err;
    }
    trace_set_format((enum trace_level)config->log_level, config->log_json);
    warn_all(config);
    *ret_config = config;
    return ERR_OK;
}

void broker_config_free(struct broker_config *config) {
    if (!config)
        return;
    mem_free(config->values);
    mem_free(config->origins);
    arena_deinit(&config->arena);
    mem_free(config);
}

/* ---- settings of topics ---------------------------------------------------------------------------------------------- */

static void add_synonym(struct config_synonym *synonyms, int *count, const char *name, struct slice value, struct slice raw,
                        enum config_source source) {
    if (value.ptr && *count < CONFIG_SYNONYMS_MAX)
        synonyms[(*count)++] = (struct config_synonym){name, value, raw, source};
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

/* Broker keys that stand for one another, the strongest first. */
static const char *const *broker_family(const char *name) {
    static const char *const families[][4] = {
        {"log.roll.ms", "log.roll.hours"},
        {"log.roll.jitter.ms", "log.roll.jitter.hours"},
        {"log.flush.interval.ms", "log.flush.scheduler.interval.ms"},
        {"log.retention.ms", "log.retention.minutes", "log.retention.hours"},
    };
    for (int i = 0; i < COUNT_OF(families); i++)
        for (int k = 0; families[i][k]; k++)
            if (strcmp(families[i][k], name) == 0)
                return families[i];
    return NULL;
}

/* All values of the keys, the strongest source first. Values are in the unit of `unit`. */
static void add_values(const struct broker_config *config, const struct image *image, const char *const *keys, const char *unit,
                       struct arena *arena, struct config_synonym *synonyms, int *count) {
    char id[16];
    snprintf(id, sizeof id, "%d", (int)config->node_id);
    for (enum config_source source = CONFIG_SOURCE_DYNAMIC_BROKER; source <= CONFIG_SOURCE_DEFAULT; source++)
        for (int i = 0; keys[i]; i++) {
            const struct config_def *def = broker_def(slice_str(keys[i]));
            if (!def)
                continue;
            const char *set = config->values[def - broker_config_defs];
            if (!set && strcmp(def->name, "broker.id") == 0) /* the older name of node.id */
                set = config->values[broker_def(SLICE_LIT("node.id")) - broker_config_defs];
            struct slice value = source == CONFIG_SOURCE_DYNAMIC_BROKER    ? image_config(image, CONFIG_RESOURCE_BROKER, slice_str(id), slice_str(def->name))
                                 : source == CONFIG_SOURCE_DYNAMIC_DEFAULT ? image_config(image, CONFIG_RESOURCE_BROKER, SLICE_EMPTY, slice_str(def->name))
                                 : source == CONFIG_SOURCE_STATIC          ? slice_str(set)
                                                                           : slice_str(def->default_value);
            add_synonym(synonyms, count, def->name, in_topic_unit(unit, def->name, value, arena), value, source);
        }
}

int config_broker_synonyms(const struct broker_config *config, const struct image *image, const struct config_def *def,
                           struct arena *arena, struct config_synonym synonyms[CONFIG_SYNONYMS_MAX]) {
    const char *const alone[] = {def->name, NULL}, *const *family = broker_family(def->name);
    int count = 0, first = 0;
    add_values(config, image, family ? family : alone, def->name, arena, synonyms, &count);
    while (first < count && strcmp(synonyms[first].name, def->name) != 0)
        first++; /* those that come before its own are not its values */
    memmove(synonyms, synonyms + first, sizeof *synonyms * (size_t)(count - first));
    return count - first;
}

struct slice config_broker_value(const struct broker_config *config, const struct image *image, const char *key, struct arena *arena) {
    const struct config_def *def = broker_def(slice_str(key));
    check(def, "no broker configuration %s", key);
    struct config_synonym synonyms[CONFIG_SYNONYMS_MAX];
    return config_broker_synonyms(config, image, def, arena, synonyms) ? synonyms[0].value : SLICE_NULL;
}

int config_topic_synonyms(const struct broker_config *config, const struct image *image, struct slice topic,
                          const struct config_def *def, struct arena *arena, struct config_synonym synonyms[CONFIG_SYNONYMS_MAX]) {
    int count = 0;
    struct slice own = topic.ptr ? image_config(image, CONFIG_RESOURCE_TOPIC, topic, slice_str(def->name)) : SLICE_NULL;
    add_synonym(synonyms, &count, def->name, own, own, CONFIG_SOURCE_TOPIC);
    if (def->synonyms)
        add_values(config, image, def->synonyms, def->name, arena, synonyms, &count);
    else
        add_synonym(synonyms, &count, def->name, slice_str(def->default_value), slice_str(def->default_value), CONFIG_SOURCE_DEFAULT);
    return count;
}

int config_shown_synonyms(const struct config_def *def, struct config_synonym *synonyms, int count) {
    int own = count && synonyms[0].source == CONFIG_SOURCE_TOPIC, first = own;
    while (first < count && (!def->synonyms || strcmp(synonyms[first].name, def->synonyms[0]) != 0))
        first++;
    memmove(synonyms + own, synonyms + first, sizeof *synonyms * (size_t)(count - first));
    return own + count - first;
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
    s->min_cleanable_dirty_ratio = config_double(VALUE("min.cleanable.dirty.ratio"));
    s->min_compaction_lag_ms = INT("min.compaction.lag.ms");
    s->max_compaction_lag_ms = INT("max.compaction.lag.ms");
    s->delete_retention_ms = INT("delete.retention.ms");
    s->preallocate = config_bool(VALUE("preallocate"));
    s->producer_id_expiration_ms = config_int(config_broker_value(config, image, "producer.id.expiration.ms", &arena));
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
