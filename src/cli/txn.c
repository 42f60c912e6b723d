/* myelin txn list|describe|abort|find-hanging: transactions, as their coordinators and the partitions know them (KIP-664). */
#include <stdlib.h>
#include "base/mem.h"
#include "cli/cli.h"
#include "cli/client.h"
#include "cli/offsets.h"
#include "protocol/describe_producers_request.h"
#include "protocol/describe_producers_response.h"
#include "protocol/describe_transactions_request.h"
#include "protocol/describe_transactions_response.h"
#include "protocol/errors.h"
#include "protocol/init_producer_id_request.h"
#include "protocol/init_producer_id_response.h"
#include "protocol/list_transactions_request.h"
#include "protocol/list_transactions_response.h"
#include "protocol/write_txn_markers_request.h"
#include "protocol/write_txn_markers_response.h"

enum { MAX_TIMEOUT_MINUTES = 15 };

static const struct option_def list_options[] = {
    {"state", 's', OPTION_LIST, "STATE", "only those in this state, e.g. Ongoing", NULL, COMPLETE_NOTHING},
    {"producer-id", 0, OPTION_INT, "ID", "only those of this producer", NULL, COMPLETE_NOTHING},
    {"longer-than", 0, OPTION_INT, "MS", "only those that have been running longer", NULL, COMPLETE_NOTHING},
    {"pattern", 0, OPTION_TEXT, "REGEX", "only transactional ids that match as a whole", NULL, COMPLETE_NOTHING},
};
static const struct option_def abort_options[] = {
    {"topic", 't', OPTION_TEXT, "TOPIC", "where the transaction is open", NULL, COMPLETE_TOPIC},
    {"partition", 'p', OPTION_INT, "N", "the partition", NULL, COMPLETE_NOTHING},
    {"start-offset", 0, OPTION_INT, "N", "the transaction's first offset there", NULL, COMPLETE_NOTHING},
    {"yes", 'y', OPTION_FLAG, NULL, "do not ask on a terminal", NULL, COMPLETE_NOTHING},
};
static const struct option_def hanging_options[] = {
    {"topic", 't', OPTION_TEXT, "TOPIC", "look at this topic alone", NULL, COMPLETE_TOPIC},
    {"max-timeout", 0, OPTION_INT, "MINUTES", "what has been open so long is looked at (15)", NULL, COMPLETE_NOTHING},
};

/* ---- asking ---------------------------------------------------------------------------------------------------------------- */

static int list_of(struct client *client, int node, const struct list_transactions_request *request, struct list_transactions_response *ret_list) {
    int64_t deadline_us = client_deadline_us(client);
    do {
        int status = client_call(client, node, API_LIST_TRANSACTIONS, request, ret_list);
        if (status || !ret_list->error_code)
            return status;
    } while (client_asks_again(ret_list->error_code, deadline_us));
    return client_refused("list transactions", ret_list->error_code, SLICE_NULL);
}

static int describe(struct client *client, const char *id, struct describe_transactions_response_transaction_state *ret_state, int *ret_node) {
    struct describe_transactions_request request;
    struct describe_transactions_response response;
    struct slice key = slice_str(id);
    int status = client_find_coordinator(client, CLIENT_KEY_TRANSACTION, id, arena_printf(&client->arena, "'%s'", id), ret_node);
    if (status)
        return status;
    describe_transactions_request_init(&request);
    request.transactional_ids = &key;
    request.transactional_ids_count = 1;
    status = client_call(client, *ret_node, API_DESCRIBE_TRANSACTIONS, &request, &response);
    if (status)
        return status;
    if (response.transaction_states_count != 1)
        return cli_fail("the broker tells nothing of '%s'", id);
    *ret_state = response.transaction_states[0];
    if (ret_state->error_code == KAFKA_TRANSACTIONAL_ID_NOT_FOUND)
        return cli_fail("there is no transactional id '%s'; `myelin txn list` shows those there are", id);
    return ret_state->error_code ? client_refused(id, ret_state->error_code, SLICE_NULL) : CLI_OK;
}

static int describe_producers(struct client *client, const struct metadata_response_metadata_response_topic *topic, int partition,
                              struct describe_producers_response_partition_response *ret_found) {
    struct describe_producers_request request;
    struct describe_producers_response response;
    struct describe_producers_request_topic_request asked = {topic->name, (int32_t[]){partition}, 1};
    int leader = leader_of_partition(topic, partition);
    if (leader < 0)
        return cli_fail("%.*s-%d is not there, or has no leader", SLICE_FMT(topic->name), partition);
    describe_producers_request_init(&request);
    request.topics = &asked;
    request.topics_count = 1;
    int status = client_call(client, leader, API_DESCRIBE_PRODUCERS, &request, &response);
    if (status)
        return status;
    if (response.topics_count != 1 || response.topics[0].partitions_count != 1)
        return cli_fail("the broker tells nothing of %.*s-%d", SLICE_FMT(topic->name), partition);
    *ret_found = response.topics[0].partitions[0];
    return ret_found->error_code ? client_refused("producers", ret_found->error_code, ret_found->error_message) : CLI_OK;
}

/* ---- list -------------------------------------------------------------------------------------------------------------------- */

static int compare_rows(const void *a, const void *b) {
    return strcmp(json_string_value(json_object_get(*(json_t *const *)a, "transactional_id")),
                  json_string_value(json_object_get(*(json_t *const *)b, "transactional_id")));
}

static json_t *sorted(json_t *rows) {
    size_t count = json_array_size(rows);
    json_t **all = mem_alloc(sizeof *all * (count + 1)), *out = json_array();
    for (size_t i = 0; i < count; i++)
        all[i] = json_array_get(rows, i);
    if (count)
        qsort(all, count, sizeof *all, compare_rows);
    for (size_t i = 0; i < count; i++)
        json_array_append(out, all[i]);
    mem_free(all);
    json_decref(rows);
    return out;
}

static int list_rows(struct client *client, const struct list_transactions_request *request, json_t *rows) {
    struct metadata_response metadata;
    int status = client_metadata(client, (const char *const[]){""}, 0, &metadata);
    for (int i = 0; !status && i < metadata.brokers_count; i++) {
        struct list_transactions_response list;
        status = list_of(client, metadata.brokers[i].node_id, request, &list);
        if (!status && list.unknown_state_filters_count)
            status = cli_fail("there is no state '%.*s'; states are Empty, Ongoing, PrepareCommit, PrepareAbort, CompleteCommit, CompleteAbort",
                              SLICE_FMT(list.unknown_state_filters[0]));
        for (int k = 0; !status && k < list.transaction_states_count; k++)
            json_array_append_new(rows, json_pack("{s:o, s:I, s:o, s:i}", "transactional_id", json_slice(list.transaction_states[k].transactional_id),
                                                  "producer_id", (json_int_t)list.transaction_states[k].producer_id, "state",
                                                  json_slice(list.transaction_states[k].transaction_state), "coordinator", metadata.brokers[i].node_id));
    }
    return status;
}

static int list_run(struct options *options) {
    static const struct output_column columns[] = {{"transactional_id", "TRANSACTIONAL ID", OUTPUT_LEFT}, {"producer_id", "PRODUCER", OUTPUT_RIGHT},
                                                   {"state", "STATE", OUTPUT_LEFT}, {"coordinator", "COORDINATOR", OUTPUT_RIGHT}};
    struct client client;
    struct list_transactions_request request;
    list_transactions_request_init(&request);
    int status = client_open(&client, options);
    int64_t producer_id = options_int(options, "producer-id", -1);
    request.producer_id_filters = &producer_id;
    request.producer_id_filters_count = options_has(options, "producer-id");
    request.duration_filter = options_int(options, "longer-than", -1);
    request.transactional_id_pattern = slice_str(options_text(options, "pattern", NULL));
    request.state_filters = arena_array(&client.arena, struct slice, options->value_count + 1);
    for (const char *state; (state = options_list(options, "state", request.state_filters_count));)
        request.state_filters[request.state_filters_count++] = slice_str(state);
    json_t *rows = json_array();
    if (!status)
        status = list_rows(&client, &request, rows);
    if (status)
        json_decref(rows);
    else
        output_list(options, sorted(rows), columns, COUNT_OF(columns));
    client_close(&client);
    return status;
}

/* ---- describe ------------------------------------------------------------------------------------------------------------------ */

static json_t *describe_json(const struct describe_transactions_response_transaction_state *state, int node) {
    json_t *partitions = json_array();
    for (int t = 0; t < state->topics_count; t++)
        for (int p = 0; p < state->topics[t].partitions_count; p++) {
            char *text = mem_printf("%.*s-%d", SLICE_FMT(state->topics[t].topic), (int)state->topics[t].partitions[p]);
            json_array_append_new(partitions, json_string(text));
            mem_free(text);
        }
    return json_pack("{s:o, s:o, s:I, s:i, s:o, s:i, s:i, s:o}", "transactional_id", json_slice(state->transactional_id), "state",
                     json_slice(state->transaction_state), "producer_id", (json_int_t)state->producer_id, "epoch", state->producer_epoch, "start",
                     state->transaction_start_time_ms < 0 ? json_null() : json_integer(state->transaction_start_time_ms), "timeout_ms",
                     state->transaction_timeout_ms, "coordinator", node, "partitions", partitions);
}

static int describe_run(struct options *options) {
    static const struct output_column columns[] = {
        {"transactional_id", "TRANSACTIONAL ID", OUTPUT_LEFT}, {"state", "STATE", OUTPUT_LEFT},       {"producer_id", "PRODUCER", OUTPUT_RIGHT},
        {"epoch", "EPOCH", OUTPUT_RIGHT},                      {"start", "START", OUTPUT_TIME},       {"timeout_ms", "TIMEOUT MS", OUTPUT_RIGHT},
        {"coordinator", "COORDINATOR", OUTPUT_RIGHT},          {"partitions", "PARTITIONS", OUTPUT_LEFT}};
    struct client client;
    int status = client_open(&client, options), worst = status;
    json_t *rows = json_array();
    for (int i = 0; !status && i < options->argument_count; i++) {
        struct describe_transactions_response_transaction_state state;
        int node;
        if (describe(&client, options->arguments[i], &state, &node))
            worst = CLI_FAILED;
        else
            json_array_append_new(rows, describe_json(&state, node));
    }
    if (json_array_size(rows))
        output_list(options, rows, columns, COUNT_OF(columns));
    else
        json_decref(rows);
    client_close(&client);
    return worst;
}

/* ---- abort ----------------------------------------------------------------------------------------------------------------------- */

/* Another epoch for the id: its coordinator aborts what is open, and the producer that had it is fenced. */
static int fence(struct client *client, const char *id) {
    int64_t deadline_us = client_deadline_us(client);
    struct describe_transactions_response_transaction_state state;
    struct init_producer_id_request request;
    struct init_producer_id_response response;
    int node, status = describe(client, id, &state, &node);
    if (status)
        return status;
    init_producer_id_request_init(&request);
    request.transactional_id = slice_str(id);
    request.transaction_timeout_ms = client->timeout_ms;
    do {
        status = client_call(client, node, API_INIT_PRODUCER_ID, &request, &response);
        if (status || !response.error_code)
            return status;
    } while (client_asks_again(response.error_code, deadline_us));
    return client_refused(id, response.error_code, SLICE_NULL);
}

/* A marker by hand, for a transaction that no coordinator knows any more. */
static int mark_aborted(struct client *client, const struct metadata_response_metadata_response_topic *topic, int32_t partition, int64_t start) {
    struct describe_producers_response_partition_response found;
    int status = describe_producers(client, topic, partition, &found);
    if (status)
        return status;
    const struct describe_producers_response_producer_state *producer = NULL;
    for (int i = 0; i < found.active_producers_count; i++)
        if (found.active_producers[i].current_txn_start_offset == start)
            producer = &found.active_producers[i];
    if (!producer)
        return cli_fail("no transaction is open in %.*s-%d from offset %lld on; `myelin txn find-hanging --topic %.*s` shows what is",
                        SLICE_FMT(topic->name), (int)partition, (long long)start, SLICE_FMT(topic->name));
    struct write_txn_markers_request request;
    struct write_txn_markers_response response;
    struct write_txn_markers_request_writable_txn_marker marker;
    struct write_txn_markers_request_writable_txn_marker_topic marked = {topic->name, &partition, 1};
    write_txn_markers_request_init(&request);
    write_txn_markers_request_writable_txn_marker_init(&marker);
    marker.producer_id = producer->producer_id;
    marker.producer_epoch = (int16_t)producer->producer_epoch;
    marker.coordinator_epoch = producer->coordinator_epoch > 0 ? producer->coordinator_epoch : 0;
    marker.topics = &marked;
    marker.topics_count = 1;
    request.markers = &marker;
    request.markers_count = 1;
    status = client_call(client, leader_of_partition(topic, partition), API_WRITE_TXN_MARKERS, &request, &response);
    if (status)
        return status;
    int16_t code = response.markers_count == 1 && response.markers[0].topics_count == 1 && response.markers[0].topics[0].partitions_count == 1
                       ? response.markers[0].topics[0].partitions[0].error_code
                       : KAFKA_UNKNOWN_SERVER_ERROR;
    return code ? client_refused("abort", code, SLICE_NULL) : CLI_OK;
}

static int abort_run(struct options *options) {
    bool by_id = options->argument_count == 1;
    const char *name = options_text(options, "topic", NULL);
    if (by_id == (name != NULL) || (name && (!options_has(options, "partition") || !options_has(options, "start-offset"))))
        return cli_usage(options, "it takes a transactional id, or --topic, --partition and --start-offset");
    struct client client;
    const struct metadata_response_metadata_response_topic *topic;
    int status = client_open(&client, options);
    if (!status && !options_has(options, "yes") && !cli_confirm("Abort the transaction?"))
        status = cli_fail("nothing was aborted");
    if (!status && by_id)
        status = fence(&client, options->arguments[0]);
    else if (!status && !(status = client_topic(&client, name, &topic)))
        status = mark_aborted(&client, topic, (int32_t)options_int(options, "partition", 0), options_int(options, "start-offset", 0));
    client_close(&client);
    return status;
}

/* ---- find-hanging ------------------------------------------------------------------------------------------------------------------ */

/* Does the producer's coordinator know of its transaction in the partition? Then time ends it. */
static int is_known(struct client *client, int64_t producer_id, struct slice topic, int partition, bool *ret_known) {
    struct list_transactions_request request;
    json_t *rows = json_array();
    list_transactions_request_init(&request);
    request.producer_id_filters = &producer_id;
    request.producer_id_filters_count = 1;
    int status = list_rows(client, &request, rows);
    *ret_known = false;
    for (size_t i = 0; !status && i < json_array_size(rows); i++) {
        struct describe_transactions_response_transaction_state state;
        int node;
        status = describe(client, json_string_value(json_object_get(json_array_get(rows, i), "transactional_id")), &state, &node);
        for (int t = 0; !status && t < state.topics_count; t++)
            for (int p = 0; p < state.topics[t].partitions_count; p++)
                *ret_known |= slice_eq(state.topics[t].topic, topic) && state.topics[t].partitions[p] == partition;
    }
    json_decref(rows);
    return status;
}

static int look_at(struct client *client, const struct metadata_response_metadata_response_topic *topic, int partition, int64_t max_ms, json_t *rows) {
    struct describe_producers_response_partition_response found;
    int status = describe_producers(client, topic, partition, &found);
    for (int i = 0; !status && i < found.active_producers_count; i++) {
        const struct describe_producers_response_producer_state *producer = &found.active_producers[i];
        bool known;
        if (producer->current_txn_start_offset < 0 || cli_now_ms() - producer->last_timestamp <= max_ms)
            continue;
        status = is_known(client, producer->producer_id, topic->name, partition, &known);
        if (status || known)
            continue;
        json_array_append_new(rows, json_pack("{s:o, s:i, s:I, s:i, s:i, s:I, s:I}", "topic", json_slice(topic->name), "partition", partition, "producer_id",
                                              (json_int_t)producer->producer_id, "epoch", (int)producer->producer_epoch, "coordinator_epoch",
                                              (int)producer->coordinator_epoch, "start_offset", (json_int_t)producer->current_txn_start_offset,
                                              "last_timestamp", (json_int_t)producer->last_timestamp));
    }
    return status;
}

static int hanging_run(struct options *options) {
    static const struct output_column columns[] = {{"topic", "TOPIC", OUTPUT_LEFT},           {"partition", "PARTITION", OUTPUT_RIGHT},
                                                   {"producer_id", "PRODUCER", OUTPUT_RIGHT}, {"epoch", "EPOCH", OUTPUT_RIGHT},
                                                   {"coordinator_epoch", "COORDINATOR EPOCH", OUTPUT_RIGHT},
                                                   {"start_offset", "START OFFSET", OUTPUT_RIGHT}, {"last_timestamp", "LAST", OUTPUT_TIME}};
    struct client client;
    struct metadata_response metadata = {0};
    const struct metadata_response_metadata_response_topic *one;
    const char *name = options_text(options, "topic", NULL);
    int64_t max_ms = options_int(options, "max-timeout", MAX_TIMEOUT_MINUTES) * 60000;
    int status = client_open(&client, options);
    if (!status && name && !(status = client_topic(&client, name, &one))) {
        metadata.topics = (struct metadata_response_metadata_response_topic *)one;
        metadata.topics_count = 1;
    } else if (!status) {
        status = client_metadata(&client, NULL, 0, &metadata);
    }
    json_t *rows = json_array();
    for (int t = 0; !status && t < metadata.topics_count; t++)
        for (int p = 0; !status && p < metadata.topics[t].partitions_count; p++)
            if (metadata.topics[t].partitions[p].leader_id >= 0)
                status = look_at(&client, &metadata.topics[t], metadata.topics[t].partitions[p].partition_index, max_ms, rows);
    if (status)
        json_decref(rows);
    else
        output_list(options, rows, columns, COUNT_OF(columns));
    client_close(&client);
    return status;
}

static const struct command subcommands[] = {
    {.name = "list", .summary = "list transactional ids", OPTIONS(list_options), .connects = true, .run = list_run},
    {.name = "describe", .summary = "show a transactional id: its state, producer, partitions", .arguments = "ID...", .argument_min = 1,
     .argument_max = -1, .connects = true, .run = describe_run},
    {.name = "abort", .summary = "abort a transaction that its producer does not end", .arguments = "[ID]", .argument_max = 1, OPTIONS(abort_options),
     .connects = true, .run = abort_run,
     .details = "myelin txn abort billing                                          by its id; the producer that has it is fenced\n"
                "myelin txn abort --topic orders --partition 3 --start-offset 42   one that hangs: no coordinator knows it any more\n"},
    {.name = "find-hanging", .summary = "find transactions that hold readers back and that no coordinator will end", OPTIONS(hanging_options),
     .connects = true, .run = hanging_run},
};
const struct command command_txn = {.name = "txn", .summary = "list, describe and abort transactions, find hanging ones", SUBCOMMANDS(subcommands)};
