/* DescribeCluster, DescribeTopicPartitions, DescribeQuorum, UpdateFeatures. */
#include <stdlib.h>
#include "broker/handlers/handlers.h"
#include "protocol/describe_cluster_request.h"
#include "protocol/describe_cluster_response.h"
#include "protocol/describe_quorum_request.h"
#include "protocol/describe_quorum_response.h"
#include "protocol/describe_topic_partitions_request.h"
#include "protocol/describe_topic_partitions_response.h"

/* ---- DescribeCluster ---------------------------------------------------------------------------------------------------------- */

enum { ENDPOINT_BROKER = 1, ENDPOINT_CONTROLLER = 2, METADATA_VERSION_CONTROLLERS = 15 /* 3.7: controllers register */ };

static void answer_cluster_error(struct request *request, int16_t code, const char *text) {
    struct describe_cluster_response response;
    describe_cluster_response_init(&response);
    response.error_code = code;
    response.error_message = slice_str(text);
    response.endpoint_type = request->on_controller ? ENDPOINT_CONTROLLER : ENDPOINT_BROKER;
    request_answer(request, describe_cluster, &response);
}

/* The controllers of the quorum: this one. Its address is what is listened on, or the one that the peer came to. */
static void describe_controllers(struct request *request) {
    const struct broker *broker = request->shard->broker;
    const struct broker_listener *listener = &broker->listeners[broker->listener_count - 1];
    struct describe_cluster_response response;
    describe_cluster_response_init(&response);
    if (request->shard->image->metadata_version < METADATA_VERSION_CONTROLLERS) {
        answer_cluster_error(request, KAFKA_UNSUPPORTED_VERSION, "Direct-to-controller communication is not supported with the current MetadataVersion.");
        return;
    }
    response.error_message = SLICE_NULL;
    response.endpoint_type = ENDPOINT_CONTROLLER;
    response.cluster_id = slice_str(broker->cluster_id);
    response.controller_id = broker->config->node_id;
    response.brokers = arena_zalloc(&request->arena, sizeof *response.brokers);
    response.brokers[response.brokers_count++] = (struct describe_cluster_response_describe_cluster_broker){
        broker->config->node_id, slice_str(listener->config->host[0] ? listener->config->host : "localhost"),
        listener_port(listener->listener), SLICE_NULL, false};
    request_answer(request, describe_cluster, &response);
}

void handle_describe_cluster(struct request *request) {
    struct describe_cluster_request message;
    if (!request_decode(request, describe_cluster, &message))
        return;
    if (message.endpoint_type != ENDPOINT_BROKER && message.endpoint_type != ENDPOINT_CONTROLLER) {
        answer_cluster_error(request, request->header.version == 0 ? KAFKA_INVALID_REQUEST : KAFKA_UNSUPPORTED_ENDPOINT_TYPE,
                             arena_printf(&request->arena, "Unsupported endpoint type %d", message.endpoint_type));
        return;
    }
    if ((message.endpoint_type == ENDPOINT_CONTROLLER) != request->on_controller) {
        answer_cluster_error(request, KAFKA_MISMATCHED_ENDPOINT_TYPE,
                             request->on_controller
                                 ? "The request was sent to an endpoint of type CONTROLLER, but we wanted an endpoint of type BROKER"
                                 : "The request was sent to an endpoint of type BROKER, but we wanted an endpoint of type CONTROLLER");
        return;
    }
    if (request->on_controller) {
        describe_controllers(request);
        return;
    }
    const struct image *image = request->shard->image;
    struct describe_cluster_response response;
    describe_cluster_response_init(&response);
    response.error_message = SLICE_NULL;
    response.cluster_id = slice_str(request->shard->broker->cluster_id);
    response.controller_id = random_broker(request);
    response.brokers = arena_array(&request->arena, struct describe_cluster_response_describe_cluster_broker, image->brokers.count + 1);
    map_each(node, &image->brokers) {
        const struct image_broker *broker = container_of(node, struct image_broker, node);
        const struct image_endpoint *endpoint = broker_endpoint(broker, request);
        if (endpoint && (!broker->fenced || message.include_fenced_brokers))
            response.brokers[response.brokers_count++] = (struct describe_cluster_response_describe_cluster_broker){
                broker->id, endpoint->host, endpoint->port, broker->rack, broker->fenced};
    }
    if (message.include_cluster_authorized_operations)
        response.cluster_authorized_operations = CLUSTER_OPERATIONS_ALL;
    request_answer(request, describe_cluster, &response);
}

/* ---- DescribeTopicPartitions (KIP-966) ------------------------------------------------------------------------------------------- */

typedef struct describe_topic_partitions_response_describe_topic_partitions_response_topic described_topic;
typedef struct describe_topic_partitions_response_describe_topic_partitions_response_partition described_partition;

static int compare_names(const void *a, const void *b) {
    return slice_cmp(*(const struct slice *)a, *(const struct slice *)b);
}

/* The names asked for, or all, sorted, from the cursor on. */
static int list_names(struct request *request, const struct describe_topic_partitions_request *message, struct slice **ret_names) {
    int count = 0, kept = 0;
    struct slice *names;
    if (message->topics_count) {
        names = arena_array(&request->arena, struct slice, message->topics_count);
        for (int i = 0; i < message->topics_count; i++)
            names[count++] = message->topics[i].name;
        qsort(names, (size_t)count, sizeof *names, compare_names);
    } else {
        const struct image_topic **topics = image_topics_sorted(request->shard->image, &request->arena, &count);
        names = arena_array(&request->arena, struct slice, count + 1);
        for (int i = 0; i < count; i++)
            names[i] = topics[i]->name;
    }
    for (int i = 0; i < count; i++)
        if ((!message->cursor || slice_cmp(names[i], message->cursor->topic_name) >= 0) && (!kept || !slice_eq(names[kept - 1], names[i])))
            names[kept++] = names[i];
    *ret_names = names;
    return kept;
}

static void describe_partition(struct request *request, const struct image_partition *partition, int32_t index, described_partition *out) {
    const struct image *image = request->shard->image;
    describe_topic_partitions_response_describe_topic_partitions_response_partition_init(out);
    int32_t *at = partition->ids;
    out->partition_index = index;
    out->leader_id = image_find_broker(image, partition->leader) ? partition->leader : -1;
    out->leader_epoch = partition->leader_epoch;
    out->replica_nodes = at, out->replica_nodes_count = partition->replica_count, at += partition->replica_count;
    out->isr_nodes = at, out->isr_nodes_count = partition->isr_count, at += partition->isr_count;
    at += partition->removing_count + partition->adding_count;
    out->eligible_leader_replicas = at, out->eligible_leader_replicas_count = partition->elr_count, at += partition->elr_count;
    out->last_known_elr = at, out->last_known_elr_count = partition->last_elr_count;
    out->offline_replicas = arena_array(&request->arena, int32_t, partition->replica_count);
    for (int i = 0; i < partition->replica_count; i++) {
        const struct image_broker *broker = image_find_broker(image, image_replicas(partition)[i]);
        if (!broker || broker->fenced)
            out->offline_replicas[out->offline_replicas_count++] = image_replicas(partition)[i];
    }
}

static void refuse_cursor(struct request *request, const struct describe_topic_partitions_request *message) {
    struct describe_topic_partitions_response response;
    describe_topic_partitions_response_init(&response);
    response.topics = arena_array(&request->arena, described_topic, message->topics_count + 1);
    response.topics_count = message->topics_count;
    for (int i = 0; i < message->topics_count; i++) {
        describe_topic_partitions_response_describe_topic_partitions_response_topic_init(&response.topics[i]);
        response.topics[i].name = message->topics[i].name;
        response.topics[i].error_code = KAFKA_INVALID_REQUEST;
    }
    request_answer(request, describe_topic_partitions, &response);
}

static bool cursor_is_fine(const struct describe_topic_partitions_request *message) {
    if (!message->cursor)
        return true;
    bool named = message->topics_count == 0;
    for (int i = 0; i < message->topics_count; i++)
        named |= slice_eq(message->topics[i].name, message->cursor->topic_name);
    return named && message->cursor->partition_index >= 0;
}

void handle_describe_topic_partitions(struct request *request) {
    struct describe_topic_partitions_request message;
    if (!request_decode(request, describe_topic_partitions, &message))
        return;
    if (!cursor_is_fine(&message)) {
        refuse_cursor(request, &message);
        return;
    }
    struct slice *names;
    int count = list_names(request, &message, &names);
    int64_t left = broker_config_int(request->shard->broker->config, "max.request.partition.size.limit");
    if (message.response_partition_limit < left)
        left = message.response_partition_limit;
    if (left < 1)
        left = 1;
    struct describe_topic_partitions_response response;
    describe_topic_partitions_response_init(&response);
    response.topics = arena_array(&request->arena, described_topic, count + 1);
    struct describe_topic_partitions_response_cursor *cursor = arena_zalloc(&request->arena, sizeof *cursor);
    for (int i = 0; i < count && !response.next_cursor; i++) {
        if (left == 0) {
            *cursor = (struct describe_topic_partitions_response_cursor){names[i], 0};
            response.next_cursor = cursor;
            break;
        }
        const struct image_topic *topic = image_find_topic(request->shard->image, names[i]);
        described_topic *out = &response.topics[response.topics_count];
        describe_topic_partitions_response_describe_topic_partitions_response_topic_init(out);
        out->name = names[i];
        out->is_internal = topic_is_internal(names[i]);
        out->topic_authorized_operations = TOPIC_OPERATIONS_ALL;
        response.topics_count++;
        if (!topic) {
            out->error_code = topic_name_error(names[i], &request->arena) ? KAFKA_INVALID_TOPIC_EXCEPTION : KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
            continue;
        }
        out->topic_id = topic->id;
        int32_t at = message.cursor && slice_eq(names[i], message.cursor->topic_name) ? message.cursor->partition_index : 0;
        out->partitions = arena_array(&request->arena, described_partition, left < topic->partition_count ? left : topic->partition_count);
        for (; at < topic->partition_count && left > 0; at++)
            if (image_find_partition(topic, at)) {
                describe_partition(request, &topic->partitions[at], at, &out->partitions[out->partitions_count++]);
                left--;
            }
        if (at < topic->partition_count) {
            *cursor = (struct describe_topic_partitions_response_cursor){names[i], at};
            response.next_cursor = cursor;
        }
    }
    request_answer(request, describe_topic_partitions, &response);
}

/* ---- DescribeQuorum --------------------------------------------------------------------------------------------------------------- */

struct describe_quorum {
    struct shard_call call;
    struct request *request;
    struct describe_quorum_request message;
    struct raft raft;
    int64_t now_ms;
};

static void look_at_quorum(struct shard_call *call) {
    struct describe_quorum *describe = container_of(call, struct describe_quorum, call);
    describe->raft = *quorum_raft(call->at->broker->quorum);
    describe->now_ms = shard_wall_ms(call->at->shard);
    shard_call_return(call);
}

static void describe_voters(const struct describe_quorum *describe, struct describe_quorum_response_partition_data *out) {
    const struct raft *raft = &describe->raft;
    struct arena *arena = &describe->request->arena;
    out->leader_id = raft->leader_id;
    out->leader_epoch = raft->epoch;
    out->high_watermark = raft->high_watermark;
    out->current_voters = arena_array(arena, struct describe_quorum_response_replica_state, raft->voter_count);
    out->current_voters_count = raft->voter_count;
    for (int i = 0; i < raft->voter_count; i++)
        out->current_voters[i] = (struct describe_quorum_response_replica_state){
            raft->voters[i].id, raft->kraft_version && describe->request->header.version >= 2 ? raft->voters[i].directory : UUID_ZERO, raft->high_watermark, describe->now_ms,
            describe->now_ms};
}

static void answer_quorum(struct shard_call *call) {
    struct describe_quorum *describe = container_of(call, struct describe_quorum, call);
    struct request *request = describe->request;
    const struct describe_quorum_request *message = &describe->message;
    const struct broker_config *config = request->shard->broker->config;
    struct describe_quorum_response response;
    describe_quorum_response_init(&response);
    bool right = message->topics_count == 1 && slice_eq_str(message->topics[0].topic_name, "__cluster_metadata") &&
                 message->topics[0].partitions_count == 1 && message->topics[0].partitions[0].partition_index == 0;
    response.error_message = SLICE_EMPTY;
    response.topics_count = message->topics_count;
    response.topics = arena_array(&request->arena, struct describe_quorum_response_topic_data, message->topics_count + 1);
    for (int t = 0; t < message->topics_count; t++) {
        struct describe_quorum_response_topic_data *topic = &response.topics[t];
        topic->topic_name = message->topics[t].topic_name;
        topic->partitions_count = message->topics[t].partitions_count;
        topic->partitions = arena_array(&request->arena, struct describe_quorum_response_partition_data, topic->partitions_count + 1);
        for (int p = 0; p < topic->partitions_count; p++) {
            struct describe_quorum_response_partition_data *out = &topic->partitions[p];
            describe_quorum_response_partition_data_init(out);
            out->error_message = SLICE_EMPTY;
            out->partition_index = message->topics[t].partitions[p].partition_index;
            if (right) {
                describe_voters(describe, out);
            } else {
                out->error_code = KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
                out->error_message = SLICE_LIT("This server does not host this topic-partition.");
            }
        }
    }
    if (request->header.version >= 2 && right) {
        struct describe_quorum_response_node *node = arena_zalloc(&request->arena, sizeof *node);
        struct describe_quorum_response_listener *listener = arena_zalloc(&request->arena, sizeof *listener);
        const struct broker *broker = request->shard->broker;
        if (config->has_controller_listener)
            *listener = (struct describe_quorum_response_listener){
                config->controller_listener.name, slice_str(config->controller_listener.host),
                listener_port(broker->listeners[broker->listener_count - 1].listener)};
        *node = (struct describe_quorum_response_node){config->node_id, listener, config->has_controller_listener ? 1 : 0};
        response.nodes = node;
        response.nodes_count = 1;
    }
    request_answer(request, describe_quorum, &response);
}

void handle_describe_quorum(struct request *request) {
    struct describe_quorum *describe = arena_zalloc(&request->arena, sizeof *describe);
    describe->request = request;
    if (!request_decode(request, describe_quorum, &describe->message))
        return;
    describe->call = (struct shard_call){.home = request->shard, .at = &request->shard->broker->shards[0], .run = look_at_quorum, .back = answer_quorum};
    shard_call_send(&describe->call);
}

/* ---- UpdateFeatures ------------------------------------------------------------------------------------------------------------------ */

struct update_features {
    struct controller_call call;
    struct request *request;
    struct update_features_request message;
    struct update_features_response response;
};

static void features_decide(struct controller_call *call, struct decision *decision) {
    struct update_features *update = container_of(call, struct update_features, call);
    decide_update_features(decision, &update->message, update->request->header.version, &update->response);
}

static void features_done(struct controller_call *call) {
    struct update_features *update = container_of(call, struct update_features, call);
    if (call->err)
        update->response.error_code = controller_call_code(call);
    request_answer(update->request, update_features, &update->response);
}

void handle_update_features(struct request *request) {
    struct update_features *update = arena_zalloc(&request->arena, sizeof *update);
    update->request = request;
    if (!request_decode(request, update_features, &update->message))
        return;
    update_features_response_init(&update->response);
    update->response.error_message = SLICE_NULL;
    if (update->message.timeout_ms <= 0) {
        update->response.error_code = KAFKA_REQUEST_TIMED_OUT;
        request_answer(request, update_features, &update->response);
        return;
    }
    update->call = (struct controller_call){.home = request->shard->shard, .arena = &request->arena, .decide = features_decide, .done = features_done};
    controller_call(request->shard->broker->controller, &update->call);
}
