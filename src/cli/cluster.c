/* myelin cluster info|quorum|log-dirs|features|api-versions. */
#include <stdlib.h>
#include "base/mem.h"
#include "cli/cli.h"
#include "cli/cluster.h"
#include "cli/log_dirs.h"
#include "protocol/api_versions_request.h"
#include "protocol/api_versions_response.h"
#include "protocol/describe_cluster_request.h"
#include "protocol/describe_cluster_response.h"
#include "protocol/describe_quorum_request.h"
#include "protocol/describe_quorum_response.h"
#include "protocol/errors.h"

/* ---- info ---------------------------------------------------------------------------------------------------- */

int cluster_api_versions(struct client *client, int node, struct api_versions_response *ret_response) {
    struct api_versions_request request;
    api_versions_request_init(&request);
    request.client_software_name = SLICE_LIT("myelin-cli");
    request.client_software_version = SLICE_LIT(MYELIN_VERSION);
    int status = client_call(client, node, API_API_VERSIONS, &request, ret_response);
    return !status && ret_response->error_code ? client_refused("versions", ret_response->error_code, SLICE_NULL) : status;
}

static json_t *brokers_json(const struct describe_cluster_response *cluster) {
    json_t *rows = json_array();
    for (int i = 0; i < cluster->brokers_count; i++)
        json_array_append_new(rows, json_pack("{s:i, s:o, s:i, s:o, s:b, s:b}", "id", cluster->brokers[i].broker_id, "host",
                                              json_slice(cluster->brokers[i].host), "port", cluster->brokers[i].port, "rack",
                                              json_slice(cluster->brokers[i].rack), "fenced", cluster->brokers[i].is_fenced, "controller",
                                              cluster->brokers[i].broker_id == cluster->controller_id));
    return rows;
}

static int info_run(struct options *options) {
    static const struct output_column fields[] = {{"cluster_id", "cluster id", false}, {"controller", "controller", false},
                                                  {"metadata_version", "metadata version", false}, {"topic_count", "topics", false},
                                                  {"partition_count", "partitions", false}};
    static const struct output_column columns[] = {{"id", "BROKER", true}, {"host", "HOST", false}, {"port", "PORT", true},
                                                   {"rack", "RACK", false}, {"fenced", "FENCED", false}, {"controller", "CONTROLLER", false}};
    struct client client;
    struct describe_cluster_request request;
    struct describe_cluster_response cluster;
    struct metadata_response metadata;
    struct api_versions_response versions;
    describe_cluster_request_init(&request);
    int status = client_open(&client, options);
    request.include_fenced_brokers = !status && wire_version(&client.nodes->wire, API_DESCRIBE_CLUSTER) >= 2;
    if (!status)
        status = client_call(&client, CLIENT_ANY_NODE, API_DESCRIBE_CLUSTER, &request, &cluster);
    if (!status && cluster.error_code)
        status = client_refused("cluster", cluster.error_code, cluster.error_message);
    if (!status)
        status = client_metadata(&client, NULL, 0, &metadata);
    if (!status)
        status = cluster_api_versions(&client, CLIENT_ANY_NODE, &versions);
    if (!status) {
        int partitions = 0, level = 0;
        for (int i = 0; i < metadata.topics_count; i++)
            partitions += metadata.topics[i].partitions_count;
        for (int i = 0; i < versions.finalized_features_count; i++)
            if (slice_eq_str(versions.finalized_features[i].name, "metadata.version"))
                level = versions.finalized_features[i].max_version_level;
        json_t *info = json_pack("{s:o, s:i, s:o, s:i, s:i, s:o}", "cluster_id", json_slice(cluster.cluster_id), "controller",
                                 cluster.controller_id, "metadata_version", feature_level_json("metadata.version", level), "topic_count",
                                 metadata.topics_count, "partition_count", partitions, "brokers", brokers_json(&cluster));
        if (options_json(options)) {
            output_json(stdout, info);
        } else {
            output_fields(stdout, info, fields, COUNT_OF(fields));
            putchar('\n');
            output_rows(stdout, json_object_get(info, "brokers"), columns, COUNT_OF(columns));
        }
        json_decref(info);
    }
    client_close(&client);
    return status;
}

/* ---- quorum -------------------------------------------------------------------------------------------------- */

static void add_replicas(json_t *rows, const struct describe_quorum_response_replica_state *replicas, int count, const char *role,
                         const struct describe_quorum_response_partition_data *partition, int64_t leader_end) {
    for (int i = 0; i < count; i++) {
        char id[UUID_TEXT_SIZE];
        const struct describe_quorum_response_replica_state *replica = &replicas[i];
        json_array_append_new(
            rows, json_pack("{s:i, s:s, s:s, s:I, s:I, s:o, s:o}", "id", replica->replica_id, "role",
                            replica->replica_id == partition->leader_id ? "leader" : role, "directory_id",
                            uuid_text(replica->replica_directory_id, id), "end_offset", (json_int_t)replica->log_end_offset, "lag",
                            (json_int_t)(leader_end < 0 ? 0 : leader_end - replica->log_end_offset), "last_fetch",
                            replica->last_fetch_timestamp < 0 ? json_null() : json_integer(replica->last_fetch_timestamp), "last_caught_up",
                            replica->last_caught_up_timestamp < 0 ? json_null() : json_integer(replica->last_caught_up_timestamp)));
    }
}

static void show_quorum(const struct options *options, const struct describe_quorum_response_partition_data *partition) {
    static const struct output_column fields[] = {{"leader", "leader", false}, {"leader_epoch", "epoch", false}, {"high_watermark", "high watermark", false}};
    static const struct output_column columns[] = {{"id", "NODE", true}, {"role", "ROLE", false}, {"directory_id", "DIRECTORY ID", false},
                                                   {"end_offset", "END", true}, {"lag", "LAG", true}, {"last_fetch", "LAST FETCH", OUTPUT_TIME},
                                                   {"last_caught_up", "LAST CAUGHT UP", OUTPUT_TIME}};
    int64_t leader_end = -1;
    json_t *replicas = json_array();
    for (int i = 0; i < partition->current_voters_count; i++)
        if (partition->current_voters[i].replica_id == partition->leader_id)
            leader_end = partition->current_voters[i].log_end_offset;
    add_replicas(replicas, partition->current_voters, partition->current_voters_count, "voter", partition, leader_end);
    add_replicas(replicas, partition->observers, partition->observers_count, "observer", partition, leader_end);
    json_t *quorum = json_pack("{s:i, s:i, s:I, s:o}", "leader", partition->leader_id, "leader_epoch", partition->leader_epoch,
                               "high_watermark", (json_int_t)partition->high_watermark, "replicas", replicas);
    if (options_json(options)) {
        output_json(stdout, quorum);
    } else {
        output_fields(stdout, quorum, fields, COUNT_OF(fields));
        putchar('\n');
        output_rows(stdout, replicas, columns, COUNT_OF(columns));
    }
    json_decref(quorum);
}

static int quorum_run(struct options *options) {
    struct describe_quorum_request_partition_data partition = {0};
    struct describe_quorum_request_topic_data topic = {SLICE_LIT("__cluster_metadata"), &partition, 1};
    struct describe_quorum_request request = {&topic, 1};
    struct describe_quorum_response response;
    struct client client;
    int status = client_open(&client, options);
    if (!status)
        status = client_call(&client, CLIENT_ANY_NODE, API_DESCRIBE_QUORUM, &request, &response);
    if (!status && response.error_code)
        status = client_refused("quorum", response.error_code, response.error_message);
    if (!status && (response.topics_count != 1 || response.topics[0].partitions_count != 1))
        status = cli_fail("the broker answers nothing about __cluster_metadata");
    if (!status && response.topics[0].partitions[0].error_code)
        status = client_refused("quorum", response.topics[0].partitions[0].error_code, response.topics[0].partitions[0].error_message);
    if (!status)
        show_quorum(options, &response.topics[0].partitions[0]);
    client_close(&client);
    return status;
}

/* ---- API versions -------------------------------------------------------------------------------------------- */

static int api_versions_run(struct options *options) {
    static const struct output_column columns[] = {{"key", "KEY", true}, {"name", "API", false}, {"min", "MIN", true}, {"max", "MAX", true},
                                                   {"used", "USED HERE", true}};
    struct client client;
    struct api_versions_response response;
    int node = (int)options_int(options, "broker", CLIENT_ANY_NODE);
    int status = client_open(&client, options);
    if (!status)
        status = cluster_api_versions(&client, node, &response);
    if (!status) {
        json_t *rows = json_array();
        for (int i = 0; i < response.api_keys_count; i++) {
            int key = response.api_keys[i].api_key;
            int used = key >= 0 && key < API_COUNT ? wire_version(&client.nodes->wire, key) : -1;
            json_array_append_new(rows, json_pack("{s:i, s:s?, s:i, s:i, s:o}", "key", key, "name", api_find(key) ? api_find(key)->name : NULL, "min",
                                                  response.api_keys[i].min_version, "max", response.api_keys[i].max_version, "used",
                                                  used < 0 ? json_null() : json_integer(used)));
        }
        output_list(options, rows, columns, COUNT_OF(columns));
    }
    client_close(&client);
    return status;
}

/* ---- the table ----------------------------------------------------------------------------------------------- */

static const struct option_def log_dirs_options[] = {
    {"broker", 0, OPTION_INT, "ID", "only this broker", NULL, COMPLETE_NOTHING},
    {"topic", 0, OPTION_TEXT, "NAME", "only this topic's replicas, listed", NULL, COMPLETE_TOPIC},
    {"replicas", 0, OPTION_FLAG, NULL, "list every replica", NULL, COMPLETE_NOTHING},
};
static const struct option_def api_versions_options[] = {
    {"broker", 0, OPTION_INT, "ID", "of this broker, not of the bootstrap server", NULL, COMPLETE_NOTHING},
};
static const struct option_def features_options[] = {
    {"upgrade", 0, OPTION_LIST, "NAME=LEVEL", "raise a feature; metadata.version may be given as 4.3", NULL, COMPLETE_NOTHING},
    {"downgrade", 0, OPTION_LIST, "NAME=LEVEL", "lower a feature; level 0 turns it off", NULL, COMPLETE_NOTHING},
    {"unsafe", 0, OPTION_FLAG, NULL, "downgrade although metadata may be lost", NULL, COMPLETE_NOTHING},
    {"validate-only", 0, OPTION_FLAG, NULL, "only ask whether it could be done", NULL, COMPLETE_NOTHING},
};
static const struct command subcommands[] = {
    {.name = "info", .summary = "show the cluster's id, controller and brokers", .connects = true, .run = info_run},
    {.name = "quorum", .summary = "show who keeps the metadata log, and how far", .connects = true, .run = quorum_run},
    {.name = "log-dirs", .summary = "show the brokers' log directories", OPTIONS(log_dirs_options), .connects = true, .run = cluster_log_dirs_run},
    {.name = "features", .summary = "show, raise and lower feature levels", OPTIONS(features_options), .connects = true, .run = cluster_features_run,
     .details = "myelin cluster features --upgrade metadata.version=4.3\n"},
    {.name = "api-versions", .summary = "show the APIs that a broker offers", OPTIONS(api_versions_options), .connects = true,
     .run = api_versions_run},
};

const struct command command_cluster = {.name = "cluster", .summary = "show brokers, quorum, log directories, features, APIs", SUBCOMMANDS(subcommands)};
