/* Metadata: brokers, topics and who leads what, from the shard's image; topics that are missing are created when the
 * client and the configuration allow it. */
#include "base/mem.h"
#include "base/names.h"
#include "base/trace.h"
#include "broker/auto_create.h"
#include "broker/handlers/handlers.h"
#include "protocol/metadata_request.h"
#include "protocol/metadata_response.h"

typedef struct metadata_response_metadata_response_topic answer_topic;
typedef struct metadata_response_metadata_response_partition answer_partition;

const struct image_endpoint *broker_endpoint(const struct image_broker *broker, const struct request *request) {
    for (int i = 0; request->conn && i < broker->endpoint_count; i++)
        if (slice_eq(broker->endpoints[i].name, request->conn->listener->config->name))
            return &broker->endpoints[i];
    return NULL;
}

int32_t random_broker(const struct request *request) {
    const struct image *image = request->shard->image;
    int32_t ids[64];
    uint64_t count = 0;
    map_each(node, &image->brokers) {
        const struct image_broker *broker = container_of(node, struct image_broker, node);
        if (!broker->fenced && broker_endpoint(broker, request) && count < COUNT_OF(ids))
            ids[count++] = broker->id;
    }
    return count ? ids[shard_random(request->shard->shard) % count] : -1;
}

static bool is_offline(const struct request *request, int32_t id) {
    const struct image_broker *broker = image_find_broker(request->shard->image, id);
    return !broker || broker->fenced || !broker_endpoint(broker, request);
}

static void describe_partition(struct request *request, const struct image_partition *partition, int32_t index, answer_partition *answer) {
    const struct image_broker *leader = image_find_broker(request->shard->image, partition->leader);
    metadata_response_metadata_response_partition_init(answer);
    answer->partition_index = index;
    answer->leader_id = partition->leader;
    answer->leader_epoch = partition->leader_epoch;
    answer->replica_nodes = partition->ids;
    answer->replica_nodes_count = partition->replica_count;
    answer->isr_nodes = partition->ids + partition->replica_count;
    answer->isr_nodes_count = partition->isr_count;
    answer->offline_replicas = arena_array(&request->arena, int32_t, partition->replica_count);
    for (int i = 0; i < partition->replica_count; i++)
        if (is_offline(request, image_replicas(partition)[i]))
            answer->offline_replicas[answer->offline_replicas_count++] = image_replicas(partition)[i];
    if (!leader) {
        answer->error_code = KAFKA_LEADER_NOT_AVAILABLE;
        answer->leader_id = -1;
    } else if (!broker_endpoint(leader, request)) {
        answer->error_code = request->header.version >= 6 ? KAFKA_LISTENER_NOT_FOUND : KAFKA_LEADER_NOT_AVAILABLE;
        answer->leader_id = -1;
    } else if (request->header.version == 0 && answer->offline_replicas_count)
        answer->error_code = KAFKA_REPLICA_NOT_AVAILABLE;
}

static void describe_topic(struct request *request, const struct image_topic *topic, bool operations, answer_topic *answer) {
    metadata_response_metadata_response_topic_init(answer);
    answer->name = topic->name;
    answer->topic_id = topic->id;
    answer->is_internal = topic_is_internal(topic->name);
    answer->partitions = arena_array(&request->arena, answer_partition, topic->partition_count);
    for (int32_t i = 0; i < topic->partition_count; i++)
        if (image_find_partition(topic, i))
            describe_partition(request, &topic->partitions[i], i, &answer->partitions[answer->partitions_count++]);
    if (operations)
        answer->topic_authorized_operations = TOPIC_OPERATIONS_ALL;
}

static void describe_missing(struct request *request, struct slice name, bool create, bool operations, answer_topic *answer) {
    metadata_response_metadata_response_topic_init(answer);
    answer->name = name;
    answer->is_internal = topic_is_internal(name);
    answer->error_code = KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
    if (operations)
        answer->topic_authorized_operations = TOPIC_OPERATIONS_ALL;
    if (topic_name_error(name, &request->arena))
        answer->error_code = KAFKA_INVALID_TOPIC_EXCEPTION;
    else if (create)
        auto_create_topic(request->shard, name);
}

static void add_brokers(struct request *request, struct metadata_response *response) {
    const struct image *image = request->shard->image;
    response->brokers = arena_array(&request->arena, struct metadata_response_metadata_response_broker, image->brokers.count + 1);
    map_each(node, &image->brokers) {
        const struct image_broker *broker = container_of(node, struct image_broker, node);
        const struct image_endpoint *endpoint = broker_endpoint(broker, request);
        if (!broker->fenced && endpoint)
            response->brokers[response->brokers_count++] =
                (struct metadata_response_metadata_response_broker){broker->id, endpoint->host, endpoint->port, broker->rack};
    }
    response->cluster_id = slice_str(request->shard->broker->cluster_id);
    response->controller_id = random_broker(request);
}

/* A request that makes no sense is refused as a whole. */
static bool refuse(struct request *request, const struct metadata_request *message) {
    int16_t code = 0;
    for (int i = 0; i < message->topics_count; i++) {
        const struct metadata_request_metadata_request_topic *topic = &message->topics[i];
        if (request->header.version < 12 && (!topic->name.ptr || !uuid_is_zero(topic->topic_id)))
            code = KAFKA_INVALID_REQUEST;
        else if (!topic->name.ptr && uuid_is_zero(topic->topic_id))
            code = KAFKA_UNKNOWN_SERVER_ERROR;
    }
    if (!code)
        return false;
    struct metadata_response response;
    metadata_response_init(&response);
    response.error_code = code;
    response.topics_count = message->topics_count;
    response.topics = arena_array(&request->arena, answer_topic, message->topics_count);
    for (int i = 0; i < message->topics_count; i++) {
        metadata_response_metadata_response_topic_init(&response.topics[i]);
        response.topics[i].error_code = code;
        response.topics[i].name = message->topics[i].name.ptr ? message->topics[i].name : SLICE_EMPTY;
        response.topics[i].topic_id = message->topics[i].topic_id;
    }
    request_answer(request, metadata, &response);
    return true;
}

static bool named_before(struct names *seen, const struct metadata_request_metadata_request_topic *topic, struct arena *arena) {
    uint8_t *key = arena_alloc(arena, 16 + topic->name.size);
    uuid_store(topic->topic_id, key);
    if (topic->name.size)
        memcpy(key + 16, topic->name.ptr, topic->name.size);
    return names_add(seen, slice_of(key, 16 + topic->name.size)) > 0;
}

static void add_named(struct request *request, const struct metadata_request *message, struct metadata_response *response) {
    const struct image *image = request->shard->image;
    bool operations = message->include_topic_authorized_operations, by_id = false;
    bool create = message->allow_auto_topic_creation && broker_config_bool(request->shard->broker->config, "auto.create.topics.enable");
    for (int i = 0; i < message->topics_count; i++)
        by_id |= !uuid_is_zero(message->topics[i].topic_id);
    response->topics = arena_array(&request->arena, answer_topic, message->topics_count);
    struct names *seen = names_create(&request->arena);
    for (int i = 0; i < message->topics_count; i++) {
        const struct metadata_request_metadata_request_topic *wanted = &message->topics[i];
        if ((by_id && uuid_is_zero(wanted->topic_id)) || named_before(seen, wanted, &request->arena))
            continue; /* with one id, names are not looked at */
        const struct image_topic *topic = by_id ? image_find_topic_id(image, wanted->topic_id) : image_find_topic(image, wanted->name);
        answer_topic *answer = &response->topics[response->topics_count++];
        if (topic) {
            describe_topic(request, topic, operations, answer);
        } else if (by_id) {
            metadata_response_metadata_response_topic_init(answer);
            answer->error_code = KAFKA_UNKNOWN_TOPIC_ID;
            answer->name = request->header.version >= 12 ? SLICE_NULL : SLICE_EMPTY;
            answer->topic_id = wanted->topic_id;
        } else {
            describe_missing(request, wanted->name, create, operations, answer);
        }
    }
}

void handle_metadata(struct request *request) {
    struct metadata_request message;
    if (!request_decode(request, metadata, &message) || refuse(request, &message))
        return;
    struct metadata_response response;
    metadata_response_init(&response);
    add_brokers(request, &response);
    if (message.topics_count < 0 || (request->header.version == 0 && message.topics_count == 0)) {
        const struct image *image = request->shard->image;
        response.topics = arena_array(&request->arena, answer_topic, image->topics_by_id.count + 1);
        map_each(node, &image->topics_by_id)
            describe_topic(request, container_of(node, struct image_topic, by_id), message.include_topic_authorized_operations,
                           &response.topics[response.topics_count++]);
    } else {
        add_named(request, &message, &response);
    }
    if (message.include_cluster_authorized_operations)
        response.cluster_authorized_operations = CLUSTER_OPERATIONS_ALL;
    request_answer(request, metadata, &response);
}
