/* myelin topic offsets, myelin topic delete-records; and ListOffsets for other commands. */
#include "cli/offsets.h"

#include <poll.h>
#include <stdlib.h>
#include "base/mem.h"
#include "protocol/delete_records_request.h"
#include "protocol/delete_records_response.h"
#include "protocol/errors.h"
#include "protocol/list_offsets_request.h"
#include "protocol/list_offsets_response.h"

enum { LATEST = -1, EARLIEST = -2, RETRY_MS = 100, NO_LEADER = -1, DONE = -2 };


static const struct metadata_response_metadata_response_topic *find_topic(const struct metadata_response *metadata, const char *name) {
    for (int i = 0; i < metadata->topics_count; i++)
        if (slice_eq_str(metadata->topics[i].name, name))
            return &metadata->topics[i];
    return NULL;
}

int leader_of_partition(const struct metadata_response_metadata_response_topic *topic, int partition) {
    for (int i = 0; topic && i < topic->partitions_count; i++)
        if (topic->partitions[i].partition_index == partition)
            return topic->partitions[i].leader_id;
    return NO_LEADER;
}

/* leaders[i]: who is asked for queries[i]; NO_LEADER with the error set, DONE when it has its answer. */
static int find_leaders(struct client *client, struct offset_query *queries, int count, int *leaders) {
    const char **names = arena_zalloc(&client->arena, sizeof *names * (size_t)count);
    int name_count = 0;
    for (int i = 0; i < count; i++)
        if (leaders[i] != DONE && (name_count == 0 || strcmp(names[name_count - 1], queries[i].topic) != 0))
            names[name_count++] = queries[i].topic;
    struct metadata_response metadata;
    int status = client_metadata(client, names, name_count, &metadata);
    const struct metadata_response_metadata_response_topic *topic = NULL;
    for (int i = 0; i < count && !status; i++) {
        if (leaders[i] == DONE)
            continue;
        if (!topic || !slice_eq_str(topic->name, queries[i].topic))
            topic = find_topic(&metadata, queries[i].topic);
        leaders[i] = leader_of_partition(topic, queries[i].partition);
        if (leaders[i] < 0) {
            leaders[i] = NO_LEADER;
            queries[i].error = KAFKA_LEADER_NOT_AVAILABLE;
            if (!topic || topic->error_code == KAFKA_UNKNOWN_TOPIC_OR_PARTITION || (!topic->error_code && queries[i].partition >= topic->partitions_count))
                queries[i].error = KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
        }
    }
    return status;
}

static int ask_leader(struct client *client, int leader, struct offset_query *queries, int count, const int *leaders, bool committed) {
    struct list_offsets_request request;
    struct list_offsets_response response;
    list_offsets_request_init(&request);
    request.replica_id = -1;
    request.isolation_level = committed;
    request.timeout_ms = client->timeout_ms;
    request.topics = arena_array(&client->arena, struct list_offsets_request_list_offsets_topic, count);
    struct list_offsets_request_list_offsets_topic *topic = NULL;
    for (int i = 0; i < count; i++) {
        if (leaders[i] != leader)
            continue;
        if (!topic || !slice_eq_str(topic->name, queries[i].topic)) {
            topic = &request.topics[request.topics_count++];
            list_offsets_request_list_offsets_topic_init(topic);
            topic->name = slice_str(queries[i].topic);
            topic->partitions = arena_array(&client->arena, struct list_offsets_request_list_offsets_partition, count - i);
        }
        struct list_offsets_request_list_offsets_partition *partition = &topic->partitions[topic->partitions_count++];
        list_offsets_request_list_offsets_partition_init(partition);
        partition->partition_index = queries[i].partition;
        partition->current_leader_epoch = -1;
        partition->timestamp = queries[i].timestamp;
    }
    int status = client_call(client, leader, API_LIST_OFFSETS, &request, &response);
    for (int t = 0; t < response.topics_count && !status; t++)
        for (int p = 0; p < response.topics[t].partitions_count; p++)
            for (int i = 0; i < count; i++) {
                const struct list_offsets_response_list_offsets_partition_response *answer = &response.topics[t].partitions[p];
                if (leaders[i] != leader || queries[i].partition != answer->partition_index ||
                    !slice_eq_str(response.topics[t].name, queries[i].topic))
                    continue;
                queries[i].error = answer->error_code;
                queries[i].offset = answer->offset;
                queries[i].found_timestamp = answer->timestamp;
                queries[i].leader_epoch = answer->leader_epoch;
            }
    return status;
}

int offsets_find(struct client *client, struct offset_query *queries, int count, bool committed) {
    int64_t deadline_us = cli_now_us() + (int64_t)client->timeout_ms * 1000;
    int *leaders = mem_zalloc(sizeof *leaders * (size_t)(count + 1)), status;
    for (int i = 0; i < count; i++)
        queries[i].error = KAFKA_UNKNOWN_SERVER_ERROR;
    for (;;) {
        status = find_leaders(client, queries, count, leaders);
        for (int i = 0; i < count && !status; i++) {
            int leader = leaders[i];
            bool asked = false;
            for (int j = 0; j < i; j++)
                asked |= leaders[j] == leader;
            if (leader >= 0 && !asked)
                status = ask_leader(client, leader, queries, count, leaders, committed);
        }
        bool again = false;
        for (int i = 0; i < count; i++) {
            bool retry = queries[i].error && queries[i].error != KAFKA_UNKNOWN_TOPIC_OR_PARTITION && kafka_error_is_retriable(queries[i].error);
            again |= retry;
            leaders[i] = retry ? NO_LEADER : DONE;
        }
        if (status || !again || cli_now_us() >= deadline_us)
            break;
        poll(NULL, 0, RETRY_MS);
    }
    mem_free(leaders);
    return status;
}

static int fail_partition(const struct offset_query *query) {
    char *what = mem_printf("offsets of %s, partition %d", query->topic, query->partition);
    int status = client_refused(what, query->error, SLICE_NULL);
    mem_free(what);
    return status;
}

int offsets_of_place(struct client *client, const char *topic, const int *partitions, int count, struct place place,
                     bool committed, int64_t *ret_offsets) {
    struct offset_query *first = arena_array(&client->arena, struct offset_query, count);
    struct offset_query *end = arena_array(&client->arena, struct offset_query, count);
    int64_t timestamp = place.kind == PLACE_TIME ? place.value : place.kind == PLACE_END ? LATEST : EARLIEST;
    bool ask_end = place.kind == PLACE_TIME || place.kind == PLACE_BEFORE_END;
    int status = CLI_OK;
    for (int i = 0; i < count; i++) {
        first[i] = (struct offset_query){.topic = topic, .partition = partitions[i], .timestamp = timestamp};
        end[i] = (struct offset_query){.topic = topic, .partition = partitions[i], .timestamp = LATEST};
    }
    if (place.kind != PLACE_OFFSET)
        status = offsets_find(client, first, count, committed);
    if (!status && ask_end)
        status = offsets_find(client, end, count, committed);
    for (int i = 0; i < count && !status; i++) {
        if (place.kind != PLACE_OFFSET && first[i].error)
            return fail_partition(&first[i]);
        if (ask_end && end[i].error)
            return fail_partition(&end[i]);
        if (place.kind == PLACE_OFFSET)
            ret_offsets[i] = place.value;
        else if (place.kind == PLACE_BEFORE_END)
            ret_offsets[i] = end[i].offset - place.value > first[i].offset ? end[i].offset - place.value : first[i].offset;
        else
            ret_offsets[i] = place.kind == PLACE_TIME && first[i].offset < 0 ? end[i].offset : first[i].offset;
    }
    return status;
}

int choose_partitions(const struct metadata_response_metadata_response_topic *topic, const char *text, int **ret_partitions,
                      int *ret_count) {
    int count = topic->partitions_count;
    if (text && !parse_numbers(text, count, ret_partitions, ret_count))
        return cli_fail("'%s' names no partitions of %.*s, which has 0 to %d; write them like 0,2 or 0-3", text, SLICE_FMT(topic->name),
                        count - 1);
    if (text)
        return CLI_OK;
    *ret_partitions = mem_alloc(sizeof **ret_partitions * (size_t)(count + 1));
    for (int i = 0; i < count; i++)
        (*ret_partitions)[i] = i;
    *ret_count = count;
    return CLI_OK;
}

/* ---- myelin topic offsets ------------------------------------------------------------------------------------ */

static bool parse_which(const char *text, int64_t *ret_timestamp) {
    static const struct {
        const char *name;
        int timestamp;
    } names[] = {{"latest", -1}, {"end", -1}, {"earliest", -2}, {"beginning", -2}, {"max-timestamp", -3},
                 {"earliest-local", -4}, {"latest-tiered", -5}, {"earliest-pending-upload", -6}};
    for (int i = 0; i < COUNT_OF(names); i++)
        if (strcmp(names[i].name, text) == 0) {
            *ret_timestamp = names[i].timestamp;
            return true;
        }
    return parse_time(text + (text[0] == '@'), cli_now_ms(), ret_timestamp);
}

static int add_offsets(struct client *client, const char *name, int64_t timestamp, json_t *rows) {
    const struct metadata_response_metadata_response_topic *topic;
    int *partitions = NULL, count = 0;
    int status = client_topic(client, name, &topic);
    if (!status)
        status = choose_partitions(topic, options_text(client->options, "partition", NULL), &partitions, &count);
    if (status)
        return status;
    struct offset_query *queries = arena_array(&client->arena, struct offset_query, count);
    for (int i = 0; i < count; i++)
        queries[i] = (struct offset_query){.topic = name, .partition = partitions[i], .timestamp = timestamp};
    mem_free(partitions);
    status = offsets_find(client, queries, count, strcmp(options_text(client->options, "isolation", "uncommitted"), "committed") == 0);
    for (int i = 0; i < count && !status; i++) {
        if (queries[i].error)
            return fail_partition(&queries[i]);
        json_t *row = json_pack("{s:s, s:i}", "topic", name, "partition", queries[i].partition);
        json_object_set_new(row, "offset", queries[i].offset < 0 ? json_null() : json_integer(queries[i].offset));
        json_object_set_new(row, "timestamp", queries[i].found_timestamp < 0 ? json_null() : json_integer(queries[i].found_timestamp));
        json_object_set_new(row, "leader_epoch", queries[i].leader_epoch < 0 ? json_null() : json_integer(queries[i].leader_epoch));
        json_array_append_new(rows, row);
    }
    return status;
}

int topic_offsets_run(struct options *options) {
    static const struct output_column columns[] = {
        {"topic", "TOPIC", false}, {"partition", "PARTITION", true}, {"offset", "OFFSET", true}, {"timestamp", "TIMESTAMP", OUTPUT_TIME}};
    const char *which = options_text(options, "time", "latest");
    int64_t timestamp;
    if (!parse_which(which, &timestamp))
        return cli_usage(options, "--time is earliest, latest, max-timestamp, earliest-local, latest-tiered, or a time; not '%s'", which);
    struct client client;
    json_t *rows = json_array();
    int status = client_open(&client, options);
    for (int i = 0; i < options->argument_count && !status; i++)
        status = add_offsets(&client, options->arguments[i], timestamp, rows);
    if (status)
        json_decref(rows);
    else
        output_list(options, rows, columns, COUNT_OF(columns));
    client_close(&client);
    return status;
}

/* ---- myelin topic delete-records ----------------------------------------------------------------------------- */

static int delete_at_leader(struct client *client, int leader, const struct metadata_response_metadata_response_topic *topic, const int *partitions,
                            const int64_t *offsets, int count, json_t *rows) {
    struct delete_records_request_delete_records_topic in = {.name = topic->name};
    in.partitions = arena_array(&client->arena, struct delete_records_request_delete_records_partition, count);
    for (int i = 0; i < count; i++)
        if (leader_of_partition(topic, partitions[i]) == leader)
            in.partitions[in.partitions_count++] = (struct delete_records_request_delete_records_partition){partitions[i], offsets[i]};
    struct delete_records_request request = {&in, 1, client->timeout_ms};
    struct delete_records_response response;
    int status = client_call(client, leader, API_DELETE_RECORDS, &request, &response);
    for (int t = 0; !status && t < response.topics_count; t++)
        for (int p = 0; p < response.topics[t].partitions_count; p++) {
            const struct delete_records_response_delete_records_partition_result *result = &response.topics[t].partitions[p];
            json_t *row = json_pack("{s:o, s:i}", "topic", json_slice(topic->name), "partition", result->partition_index);
            json_array_append_new(rows, row);
            if (result->error_code) {
                char *what = mem_printf("records of %.*s, partition %d", SLICE_FMT(topic->name), result->partition_index);
                status = client_refused(what, result->error_code, SLICE_NULL);
                mem_free(what);
                json_object_set_new(row, "error", json_string(kafka_error_name(result->error_code)));
            } else {
                json_object_set_new(row, "start_offset", json_integer(result->low_watermark));
            }
        }
    return status;
}

static int delete_records(struct client *client, struct place place, json_t *rows) {
    const struct metadata_response_metadata_response_topic *topic;
    const char *name = client->options->arguments[0];
    int *partitions = NULL, count = 0;
    int status = client_topic(client, name, &topic);
    if (!status)
        status = choose_partitions(topic, options_text(client->options, "partition", NULL), &partitions, &count);
    int64_t *offsets = arena_array(&client->arena, int64_t, count);
    if (!status)
        status = offsets_of_place(client, name, partitions, count, place, false, offsets);
    if (!status && !options_has(client->options, "yes") && !cli_confirm("Delete the records of %d partition%s of %s before %s?", count, count == 1 ? "" : "s", name,
                                options_text(client->options, "before", "")))
        status = cli_fail("nothing was deleted");
    for (int i = 0; i < count && !status; i++) {
        int leader = leader_of_partition(topic, partitions[i]);
        bool asked = false;
        for (int j = 0; j < i; j++)
            asked |= leader_of_partition(topic, partitions[j]) == leader;
        if (leader < 0)
            status = cli_fail("%s, partition %d has no leader now; `myelin topic describe %s` shows why", name, partitions[i], name);
        else if (!asked)
            status = delete_at_leader(client, leader, topic, partitions, offsets, count, rows);
    }
    mem_free(partitions);
    return status;
}

int topic_delete_records_run(struct options *options) {
    static const struct output_column columns[] = {
        {"topic", "TOPIC", false}, {"partition", "PARTITION", true}, {"start_offset", "NEW START", true}, {"error", "ERROR", false}};
    struct place place;
    const char *before = options_text(options, "before", NULL);
    if (!before || !parse_place(before, &place))
        return cli_usage(options, "give --before: an offset, end, -N or @TIME");
    struct client client;
    json_t *rows = json_array();
    int status = client_open(&client, options);
    if (!status)
        status = delete_records(&client, place, rows);
    if (json_array_size(rows))
        output_list(options, rows, columns, status ? COUNT_OF(columns) : COUNT_OF(columns) - 1);
    else
        json_decref(rows);
    client_close(&client);
    return status;
}
