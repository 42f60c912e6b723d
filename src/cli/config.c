/* myelin config describe|alter|list ENTITY [NAME]. */
#include "base/mem.h"
#include "cli/cli.h"
#include "cli/configs.h"
#include "protocol/errors.h"
#include "protocol/list_config_resources_request.h"
#include "protocol/list_config_resources_response.h"

static const struct {
    const char *name;
    int resource_type;
    bool named;
} entities[] = {
    {"topic", RESOURCE_TOPIC, true},
    {"broker", RESOURCE_BROKER, true},
    {"cluster-default", RESOURCE_BROKER, false},
    {"broker-logger", RESOURCE_BROKER_LOGGER, true},
    {"client-metrics", RESOURCE_CLIENT_METRICS, true},
    {"group", RESOURCE_GROUP, true},
};

static int parse_entity(const struct options *options, int *ret_type, const char **ret_name) {
    const char *entity = options->arguments[0], *name = options->arguments[1];
    const char *names[COUNT_OF(entities) + 1] = {0};
    for (int i = 0; i < COUNT_OF(entities); i++) {
        names[i] = entities[i].name;
        if (strcmp(entity, entities[i].name) != 0)
            continue;
        if (entities[i].named && (!name || !*name))
            return cli_usage(options, "which %s? give its name", entity);
        if (!entities[i].named && name)
            return cli_usage(options, "%s takes no name", entity);
        int64_t id;
        if ((entities[i].resource_type == RESOURCE_BROKER || entities[i].resource_type == RESOURCE_BROKER_LOGGER) && name &&
            (!parse_int(name, &id) || id < 0))
            return cli_usage(options, "a broker is named by its id, a number; not '%s'", name);
        *ret_type = entities[i].resource_type;
        *ret_name = name ? name : "";
        return CLI_OK;
    }
    const char *near = nearest(entity, names);
    if (near)
        return cli_usage(options, "'%s' has no configuration; did you mean %s?", entity, near);
    return cli_usage(options, "'%s' has no configuration; it is one of topic, broker, cluster-default, broker-logger, client-metrics, group",
                     entity);
}

static int describe_run(struct options *options) {
    static const struct output_column columns[] = {{"name", "KEY", false}, {"value", "VALUE", false}, {"source", "SOURCE", false},
                                                   {"documentation", "MEANING", false}};
    static const struct output_column all_columns[] = {{"name", "KEY", false}, {"value", "VALUE", false}, {"source", "SOURCE", false},
                                                       {"type", "TYPE", false}, {"read_only", "READ ONLY", false}, {"documentation", "MEANING", false}};
    bool all = options_has(options, "all"), document = options_has(options, "documentation");
    int type;
    const char *name;
    struct client client;
    json_t *rows = NULL;
    int status = parse_entity(options, &type, &name);
    if (status)
        return status;
    status = client_open(&client, options);
    if (!status)
        status = configs_describe(&client, type, name, all, document || options_json(options), &rows);
    if (!status && json_array_size(rows) == 0 && !options_json(options))
        cli_warn("nothing is set; --all shows defaults too");
    if (!status)
        output_list(options, rows, all ? all_columns : columns, (all ? COUNT_OF(all_columns) : COUNT_OF(columns)) - !document);
    client_close(&client);
    return status;
}

static int alter_run(struct options *options) {
    int type, count = 0, status;
    const char *name;
    struct client client;
    struct config_change *changes;
    bool validate_only = options_has(options, "validate-only");
    status = parse_entity(options, &type, &name);
    if (status)
        return status;
    status = client_open(&client, options);
    if (!status)
        status = config_changes_read(&client, (const char *const[4]){"set", "delete", "append", "subtract"}, &changes, &count);
    if (!status && count == 0)
        status = cli_usage(options, "nothing to alter: give --set, --delete, --append or --subtract");
    if (!status)
        status = configs_alter(&client, type, name, changes, count, validate_only);
    if (!status && options_json(options)) {
        json_t *result = json_pack("{s:s, s:s, s:s}", "entity", options->arguments[0], "name", name, "status", validate_only ? "valid" : "altered");
        output_json(stdout, result);
        json_decref(result);
    } else if (!status) {
        printf("%s %s%s%s\n", validate_only ? "could alter" : "altered", options->arguments[0], name[0] ? " " : "", name);
    }
    client_close(&client);
    return status;
}

static const char *entity_name(int resource_type, struct slice name) {
    for (int i = 0; i < COUNT_OF(entities); i++)
        if (entities[i].resource_type == resource_type && entities[i].named == (name.size > 0))
            return entities[i].name;
    return "unknown";
}

static int list_run(struct options *options) {
    static const struct output_column columns[] = {{"entity", "ENTITY", false}, {"name", "NAME", false}};
    struct client client;
    struct list_config_resources_request request;
    struct list_config_resources_response response;
    list_config_resources_request_init(&request);
    int status = client_open(&client, options);
    if (!status)
        status = client_call(&client, CLIENT_ANY_NODE, API_LIST_CONFIG_RESOURCES, &request, &response);
    if (!status && response.error_code)
        status = client_refused("configurations", response.error_code, SLICE_NULL);
    if (!status) {
        json_t *rows = json_array();
        for (int i = 0; i < response.config_resources_count; i++)
            json_array_append_new(rows, json_pack("{s:s, s:o}", "entity",
                                                  entity_name(response.config_resources[i].resource_type, response.config_resources[i].resource_name),
                                                  "name", json_slice(response.config_resources[i].resource_name)));
        output_list(options, rows, columns, COUNT_OF(columns));
    }
    client_close(&client);
    return status;
}

static const struct option_def describe_options[] = {
    {"all", 0, OPTION_FLAG, NULL, "defaults and what server.properties says too, with types", NULL, COMPLETE_NOTHING},
    {"documentation", 'd', OPTION_FLAG, NULL, "what each means", NULL, COMPLETE_NOTHING},
};
static const struct option_def alter_options[] = {
    {"set", 's', OPTION_LIST, "KEY=VALUE", "set", NULL, COMPLETE_NOTHING},
    {"delete", 0, OPTION_LIST, "KEY", "go back to the default", NULL, COMPLETE_NOTHING},
    {"append", 0, OPTION_LIST, "KEY=VALUE", "add to a list", NULL, COMPLETE_NOTHING},
    {"subtract", 0, OPTION_LIST, "KEY=VALUE", "take from a list", NULL, COMPLETE_NOTHING},
    {"validate-only", 0, OPTION_FLAG, NULL, "only ask whether it could be done", NULL, COMPLETE_NOTHING},
};
#define ENTITIES "ENTITY is topic, broker, broker-logger, client-metrics or group with a NAME, or cluster-default (all brokers) without.\n"
static const struct command subcommands[] = {
    {.name = "describe", .summary = "show what is set, and where", .arguments = "ENTITY [NAME]", .argument_min = 1, .argument_max = 2,
     OPTIONS(describe_options), .connects = true, .run = describe_run, .details = ENTITIES "myelin config describe topic orders --all -d\n"},
    {.name = "alter", .summary = "change settings, each by itself: others stay", .arguments = "ENTITY [NAME]", .argument_min = 1,
     .argument_max = 2, OPTIONS(alter_options), .connects = true, .run = alter_run,
     .details = ENTITIES "myelin config alter topic orders --set retention.ms=3600000 --append cleanup.policy=compact\n"},
    {.name = "list", .summary = "show which entities have settings", .connects = true, .run = list_run},
};

const struct command command_config = {.name = "config", .summary = "show and change settings of topics, brokers, the cluster", SUBCOMMANDS(subcommands)};
