#include "cli/configs.h"

#include <stdlib.h>
#include "base/mem.h"
#include "protocol/config_defs.h"
#include "protocol/describe_configs_request.h"
#include "protocol/describe_configs_response.h"
#include "protocol/errors.h"
#include "protocol/incremental_alter_configs_request.h"
#include "protocol/incremental_alter_configs_response.h"

static const char *source_name(int source) {
    static const char *const names[] = {"unknown",       "topic",          "broker",  "cluster default", "server.properties",
                                        "default", "broker logger", "client metrics", "group"};
    return source >= 0 && source < COUNT_OF(names) ? names[source] : names[0];
}

static const char *type_name(int type) {
    static const char *const names[] = {"unknown", "boolean", "string", "int", "short", "long", "double", "list", "class", "password"};
    return type >= 0 && type < COUNT_OF(names) ? names[type] : names[0];
}

enum { SOURCE_STATIC = 4, SOURCE_DEFAULT = 5 };

static json_t *config_json(const struct describe_configs_response_describe_configs_resource_result *config, bool document) {
    json_t *synonyms = json_array();
    for (int i = 0; i < config->synonyms_count; i++)
        json_array_append_new(synonyms, json_pack("{s:o, s:o, s:s}", "name", json_slice(config->synonyms[i].name), "value",
                                                  json_slice(config->synonyms[i].value), "source", source_name(config->synonyms[i].source)));
    json_t *row = json_pack("{s:o, s:o, s:s, s:s, s:b, s:b, s:o}", "name", json_slice(config->name), "value", json_slice(config->value),
                            "source", source_name(config->config_source), "type", type_name(config->config_type), "read_only",
                            config->read_only, "sensitive", config->is_sensitive, "synonyms", synonyms);
    if (document)
        json_object_set_new(row, "documentation", json_slice(config->documentation));
    return row;
}

static int compare_configs(const void *a, const void *b) {
    const struct describe_configs_response_describe_configs_resource_result *x = a, *y = b;
    return slice_cmp(x->name, y->name);
}

/* Settings of a broker are that broker's to tell; all else any broker knows. */
static int node_of(int resource_type, const char *name) {
    int64_t id;
    bool own = resource_type == RESOURCE_BROKER || resource_type == RESOURCE_BROKER_LOGGER;
    return own && parse_int(name, &id) && id >= 0 && id <= INT32_MAX ? (int)id : CLIENT_ANY_NODE;
}

static int refused(struct client *client, int resource_type, const char *name, int16_t code, struct slice message) {
    if (resource_type == RESOURCE_TOPIC && code == KAFKA_UNKNOWN_TOPIC_OR_PARTITION)
        return client_no_topic(client, name);
    char *what = resource_type == RESOURCE_TOPIC ? mem_printf("topic %s", name)
                 : name[0]                       ? mem_printf("configuration of %s", name)
                                                 : mem_printf("configuration of the cluster");
    int status = client_refused(what, code, message);
    mem_free(what);
    return status;
}

int configs_describe(struct client *client, int resource_type, const char *name, bool all, bool document, json_t **ret_configs) {
    struct describe_configs_request_describe_configs_resource resource = {
        .resource_type = (int8_t)resource_type, .resource_name = slice_str(name), .configuration_keys_count = -1};
    struct describe_configs_request request = {&resource, 1, true, document};
    struct describe_configs_response response;
    int status = client_call(client, node_of(resource_type, name), API_DESCRIBE_CONFIGS, &request, &response);
    if (status)
        return status;
    if (response.results_count != 1)
        return cli_fail("the broker answers for %d resources, not 1", response.results_count);
    struct describe_configs_response_describe_configs_result *result = &response.results[0];
    if (result->error_code)
        return refused(client, resource_type, name, result->error_code, result->error_message);
    json_t *rows = json_array();
    if (result->configs_count > 0)
        qsort(result->configs, (size_t)result->configs_count, sizeof *result->configs, compare_configs);
    for (int i = 0; i < result->configs_count; i++) {
        int source = result->configs[i].config_source;
        /* "Set" is what an operator altered on the resource itself, as kafka-configs.sh has it. */
        if (all || (source != SOURCE_DEFAULT && source != SOURCE_STATIC && (resource_type != RESOURCE_TOPIC || source == 1)))
            json_array_append_new(rows, config_json(&result->configs[i], document));
    }
    *ret_configs = rows;
    return CLI_OK;
}

static int config_change_parse(struct client *client, const char *text, int operation, struct config_change *ret_change) {
    const char *equals = strchr(text, '=');
    if (operation == CONFIG_DELETE) {
        if (equals || !*text)
            return cli_usage(client->options, "'%s' is not a KEY; deleting takes the key alone", text);
        *ret_change = (struct config_change){text, NULL, operation};
        return CLI_OK;
    }
    if (!equals || equals == text)
        return cli_usage(client->options, "'%s' is not KEY=VALUE", text);
    *ret_change = (struct config_change){arena_printf(&client->arena, "%.*s", (int)(equals - text), text), equals + 1, operation};
    return CLI_OK;
}

int config_changes_read(struct client *client, const char *const option_of_operation[4], struct config_change **ret_changes,
                        int *ret_count) {
    const struct options *options = client->options;
    struct config_change *changes = arena_array(&client->arena, struct config_change, options->value_count + 1);
    int count = 0, status = CLI_OK;
    for (int operation = 0; operation < 4; operation++) {
        const char *option = option_of_operation[operation], *text;
        for (int i = 0; option && !status && (text = options_list(options, option, i)); i++)
            status = config_change_parse(client, text, operation, &changes[count++]);
    }
    *ret_changes = changes;
    *ret_count = count;
    return status;
}

const char *config_key_nearest(int resource_type, const char *key) {
    const struct config_def *defs = resource_type == RESOURCE_TOPIC    ? topic_config_defs
                                    : resource_type == RESOURCE_BROKER ? broker_config_defs
                                    : resource_type == RESOURCE_GROUP  ? group_config_defs
                                                                       : NULL;
    int count = resource_type == RESOURCE_TOPIC    ? topic_config_def_count
                : resource_type == RESOURCE_BROKER ? broker_config_def_count
                : resource_type == RESOURCE_GROUP  ? group_config_def_count
                                                   : 0;
    const char **names = mem_zalloc(sizeof *names * (size_t)(count + 1));
    for (int i = 0; i < count; i++) {
        names[i] = defs[i].name;
        if (strcmp(defs[i].name, key) == 0)
            count = 0; /* it is one */
    }
    const char *near = count ? nearest(key, names) : NULL;
    mem_free(names);
    return near;
}

int configs_alter(struct client *client, int resource_type, const char *name, const struct config_change *changes, int count,
                  bool validate_only) {
    struct incremental_alter_configs_request_alter_configs_resource resource = {
        .resource_type = (int8_t)resource_type, .resource_name = slice_str(name), .configs_count = count};
    resource.configs = arena_array(&client->arena, struct incremental_alter_configs_request_alterable_config, count);
    for (int i = 0; i < count; i++)
        resource.configs[i] = (struct incremental_alter_configs_request_alterable_config){
            slice_str(changes[i].key), (int8_t)changes[i].operation, slice_str(changes[i].value)};
    struct incremental_alter_configs_request request = {&resource, 1, validate_only};
    struct incremental_alter_configs_response response;
    int status = client_call(client, node_of(resource_type, name), API_INCREMENTAL_ALTER_CONFIGS, &request, &response);
    if (status || (response.responses_count == 1 && !response.responses[0].error_code))
        return status;
    if (response.responses_count != 1)
        return cli_fail("the broker answers for %d resources, not 1", response.responses_count);
    int16_t code = response.responses[0].error_code;
    for (int i = 0; i < count && code == KAFKA_INVALID_CONFIG; i++) {
        const char *near = config_key_nearest(resource_type, changes[i].key);
        if (near)
            return cli_fail("%s: '%s' is not a configuration key; did you mean %s?", name[0] ? name : "cluster", changes[i].key, near);
    }
    return refused(client, resource_type, name, code, response.responses[0].error_message);
}
