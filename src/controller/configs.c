/* IncrementalAlterConfigs and AlterConfigs of topics, brokers, client metrics and groups (KIP-339). */
#include "controller/controller.h"

#include <limits.h>
#include "metadata/client_metrics.h"
#include "metadata/config_check.h"
#include "metadata/features.h"
#include "metadata/image_internal.h"
#include "protocol/clear_elr_record.h"
#include "protocol/config_record.h"
#include "protocol/errors.h"

enum { OP_SET, OP_DELETE, OP_APPEND, OP_SUBTRACT };
enum { VALUE_MAX = 32767 };

void add_config_record(struct decision *decision, int8_t type, struct slice name, struct slice key, struct slice value) {
    struct config_record record;
    config_record_init(&record);
    record.resource_type = type;
    record.resource_name = name;
    record.name = key;
    record.value = value;
    DECISION_RECORD(decision, RECORD_CONFIG, 0, config_record, &record);
    if (slice_eq_str(key, "min.insync.replicas") && image_feature(decision->image, FEATURE_ELR) > 0) {
        struct clear_elr_record clear;
        clear_elr_record_init(&clear);
        clear.topic_name = type == CONFIG_RESOURCE_TOPIC ? name : SLICE_EMPTY;
        DECISION_RECORD(decision, RECORD_CLEAR_ELR, 0, clear_elr_record, &clear);
    }
}

/* ---- checks of a whole configuration ------------------------------------------------------------------------------------- */

static struct slice value_in(struct decision *decision, const struct config_pair *pairs, int count, const char *key) {
    for (int i = count - 1; i >= 0; i--)
        if (slice_eq_str(pairs[i].key, key) && pairs[i].value.ptr)
            return pairs[i].value;
    return config_topic_value(decision->config, decision->image, SLICE_NULL, key, decision->arena);
}

/* The order in which Kafka looks at values: the first bad one is told. Others come behind. */
static const char *const told_first[] = {
    "segment.bytes",         "segment.ms",           "segment.jitter.ms",      "segment.index.bytes",    "flush.messages",
    "flush.ms",              "retention.bytes",      "retention.ms",           "max.message.bytes",      "index.interval.bytes",
    "delete.retention.ms",   "min.compaction.lag.ms", "max.compaction.lag.ms", "file.delete.delay.ms",   "min.cleanable.dirty.ratio",
    "cleanup.policy",        "unclean.leader.election.enable", "min.insync.replicas", "compression.type", "compression.gzip.level",
    "compression.lz4.level", "compression.zstd.level", "preallocate",          "message.timestamp.type", "message.timestamp.before.max.ms",
    "message.timestamp.after.max.ms",
};

static int place_of(struct slice key) {
    int at = 0;
    while (at < COUNT_OF(told_first) && !slice_eq_str(key, told_first[at]))
        at++;
    return at;
}

enum err check_topic_configs(struct decision *decision, const struct config_pair *pairs, int count, const char **ret_text) {
    int worst = INT_MAX;
    for (int i = 0; i < count; i++)
        if (!config_find(topic_config_defs, topic_config_def_count, pairs[i].key)) {
            *ret_text = arena_printf(decision->arena, "Unknown topic config name: %.*s", SLICE_FMT(pairs[i].key));
            return ERR_INVALID;
        }
    for (int i = 0; i < count; i++) {
        const struct config_def *def = config_find(topic_config_defs, topic_config_def_count, pairs[i].key);
        struct buf reason = {0};
        int place = place_of(pairs[i].key);
        if (place < worst && pairs[i].value.ptr && config_check(def, pairs[i].value, &reason)) {
            *ret_text = (const char *)arena_slice(decision->arena, buf_slice(&reason)).ptr;
            worst = place;
        }
        buf_deinit(&reason);
    }
    if (worst < INT_MAX)
        return ERR_INVALID;
    int64_t min_lag = config_int(value_in(decision, pairs, count, "min.compaction.lag.ms"));
    int64_t max_lag = config_int(value_in(decision, pairs, count, "max.compaction.lag.ms"));
    if (min_lag > max_lag) {
        *ret_text = arena_printf(decision->arena, "conflict topic config setting min.compaction.lag.ms (%lld) > max.compaction.lag.ms (%lld)",
                                 (long long)min_lag, (long long)max_lag);
        return ERR_INVALID;
    }
    if (config_bool(value_in(decision, pairs, count, "remote.storage.enable"))) {
        *ret_text = "Tiered Storage functionality is disabled in the broker. Topic cannot be configured with remote log storage.";
        return ERR_INVALID;
    }
    return ERR_OK;
}

/* A resource on its way through the checks. */
struct change {
    int8_t type;
    struct slice name;
    struct config_pair *pairs; /* what shall be set or, null, removed */
    int count;
    int16_t error;
    struct slice message;
};

static bool refuse(struct change *change, int16_t code, const char *text) {
    change->error = code;
    change->message = decision_text(text);
    return false;
}

static const struct config_def *find_def(int8_t type, struct slice key) {
    switch (type) {
    case CONFIG_RESOURCE_TOPIC: return config_find(topic_config_defs, topic_config_def_count, key);
    case CONFIG_RESOURCE_BROKER: return config_find(broker_config_defs, broker_config_def_count, key);
    case CONFIG_RESOURCE_GROUP: return config_find(group_config_defs, group_config_def_count, key);
    default: return NULL;
    }
}

static bool check_group_bounds(struct decision *decision, struct change *change, const struct config_pair *pair) {
    char bound[CONFIG_GROUP_NAME_MAX];
    for (int upper = 0; upper < 2 && pair->value.ptr; upper++) {
        if (!config_group_bound(pair->key, upper, bound))
            continue;
        int64_t limit = broker_config_int(decision->config, bound), value = config_int(pair->value);
        if (upper ? value > limit : value < limit)
            return refuse(change, KAFKA_INVALID_CONFIG,
                          arena_printf(decision->arena, "%.*s must be %s than or equal to %s", SLICE_FMT(pair->key), upper ? "less" : "greater", bound));
    }
    return true;
}

/* A group's setting as it will be: changed, stored, or the broker's. */
static int64_t group_int(struct decision *decision, const struct change *change, const char *key) {
    for (int i = 0; i < change->count; i++)
        if (slice_eq_str(change->pairs[i].key, key) && change->pairs[i].value.ptr)
            return config_int(change->pairs[i].value);
        else if (slice_eq_str(change->pairs[i].key, key))
            return broker_config_int(decision->config, arena_printf(decision->arena, "group.%s", key));
    struct slice stored = image_config(decision->image, change->type, change->name, slice_str(key));
    return stored.ptr ? config_int(stored) : broker_config_int(decision->config, arena_printf(decision->arena, "group.%s", key));
}

static bool changes(const struct change *change, const char *key) {
    for (int i = 0; i < change->count; i++)
        if (slice_eq_str(change->pairs[i].key, key))
            return true;
    return false;
}

static bool check_session(struct decision *decision, struct change *change) {
    static const char *const kinds[] = {"consumer", "share", "streams"};
    for (int i = 0; i < COUNT_OF(kinds); i++) {
        const char *session = arena_printf(decision->arena, "%s.session.timeout.ms", kinds[i]);
        const char *heartbeat = arena_printf(decision->arena, "%s.heartbeat.interval.ms", kinds[i]);
        if ((changes(change, session) || changes(change, heartbeat)) && group_int(decision, change, session) <= group_int(decision, change, heartbeat))
            return refuse(change, KAFKA_INVALID_CONFIG, arena_printf(decision->arena, "%s must be greater than %s", session, heartbeat));
    }
    return true;
}

/* Kafka 4.4's: the assignor of a streams group, and the tags by which it spreads standbys. */
static bool check_streams_value(struct decision *decision, struct change *change, const struct config_pair *pair) {
    if (!pair->value.ptr)
        return true;
    if (slice_eq_str(pair->key, "streams.rack.aware.assignment.tags") && config_list_has_duplicates(pair->value))
        return refuse(change, KAFKA_INVALID_CONFIG, "streams.rack.aware.assignment.tags must not contain duplicate tag keys.");
    if (slice_eq_str(pair->key, "streams.assignor.name") && !slice_eq_str(pair->value, "sticky"))
        return refuse(change, KAFKA_INVALID_CONFIG,
                      arena_printf(decision->arena, "streams.assignor.name '%.*s' is not a registered task assignor. Registered assignors are: [sticky].",
                                   SLICE_FMT(pair->value)));
    return true;
}

static bool is_auto_offset_reset(struct slice value) {
    return slice_eq_str(value, "earliest") || slice_eq_str(value, "latest") ||
           (value.size > 12 && memcmp(value.ptr, "by_duration:", 12) == 0 && (value.ptr[12] == 'P' || value.ptr[12] == 'p'));
}

static bool check_group(struct decision *decision, struct change *change) {
    if (!change->name.size)
        return refuse(change, KAFKA_INVALID_REQUEST, "Default group resources are not allowed.");
    for (int i = 0; i < change->count; i++) {
        const struct config_def *def = find_def(change->type, change->pairs[i].key);
        struct buf reason = {0};
        if (!def)
            return refuse(change, KAFKA_INVALID_CONFIG,
                          arena_printf(decision->arena, "Unknown group config name: %.*s", SLICE_FMT(change->pairs[i].key)));
        if (change->pairs[i].value.ptr && config_check(def, change->pairs[i].value, &reason)) {
            refuse(change, KAFKA_INVALID_CONFIG, (const char *)arena_slice(decision->arena, buf_slice(&reason)).ptr);
            buf_deinit(&reason);
            return false;
        }
        if (slice_eq_str(change->pairs[i].key, "share.auto.offset.reset") && change->pairs[i].value.ptr &&
            !is_auto_offset_reset(change->pairs[i].value))
            return refuse(change, KAFKA_INVALID_CONFIG,
                          arena_printf(decision->arena,
                                       "Invalid value %.*s for configuration share.auto.offset.reset: Invalid value `%.*s` for configuration "
                                       "share.auto.offset.reset. The value must be either 'earliest', 'latest' or of the format "
                                       "'by_duration:<PnDTnHnMn.nS>'.",
                                       SLICE_FMT(change->pairs[i].value), SLICE_FMT(change->pairs[i].value)));
    }
    for (int i = 0; i < change->count; i++)
        if (!check_group_bounds(decision, change, &change->pairs[i]) || !check_streams_value(decision, change, &change->pairs[i]))
            return false;
    return check_session(decision, change);
}

static bool check_client_metrics(struct decision *decision, struct change *change) {
    if (!change->name.size)
        return refuse(change, KAFKA_INVALID_REQUEST, "Subscription name can't be empty");
    for (int i = 0; i < change->count; i++) {
        struct slice key = change->pairs[i].key, value = change->pairs[i].value;
        if (!slice_eq_str(key, "interval.ms") && !slice_eq_str(key, "metrics") && !slice_eq_str(key, "match"))
            return refuse(change, KAFKA_INVALID_REQUEST,
                          arena_printf(decision->arena, "Unknown client metrics configuration: %.*s", SLICE_FMT(key)));
        if (slice_eq_str(key, "interval.ms") && value.ptr) {
            static const struct config_def interval = {"interval.ms", CONFIG_INT, "300000", "", CONFIG_IMPORTANCE_MEDIUM, NULL};
            struct buf reason = {0};
            if (config_check(&interval, value, &reason)) {
                refuse(change, KAFKA_INVALID_CONFIG, (const char *)arena_slice(decision->arena, buf_slice(&reason)).ptr);
                buf_deinit(&reason);
                return false;
            }
            if (config_int(value) < 100 || config_int(value) > 3600000)
                return refuse(change, KAFKA_INVALID_REQUEST,
                              arena_printf(decision->arena,
                                           "Invalid value %.*s for interval.ms, interval must be between 100 and 3600000 (1 hour)",
                                           SLICE_FMT(value)));
        }
        if (slice_eq_str(key, "match") && value.ptr) {
            struct slice rest = value, item;
            while (config_list_next(&rest, &item))
                if (item.size && !client_match_is_valid(item))
                    return refuse(change, KAFKA_INVALID_CONFIG,
                                  arena_printf(decision->arena, "Illegal client matching pattern: %.*s", SLICE_FMT(item)));
        }
    }
    return true;
}

/* The configuration as it will be: what is stored, with the change over it. */
static bool check_topic(struct decision *decision, struct change *change) {
    if (!change->name.size)
        return refuse(change, KAFKA_INVALID_REQUEST, "Default topic resources are not allowed.");
    const char *text = topic_name_error(change->name, decision->arena);
    if (text)
        return refuse(change, KAFKA_INVALID_TOPIC_EXCEPTION, text);
    const struct image_resource *stored = image_find_resource(decision->image, change->type, change->name);
    int have = stored ? stored->count : 0, count = 0;
    struct config_pair *all = arena_array(decision->arena, struct config_pair, have + change->count + 1);
    for (int i = 0; i < have; i++) {
        bool changed = false;
        for (int k = 0; k < change->count && !changed; k++)
            changed = slice_eq(change->pairs[k].key, stored->configs[i].key);
        if (!changed)
            all[count++] = (struct config_pair){stored->configs[i].key, stored->configs[i].value};
    }
    for (int k = 0; k < change->count; k++)
        if (change->pairs[k].value.ptr)
            all[count++] = change->pairs[k];
    if (check_topic_configs(decision, all, count, &text))
        return refuse(change, KAFKA_INVALID_CONFIG, text);
    if (!image_find_topic(decision->image, change->name))
        return refuse(change, KAFKA_UNKNOWN_TOPIC_OR_PARTITION,
                      arena_printf(decision->arena, "The topic '%.*s' does not exist.", SLICE_FMT(change->name)));
    return true;
}

static bool check_broker(struct decision *decision, struct change *change) {
    bool elr = image_feature(decision->image, FEATURE_ELR) > 0;
    for (int i = 0; i < change->count; i++) {
        if (slice_eq_str(change->pairs[i].key, "cordoned.log.dirs") && decision->image->metadata_version < 30)
            return refuse(change, KAFKA_INVALID_CONFIG,
                          "The cordoned.log.dirs configuration value cannot be set because it requires metadata.version >= 4.3-IV0");
        if (!slice_eq_str(change->pairs[i].key, "min.insync.replicas") || !elr)
            continue;
        if (change->name.size)
            return refuse(change, KAFKA_INVALID_CONFIG, "Broker-level min.insync.replicas cannot be altered while ELR is enabled.");
        if (!change->pairs[i].value.ptr)
            return refuse(change, KAFKA_INVALID_CONFIG, "Cluster-level min.insync.replicas cannot be removed while ELR is enabled.");
    }
    if (change->name.size && !image_find_broker(decision->image, (int32_t)config_int(change->name)))
        return refuse(change, KAFKA_BROKER_ID_NOT_REGISTERED,
                      arena_printf(decision->arena, "No node with id %.*s found.", SLICE_FMT(change->name)));
    return true;
}

static bool check_change(struct decision *decision, struct change *change) {
    for (int i = 0; i < change->count; i++)
        if (change->pairs[i].value.size > VALUE_MAX)
            return refuse(change, KAFKA_INVALID_CONFIG,
                          "The configuration value cannot be added because it exceeds the maximum value size of 32767 bytes.");
    switch (change->type) {
    case CONFIG_RESOURCE_TOPIC: return check_topic(decision, change);
    case CONFIG_RESOURCE_BROKER: return check_broker(decision, change);
    case CONFIG_RESOURCE_CLIENT_METRICS: return check_client_metrics(decision, change);
    case CONFIG_RESOURCE_GROUP: return check_group(decision, change);
    default:
        return refuse(change, KAFKA_INVALID_REQUEST, arena_printf(decision->arena, "Unknown resource type %d", change->type));
    }
}

static void add_change(struct decision *decision, const struct change *change) {
    for (int i = 0; i < change->count; i++) {
        struct slice now = image_config(decision->image, change->type, change->name, change->pairs[i].key);
        if (change->type == CONFIG_RESOURCE_BROKER ? !now.ptr && !change->pairs[i].value.ptr : slice_eq(now, change->pairs[i].value))
            continue;
        add_config_record(decision, change->type, change->name, change->pairs[i].key, change->pairs[i].value);
    }
}

/* Checks, and writes unless it shall only be checked; nothing of a resource with an error is written. */
static void settle(struct decision *decision, struct change *change, bool validate_only) {
    int before = decision->count;
    if (!change->error && check_change(decision, change) && !validate_only)
        add_change(decision, change);
    if (decision->count > DECISION_RECORDS_MAX) {
        decision_rewind(decision, before);
        refuse(change, KAFKA_POLICY_VIOLATION, "Unable to perform excessively large batch operation.");
    }
}

/* ---- APPEND and SUBTRACT --------------------------------------------------------------------------------------------------- */

static bool has_item(struct slice list, struct slice item) {
    struct slice rest = list, at;
    while (config_list_next(&rest, &at))
        if (slice_eq(at, item))
            return true;
    return false;
}

static struct slice change_list(struct decision *decision, const struct change *change, const struct config_def *def, int op,
                                struct slice items) {
    struct slice base = image_config(decision->image, change->type, change->name, slice_str(def->name));
    if (!base.ptr && change->type == CONFIG_RESOURCE_TOPIC)
        base = config_topic_value(decision->config, decision->image, SLICE_NULL, def->name, decision->arena);
    else if (!base.ptr)
        base = broker_config_get(decision->config, def->name);
    struct buf list = {0};
    struct slice rest = base, item;
    while (config_list_next(&rest, &item))
        if (op == OP_APPEND || !has_item(items, item)) {
            buf_add_str(&list, list.size ? "," : "");
            buf_add_slice(&list, item);
        }
    rest = items;
    while (op == OP_APPEND && config_list_next(&rest, &item))
        if (!has_item(buf_slice(&list), item)) {
            buf_add_str(&list, list.size ? "," : "");
            buf_add_slice(&list, item);
        }
    struct slice result = arena_slice(decision->arena, buf_slice(&list));
    buf_deinit(&list);
    return result;
}

static bool apply_operation(struct decision *decision, struct change *change,
                            const struct incremental_alter_configs_request_alterable_config *config) {
    const struct config_def *def = find_def(change->type, config->name);
    struct config_pair *pair = &change->pairs[change->count++];
    *pair = (struct config_pair){config->name, config->value};
    switch (config->config_operation) {
    case OP_SET:
        return true;
    case OP_DELETE:
        pair->value = SLICE_NULL;
        return true;
    case OP_APPEND:
    case OP_SUBTRACT:
        if (!def || def->type != CONFIG_LIST || change->type == CONFIG_RESOURCE_GROUP)
            return refuse(change, KAFKA_INVALID_CONFIG,
                          arena_printf(decision->arena, "Can't %s to key %.*s because its type is not LIST.",
                                       config->config_operation == OP_APPEND ? "APPEND" : "SUBTRACT", SLICE_FMT(config->name)));
        pair->value = change_list(decision, change, def, config->config_operation, config->value);
        return true;
    default:
        return refuse(change, KAFKA_INVALID_REQUEST, arena_printf(decision->arena, "Unknown operations type %d", config->config_operation));
    }
}

void decide_incremental_alter_configs(struct decision *decision, const struct incremental_alter_configs_request *request,
                                      struct incremental_alter_configs_response *response) {
    for (int i = 0; i < request->resources_count; i++) {
        const struct incremental_alter_configs_request_alter_configs_resource *resource = &request->resources[i];
        if (response->responses[i].error_code)
            continue;
        struct change change = {.type = resource->resource_type, .name = resource->resource_name};
        change.pairs = arena_array(decision->arena, struct config_pair, resource->configs_count + 1);
        for (int k = 0; k < resource->configs_count && !change.error; k++)
            apply_operation(decision, &change, &resource->configs[k]);
        settle(decision, &change, request->validate_only);
        response->responses[i].error_code = change.error;
        response->responses[i].error_message = change.message;
    }
}

void decide_alter_configs(struct decision *decision, const struct alter_configs_request *request,
                          struct alter_configs_response *response) {
    for (int i = 0; i < request->resources_count; i++) {
        const struct alter_configs_request_alter_configs_resource *resource = &request->resources[i];
        if (response->responses[i].error_code)
            continue;
        const struct image_resource *stored = image_find_resource(decision->image, resource->resource_type, resource->resource_name);
        int have = stored ? stored->count : 0;
        struct change change = {.type = resource->resource_type, .name = resource->resource_name};
        change.pairs = arena_array(decision->arena, struct config_pair, resource->configs_count + have + 1);
        for (int k = 0; k < resource->configs_count; k++)
            change.pairs[change.count++] = (struct config_pair){resource->configs[k].name, resource->configs[k].value};
        for (int k = 0; k < have; k++) { /* what is not listed goes */
            bool listed = false;
            for (int l = 0; l < resource->configs_count && !listed; l++)
                listed = slice_eq(resource->configs[l].name, stored->configs[k].key);
            if (!listed)
                change.pairs[change.count++] = (struct config_pair){stored->configs[k].key, SLICE_NULL};
        }
        settle(decision, &change, request->validate_only);
        response->responses[i].error_code = change.error;
        response->responses[i].error_message = change.message;
    }
}
