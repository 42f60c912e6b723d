/* myelin topic create, list, alter and delete. */
#include <fnmatch.h>
#include <stdlib.h>
#include "base/mem.h"
#include "cli/configs.h"
#include "cli/offsets.h"
#include "cli/topic.h"
#include "protocol/create_partitions_request.h"
#include "protocol/create_partitions_response.h"
#include "protocol/create_topics_request.h"
#include "protocol/create_topics_response.h"
#include "protocol/delete_topics_request.h"
#include "protocol/delete_topics_response.h"
#include "protocol/errors.h"

static int refused(const char *name, int16_t code, struct slice message) {
    char *what = mem_printf("topic %s", name);
    int status = client_refused(what, code, message);
    mem_free(what);
    return status;
}

/* ---- create -------------------------------------------------------------------------------------------------- */

/* "1:2,2:3": partition 0 on brokers 1 and 2, partition 1 on 2 and 3. */
static bool parse_assignment(struct arena *arena, const char *text, struct create_topics_request_creatable_topic *topic) {
    topic->assignments = arena_array(arena, struct create_topics_request_creatable_replica_assignment, strlen(text) + 1);
    for (const char *at = text;; at++) {
        struct create_topics_request_creatable_replica_assignment *partition = &topic->assignments[topic->assignments_count];
        partition->partition_index = topic->assignments_count++;
        partition->broker_ids = arena_array(arena, int32_t, strlen(at) + 1);
        for (;; at++) {
            char *end;
            long id = strtol(at, &end, 10);
            if (end == at || id < 0 || id > INT32_MAX)
                return false;
            partition->broker_ids[partition->broker_ids_count++] = (int32_t)id;
            at = end;
            if (*at != ':')
                break;
        }
        if (*at == 0)
            return true;
        if (*at != ',')
            return false;
    }
}

static int fill_topic(struct client *client, struct create_topics_request_creatable_topic *topic) {
    const struct options *options = client->options;
    int64_t partitions = options_int(options, "partitions", -1), replicas = options_int(options, "replication-factor", -1);
    if (partitions > INT32_MAX || replicas > INT16_MAX || partitions == 0 || replicas == 0 || partitions < -1 || replicas < -1)
        return cli_usage(options, "--partitions and --replication-factor are at least 1");
    topic->num_partitions = (int32_t)partitions;
    topic->replication_factor = (int16_t)replicas;
    const char *assignment = options_text(options, "assignment", NULL);
    if (assignment && (partitions > 0 || replicas > 0))
        return cli_usage(options, "--assignment says the partitions and replicas itself; leave --partitions and --replication-factor out");
    if (assignment && !parse_assignment(&client->arena, assignment, topic))
        return cli_usage(options, "--assignment is a list of brokers a partition, like 1:2,2:1; not '%s'", assignment);
    struct config_change *changes;
    int status = config_changes_read(client, (const char *const[4]){"config"}, &changes, &topic->configs_count);
    topic->configs = arena_array(&client->arena, struct create_topics_request_creatable_topic_config, topic->configs_count);
    for (int i = 0; i < topic->configs_count; i++)
        topic->configs[i] = (struct create_topics_request_creatable_topic_config){slice_str(changes[i].key), slice_str(changes[i].value)};
    return status;
}

static int create_refused(const struct options *options, const char *name, int16_t code, struct slice message) {
    const char *change;
    for (int i = 0; code == KAFKA_INVALID_CONFIG && (change = options_list(options, "config", i)); i++) {
        char key[128];
        snprintf(key, sizeof key, "%.*s", (int)strcspn(change, "="), change);
        const char *near = config_key_nearest(RESOURCE_TOPIC, key);
        if (near)
            return cli_fail("topic %s: '%s' is not a configuration key; did you mean %s?", name, key, near);
    }
    return refused(name, code, message);
}

static int show_created(struct client *client, const struct create_topics_response *response) {
    static const struct output_column columns[] = {{"topic", "TOPIC", false}, {"partitions", "PARTITIONS", true},
                                                   {"replication_factor", "REPLICAS", true}, {"topic_id", "TOPIC ID", false},
                                                   {"status", "STATUS", false}};
    bool validate_only = options_has(client->options, "validate-only"), lenient = options_has(client->options, "if-not-exists");
    json_t *rows = json_array();
    int status = CLI_OK;
    for (int i = 0; i < response->topics_count; i++) {
        const struct create_topics_response_creatable_topic_result *topic = &response->topics[i];
        char name[256], id[UUID_TEXT_SIZE];
        snprintf(name, sizeof name, "%.*s", SLICE_FMT(topic->name));
        bool there = topic->error_code == KAFKA_TOPIC_ALREADY_EXISTS && lenient;
        json_t *row = json_pack("{s:o, s:s}", "topic", json_slice(topic->name), "status",
                                there ? "exists" : topic->error_code ? "failed" : validate_only ? "valid" : "created");
        if (topic->error_code && !there) {
            status = create_refused(client->options, name, topic->error_code, topic->error_message);
            json_object_set_new(row, "error", json_string(kafka_error_name(topic->error_code)));
        } else if (!there) {
            json_object_set_new(row, "partitions", json_integer(topic->num_partitions));
            json_object_set_new(row, "replication_factor", json_integer(topic->replication_factor));
            json_object_set_new(row, "topic_id", uuid_is_zero(topic->topic_id) ? json_null() : json_string(uuid_text(topic->topic_id, id)));
        }
        json_array_append_new(rows, row);
    }
    output_list(client->options, rows, columns, COUNT_OF(columns));
    return status;
}

int topic_create_run(struct options *options) {
    struct client client;
    int status = client_open(&client, options);
    struct create_topics_request request;
    struct create_topics_response response;
    create_topics_request_init(&request);
    request.timeout_ms = client.timeout_ms;
    request.validate_only = options_has(options, "validate-only");
    request.topics_count = options->argument_count;
    request.topics = arena_array(&client.arena, struct create_topics_request_creatable_topic, request.topics_count);
    for (int i = 0; i < request.topics_count && !status; i++) {
        request.topics[i].name = slice_str(options->arguments[i]);
        status = fill_topic(&client, &request.topics[i]);
    }
    if (!status)
        status = client_call(&client, CLIENT_ANY_NODE, API_CREATE_TOPICS, &request, &response);
    if (!status)
        status = show_created(&client, &response);
    client_close(&client);
    return status;
}

/* ---- list ---------------------------------------------------------------------------------------------------- */

static int compare_topics(const void *a, const void *b) {
    const struct metadata_response_metadata_response_topic *x = a, *y = b;
    return slice_cmp(x->name, y->name);
}

int topic_list_run(struct options *options) {
    static const struct output_column columns[] = {{"topic", "TOPIC", false}, {"partitions", "PARTITIONS", true},
                                                   {"replication_factor", "REPLICAS", true}};
    const char *pattern = options_text(options, "pattern", NULL);
    struct client client;
    struct metadata_response metadata;
    int status = client_open(&client, options);
    if (!status)
        status = client_metadata(&client, NULL, 0, &metadata);
    if (!status) {
        json_t *rows = json_array();
        if (metadata.topics_count > 0)
            qsort(metadata.topics, (size_t)metadata.topics_count, sizeof *metadata.topics, compare_topics);
        for (int i = 0; i < metadata.topics_count; i++) {
            const struct metadata_response_metadata_response_topic *topic = &metadata.topics[i];
            char name[256], id[UUID_TEXT_SIZE];
            snprintf(name, sizeof name, "%.*s", SLICE_FMT(topic->name));
            if ((topic->is_internal && !options_has(options, "internal")) || (pattern && fnmatch(pattern, name, 0) != 0))
                continue;
            if (options_has(options, "quiet"))
                puts(name);
            json_array_append_new(rows, json_pack("{s:o, s:s, s:b, s:i, s:i}", "topic", json_slice(topic->name), "topic_id",
                                                  uuid_text(topic->topic_id, id), "internal", topic->is_internal, "partitions",
                                                  topic->partitions_count, "replication_factor",
                                                  topic->partitions_count ? topic->partitions[0].replica_nodes_count : 0));
        }
        if (options_has(options, "quiet"))
            json_decref(rows);
        else
            output_list(options, rows, columns, COUNT_OF(columns));
    }
    client_close(&client);
    return status;
}

/* ---- alter --------------------------------------------------------------------------------------------------- */

static int add_partitions(struct client *client, const char *name, int count) {
    struct create_partitions_request_create_partitions_topic topic = {slice_str(name), count, NULL, -1};
    struct create_partitions_request request = {&topic, 1, client->timeout_ms, options_has(client->options, "validate-only")};
    struct create_partitions_response response;
    int status = client_call(client, CLIENT_ANY_NODE, API_CREATE_PARTITIONS, &request, &response);
    if (status || response.results_count != 1 || !response.results[0].error_code)
        return status;
    if (response.results[0].error_code == KAFKA_UNKNOWN_TOPIC_OR_PARTITION)
        return client_no_topic(client, name);
    return refused(name, response.results[0].error_code, response.results[0].error_message);
}

int topic_alter_run(struct options *options) {
    struct client client;
    struct config_change *changes = NULL;
    int change_count = 0, status = client_open(&client, options);
    int64_t partitions = options_int(options, "partitions", 0);
    const char *name = options->arguments[0];
    bool validate_only = options_has(options, "validate-only");
    if (!status)
        status = config_changes_read(&client, (const char *const[4]){"config", "delete-config"}, &changes, &change_count);
    if (!status && ((options_has(options, "partitions") && partitions < 1) || partitions > INT32_MAX))
        status = cli_usage(options, "--partitions is at least 1");
    if (!status && !partitions && !change_count)
        status = cli_usage(options, "nothing to alter: give --partitions, --config or --delete-config");
    if (!status && partitions)
        status = add_partitions(&client, name, (int)partitions);
    if (!status && change_count)
        status = configs_alter(&client, RESOURCE_TOPIC, name, changes, change_count, validate_only);
    if (!status && options_json(options)) {
        json_t *result = json_pack("{s:s, s:s}", "topic", name, "status", validate_only ? "valid" : "altered");
        output_json(stdout, result);
        json_decref(result);
    } else if (!status) {
        printf("%s %s\n", validate_only ? "could alter" : "altered", name);
    }
    client_close(&client);
    return status;
}

/* ---- delete -------------------------------------------------------------------------------------------------- */

static int delete_topics(struct client *client) {
    static const struct output_column columns[] = {{"topic", "TOPIC", false}, {"status", "STATUS", false}};
    const struct options *options = client->options;
    int count = options->argument_count, status;
    struct delete_topics_request request = {.timeout_ms = client->timeout_ms, .topics_count = count, .topic_names_count = count};
    struct delete_topics_response response;
    if (wire_version(&client->nodes->wire, API_DELETE_TOPICS) < 6) {
        request.topics_count = 0;
        request.topic_names = arena_array(&client->arena, struct slice, count);
        for (int i = 0; i < count; i++)
            request.topic_names[i] = slice_str(options->arguments[i]);
    } else {
        request.topic_names_count = 0;
        request.topics = arena_array(&client->arena, struct delete_topics_request_delete_topic_state, count);
        for (int i = 0; i < count; i++)
            request.topics[i].name = slice_str(options->arguments[i]);
    }
    status = client_call(client, CLIENT_ANY_NODE, API_DELETE_TOPICS, &request, &response);
    if (status)
        return status;
    json_t *rows = json_array();
    for (int i = 0; i < response.responses_count; i++) {
        const struct delete_topics_response_deletable_topic_result *topic = &response.responses[i];
        char name[256];
        snprintf(name, sizeof name, "%.*s", SLICE_FMT(topic->name));
        bool missing = topic->error_code == KAFKA_UNKNOWN_TOPIC_OR_PARTITION, fine = missing && options_has(options, "if-exists");
        json_t *row = json_pack("{s:o, s:s}", "topic", json_slice(topic->name), "status",
                                fine ? "absent" : topic->error_code ? "failed" : "deleted");
        if (topic->error_code && !fine) {
            status = missing ? client_no_topic(client, name) : refused(name, topic->error_code, topic->error_message);
            json_object_set_new(row, "error", json_string(kafka_error_name(topic->error_code)));
        }
        json_array_append_new(rows, row);
    }
    output_list(options, rows, columns, COUNT_OF(columns));
    return status;
}

int topic_delete_run(struct options *options) {
    struct client client;
    int status = client_open(&client, options);
    if (!status && !options_has(options, "yes") &&
        !cli_confirm("Delete %s%s with all records?", options->arguments[0], options->argument_count > 1 ? " and the others" : ""))
        status = cli_fail("nothing was deleted");
    if (!status)
        status = delete_topics(&client);
    client_close(&client);
    return status;
}
