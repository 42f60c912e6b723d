/* One handler an API. Each decodes its request, answers it once, and is found by dispatch.c. */
#ifndef BROKER_HANDLERS_HANDLERS_H
#define BROKER_HANDLERS_HANDLERS_H

#include "broker/broker.h"
#include "broker/conn.h"
#include "broker/shard_call.h"
#include "protocol/errors.h"

request_handler handle_api_versions, handle_metadata, handle_describe_topic_partitions, handle_describe_cluster;
request_handler handle_produce, handle_fetch, handle_list_offsets, handle_offset_for_leader_epoch, handle_init_producer_id;
request_handler handle_add_partitions_to_txn, handle_add_offsets_to_txn, handle_end_txn, handle_write_txn_markers;
request_handler handle_txn_offset_commit;
request_handler handle_describe_transactions, handle_list_transactions;
request_handler handle_delete_records, handle_describe_producers;
request_handler handle_create_topics, handle_delete_topics, handle_create_partitions;
request_handler handle_describe_configs, handle_incremental_alter_configs, handle_alter_configs, handle_list_config_resources;
request_handler handle_describe_log_dirs, handle_alter_replica_log_dirs;
request_handler handle_describe_quorum, handle_update_features;
request_handler handle_join_group, handle_sync_group, handle_heartbeat, handle_leave_group, handle_describe_groups;
request_handler handle_streams_group_heartbeat, handle_streams_group_describe, handle_streams_group_topology_description_update;
request_handler handle_consumer_group_heartbeat, handle_consumer_group_describe;
request_handler handle_get_telemetry_subscriptions, handle_push_telemetry;
request_handler handle_find_coordinator, handle_list_groups, handle_delete_groups;
request_handler handle_share_fetch, handle_share_acknowledge, handle_share_group_heartbeat, handle_share_group_describe;
request_handler handle_describe_share_group_offsets, handle_alter_share_group_offsets, handle_delete_share_group_offsets;
request_handler handle_initialize_share_group_state, handle_read_share_group_state, handle_write_share_group_state;
request_handler handle_delete_share_group_state, handle_read_share_group_state_summary;
request_handler handle_offset_commit, handle_offset_fetch, handle_offset_delete;

/* What a client may do when nothing forbids it: the bits of KIP-430. */
enum { TOPIC_OPERATIONS_ALL = 3576, CLUSTER_OPERATIONS_ALL = 8096, GROUP_OPERATIONS_ALL = 3400 };
/* The peer as groups remember it: "/127.0.0.1". */
struct slice client_host(const struct request *request, struct arena *arena);
/* A broker's endpoint on the listener that a request came in on; NULL: it has none. */
const struct image_endpoint *broker_endpoint(const struct image_broker *broker, const struct request *request);
/* Any broker that is up: what clients are told is the controller. -1: none. */
int32_t random_broker(const struct request *request);

/* Why the controller did not decide: it has stopped, or there is no room for its log. */
static inline int16_t controller_call_code(const struct controller_call *call) {
    return call->err == ERR_NO_SPACE || call->err == ERR_OFFLINE ? err_kafka_code(call->err) : KAFKA_NOT_CONTROLLER;
}

#endif
