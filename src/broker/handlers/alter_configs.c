/* IncrementalAlterConfigs and AlterConfigs: a broker checks what concerns itself, the controller the rest and writes. */
#include <stdlib.h>
#include "broker/handlers/handlers.h"
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
    alteration->message = slice_str(text);
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

static void check_logger(struct request *request, struct alteration *alteration) {
    if (!alteration->name.size) {
        refuse(alteration, KAFKA_INVALID_REQUEST, "Node id must be an integer, but it is: ");
        return;
    }
    for (int i = 0; i < alteration->count; i++)
        refuse(alteration, KAFKA_INVALID_CONFIG, arena_printf(&request->arena, "Logger %.*s does not exist!", SLICE_FMT(alteration->keys[i])));
}

static void check_resource(struct request *request, struct alteration *alteration, bool incremental) {
    for (int i = 0; i < alteration->count; i++)
        for (int k = 0; k < i; k++)
            if (slice_eq(alteration->keys[i], alteration->keys[k]))
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

static void check_all(struct request *request, struct alteration *alterations, int count, bool incremental) {
    for (int i = 0; i < count; i++)
        for (int k = 0; k < count && count <= 10000; k++)
            if (k != i && alterations[k].type == alterations[i].type && slice_eq(alterations[k].name, alterations[i].name))
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
