/* myelin topic move: replicas to another log directory of their broker, live; it waits until they are there.
 * myelin topic producers: who wrote to the partitions with a producer id, as their leaders remember. */
#include <poll.h>
#include "base/mem.h"
#include "cli/interrupt.h"
#include "cli/log_dirs.h"
#include "cli/offsets.h"
#include "cli/topic.h"
#include "protocol/alter_replica_log_dirs_request.h"
#include "protocol/alter_replica_log_dirs_response.h"
#include "protocol/describe_producers_request.h"
#include "protocol/describe_producers_response.h"
#include "protocol/errors.h"

/* ---- move ---------------------------------------------------------------------------------------------------- */

enum { MOVE_LOOK_MS = 100 };

struct move_job {
    struct client client;
    const struct metadata_response_metadata_response_topic *topic;
    const char *dir;
    int broker, *partitions, count;
};

static int refused(const struct move_job *job, int partition, int16_t code) {
    char *what = mem_printf("%.*s, partition %d", SLICE_FMT(job->topic->name), partition);
    int status = code == KAFKA_LOG_DIR_NOT_FOUND
                     ? cli_fail("%s: broker %d has no log directory %s; `myelin cluster log-dirs` lists those it has", what, job->broker, job->dir)
                     : client_refused(what, code, SLICE_NULL);
    mem_free(what);
    return status;
}

static int begin_move(struct move_job *job) {
    struct alter_replica_log_dirs_request_alter_replica_log_dir_topic topic = {job->topic->name, job->partitions, job->count};
    struct alter_replica_log_dirs_request_alter_replica_log_dir dir = {slice_str(job->dir), &topic, 1};
    struct alter_replica_log_dirs_request request = {&dir, 1};
    struct alter_replica_log_dirs_response response;
    int status = client_call(&job->client, job->broker, API_ALTER_REPLICA_LOG_DIRS, &request, &response);
    for (int t = 0; !status && t < response.results_count; t++)
        for (int p = 0; !status && p < response.results[t].partitions_count; p++)
            if (response.results[t].partitions[p].error_code)
                status = refused(job, response.results[t].partitions[p].partition_index, response.results[t].partitions[p].error_code);
    return status;
}

static bool is_chosen(const struct move_job *job, int partition) {
    for (int i = 0; i < job->count; i++)
        if (job->partitions[i] == partition)
            return true;
    return false;
}

/* Those that are whole in the directory; *ret_lag: records still to copy, of the others. */
static int count_moved(const struct move_job *job, const struct describe_log_dirs_response *response, int64_t *ret_lag) {
    int moved = 0;
    *ret_lag = 0;
    for (int d = 0; d < response->results_count; d++)
        for (int t = 0; t < response->results[d].topics_count; t++)
            for (int p = 0; p < response->results[d].topics[t].partitions_count; p++) {
                const struct describe_log_dirs_response_describe_log_dirs_partition *replica = &response->results[d].topics[t].partitions[p];
                if (!slice_eq(response->results[d].topics[t].name, job->topic->name) || !is_chosen(job, replica->partition_index))
                    continue;
                if (replica->is_future_key)
                    *ret_lag += replica->offset_lag;
                else
                    moved += slice_eq_str(response->results[d].log_dir, job->dir);
            }
    return moved;
}

static int wait_until_moved(struct move_job *job) {
    struct progress progress;
    struct describe_log_dirs_response response;
    int status = CLI_OK;
    interrupt_catch();
    progress_begin(&progress);
    while (!interrupted()) {
        int64_t lag;
        status = log_dirs_ask(&job->client, job->broker, job->topic, &response);
        if (status)
            break;
        int moved = count_moved(job, &response, &lag);
        if (moved == job->count)
            break;
        if (progress_due(&progress))
            progress_show(&progress, "%d of %d moved, %lld records to copy", moved, job->count, (long long)lag);
        poll(NULL, 0, MOVE_LOOK_MS);
    }
    progress_end(&progress);
    return !status && interrupted() ? cli_fail("not waited for; the move goes on in the broker") : status;
}

int topic_move_run(struct options *options) {
    struct move_job job = {.dir = options_text(options, "log-dir", NULL)};
    if (!job.dir)
        return cli_usage(options, "give --log-dir; `myelin cluster log-dirs` lists those there are");
    int status = client_open(&job.client, options);
    if (!status)
        status = client_topic(&job.client, options->arguments[0], &job.topic);
    if (!status)
        status = choose_partitions(job.topic, options_text(options, "partition", NULL), &job.partitions, &job.count);
    if (!status && job.count) {
        job.broker = (int)options_int(options, "broker", job.topic->partitions[0].leader_id);
        status = begin_move(&job);
    }
    if (!status && job.count && !options_has(options, "no-wait"))
        status = wait_until_moved(&job);
    if (!status && options_json(options)) {
        json_t *result = json_pack("{s:s, s:i, s:s, s:i, s:s}", "topic", options->arguments[0], "broker", job.broker, "log_dir", job.dir,
                                   "partition_count", job.count, "status", options_has(options, "no-wait") ? "moving" : "moved");
        output_json(stdout, result);
        json_decref(result);
    } else if (!status) {
        printf("%s %d partition%s of %s to %s\n", options_has(options, "no-wait") ? "moving" : "moved", job.count, job.count == 1 ? "" : "s",
               options->arguments[0], job.dir);
    }
    mem_free(job.partitions);
    client_close(&job.client);
    return status;
}

/* ---- producers ----------------------------------------------------------------------------------------------- */

static json_t *json_or_null(int64_t value) {
    return value < 0 ? json_null() : json_integer(value);
}

static int add_producers(const char *name, const struct describe_producers_response_partition_response *partition, json_t *rows) {
    if (partition->error_code) {
        char *what = mem_printf("producers of %s, partition %d", name, partition->partition_index);
        int status = client_refused(what, partition->error_code, partition->error_message);
        mem_free(what);
        return status;
    }
    for (int i = 0; i < partition->active_producers_count; i++) {
        const struct describe_producers_response_producer_state *producer = &partition->active_producers[i];
        json_array_append_new(rows, json_pack("{s:s, s:i, s:I, s:i, s:i, s:o, s:o, s:o}", "topic", name, "partition", partition->partition_index,
                                              "producer_id", (json_int_t)producer->producer_id, "producer_epoch", producer->producer_epoch,
                                              "last_sequence", producer->last_sequence, "last_timestamp", json_or_null(producer->last_timestamp),
                                              "coordinator_epoch", json_or_null(producer->coordinator_epoch), "transaction_start_offset",
                                              json_or_null(producer->current_txn_start_offset)));
    }
    return CLI_OK;
}

static int ask_producers(struct client *client, const char *name, int leader, const struct metadata_response_metadata_response_topic *topic,
                         const int *partitions, int count, json_t *rows) {
    struct describe_producers_request_topic_request in = {.name = topic->name};
    in.partition_indexes = arena_array(&client->arena, int32_t, count);
    for (int i = 0; i < count; i++)
        if (leader_of_partition(topic, partitions[i]) == leader)
            in.partition_indexes[in.partition_indexes_count++] = partitions[i];
    struct describe_producers_request request = {&in, 1};
    struct describe_producers_response response;
    int status = client_call(client, leader, API_DESCRIBE_PRODUCERS, &request, &response);
    for (int t = 0; !status && t < response.topics_count; t++)
        for (int p = 0; !status && p < response.topics[t].partitions_count; p++)
            status = add_producers(name, &response.topics[t].partitions[p], rows);
    return status;
}

int topic_producers_run(struct options *options) {
    static const struct output_column columns[] = {
        {"partition", "PARTITION", true}, {"producer_id", "PRODUCER ID", true}, {"producer_epoch", "EPOCH", true},
        {"last_sequence", "LAST SEQUENCE", true}, {"last_timestamp", "LAST TIMESTAMP", OUTPUT_TIME}, {"coordinator_epoch", "COORDINATOR EPOCH", true},
        {"transaction_start_offset", "TRANSACTION START", true}};
    struct client client;
    const struct metadata_response_metadata_response_topic *topic = NULL;
    int *partitions = NULL, count = 0;
    json_t *rows = json_array();
    int status = client_open(&client, options);
    if (!status)
        status = client_topic(&client, options->arguments[0], &topic);
    if (!status)
        status = choose_partitions(topic, options_text(options, "partition", NULL), &partitions, &count);
    for (int i = 0; i < count && !status; i++) {
        int leader = leader_of_partition(topic, partitions[i]);
        bool asked = false;
        for (int j = 0; j < i; j++)
            asked |= leader_of_partition(topic, partitions[j]) == leader;
        if (leader >= 0 && !asked)
            status = ask_producers(&client, options->arguments[0], leader, topic, partitions, count, rows);
    }
    if (status)
        json_decref(rows);
    else
        output_list(options, rows, columns, COUNT_OF(columns));
    mem_free(partitions);
    client_close(&client);
    return status;
}
