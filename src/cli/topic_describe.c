/* myelin topic describe: what metadata, configurations, offsets and log directories say about topics, in one value. */
#include <stdlib.h>
#include "base/mem.h"
#include "cli/configs.h"
#include "cli/log_dirs.h"
#include "cli/offsets.h"
#include "cli/topic.h"
#include "protocol/errors.h"

enum { LATEST = -1, EARLIEST = -2 };

static json_t *json_ids(const int32_t *ids, int count) {
    json_t *array = json_array();
    for (int i = 0; i < count; i++)
        json_array_append_new(array, json_integer(ids[i]));
    return array;
}

static json_t *json_offset(const struct offset_query *query) {
    return query->error || query->offset < 0 ? json_null() : json_integer(query->offset);
}

static int compare_partitions(const void *a, const void *b) {
    const struct metadata_response_metadata_response_partition *x = a, *y = b;
    return (x->partition_index > y->partition_index) - (x->partition_index < y->partition_index);
}

/* Offsets only of partitions with a leader: nobody else knows them. */
static int find_offsets(struct client *client, const char *name, const struct metadata_response_metadata_response_topic *topic,
                        int64_t timestamp, struct offset_query **ret_queries) {
    struct offset_query *queries = arena_array(&client->arena, struct offset_query, topic->partitions_count);
    struct offset_query *asked = arena_array(&client->arena, struct offset_query, topic->partitions_count);
    int count = 0, status = CLI_OK;
    for (int i = 0; i < topic->partitions_count; i++) {
        queries[i] = (struct offset_query){.error = KAFKA_LEADER_NOT_AVAILABLE, .partition = topic->partitions[i].partition_index};
        if (topic->partitions[i].leader_id >= 0)
            asked[count++] = (struct offset_query){.topic = name, .partition = topic->partitions[i].partition_index, .timestamp = timestamp};
    }
    if (count)
        status = offsets_find(client, asked, count, false);
    for (int i = 0, a = 0; i < topic->partitions_count && a < count; i++)
        if (queries[i].partition == asked[a].partition)
            queries[i] = asked[a++];
    *ret_queries = queries;
    return status;
}

static int describe_partitions(struct client *client, const char *name, const struct metadata_response_metadata_response_topic *topic,
                               json_t *ret_partitions, json_t **ret_size) {
    struct offset_query *first, *end;
    int64_t total = 0;
    bool known = true;
    if (topic->partitions_count > 0)
        qsort(topic->partitions, (size_t)topic->partitions_count, sizeof *topic->partitions, compare_partitions);
    int status = find_offsets(client, name, topic, EARLIEST, &first);
    if (!status)
        status = find_offsets(client, name, topic, LATEST, &end);
    int64_t *sizes = arena_array(&client->arena, int64_t, topic->partitions_count);
    if (!status)
        status = log_dirs_sizes(client, topic, sizes);
    for (int i = 0; i < topic->partitions_count && !status; i++) {
        const struct metadata_response_metadata_response_partition *partition = &topic->partitions[i];
        json_t *row = json_pack("{s:i, s:o, s:i, s:o, s:o, s:o, s:o, s:o, s:o}", "partition", partition->partition_index, "leader",
                                partition->leader_id < 0 ? json_null() : json_integer(partition->leader_id), "leader_epoch",
                                partition->leader_epoch, "replicas", json_ids(partition->replica_nodes, partition->replica_nodes_count),
                                "isr", json_ids(partition->isr_nodes, partition->isr_nodes_count), "offline",
                                json_ids(partition->offline_replicas, partition->offline_replicas_count), "start_offset",
                                json_offset(&first[i]), "end_offset", json_offset(&end[i]), "size",
                                sizes[i] < 0 ? json_null() : json_integer(sizes[i]));
        json_array_append_new(ret_partitions, row);
        known &= sizes[i] >= 0;
        total += sizes[i];
    }
    *ret_size = known ? json_integer(total) : json_null();
    return status;
}

static int describe(struct client *client, const char *name, json_t *rows) {
    const struct metadata_response_metadata_response_topic *topic;
    char id[UUID_TEXT_SIZE];
    int status = client_topic(client, name, &topic);
    if (status)
        return status;
    json_t *partitions = json_array(), *configs = json_array(), *size = NULL, *set = NULL;
    status = describe_partitions(client, name, topic, partitions, &size);
    if (!status) {
        json_decref(configs);
        configs = NULL;
        status = configs_describe(client, RESOURCE_TOPIC, name, false, false, &configs);
    }
    if (!status) {
        size_t i;
        json_t *config;
        set = json_object();
        json_array_foreach(configs, i, config)
            json_object_set(set, json_string_value(json_object_get(config, "name")), json_object_get(config, "value"));
        json_array_append_new(
            rows, json_pack("{s:s, s:s, s:b, s:i, s:i, s:O, s:O, s:O}", "topic", name, "topic_id", uuid_text(topic->topic_id, id), "internal",
                            topic->is_internal, "partition_count", topic->partitions_count, "replication_factor",
                            topic->partitions_count ? topic->partitions[0].replica_nodes_count : 0, "size", size, "configs", set,
                            "partitions", partitions));
    }
    json_decref(partitions);
    json_decref(configs);
    json_decref(size);
    json_decref(set);
    return status;
}

static void show(const json_t *rows) {
    static const struct output_column fields[] = {{"topic", "topic", false}, {"topic_id", "topic id", false}, {"internal", "internal", false},
                                                  {"partition_count", "partitions", false}, {"replication_factor", "replicas", false},
                                                  {"size", "size", OUTPUT_SIZE}, {"configs", "settings", false}};
    static const struct output_column columns[] = {
        {"partition", "PARTITION", true}, {"leader", "LEADER", true}, {"leader_epoch", "EPOCH", true}, {"replicas", "REPLICAS", false},
        {"isr", "ISR", false}, {"offline", "OFFLINE", false}, {"start_offset", "START", true}, {"end_offset", "END", true},
        {"size", "SIZE", OUTPUT_SIZE}};
    size_t i;
    json_t *topic;
    json_array_foreach((json_t *)rows, i, topic) {
        if (i)
            putchar('\n');
        output_fields(stdout, topic, fields, COUNT_OF(fields));
        output_rows(stdout, json_object_get(topic, "partitions"), columns, COUNT_OF(columns));
    }
}

static int describe_all(struct client *client, json_t *rows) {
    struct metadata_response metadata;
    struct progress progress;
    int status = client_metadata(client, NULL, 0, &metadata);
    progress_begin(&progress);
    for (int i = 0; !status && i < metadata.topics_count; i++) {
        if (!metadata.topics[i].is_internal)
            status = describe(client, arena_printf(&client->arena, "%.*s", SLICE_FMT(metadata.topics[i].name)), rows);
        if (progress_due(&progress))
            progress_show(&progress, "%d of %d topics", i + 1, metadata.topics_count);
    }
    progress_end(&progress);
    return status;
}

int topic_describe_run(struct options *options) {
    struct client client;
    json_t *rows = json_array();
    int status = client_open(&client, options), worst;
    if (!status && options->argument_count == 0)
        status = describe_all(&client, rows);
    worst = status;
    for (int i = 0; i < options->argument_count && client.nodes && !status; i++)
        if (describe(&client, options->arguments[i], rows))
            worst = CLI_FAILED;
    if (client.nodes && options_json(options))
        output_json(stdout, rows);
    else
        show(rows);
    json_decref(rows);
    client_close(&client);
    return worst;
}
