/* From a frame to its handler, and from an answer to bytes. */
#include "base/check.h"
#include "base/mem.h"
#include "base/trace.h"
#include "broker/conn.h"
#include "broker/handlers/handlers.h"
#include "broker/metrics.h"

/* What is served. Everything else is neither advertised nor answered. */
static request_handler *const handlers[API_COUNT] = {
    [API_PRODUCE] = handle_produce,
    [API_FETCH] = handle_fetch,
    [API_LIST_OFFSETS] = handle_list_offsets,
    [API_METADATA] = handle_metadata,
    [API_OFFSET_COMMIT] = handle_offset_commit,
    [API_OFFSET_FETCH] = handle_offset_fetch,
    [API_FIND_COORDINATOR] = handle_find_coordinator,
    [API_LIST_GROUPS] = handle_list_groups,
    [API_DELETE_GROUPS] = handle_delete_groups,
    [API_OFFSET_DELETE] = handle_offset_delete,
    [API_API_VERSIONS] = handle_api_versions,
    [API_JOIN_GROUP] = handle_join_group,
    [API_HEARTBEAT] = handle_heartbeat,
    [API_LEAVE_GROUP] = handle_leave_group,
    [API_SYNC_GROUP] = handle_sync_group,
    [API_DESCRIBE_GROUPS] = handle_describe_groups,
    [API_CREATE_TOPICS] = handle_create_topics,
    [API_DELETE_TOPICS] = handle_delete_topics,
    [API_DELETE_RECORDS] = handle_delete_records,
    [API_INIT_PRODUCER_ID] = handle_init_producer_id,
    [API_ADD_PARTITIONS_TO_TXN] = handle_add_partitions_to_txn,
    [API_ADD_OFFSETS_TO_TXN] = handle_add_offsets_to_txn,
    [API_END_TXN] = handle_end_txn,
    [API_WRITE_TXN_MARKERS] = handle_write_txn_markers,
    [API_TXN_OFFSET_COMMIT] = handle_txn_offset_commit,
    [API_OFFSET_FOR_LEADER_EPOCH] = handle_offset_for_leader_epoch,
    [API_DESCRIBE_CONFIGS] = handle_describe_configs,
    [API_ALTER_CONFIGS] = handle_alter_configs,
    [API_ALTER_REPLICA_LOG_DIRS] = handle_alter_replica_log_dirs,
    [API_DESCRIBE_LOG_DIRS] = handle_describe_log_dirs,
    [API_INCREMENTAL_ALTER_CONFIGS] = handle_incremental_alter_configs,
    [API_LIST_CONFIG_RESOURCES] = handle_list_config_resources,
    [API_CREATE_PARTITIONS] = handle_create_partitions,
    [API_DESCRIBE_QUORUM] = handle_describe_quorum,
    [API_UPDATE_FEATURES] = handle_update_features,
    [API_DESCRIBE_CLUSTER] = handle_describe_cluster,
    [API_DESCRIBE_PRODUCERS] = handle_describe_producers,
    [API_DESCRIBE_TRANSACTIONS] = handle_describe_transactions,
    [API_LIST_TRANSACTIONS] = handle_list_transactions,
    [API_CONSUMER_GROUP_HEARTBEAT] = handle_consumer_group_heartbeat,
    [API_CONSUMER_GROUP_DESCRIBE] = handle_consumer_group_describe,
    [API_GET_TELEMETRY_SUBSCRIPTIONS] = handle_get_telemetry_subscriptions,
    [API_PUSH_TELEMETRY] = handle_push_telemetry,
    [API_DESCRIBE_TOPIC_PARTITIONS] = handle_describe_topic_partitions,
    [API_STREAMS_GROUP_HEARTBEAT] = handle_streams_group_heartbeat,
    [API_STREAMS_GROUP_DESCRIBE] = handle_streams_group_describe,
    [API_STREAMS_GROUP_TOPOLOGY_DESCRIPTION_UPDATE] = handle_streams_group_topology_description_update,
    [API_SHARE_GROUP_HEARTBEAT] = handle_share_group_heartbeat,
    [API_SHARE_GROUP_DESCRIBE] = handle_share_group_describe,
    [API_SHARE_FETCH] = handle_share_fetch,
    [API_SHARE_ACKNOWLEDGE] = handle_share_acknowledge,
    [API_INITIALIZE_SHARE_GROUP_STATE] = handle_initialize_share_group_state,
    [API_READ_SHARE_GROUP_STATE] = handle_read_share_group_state,
    [API_WRITE_SHARE_GROUP_STATE] = handle_write_share_group_state,
    [API_DELETE_SHARE_GROUP_STATE] = handle_delete_share_group_state,
    [API_READ_SHARE_GROUP_STATE_SUMMARY] = handle_read_share_group_state_summary,
    [API_DESCRIBE_SHARE_GROUP_OFFSETS] = handle_describe_share_group_offsets,
    [API_ALTER_SHARE_GROUP_OFFSETS] = handle_alter_share_group_offsets,
    [API_DELETE_SHARE_GROUP_OFFSETS] = handle_delete_share_group_offsets,
};

/* What a controller serves on its listener, as far as tools need it. */
static bool is_controllers(int key) {
    switch (key) {
    case API_API_VERSIONS:
    case API_CREATE_TOPICS:
    case API_DELETE_TOPICS:
    case API_CREATE_PARTITIONS:
    case API_DESCRIBE_CONFIGS:
    case API_ALTER_CONFIGS:
    case API_INCREMENTAL_ALTER_CONFIGS:
    case API_DESCRIBE_QUORUM:
    case API_UPDATE_FEATURES:
    case API_DESCRIBE_CLUSTER:
        return true;
    default:
        return false;
    }
}

request_handler *request_handler_of(int key, bool on_controller, int16_t *ret_version_min, int16_t *ret_version_max) {
    const struct api *api = api_find(key);
    if (!api || !handlers[key] || (on_controller && !is_controllers(key)))
        return NULL;
    *ret_version_min = api->version_min;
    *ret_version_max = (int16_t)(api->version_max - (api->unstable_latest ? 1 : 0));
    return handlers[key];
}

bool request_read_header(struct request *request) {
    request->body = decoder_of(slice_of(request->frame, request->frame_size), &request->arena);
    int16_t min, max;
    if (api_header_decode(&request->body, &request->header) || !request_handler_of(request->header.key, request->on_controller, &min, &max))
        return false;
    /* ApiVersions of a newer client is answered with what we have (KIP-35). */
    return request->header.key == API_API_VERSIONS || (request->header.version >= min && request->header.version <= max);
}

bool request_dispatch(struct request *request) {
    metrics_handle(request->shard, request, handlers[request->header.key]);
    return true;
}

bool request_decoded(struct request *request, enum err err) {
    if (!err)
        return true;
    trace_warn("broker", "connection closed", TRACE_STR("why", "the request cannot be read"),
               TRACE_STR("api", api_table[request->header.key].name), TRACE_INT("version", request->header.version), TRACE_ERR(err),
               TRACE_STR("peer", request->conn ? request->conn->peer : ""));
    request_answer_nothing(request, true);
    return false;
}

/* ---- answers ------------------------------------------------------------------------------------------------------------- */

static void answered(struct request *request) {
    check(!request->answered, "%s is answered twice", api_table[request->header.key].name);
    request->answered = true;
    mem_free(request->frame); /* nothing of an answer lies in it */
    request->frame = NULL;
    metrics_answered(request->shard, request);
    conn_answered(request->conn, request);
}

void request_answer_begin(struct request *request, struct encoder *ret_encoder) {
    encoder_init(ret_encoder, &request->head, &request->arena);
    ret_encoder->errors = metrics_errors(request->shard, request);
    encode_int32(ret_encoder, 0); /* the size, known at the end */
    api_response_header_encode(ret_encoder, &request->header);
}

/* The bytes, with the pieces of records at their places. */
static void lay_out(struct request *request, const struct encoder *encoder) {
    int count = 1;
    for (int i = 0; i < encoder->splice_count; i++)
        count += encoder->splices[i].records->piece_count + 1;
    request->pieces = arena_alloc(&request->arena, sizeof(struct piece) * (size_t)count);
    size_t at = 0;
    for (int i = 0; i < encoder->splice_count; i++) {
        const struct encoder_splice *splice = &encoder->splices[i];
        if (splice->at > at)
            request->pieces[request->piece_count++] = (struct piece){.ptr = request->head.ptr + at, .size = splice->at - at};
        at = splice->at;
        for (int k = 0; k < splice->records->piece_count; k++)
            request->pieces[request->piece_count++] = splice->records->pieces[k];
    }
    if (at < request->head.size)
        request->pieces[request->piece_count++] = (struct piece){.ptr = request->head.ptr + at, .size = request->head.size - at};
}

void request_answer_end(struct request *request, struct encoder *encoder, enum err err) {
    if (!err)
        err = encoder->err;
    if (err) { /* a message of ours that its version cannot carry */
        trace_error("broker", "an answer cannot be encoded", TRACE_STR("api", api_table[request->header.key].name),
                    TRACE_INT("version", request->header.version), TRACE_ERR(err));
        request_answer_nothing(request, true);
        return;
    }
    request->answer_size = request->head.size + encoder->splice_size;
    store_be32(request->head.ptr, (uint32_t)(request->answer_size - 4));
    lay_out(request, encoder);
    answered(request);
}

void request_answer_nothing(struct request *request, bool close) {
    buf_clear(&request->head);
    request->silent = true;
    request->close_after = close;
    answered(request);
}
