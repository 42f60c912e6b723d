/* FindCoordinator: which broker leads the partition that holds a group, a transactional id or a share partition. */
#include "broker/coordinators.h"
#include "broker/handlers/handlers.h"
#include "protocol/find_coordinator_request.h"
#include "protocol/find_coordinator_response.h"

typedef struct find_coordinator_response_coordinator answer_coordinator;

enum { BATCH_VERSION = 4, SHARE_VERSION = 6 };

static const char *text_of(int16_t error) {
    return error == KAFKA_COORDINATOR_NOT_AVAILABLE ? "The coordinator is not available."
           : error == KAFKA_INVALID_REQUEST
               ? "This most likely occurs because of a request being malformed by the client library or the message was sent to an "
                 "incompatible broker. See the broker logs for more details."
               : "NONE";
}

static struct slice take_last(struct slice *key) { /* behind the last colon; null: there is none */
    for (size_t at = key->size; at > 0; at--)
        if (key->ptr[at - 1] == ':') {
            struct slice last = slice_of(key->ptr + at, key->size - at);
            key->size = at - 1;
            return last;
        }
    return SLICE_NULL;
}

static bool is_int32(struct slice text) {
    int64_t value = 0;
    size_t at = text.size && (text.ptr[0] == '-' || text.ptr[0] == '+');
    bool minus = at && text.ptr[0] == '-';
    if (at == text.size)
        return false;
    for (; at < text.size; at++) {
        if (text.ptr[at] < '0' || text.ptr[at] > '9')
            return false;
        value = value * 10 + (text.ptr[at] - '0');
        if (value > (int64_t)INT32_MAX + minus)
            return false;
    }
    return true;
}

/* "group:topic id:partition", where the group may have colons too. */
static bool is_share_key(struct slice key) {
    struct uuid topic_id;
    struct slice partition = take_last(&key), topic = take_last(&key);
    bool blank = true;
    for (size_t i = 0; i < key.size; i++)
        blank &= key.ptr[i] <= ' ';
    return topic.ptr && !blank && is_int32(partition) && uuid_parse(topic, &topic_id);
}

static int16_t find(struct request *request, int8_t type, struct slice key, answer_coordinator *answer) {
    if (type == COORDINATOR_SHARE && (request->header.version < SHARE_VERSION || !is_share_key(key)))
        return KAFKA_INVALID_REQUEST;
    int16_t error = coordinator_topic_ready(request->shard, (enum coordinator_type)type);
    int32_t leader = error ? -1 : coordinator_leader(request->shard, (enum coordinator_type)type, key);
    const struct image_broker *broker = image_find_broker(request->shard->image, leader);
    const struct image_endpoint *endpoint = broker && !broker->fenced ? broker_endpoint(broker, request) : NULL;
    if (!endpoint)
        return KAFKA_COORDINATOR_NOT_AVAILABLE;
    answer->node_id = leader;
    answer->host = endpoint->host;
    answer->port = endpoint->port;
    return 0;
}

static void find_one(struct request *request, int8_t type, struct slice key, answer_coordinator *answer) {
    find_coordinator_response_coordinator_init(answer);
    answer->key = key;
    answer->node_id = answer->port = -1;
    if ((unsigned)type < COORDINATOR_TYPES) {
        answer->error_code = find(request, type, key, answer);
    } else { /* then, and in old versions, Kafka gives the error's text */
        answer->error_code = KAFKA_INVALID_REQUEST;
        answer->error_message = slice_str(text_of(KAFKA_INVALID_REQUEST));
    }
}

void handle_find_coordinator(struct request *request) {
    struct find_coordinator_request message;
    if (!request_decode(request, find_coordinator, &message))
        return;
    struct find_coordinator_response response;
    find_coordinator_response_init(&response);
    if (request->header.version >= BATCH_VERSION) {
        response.coordinators_count = message.coordinator_keys_count;
        response.coordinators = arena_array(&request->arena, answer_coordinator, message.coordinator_keys_count);
        for (int i = 0; i < message.coordinator_keys_count; i++)
            find_one(request, message.key_type, message.coordinator_keys[i], &response.coordinators[i]);
    } else {
        answer_coordinator one;
        find_one(request, message.key_type, message.key, &one);
        response.error_code = one.error_code;
        response.error_message = slice_str(text_of(one.error_code));
        response.node_id = one.node_id;
        response.host = one.host;
        response.port = one.port;
    }
    request_answer(request, find_coordinator, &response);
}
