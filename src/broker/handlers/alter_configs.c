/* IncrementalAlterConfigs and AlterConfigs: a broker checks what concerns itself, the controller the rest and writes. */
#include <stdlib.h>
#include "broker/handlers/handlers.h"
#include "base/names.h"
#include "metadata/config_check.h"
#include "metadata/config_dynamic.h"

enum { OP_SET, OP_DELETE, OP_APPEND, OP_SUBTRACT };

/* One resource, in either API's clothes. */
struct alteration {
    int8_t type;
    struct slice name;
    int count;
    struct slice *keys, *values;
    int8_t *operations;
    int16_t error;
    struct slice message;
};

static void refuse(struct alteration *alteration, int16_t code, const char *text) {
    if (alteration->error)
        return;
    alteration->error = code;
    alteration->message = decision_text(text);
}

/* ---- settings of this broker ------------------------------------------------------------------------------------------------- */

static bool is_thread_count(struct slice key) {
    static const char *const names[] = {"num.io.threads", "num.network.threads", "num.replica.fetchers", "background.threads",
                                        "num.recovery.threads.per.data.dir"};
    for (int i = 0; i < COUNT_OF(names); i++)
        if (slice_eq_str(key, names[i]))
            return true;
    return false;
}

static void check_thread_count(struct request *request, struct alteration *alteration, const struct config_def *def, struct slice value) {
    struct config_synonym synonyms[CONFIG_SYNONYMS_MAX];
    const struct broker_shard *shard = request->shard;
    int count = config_broker_synonyms(shard->broker->config, shard->image, def, &request->arena, synonyms);
    int64_t now = count ? config_int(synonyms[0].value) : 0, wanted = config_int(value);
    const char *prefix = "Invalid value org.apache.kafka.common.config.ConfigException: Dynamic thread count update validation failed for";
    const char *suffix = "for configuration Invalid dynamic configuration";
    if (wanted > 2 * now)
        refuse(alteration, KAFKA_INVALID_REQUEST,
               arena_printf(&request->arena, "%s %s=%lld, value should not be greater than double the current value %lld %s", prefix,
                            def->name, (long long)wanted, (long long)now, suffix));
    else if (wanted < now / 2)
        refuse(alteration, KAFKA_INVALID_REQUEST,
               arena_printf(&request->arena, "%s %s=%lld, value should be at least half the current value %lld %s", prefix, def->name,
                            (long long)wanted, (long long)now, suffix));
}

static void check_cleaner_threads(struct request *request, struct alteration *alteration, struct slice value) {
    const struct broker_shard *shard = request->shard;
    struct slice in_force = config_broker_value(shard->broker->config, shard->image, "log.cleaner.threads", &request->arena);
    int64_t now = config_int(in_force), wanted = config_int(value);
    const char *how = wanted > 2 * now ? "increased to more than double" : wanted < now / 2 ? "reduced to less than half" : NULL;
    if (how)
        refuse(alteration, KAFKA_INVALID_REQUEST,
               arena_printf(&request->arena,
                            "Invalid value org.apache.kafka.common.config.ConfigException: Log cleaner threads cannot be %s the current "
                            "value %lld for configuration Invalid dynamic configuration",
                            how, (long long)now));
}

/* cordoned.log.dirs names directories of log.dirs, or all of them. */
static void check_cordoned(struct request *request, struct alteration *alteration, struct slice value) {
    const struct broker_config *config = request->shard->broker->config;
    struct buf missing = {0};
    struct slice item;
    while (config_list_next(&value, &item)) {
        bool there = slice_eq_str(item, "*");
        for (int i = 0; i < config->log_dir_count; i++)
            there |= slice_eq_str(item, config->log_dirs[i]);
        if (!there)
            buf_printf(&missing, "%s%.*s", missing.size ? "," : "", SLICE_FMT(item));
    }
    if (missing.size)
        refuse(alteration, KAFKA_INVALID_REQUEST,
               arena_printf(&request->arena,
                            "requirement failed: All entries in cordoned.log.dirs must be present in log.dirs or log.dir. Missing entries : "
                            "%.*s",
                            (int)missing.size, (const char *)missing.ptr));
    buf_deinit(&missing);
}

/* Every name of controller.listener.names is one of the listeners. */
static void check_listeners(struct request *request, struct alteration *alteration, struct slice value) {
    struct slice names = broker_config_get(request->shard->broker->config, "controller.listener.names"), name, item;
    while (names.ptr && config_list_next(&names, &name)) {
        struct slice rest = value;
        bool there = false;
        while (config_list_next(&rest, &item))
            there |= item.size > name.size && item.ptr[name.size] == ':' && config_eq_no_case(slice_of(item.ptr, name.size), name);
        if (!there && request->shard->broker->config->is_controller)
            refuse(alteration, KAFKA_INVALID_REQUEST,
                   "requirement failed: controller.listener.names must only contain values appearing in the 'listeners' configuration when "
                   "running the KRaft controller role");
    }
}

/* What Kafka finds out by trying the new configuration as a whole. */
static void try_value(struct request *request, struct alteration *alteration, struct slice key, struct slice value) {
    if (slice_eq_str(key, "log.cleaner.threads"))
        check_cleaner_threads(request, alteration, value);
    else if (slice_eq_str(key, "cordoned.log.dirs"))
        check_cordoned(request, alteration, value);
    else if (slice_eq_str(key, "listeners"))
        check_listeners(request, alteration, value);
    else if (slice_eq_str(key, "log.roll.ms") && config_int(value) < 1)
        refuse(alteration, KAFKA_INVALID_REQUEST, "requirement failed: log.roll.ms must be greater than or equal to 1");
    else if (slice_eq_str(key, "metric.reporters") && value.size && !slice_eq_str(value, "org.apache.kafka.common.metrics.JmxReporter"))
        refuse(alteration, KAFKA_INVALID_REQUEST, /* there are no classes here */
               "Invalid value org.apache.kafka.common.config.ConfigException: Validation of dynamic config update of Set(metric.reporters) "
               "failed with class class kafka.server.DynamicMetricsReporters for configuration Invalid dynamic configuration");
}

static void check_broker_key(struct request *request, struct alteration *alteration, int i) {
    struct slice key = alteration->keys[i], bare = key;
    const char *text = (const char *)arena_slice(&request->arena, key).ptr;
    int op = alteration->operations[i];
    bool prefixed = config_strip_listener(&bare);
    const struct config_def *def = config_find(broker_config_defs, broker_config_def_count, bare);
    if (op > OP_SUBTRACT || op < OP_SET) {
        refuse(alteration, KAFKA_INVALID_REQUEST, arena_printf(&request->arena, "Unknown operations type %d", op));
        return;
    }
    if (op >= OP_APPEND && !def) {
        refuse(alteration, KAFKA_INVALID_CONFIG, arena_printf(&request->arena, "Unknown config name: %s", text));
        return;
    }
    if (op >= OP_APPEND && def->type != CONFIG_LIST) {
        refuse(alteration, KAFKA_INVALID_CONFIG, arena_printf(&request->arena, "Config value append is not allowed for config key: %s", text));
        return;
    }
    if (!def && !prefixed)
        def = config_find_dynamic_only(key);
    if (!def)
        return; /* a name that nobody knows is stored, for plugins */
    enum config_scope scope = config_dynamic_scope(bare);
    if (scope == CONFIG_READ_ONLY) {
        refuse(alteration, KAFKA_INVALID_REQUEST, arena_printf(&request->arena, "Cannot update these configs dynamically: [%s]", text));
        return;
    }
    if (!prefixed && config_needs_listener(bare)) {
        refuse(alteration, KAFKA_INVALID_REQUEST,
               arena_printf(&request->arena,
                            "These security configs can be dynamically updated only per-listener using the listener prefix: [%s]", text));
        return;
    }
    struct buf reason = {0};
    if (op == OP_SET && alteration->values[i].ptr && config_check(def, alteration->values[i], &reason))
        refuse(alteration, KAFKA_INVALID_REQUEST, (const char *)arena_slice(&request->arena, buf_slice(&reason)).ptr);
    buf_deinit(&reason);
    if (!alteration->name.size && scope == CONFIG_PER_BROKER)
        refuse(alteration, KAFKA_INVALID_REQUEST,
               arena_printf(&request->arena, "Cannot update these configs at default cluster level, broker id must be specified: [%s]", text));
    if (!alteration->error && op == OP_SET && is_thread_count(bare))
        check_thread_count(request, alteration, def, alteration->values[i]);
    if (!alteration->error && op == OP_SET && !prefixed)
        try_value(request, alteration, bare, alteration->values[i]);
}

static void check_broker(struct request *request, struct alteration *alteration) {
    if (alteration->name.size) {
        char *end;
        const char *text = (const char *)arena_slice(&request->arena, alteration->name).ptr;
        long id = strtol(text, &end, 10);
        if (*end || end == text)
            refuse(alteration, KAFKA_INVALID_REQUEST, arena_printf(&request->arena, "Node id must be an integer, but it is: %s", text));
        else if (id != request->shard->broker->config->node_id)
            refuse(alteration, KAFKA_INVALID_REQUEST, arena_printf(&request->arena, "Unexpected broker id, expected %d, but received %s",
                                                                   (int)request->shard->broker->config->node_id, text));
    }
    for (int i = 0; i < alteration->count && !alteration->error; i++)
        check_broker_key(request, alteration, i);
}

/* ---- any resource ---------------------------------------------------------------------------------------------------------------- */

/* Loggers have no levels of their own here, but for the root, which every node has. */
static void check_logger_change(struct request *request, struct alteration *alteration, int i) {
    static const char *const levels[] = {"DEBUG", "ERROR", "FATAL", "INFO", "TRACE", "WARN"};
    struct slice key = alteration->keys[i], value = alteration->values[i];
    bool root = slice_eq_str(key, "root"), known = false;
    int op = alteration->operations[i];
    for (int k = 0; k < COUNT_OF(levels); k++)
        known |= slice_eq_str(value, levels[k]);
    if (op == OP_APPEND || op == OP_SUBTRACT)
        refuse(alteration, KAFKA_INVALID_REQUEST,
               arena_printf(&request->arena, "%s operation is not allowed for the BROKER_LOGGER resource", op == OP_APPEND ? "APPEND" : "SUBTRACT"));
    else if (op != OP_SET && op != OP_DELETE)
        refuse(alteration, KAFKA_UNKNOWN_SERVER_ERROR, NULL);
    else if (!root)
        refuse(alteration, KAFKA_INVALID_CONFIG, arena_printf(&request->arena, "Logger %.*s does not exist!", SLICE_FMT(key)));
    else if (op == OP_DELETE)
        refuse(alteration, KAFKA_INVALID_REQUEST, "Removing the log level of the root logger is not allowed");
    else if (!known)
        refuse(alteration, KAFKA_INVALID_CONFIG,
               arena_printf(&request->arena,
                            "Cannot set the log level of %.*s to %.*s as it is not a supported log level. Valid log levels are DEBUG, "
                            "ERROR, FATAL, INFO, TRACE, WARN",
                            SLICE_FMT(key), SLICE_FMT(value)));
}

static void check_logger(struct request *request, struct alteration *alteration) {
    int32_t node = request->shard->broker->config->node_id, id;
    if (!config_parse_int32(alteration->name, &id)) {
        refuse(alteration, KAFKA_INVALID_REQUEST,
               arena_printf(&request->arena, "Node id must be an integer, but it is: %.*s", SLICE_FMT(alteration->name)));
        return;
    }
    if (id != node) {
        refuse(alteration, KAFKA_INVALID_REQUEST,
               arena_printf(&request->arena, "Unexpected node id. Expected %d, but received %d", (int)node, (int)id));
        return;
    }
    for (int i = 0; i < alteration->count; i++)
        check_logger_change(request, alteration, i);
}

static void check_resource(struct request *request, struct alteration *alteration, bool incremental) {
    struct names *keys = names_create(&request->arena);
    for (int i = 0; i < alteration->count; i++)
        if (names_add(keys, alteration->keys[i]))
            refuse(alteration, KAFKA_INVALID_REQUEST, "Error due to duplicate config keys");
    for (int i = 0; i < alteration->count; i++)
        if (!alteration->values[i].ptr && alteration->operations[i] != OP_DELETE)
            refuse(alteration, KAFKA_INVALID_REQUEST, arena_printf(&request->arena, "Null value not supported for : %.*s", SLICE_FMT(alteration->keys[i])));
    if (alteration->error)
        return;
    switch (alteration->type) {
    case CONFIG_RESOURCE_BROKER:
        check_broker(request, alteration);
        break;
    case CONFIG_RESOURCE_BROKER_LOGGER:
        if (incremental) {
            check_logger(request, alteration);
            break;
        }
        __attribute__((fallthrough));
    default:
        refuse(alteration, KAFKA_INVALID_REQUEST, arena_printf(&request->arena, "Unknown resource type %d", alteration->type));
        break;
    case CONFIG_RESOURCE_TOPIC:
    case CONFIG_RESOURCE_CLIENT_METRICS:
    case CONFIG_RESOURCE_GROUP:
        break;
    }
}

/* Type and name. */
static struct slice resource_key(struct request *request, const struct alteration *alteration) {
    uint8_t *key = arena_alloc(&request->arena, 1 + alteration->name.size);
    key[0] = (uint8_t)alteration->type;
    if (alteration->name.size)
        memcpy(key + 1, alteration->name.ptr, alteration->name.size);
    return slice_of(key, 1 + alteration->name.size);
}

static void check_all(struct request *request, struct alteration *alterations, int count, bool incremental) {
    struct names *resources = names_create(&request->arena);
    for (int i = 0; i < count; i++)
        names_add(resources, resource_key(request, &alterations[i]));
    for (int i = 0; i < count; i++)
        if (names_count(resources, resource_key(request, &alterations[i])) > 1)
            refuse(&alterations[i], KAFKA_INVALID_REQUEST, "Each resource must appear at most once.");
    for (int i = 0; i < count; i++)
        if (!alterations[i].error)
            check_resource(request, &alterations[i], incremental);
}

/* ---- IncrementalAlterConfigs ------------------------------------------------------------------------------------------------------ */

struct incremental {
    struct controller_call call;
    struct request *request;
    struct incremental_alter_configs_request message;
    struct incremental_alter_configs_response response;
};

static void incremental_decide(struct controller_call *call, struct decision *decision) {
    struct incremental *alter = container_of(call, struct incremental, call);
    decide_incremental_alter_configs(decision, &alter->message, &alter->response);
}
static void incremental_done(struct controller_call *call) {
    struct incremental *alter = container_of(call, struct incremental, call);
    for (int i = 0; i < alter->response.responses_count && call->err; i++)
        if (!alter->response.responses[i].error_code)
            alter->response.responses[i].error_code = controller_call_code(call);
    request_answer(alter->request, incremental_alter_configs, &alter->response);
}

void handle_incremental_alter_configs(struct request *request) {
    struct incremental *alter = arena_zalloc(&request->arena, sizeof *alter);
    alter->request = request;
    if (!request_decode(request, incremental_alter_configs, &alter->message))
        return;
    int count = alter->message.resources_count;
    struct alteration *alterations = arena_array(&request->arena, struct alteration, count + 1);
    for (int i = 0; i < count; i++) {
        const struct incremental_alter_configs_request_alter_configs_resource *resource = &alter->message.resources[i];
        struct alteration *a = &alterations[i];
        *a = (struct alteration){.type = resource->resource_type, .name = resource->resource_name, .count = resource->configs_count};
        a->keys = arena_array(&request->arena, struct slice, a->count + 1);
        a->values = arena_array(&request->arena, struct slice, a->count + 1);
        a->operations = arena_array(&request->arena, int8_t, a->count + 1);
        for (int k = 0; k < a->count; k++) {
            a->keys[k] = resource->configs[k].name;
            a->values[k] = resource->configs[k].value;
            a->operations[k] = resource->configs[k].config_operation;
        }
    }
    check_all(request, alterations, count, true);
    incremental_alter_configs_response_init(&alter->response);
    alter->response.responses_count = count;
    alter->response.responses =
        arena_array(&request->arena, struct incremental_alter_configs_response_alter_configs_resource_response, count + 1);
    int left = 0;
    for (int i = 0; i < count; i++) {
        alter->response.responses[i] = (struct incremental_alter_configs_response_alter_configs_resource_response){
            alterations[i].error, alterations[i].message, alterations[i].type, alterations[i].name};
        left += alterations[i].error == 0 && alterations[i].type != CONFIG_RESOURCE_BROKER_LOGGER;
    }
    alter->call = (struct controller_call){
        .home = request->shard->shard, .arena = &request->arena, .decide = incremental_decide, .done = incremental_done};
    if (left)
        controller_call(request->shard->broker->controller, &alter->call);
    else
        incremental_done(&alter->call);
}

/* ---- AlterConfigs ------------------------------------------------------------------------------------------------------------------ */

struct legacy {
    struct controller_call call;
    struct request *request;
    struct alter_configs_request message;
    struct alter_configs_response response;
};

static void legacy_decide(struct controller_call *call, struct decision *decision) {
    struct legacy *alter = container_of(call, struct legacy, call);
    decide_alter_configs(decision, &alter->message, &alter->response);
}
static void legacy_done(struct controller_call *call) {
    struct legacy *alter = container_of(call, struct legacy, call);
    for (int i = 0; i < alter->response.responses_count && call->err; i++)
        if (!alter->response.responses[i].error_code)
            alter->response.responses[i].error_code = controller_call_code(call);
    request_answer(alter->request, alter_configs, &alter->response);
}

void handle_alter_configs(struct request *request) {
    struct legacy *alter = arena_zalloc(&request->arena, sizeof *alter);
    alter->request = request;
    if (!request_decode(request, alter_configs, &alter->message))
        return;
    int count = alter->message.resources_count;
    struct alteration *alterations = arena_array(&request->arena, struct alteration, count + 1);
    for (int i = 0; i < count; i++) {
        const struct alter_configs_request_alter_configs_resource *resource = &alter->message.resources[i];
        struct alteration *a = &alterations[i];
        *a = (struct alteration){.type = resource->resource_type, .name = resource->resource_name, .count = resource->configs_count};
        a->keys = arena_array(&request->arena, struct slice, a->count + 1);
        a->values = arena_array(&request->arena, struct slice, a->count + 1);
        a->operations = arena_array(&request->arena, int8_t, a->count + 1);
        for (int k = 0; k < a->count; k++) {
            a->keys[k] = resource->configs[k].name;
            a->values[k] = resource->configs[k].value;
        }
    }
    check_all(request, alterations, count, false);
    alter_configs_response_init(&alter->response);
    alter->response.responses_count = count;
    alter->response.responses = arena_array(&request->arena, struct alter_configs_response_alter_configs_resource_response, count + 1);
    int left = 0;
    for (int i = 0; i < count; i++) {
        alter->response.responses[i] = (struct alter_configs_response_alter_configs_resource_response){
            alterations[i].error, alterations[i].message, alterations[i].type, alterations[i].name};
        left += alterations[i].error == 0;
    }
    alter->call = (struct controller_call){.home = request->shard->shard, .arena = &request->arena, .decide = legacy_decide, .done = legacy_done};
    if (left)
        controller_call(request->shard->broker->controller, &alter->call);
    else
        legacy_done(&alter->call);
}
