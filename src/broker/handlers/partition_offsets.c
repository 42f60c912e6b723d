/* ListOffsets, OffsetForLeaderEpoch, DeleteRecords, DescribeProducers: what a partition's leader knows of its log. */
#include "base/names.h"
#include "broker/fanout.h"
#include "broker/handlers/handlers.h"
#include "protocol/delete_records_request.h"
#include "protocol/delete_records_response.h"
#include "protocol/describe_producers_request.h"
#include "protocol/describe_producers_response.h"
#include "protocol/list_offsets_request.h"
#include "protocol/list_offsets_response.h"
#include "protocol/offset_for_leader_epoch_request.h"
#include "protocol/offset_for_leader_epoch_response.h"

/* ---- ListOffsets ------------------------------------------------------------------------------------------------------------- */

enum { LATEST = -1, EARLIEST = -2, MAX_TIMESTAMP = -3, EARLIEST_LOCAL = -4, LATEST_TIERED = -5, EARLIEST_PENDING_UPLOAD = -6 };

struct list_item {
    struct fanout_item base;
    const struct list_offsets_request_list_offsets_partition *in;
    struct list_offsets_response_list_offsets_partition_response *out;
    int64_t bound;
    struct log_time_search search;
};
struct list_offsets {
    struct fanout fanout;
    struct list_offsets_request message;
    struct list_offsets_response response;
};

/* The lowest version that may ask for a special timestamp; 0: no such. */
static int special_version(int64_t timestamp) {
    switch (timestamp) {
    case LATEST:
    case EARLIEST: return 1;
    case MAX_TIMESTAMP: return 7;
    case EARLIEST_LOCAL: return 8;
    case LATEST_TIERED: return 9;
    case EARLIEST_PENDING_UPLOAD: return 11;
    default: return 0;
    }
}

/* A client's idea of the leader epoch: -1 is none, what else is negative is an epoch that never was. */
static enum err check_epoch(const struct partition *partition, int32_t epoch) {
    enum err err = partition_check_epoch(partition, epoch);
    return err || epoch >= -1 ? err : ERR_FENCED_LEADER_EPOCH;
}

static void found(struct log_time_search *search) {
    struct list_item *item = container_of(search, struct list_item, search);
    if (search->err)
        item->out->error_code = err_kafka_code(search->err);
    else if (search->found_offset >= 0 && search->found_offset < item->bound) {
        item->out->timestamp = search->found_timestamp;
        item->out->offset = search->found_offset;
        item->out->leader_epoch = search->found_epoch;
    }
    fanout_item_done(&item->base);
}

static void list_visit(struct fanout_item *base, struct partition *partition) {
    struct list_item *item = container_of(base, struct list_item, base);
    struct list_offsets *list = container_of(fanout_of(base), struct list_offsets, fanout);
    enum err err = check_epoch(partition, item->in->current_leader_epoch);
    if (err) {
        item->out->error_code = err_kafka_code(err);
        fanout_item_done(base);
        return;
    }
    struct log *log = partition->log;
    struct log_offsets offsets = log_offsets(log);
    item->bound = list->message.replica_id != -1         ? offsets.end
                  : list->message.isolation_level == 1 ? partition_last_stable_offset(partition)
                                                       : partition_high_watermark(partition);
    switch (item->in->timestamp) {
    case LATEST:
        item->out->offset = item->bound;
        item->out->leader_epoch = partition->leader_epoch;
        break;
    case EARLIEST:
    case EARLIEST_LOCAL:
        item->out->offset = offsets.start;
        item->out->leader_epoch = epochs_of(log_epochs(log), offsets.start);
        break;
    case LATEST_TIERED:
    case EARLIEST_PENDING_UPLOAD:
        break; /* nothing is tiered: no error, no offset */
    default:
        item->search = (struct log_time_search){.log = log, .timestamp = item->in->timestamp, .done = found};
        log_time_search(&item->search);
        return;
    }
    fanout_item_done(base);
}

/* The index of a partition, to be counted as a name. */
static struct slice index_name(const int32_t *index) {
    return slice_of((const uint8_t *)index, sizeof *index);
}

static void list_done(struct fanout *fanout) {
    struct list_offsets *list = container_of(fanout, struct list_offsets, fanout);
    for (int t = 0; t < list->response.topics_count && fanout->request->header.version < 4; t++)
        for (int p = 0; p < list->response.topics[t].partitions_count; p++)
            list->response.topics[t].partitions[p].leader_epoch = -1; /* those versions cannot carry it */
    request_answer(fanout->request, list_offsets, &list->response);
}

void handle_list_offsets(struct request *request) {
    struct list_offsets *list = arena_zalloc(&request->arena, sizeof *list);
    list->fanout = (struct fanout){.request = request, .visit = list_visit, .done = list_done};
    if (!request_decode(request, list_offsets, &list->message))
        return;
    const struct list_offsets_request *message = &list->message;
    list_offsets_response_init(&list->response);
    list->response.topics_count = message->topics_count;
    list->response.topics = arena_array(&request->arena, struct list_offsets_response_list_offsets_topic_response, message->topics_count);
    for (int t = 0; t < message->topics_count; t++) {
        const struct list_offsets_request_list_offsets_topic *in = &message->topics[t];
        struct list_offsets_response_list_offsets_topic_response *out = &list->response.topics[t];
        out->name = in->name;
        out->partitions = arena_array(&request->arena, struct list_offsets_response_list_offsets_partition_response, in->partitions_count);
        struct names *listed = names_create(&request->arena), *seen = names_create(&request->arena);
        for (int p = 0; p < in->partitions_count; p++)
            names_add(listed, index_name(&in->partitions[p].partition_index));
        for (int p = 0; p < in->partitions_count; p++) {
            if (names_add(seen, index_name(&in->partitions[p].partition_index)))
                continue;
            struct list_offsets_response_list_offsets_partition_response *result = &out->partitions[out->partitions_count++];
            struct uuid topic_id;
            int64_t timestamp = in->partitions[p].timestamp;
            list_offsets_response_list_offsets_partition_response_init(result);
            result->partition_index = in->partitions[p].partition_index;
            if (message->isolation_level != 0 && message->isolation_level != 1)
                result->error_code = KAFKA_UNKNOWN_SERVER_ERROR;
            else if (names_count(listed, index_name(&in->partitions[p].partition_index)) > 1)
                result->error_code = KAFKA_INVALID_REQUEST;
            else if (timestamp < 0 && (!special_version(timestamp) || request->header.version < special_version(timestamp)))
                result->error_code = KAFKA_UNSUPPORTED_VERSION;
            else if (!find_topic_partition(request, in->name, result->partition_index, &topic_id))
                result->error_code = KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
            if (result->error_code)
                continue;
            struct list_item *item = arena_zalloc(&request->arena, sizeof *item);
            item->in = &in->partitions[p];
            item->out = result;
            fanout_add(&list->fanout, &item->base, topic_id, result->partition_index);
        }
    }
    fanout_run(&list->fanout);
}

/* ---- OffsetForLeaderEpoch ------------------------------------------------------------------------------------------------------ */

struct epoch_item {
    struct fanout_item base;
    const struct offset_for_leader_epoch_request_offset_for_leader_partition *in;
    struct offset_for_leader_epoch_response_epoch_end_offset *out;
};
struct epoch_end {
    struct fanout fanout;
    struct offset_for_leader_epoch_request message;
    struct offset_for_leader_epoch_response response;
};

static void epoch_visit(struct fanout_item *base, struct partition *partition) {
    struct epoch_item *item = container_of(base, struct epoch_item, base);
    enum err err = check_epoch(partition, item->in->current_leader_epoch);
    if (err)
        item->out->error_code = err_kafka_code(err);
    else if (item->in->leader_epoch != -1)
        epochs_end_offset(log_epochs(partition->log), item->in->leader_epoch, log_offsets(partition->log).end, &item->out->leader_epoch,
                          &item->out->end_offset);
    fanout_item_done(base);
}

static void epoch_done(struct fanout *fanout) {
    struct epoch_end *ends = container_of(fanout, struct epoch_end, fanout);
    request_answer(fanout->request, offset_for_leader_epoch, &ends->response);
}

void handle_offset_for_leader_epoch(struct request *request) {
    struct epoch_end *ends = arena_zalloc(&request->arena, sizeof *ends);
    ends->fanout = (struct fanout){.request = request, .visit = epoch_visit, .done = epoch_done};
    if (!request_decode(request, offset_for_leader_epoch, &ends->message))
        return;
    offset_for_leader_epoch_response_init(&ends->response);
    ends->response.topics_count = ends->message.topics_count;
    ends->response.topics =
        arena_array(&request->arena, struct offset_for_leader_epoch_response_offset_for_leader_topic_result, ends->message.topics_count);
    for (int t = 0; t < ends->message.topics_count; t++) {
        const struct offset_for_leader_epoch_request_offset_for_leader_topic *in = &ends->message.topics[t];
        struct offset_for_leader_epoch_response_offset_for_leader_topic_result *out = &ends->response.topics[t];
        out->topic = in->topic;
        out->partitions_count = in->partitions_count;
        out->partitions = arena_array(&request->arena, struct offset_for_leader_epoch_response_epoch_end_offset, in->partitions_count);
        for (int p = 0; p < in->partitions_count; p++) {
            struct uuid topic_id;
            offset_for_leader_epoch_response_epoch_end_offset_init(&out->partitions[p]);
            out->partitions[p].partition = in->partitions[p].partition;
            if (!find_topic_partition(request, in->topic, in->partitions[p].partition, &topic_id)) {
                out->partitions[p].error_code = KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
                continue;
            }
            struct epoch_item *item = arena_zalloc(&request->arena, sizeof *item);
            item->in = &in->partitions[p];
            item->out = &out->partitions[p];
            fanout_add(&ends->fanout, &item->base, topic_id, in->partitions[p].partition);
        }
    }
    fanout_run(&ends->fanout);
}

/* ---- DeleteRecords ---------------------------------------------------------------------------------------------------------------- */

struct delete_item {
    struct fanout_item base;
    int64_t offset;
    struct delete_records_response_delete_records_partition_result *out;
};
struct delete_records {
    struct fanout fanout;
    struct delete_records_request message;
    struct delete_records_response response;
};

static enum err delete_below(struct partition *partition, int64_t offset, int64_t *ret_low) {
    enum err err = partition_check_leader(partition);
    if (err)
        return err;
    const struct log_settings *settings = log_get_settings(partition->log);
    if (settings->compact_policy && !settings->delete_policy)
        return ERR_POLICY_VIOLATION;
    int64_t high_watermark = partition_high_watermark(partition);
    if (offset == -1)
        offset = high_watermark;
    if (offset < 0 || offset > high_watermark)
        return ERR_OFFSET_OUT_OF_RANGE;
    if (offset > log_offsets(partition->log).start) {
        err = log_raise_start(partition->log, offset);
        if (err)
            return err;
    }
    *ret_low = log_offsets(partition->log).start;
    return ERR_OK;
}

static void delete_visit(struct fanout_item *base, struct partition *partition) {
    struct delete_item *item = container_of(base, struct delete_item, base);
    item->out->error_code = err_kafka_code(delete_below(partition, item->offset, &item->out->low_watermark));
    fanout_item_done(base);
}

static void delete_done(struct fanout *fanout) {
    struct delete_records *delete = container_of(fanout, struct delete_records, fanout);
    request_answer(fanout->request, delete_records, &delete->response);
}

void handle_delete_records(struct request *request) {
    struct delete_records *delete = arena_zalloc(&request->arena, sizeof *delete);
    delete->fanout = (struct fanout){.request = request, .visit = delete_visit, .done = delete_done};
    if (!request_decode(request, delete_records, &delete->message))
        return;
    delete_records_response_init(&delete->response);
    delete->response.topics_count = delete->message.topics_count;
    delete->response.topics =
        arena_array(&request->arena, struct delete_records_response_delete_records_topic_result, delete->message.topics_count);
    for (int t = 0; t < delete->message.topics_count; t++) {
        const struct delete_records_request_delete_records_topic *in = &delete->message.topics[t];
        struct delete_records_response_delete_records_topic_result *out = &delete->response.topics[t];
        out->name = in->name;
        out->partitions = arena_array(&request->arena, struct delete_records_response_delete_records_partition_result, in->partitions_count);
        struct names *named = names_create(&request->arena), *seen = names_create(&request->arena);
        for (int p = 0; p < in->partitions_count; p++)
            names_add(named, index_name(&in->partitions[p].partition_index));
        for (int p = 0; p < in->partitions_count; p++) {
            struct slice name = index_name(&in->partitions[p].partition_index);
            if (names_add(seen, name) + 1 < names_count(named, name))
                continue; /* of a partition that is named again the last offset counts */
            struct delete_records_response_delete_records_partition_result *result = &out->partitions[out->partitions_count++];
            struct uuid topic_id;
            result->partition_index = in->partitions[p].partition_index;
            result->low_watermark = -1;
            if (!find_topic_partition(request, in->name, result->partition_index, &topic_id))
                result->error_code = KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
            else if (topic_is_internal(in->name))
                result->error_code = KAFKA_INVALID_TOPIC_EXCEPTION;
            if (result->error_code)
                continue;
            struct delete_item *item = arena_zalloc(&request->arena, sizeof *item);
            item->offset = in->partitions[p].offset;
            item->out = result;
            fanout_add(&delete->fanout, &item->base, topic_id, result->partition_index);
        }
    }
    fanout_run(&delete->fanout);
}

/* ---- DescribeProducers ---------------------------------------------------------------------------------------------------------------- */

struct producers_item {
    struct fanout_item base;
    struct describe_producers_response_partition_response *out;
};
struct describe_producers {
    struct fanout fanout;
    struct describe_producers_request message;
    struct describe_producers_response response;
};

static void producers_visit(struct fanout_item *base, struct partition *partition) {
    struct producers_item *item = container_of(base, struct producers_item, base);
    enum err err = partition_check_leader(partition);
    item->out->error_code = err_kafka_code(err);
    if (!err) {
        const struct producers *producers = log_producers(partition->log);
        item->out->active_producers =
            arena_array(fanout_arena(base), struct describe_producers_response_producer_state, producers->map.count + 1);
        map_each(node, &producers->map) {
            const struct producer *producer = container_of(node, struct producer, node);
            struct describe_producers_response_producer_state *state =
                &item->out->active_producers[item->out->active_producers_count++];
            describe_producers_response_producer_state_init(state);
            state->producer_id = producer->id;
            state->producer_epoch = producer->epoch;
            state->last_timestamp = producer->last_timestamp;
            state->coordinator_epoch = producer->coordinator_epoch;
            state->current_txn_start_offset = producer->txn_first_offset;
            if (producer->batch_count)
                state->last_sequence = producer->batches[producer->batch_count - 1].last_sequence;
        }
    }
    fanout_item_done(base);
}

static void producers_done(struct fanout *fanout) {
    struct describe_producers *describe = container_of(fanout, struct describe_producers, fanout);
    request_answer(fanout->request, describe_producers, &describe->response);
}

void handle_describe_producers(struct request *request) {
    struct describe_producers *describe = arena_zalloc(&request->arena, sizeof *describe);
    describe->fanout = (struct fanout){.request = request, .visit = producers_visit, .done = producers_done};
    if (!request_decode(request, describe_producers, &describe->message))
        return;
    describe_producers_response_init(&describe->response);
    describe->response.topics_count = describe->message.topics_count;
    describe->response.topics = arena_array(&request->arena, struct describe_producers_response_topic_response, describe->message.topics_count);
    for (int t = 0; t < describe->message.topics_count; t++) {
        const struct describe_producers_request_topic_request *in = &describe->message.topics[t];
        struct describe_producers_response_topic_response *out = &describe->response.topics[t];
        out->name = in->name;
        out->partitions_count = in->partition_indexes_count;
        out->partitions = arena_array(&request->arena, struct describe_producers_response_partition_response, in->partition_indexes_count);
        for (int p = 0; p < in->partition_indexes_count; p++) {
            struct uuid topic_id;
            describe_producers_response_partition_response_init(&out->partitions[p]);
            out->partitions[p].error_message = SLICE_NULL;
            out->partitions[p].partition_index = in->partition_indexes[p];
            const char *bad_name = topic_name_error(in->name, &request->arena);
            if (bad_name) {
                out->partitions[p].error_code = KAFKA_INVALID_TOPIC_EXCEPTION;
                out->partitions[p].error_message = slice_str(bad_name);
                continue;
            }
            if (!find_topic_partition(request, in->name, in->partition_indexes[p], &topic_id)) {
                out->partitions[p].error_code = KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
                if (!image_find_topic(request->shard->image, in->name))
                    out->partitions[p].error_message = SLICE_LIT("This server does not host this topic-partition.");
                continue;
            }
            struct producers_item *item = arena_zalloc(&request->arena, sizeof *item);
            item->out = &out->partitions[p];
            fanout_add(&describe->fanout, &item->base, topic_id, in->partition_indexes[p]);
        }
    }
    fanout_run(&describe->fanout);
}
