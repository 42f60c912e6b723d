/* DescribeConfigs and ListConfigResources: settings with where they come from (KIP-226, KIP-569, KIP-1142). */
#include <stdlib.h>
#include "broker/handlers/handlers.h"
#include "metadata/config_check.h"
#include "metadata/config_dynamic.h"
#include "protocol/describe_configs_request.h"
#include "protocol/describe_configs_response.h"
#include "protocol/list_config_resources_request.h"
#include "protocol/list_config_resources_response.h"

typedef struct describe_configs_request_describe_configs_resource wanted;
typedef struct describe_configs_response_describe_configs_result described;
typedef struct describe_configs_response_describe_configs_resource_result entry;

struct describe {
    struct request *request;
    const struct describe_configs_request *message;
};

static const char *generic_message(int16_t code) {
    return code == KAFKA_INVALID_REQUEST ? "This most likely occurs because of a request being malformed by the client library or the "
                                           "message was sent to an incompatible broker. See the broker logs for more details."
                                         : "";
}

static void refuse(described *out, int16_t code, const char *text) {
    out->error_code = code;
    out->error_message = decision_text(text);
}

static bool is_wanted(const wanted *resource, const char *name) {
    if (resource->configuration_keys_count <= 0)
        return true;
    for (int i = 0; i < resource->configuration_keys_count; i++)
        if (slice_eq_str(resource->configuration_keys[i], name))
            return true;
    return false;
}

static bool is_sensitive(enum config_type type) {
    return type == CONFIG_PASSWORD || type == CONFIG_UNKNOWN;
}

static void add_entry(const struct describe *describe, described *out, const struct config_def *def, struct slice value,
                      const struct config_synonym *synonyms, int count, bool read_only) {
    entry *e = &out->configs[out->configs_count++];
    struct arena *arena = &describe->request->arena;
    bool sensitive = is_sensitive(def->type);
    describe_configs_response_describe_configs_resource_result_init(e);
    e->name = slice_str(def->name);
    e->value = value.ptr && !sensitive ? arena_slice(arena, value) : SLICE_NULL;
    e->config_source = count ? (int8_t)synonyms[0].source : CONFIG_SOURCE_DEFAULT;
    e->read_only = read_only;
    e->is_sensitive = sensitive;
    e->config_type = (int8_t)def->type;
    e->documentation = describe->message->include_documentation ? slice_str(config_documentation(def->name)) : SLICE_NULL;
    if (!describe->message->include_synonyms)
        return;
    e->synonyms = arena_array(arena, struct describe_configs_response_describe_configs_synonym, count + 1);
    for (int i = 0; i < count; i++)
        e->synonyms[e->synonyms_count++] = (struct describe_configs_response_describe_configs_synonym){
            slice_str(synonyms[i].name), sensitive ? SLICE_NULL : arena_slice(arena, synonyms[i].raw), (int8_t)synonyms[i].source};
}

/* ---- topics ------------------------------------------------------------------------------------------------------------------ */

/* A value as Kafka shows it after reading it: " TRUE" as "true", "+5" as "5", "a, b" as "a,b". */
static struct slice canonical(struct arena *arena, const struct config_def *def, struct slice value) {
    struct slice rest = value, item;
    struct buf list = {0};
    switch (def->type) {
    case CONFIG_BOOLEAN: return config_bool(value) ? SLICE_LIT("true") : SLICE_LIT("false");
    case CONFIG_SHORT:
    case CONFIG_INT:
    case CONFIG_LONG: return slice_str(arena_printf(arena, "%lld", (long long)config_int(value)));
    case CONFIG_LIST:
        while (config_list_next(&rest, &item)) {
            buf_add_str(&list, list.size ? "," : "");
            buf_add_slice(&list, item);
        }
        value = arena_slice(arena, buf_slice(&list));
        buf_deinit(&list);
        return value;
    default: return value;
    }
}

static void describe_topic(const struct describe *describe, const wanted *resource, described *out) {
    struct request *request = describe->request;
    if (topic_name_error(resource->resource_name, &request->arena)) {
        refuse(out, KAFKA_INVALID_TOPIC_EXCEPTION, topic_name_error(resource->resource_name, &request->arena));
        return;
    }
    if (!image_find_topic(request->shard->image, resource->resource_name)) {
        refuse(out, KAFKA_UNKNOWN_TOPIC_OR_PARTITION, "");
        return;
    }
    out->configs = arena_array(&request->arena, entry, topic_config_def_count);
    for (int i = 0; i < topic_config_def_count; i++) {
        struct config_synonym synonyms[CONFIG_SYNONYMS_MAX];
        const struct config_def *def = &topic_config_defs[i];
        if (!is_wanted(resource, def->name) || (strncmp(def->name, "internal.", 9) == 0 &&
                                                 !image_config(request->shard->image, CONFIG_RESOURCE_TOPIC, resource->resource_name, slice_str(def->name)).ptr))
            continue;
        int count = config_topic_synonyms(request->shard->broker->config, request->shard->image, resource->resource_name, def,
                                          &request->arena, synonyms);
        if (count && synonyms[0].source == CONFIG_SOURCE_TOPIC)
            synonyms[0].value = synonyms[0].raw = canonical(&request->arena, def, synonyms[0].value);
        struct slice value = count ? synonyms[0].value : SLICE_NULL;
        add_entry(describe, out, def, value, synonyms, config_shown_synonyms(def, synonyms, count), false);
    }
}

/* ---- brokers ------------------------------------------------------------------------------------------------------------------ */

/* What is stored for a resource, known or not; source as given. */
static void describe_stored(const struct describe *describe, const wanted *resource, enum config_source source, described *out) {
    struct request *request = describe->request;
    const struct image_resource *stored = image_find_resource(request->shard->image, resource->resource_type, resource->resource_name);
    int have = stored ? stored->count : 0;
    out->configs = arena_array(&request->arena, entry, have + 1);
    for (int i = 0; i < have; i++) {
        const struct config_def *known = config_find(broker_config_defs, broker_config_def_count, stored->configs[i].key);
        const struct config_def unknown = {.name = (const char *)arena_slice(&request->arena, stored->configs[i].key).ptr};
        known = known ? known : config_find_dynamic_only(stored->configs[i].key);
        const struct config_def *def = known ? known : &unknown;
        struct config_synonym synonym = {def->name, stored->configs[i].value, stored->configs[i].value, source};
        if (is_wanted(resource, def->name))
            add_entry(describe, out, def, synonym.value, &synonym, 1, config_dynamic_scope(slice_str(def->name)) == CONFIG_READ_ONLY);
    }
}

/* Whole, as Java's parser of numbers takes it. */
static bool parse_id(const char *text, long *ret_id) {
    char *end;
    const char *digits = text + (*text == '-' || *text == '+');
    *ret_id = strtol(text, &end, 10);
    return *digits >= '0' && *digits <= '9' && !*end && *ret_id >= INT32_MIN && *ret_id <= INT32_MAX;
}

static bool is_this_node(const struct describe *describe, const wanted *resource, described *out, const char *unexpected) {
    struct arena *arena = &describe->request->arena;
    const char *text = (const char *)arena_slice(arena, resource->resource_name).ptr;
    int32_t node = describe->request->shard->broker->config->node_id;
    long id;
    if (!parse_id(text, &id)) {
        refuse(out, KAFKA_INVALID_REQUEST, arena_printf(arena, "Broker id must be an integer, but it is: %s", text));
        return false;
    }
    if (id != node) {
        const char *which = *unexpected ? "expected %d or empty string, but received %s" : "expected %d but received %s";
        refuse(out, KAFKA_INVALID_REQUEST, arena_printf(arena, "Unexpected broker id, %s", arena_printf(arena, which, (int)node, text)));
        return false;
    }
    return true;
}

/* Settings that are no setting of the file, and those of names that nobody knows: the values of these are not shown, they may
 * be secrets. */
static void add_unknown(const struct describe *describe, const wanted *resource, described *out, struct slice stored_as,
                        enum config_source source) {
    struct request *request = describe->request;
    const struct image_resource *stored = image_find_resource(request->shard->image, CONFIG_RESOURCE_BROKER, stored_as);
    for (int i = 0; stored && i < stored->count; i++) {
        struct slice key = stored->configs[i].key;
        const struct config_def unknown = {.name = (const char *)arena_slice(&request->arena, key).ptr};
        const struct config_def *known = config_find_dynamic_only(key), *def = known ? known : &unknown;
        bool there = config_find(broker_config_defs, broker_config_def_count, key) != NULL;
        for (int k = 0; k < out->configs_count && !there; k++)
            there = slice_eq(out->configs[k].name, key);
        struct config_synonym synonym = {def->name, stored->configs[i].value, stored->configs[i].value, source};
        if (!there && is_wanted(resource, def->name))
            add_entry(describe, out, def, synonym.value, &synonym, 1, config_dynamic_scope(key) == CONFIG_READ_ONLY);
    }
}

/* What Kafka defines for its own tests and does not show. */
static bool is_internal(const char *name) {
    static const char *const names[] = {
        "controller.performance.always.log.threshold.ms", "controller.performance.sample.period.ms",
        "group.consumer.regex.refresh.interval.ms", "group.share.initialize.retry.interval.ms", "group.share.persister.class.name",
        "group.streams.acceptable.recovery.lag", "group.streams.assignor.offload.enable", "group.streams.max.warmup.replicas",
        "group.streams.min.task.offset.interval.ms", "group.streams.num.warmup.replicas", "group.streams.task.offset.interval.ms",
        "producer.id.expiration.check.interval.ms", "remote.log.index.file.cache.ttl.ms",
        "remote.log.manager.task.retry.backoff.max.ms", "remote.log.manager.task.retry.backoff.ms",
        "remote.log.manager.task.retry.jitter", "server.max.startup.time.ms", "share.coordinator.cold.partition.snapshot.interval.ms",
        "share.coordinator.state.topic.prune.interval.ms", "streams.acceptable.recovery.lag", "streams.assignor.offload.enable",
        "streams.num.warmup.replicas", "streams.task.offset.interval.ms", "unclean.leader.election.interval.ms", "unstable.api.versions.enable",
        "unstable.feature.versions.enable",
    };
    for (int i = 0; i < COUNT_OF(names); i++)
        if (strcmp(names[i], name) == 0)
            return true;
    return strncmp(name, "internal.", 9) == 0;
}

static void describe_broker(const struct describe *describe, const wanted *resource, described *out) {
    struct request *request = describe->request;
    const struct broker_config *config = request->shard->broker->config;
    if (!resource->resource_name.size) {
        describe_stored(describe, resource, CONFIG_SOURCE_DYNAMIC_DEFAULT, out);
        return;
    }
    if (!is_this_node(describe, resource, out, "or empty"))
        return;
    const struct image_resource *here = image_find_resource(request->shard->image, CONFIG_RESOURCE_BROKER, resource->resource_name);
    const struct image_resource *all = image_find_resource(request->shard->image, CONFIG_RESOURCE_BROKER, SLICE_EMPTY);
    out->configs = arena_array(&request->arena, entry, broker_config_def_count + (here ? here->count : 0) + (all ? all->count : 0));
    for (int i = 0; i < broker_config_def_count; i++) {
        struct config_synonym synonyms[CONFIG_SYNONYMS_MAX];
        const struct config_def *def = &broker_config_defs[i];
        if (!is_wanted(resource, def->name) || is_internal(def->name))
            continue;
        int count = config_broker_synonyms(config, request->shard->image, def, &request->arena, synonyms);
        add_entry(describe, out, def, count ? synonyms[0].value : SLICE_NULL, synonyms, count, config_dynamic_scope(slice_str(def->name)) == CONFIG_READ_ONLY);
    }
    add_unknown(describe, resource, out, resource->resource_name, CONFIG_SOURCE_DYNAMIC_BROKER);
    add_unknown(describe, resource, out, SLICE_EMPTY, CONFIG_SOURCE_DYNAMIC_DEFAULT);
}

/* ---- groups, client metrics --------------------------------------------------------------------------------------------------- */

static void describe_own(const struct describe *describe, const wanted *resource, const struct config_def *defs, int def_count,
                         enum config_source source, described *out) {
    struct request *request = describe->request;
    out->configs = arena_array(&request->arena, entry, def_count);
    for (int i = 0; i < def_count; i++) {
        struct config_synonym synonyms[CONFIG_SYNONYMS_MAX + 1];
        int count = 0;
        struct slice value = image_config(request->shard->image, resource->resource_type, resource->resource_name, slice_str(defs[i].name));
        if (!is_wanted(resource, defs[i].name) || (!value.ptr && is_internal(defs[i].name)))
            continue;
        if (value.ptr)
            synonyms[count++] = (struct config_synonym){defs[i].name, value, value, source};
        /* A group's setting begins with that of the broker of the same name behind "group.". */
        const struct config_def *broker =
            source == CONFIG_SOURCE_GROUP
                ? config_find(broker_config_defs, broker_config_def_count, slice_str(arena_printf(&request->arena, "group.%s", defs[i].name)))
                : NULL;
        if (broker)
            count += config_broker_synonyms(request->shard->broker->config, request->shard->image, broker, &request->arena, synonyms + count);
        else if (source == CONFIG_SOURCE_GROUP && defs[i].default_value)
            synonyms[count++] = (struct config_synonym){defs[i].name, slice_str(defs[i].default_value), slice_str(defs[i].default_value), CONFIG_SOURCE_DEFAULT};
        add_entry(describe, out, &defs[i], count ? synonyms[0].value : slice_str(defs[i].default_value), synonyms, count, false);
    }
}

static const struct config_def client_metrics_defs[] = {
    {.name = "interval.ms", .type = CONFIG_INT, .default_value = "300000", .valid = "", .importance = CONFIG_IMPORTANCE_MEDIUM},
    {.name = "match", .type = CONFIG_LIST, .default_value = "", .valid = "", .importance = CONFIG_IMPORTANCE_MEDIUM},
    {.name = "metrics", .type = CONFIG_LIST, .default_value = "", .valid = "", .importance = CONFIG_IMPORTANCE_MEDIUM},
};

static void describe_resource(const struct describe *describe, const wanted *resource, described *out) {
    switch (resource->resource_type) {
    case CONFIG_RESOURCE_TOPIC:
        describe_topic(describe, resource, out);
        break;
    case CONFIG_RESOURCE_BROKER:
        describe_broker(describe, resource, out);
        break;
    case CONFIG_RESOURCE_BROKER_LOGGER:
        if (!resource->resource_name.size)
            refuse(out, KAFKA_INVALID_REQUEST, "Broker id must not be empty");
        else
            (void)is_this_node(describe, resource, out, "");
        break; /* there are no loggers with levels of their own here */
    case CONFIG_RESOURCE_CLIENT_METRICS:
        if (!resource->resource_name.size)
            refuse(out, KAFKA_INVALID_REQUEST, "Client metrics subscription name must not be empty");
        else
            describe_own(describe, resource, client_metrics_defs, COUNT_OF(client_metrics_defs), CONFIG_SOURCE_CLIENT_METRICS, out);
        break;
    case CONFIG_RESOURCE_GROUP:
        if (!resource->resource_name.size)
            refuse(out, KAFKA_INVALID_REQUEST, "Group name must not be empty");
        else
            describe_own(describe, resource, group_config_defs, group_config_def_count, CONFIG_SOURCE_GROUP, out);
        break;
    default:
        break;
    }
}

static bool is_config_type(int8_t type) {
    return type == CONFIG_RESOURCE_TOPIC || type == CONFIG_RESOURCE_BROKER || type == CONFIG_RESOURCE_BROKER_LOGGER ||
           type == CONFIG_RESOURCE_CLIENT_METRICS || type == CONFIG_RESOURCE_GROUP;
}

void handle_describe_configs(struct request *request) {
    struct describe_configs_request message;
    if (!request_decode(request, describe_configs, &message))
        return;
    struct describe describe = {request, &message};
    struct describe_configs_response response;
    describe_configs_response_init(&response);
    response.results_count = message.resources_count;
    response.results = arena_array(&request->arena, described, message.resources_count + 1);
    bool known = true;
    for (int i = 0; i < message.resources_count; i++)
        known &= is_config_type(message.resources[i].resource_type);
    for (int i = 0; i < message.resources_count; i++) {
        described *out = &response.results[i];
        describe_configs_response_describe_configs_result_init(out);
        out->resource_type = message.resources[i].resource_type;
        out->resource_name = message.resources[i].resource_name;
        if (known)
            describe_resource(&describe, &message.resources[i], out);
        else
            refuse(out, KAFKA_INVALID_REQUEST, generic_message(KAFKA_INVALID_REQUEST));
    }
    request_answer(request, describe_configs, &response);
}

/* ---- ListConfigResources --------------------------------------------------------------------------------------------------------- */

static bool lists(const struct list_config_resources_request *message, int version, int8_t type) {
    if (version == 0)
        return type == CONFIG_RESOURCE_CLIENT_METRICS;
    for (int i = 0; i < message->resource_types_count; i++)
        if (message->resource_types[i] == type)
            return true;
    return message->resource_types_count == 0;
}

static void add_resource(struct list_config_resources_response *response, struct slice name, int8_t type) {
    response->config_resources[response->config_resources_count++] = (struct list_config_resources_response_config_resource){name, type};
}

static void add_stored(const struct image *image, struct list_config_resources_response *response, int8_t type) {
    map_each(node, &image->resources) {
        const struct image_resource *resource = container_of(node, struct image_resource, node);
        if (resource->type == type && resource->count)
            add_resource(response, resource->name, type);
    }
}

void handle_list_config_resources(struct request *request) {
    struct list_config_resources_request message;
    if (!request_decode(request, list_config_resources, &message))
        return;
    const struct image *image = request->shard->image;
    int version = request->header.version;
    struct list_config_resources_response response;
    list_config_resources_response_init(&response);
    for (int i = 0; i < message.resource_types_count; i++)
        if (!is_config_type(message.resource_types[i]))
            response.error_code = KAFKA_UNSUPPORTED_VERSION;
    if (response.error_code) {
        request_answer(request, list_config_resources, &response);
        return;
    }
    response.config_resources = arena_array(&request->arena, struct list_config_resources_response_config_resource,
                                            image->resources.count + image->topics_by_id.count + 2 * image->brokers.count + 1);
    if (lists(&message, version, CONFIG_RESOURCE_GROUP))
        add_stored(image, &response, CONFIG_RESOURCE_GROUP);
    if (lists(&message, version, CONFIG_RESOURCE_CLIENT_METRICS))
        add_stored(image, &response, CONFIG_RESOURCE_CLIENT_METRICS);
    for (int pass = 0; pass < 2; pass++) {
        int8_t type = pass == 0 ? CONFIG_RESOURCE_BROKER_LOGGER : CONFIG_RESOURCE_BROKER;
        if (lists(&message, version, type))
            map_each(node, &image->brokers)
                add_resource(&response,
                             slice_str(arena_printf(&request->arena, "%d", (int)container_of(node, struct image_broker, node)->id)), type);
    }
    if (lists(&message, version, CONFIG_RESOURCE_TOPIC))
        map_each(node, &image->topics_by_id)
            add_resource(&response, container_of(node, struct image_topic, by_id)->name, CONFIG_RESOURCE_TOPIC);
    request_answer(request, list_config_resources, &response);
}
