/* myelin cluster log-dirs. */
#include "cli/log_dirs.h"

#include "base/mem.h"
#include "cli/offsets.h"
#include "protocol/describe_log_dirs_request.h"
#include "protocol/errors.h"

int log_dirs_ask(struct client *client, int broker, const struct metadata_response_metadata_response_topic *topic,
                 struct describe_log_dirs_response *ret_response) {
    struct describe_log_dirs_request_describable_log_dir_topic wanted = {0};
    struct describe_log_dirs_request request = {&wanted, topic ? 1 : -1};
    if (topic) {
        wanted.topic = topic->name;
        wanted.partitions = arena_array(&client->arena, int32_t, topic->partitions_count);
        wanted.partitions_count = topic->partitions_count;
        for (int i = 0; i < topic->partitions_count; i++)
            wanted.partitions[i] = topic->partitions[i].partition_index;
    }
    int status = client_call(client, broker, API_DESCRIBE_LOG_DIRS, &request, ret_response);
    if (!status && ret_response->error_code)
        status = client_refused("log directories", ret_response->error_code, SLICE_NULL);
    return status;
}

static void take_sizes(const struct describe_log_dirs_response *response, int broker,
                       const struct metadata_response_metadata_response_topic *topic, int64_t *sizes) {
    for (int d = 0; d < response->results_count; d++)
        for (int t = 0; t < response->results[d].topics_count; t++)
            for (int p = 0; p < response->results[d].topics[t].partitions_count; p++) {
                const struct describe_log_dirs_response_describe_log_dirs_partition *found = &response->results[d].topics[t].partitions[p];
                if (!slice_eq(response->results[d].topics[t].name, topic->name) || found->is_future_key)
                    continue;
                for (int i = 0; i < topic->partitions_count; i++)
                    if (topic->partitions[i].partition_index == found->partition_index && topic->partitions[i].leader_id == broker)
                        sizes[i] = found->partition_size;
            }
}

int log_dirs_sizes(struct client *client, const struct metadata_response_metadata_response_topic *topic, int64_t *ret_sizes) {
    int status = CLI_OK;
    for (int i = 0; i < topic->partitions_count; i++)
        ret_sizes[i] = -1;
    if (!client_offers(client, API_DESCRIBE_LOG_DIRS))
        return CLI_OK;
    for (int i = 0; i < topic->partitions_count && !status; i++) {
        int leader = topic->partitions[i].leader_id;
        bool asked = false;
        for (int j = 0; j < i; j++)
            asked |= topic->partitions[j].leader_id == leader;
        if (leader < 0 || asked)
            continue;
        struct describe_log_dirs_response response;
        status = log_dirs_ask(client, leader, topic, &response);
        if (!status)
            take_sizes(&response, leader, topic, ret_sizes);
    }
    return status;
}

/* ---- myelin cluster log-dirs --------------------------------------------------------------------------------- */

static json_t *json_capacity(int64_t bytes) {
    return bytes < 0 ? json_null() : json_integer(bytes);
}

static void add_dirs(int broker, const struct describe_log_dirs_response *response, const char *only_topic, json_t *rows) {
    for (int d = 0; d < response->results_count; d++) {
        const struct describe_log_dirs_response_describe_log_dirs_result *dir = &response->results[d];
        json_t *replicas = json_array();
        int64_t size = 0;
        for (int t = 0; t < dir->topics_count; t++) {
            if (only_topic && !slice_eq_str(dir->topics[t].name, only_topic))
                continue;
            for (int p = 0; p < dir->topics[t].partitions_count; p++) {
                const struct describe_log_dirs_response_describe_log_dirs_partition *partition = &dir->topics[t].partitions[p];
                size += partition->partition_size;
                json_array_append_new(replicas, json_pack("{s:o, s:i, s:I, s:I, s:b}", "topic", json_slice(dir->topics[t].name),
                                                          "partition", partition->partition_index, "size",
                                                          (json_int_t)partition->partition_size, "offset_lag",
                                                          (json_int_t)partition->offset_lag, "future", partition->is_future_key));
            }
        }
        json_array_append_new(rows, json_pack("{s:i, s:o, s:s?, s:o, s:o, s:i, s:I, s:o}", "broker", broker, "log_dir",
                                              json_slice(dir->log_dir), "error", dir->error_code ? kafka_error_name(dir->error_code) : NULL,
                                              "total_bytes", json_capacity(dir->total_bytes), "usable_bytes",
                                              json_capacity(dir->usable_bytes), "replica_count", (int)json_array_size(replicas), "size",
                                              (json_int_t)size, "replicas", replicas));
    }
}

static int ask_all(struct client *client, json_t *rows) {
    struct metadata_response metadata;
    int64_t only = options_int(client->options, "broker", -1);
    int status = client_metadata(client, (const char *const[]){NULL}, 0, &metadata), asked = 0;
    for (int i = 0; !status && i < metadata.brokers_count; i++) {
        struct describe_log_dirs_response response;
        if (only >= 0 && metadata.brokers[i].node_id != only)
            continue;
        status = log_dirs_ask(client, metadata.brokers[i].node_id, NULL, &response);
        if (!status)
            add_dirs(metadata.brokers[i].node_id, &response, options_text(client->options, "topic", NULL), rows);
        asked++;
    }
    return !status && !asked ? cli_fail("there is no broker %lld; `myelin cluster info` lists those there are", (long long)only) : status;
}

int cluster_log_dirs_run(struct options *options) {
    static const struct output_column columns[] = {{"broker", "BROKER", true}, {"log_dir", "DIRECTORY", false}, {"replica_count", "REPLICAS", true},
                                                   {"size", "SIZE", OUTPUT_SIZE}, {"usable_bytes", "USABLE", OUTPUT_SIZE},
                                                   {"total_bytes", "TOTAL", OUTPUT_SIZE}, {"error", "ERROR", false}};
    static const struct output_column replica_columns[] = {{"topic", "TOPIC", false}, {"partition", "PARTITION", true},
                                                           {"size", "SIZE", OUTPUT_SIZE}, {"offset_lag", "LAG", true}, {"future", "FUTURE", false}};
    struct client client;
    json_t *rows = json_array(), *dir;
    size_t i;
    int status = client_open(&client, options);
    if (!status)
        status = ask_all(&client, rows);
    if (!status && options_json(options)) {
        output_json(stdout, rows);
    } else if (!status) {
        output_rows(stdout, rows, columns, COUNT_OF(columns));
        json_array_foreach(rows, i, dir) {
            if (!options_has(options, "replicas") && !options_has(options, "topic"))
                break;
            printf("\n%s\n", json_string_value(json_object_get(dir, "log_dir")));
            output_rows(stdout, json_object_get(dir, "replicas"), replica_columns, COUNT_OF(replica_columns));
        }
    }
    json_decref(rows);
    client_close(&client);
    return status;
}
