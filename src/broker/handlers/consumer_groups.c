/* ConsumerGroupHeartbeat and ConsumerGroupDescribe (KIP-848), on their way to the coordinator of their group
 * (src/coordinator/consumer.h) and back. */
#include "broker/coordinators.h"
#include "broker/handlers/handlers.h"
#include "coordinator/consumer.h"
#include "metadata/config_check.h"
#include "protocol/consumer_group_describe_request.h"

static bool is_enabled(const struct request *request) {
    struct slice list = broker_config_get(request->shard->broker->config, "group.coordinator.rebalance.protocols"), item;
    if (image_feature(request->shard->image, "group.version") < 1)
        return false;
    while (config_list_next(&list, &item))
        if (slice_eq_str(item, "consumer"))
            return true;
    return false;
}

/* ---- ConsumerGroupHeartbeat ------------------------------------------------------------------------------------------------------- */

struct heartbeat_visit {
    struct coordinator_visit visit;
    struct consumer_group_heartbeat_request message;
    struct consumer_client client;
    struct consumer_group_heartbeat_response response;
};

static void decide_heartbeat(struct coordinator_op *op, void *state) {
    struct heartbeat_visit *heartbeat = container_of(op, struct heartbeat_visit, visit.op);
    consumer_heartbeat(state, op, &heartbeat->message, &heartbeat->client, &heartbeat->response);
}

static const char *text_of(int16_t error) {
    switch (error) {
    case KAFKA_COORDINATOR_LOAD_IN_PROGRESS: return "The coordinator is loading and hence can't process requests.";
    case KAFKA_NOT_COORDINATOR: return "This is not the correct coordinator.";
    default: return NULL;
    }
}

/* No string of the protocol is longer; clients' own words may be in it. */
static void answer_heartbeat(struct request *request, struct consumer_group_heartbeat_response *response) {
    struct slice *text = &response->error_message;
    if (text->size > INT16_MAX) {
        text->size = INT16_MAX;
        while (text->size && (text->ptr[text->size] & 0xc0) == 0x80)
            text->size--;
    }
    request_answer(request, consumer_group_heartbeat, response);
}

static void heartbeat_done(struct coordinator_visit *visit, int16_t error) {
    struct heartbeat_visit *heartbeat = container_of(visit, struct heartbeat_visit, visit);
    if (error) {
        consumer_group_heartbeat_response_init(&heartbeat->response);
        heartbeat->response.error_code = error;
        heartbeat->response.error_message = slice_str(text_of(error));
    }
    answer_heartbeat(visit->request, &heartbeat->response);
}

void handle_consumer_group_heartbeat(struct request *request) {
    struct heartbeat_visit *heartbeat = arena_new(&request->arena, struct heartbeat_visit);
    if (!request_decode(request, consumer_group_heartbeat, &heartbeat->message))
        return;
    struct consumer_group_heartbeat_response *response = &heartbeat->response;
    consumer_group_heartbeat_response_init(response);
    response->error_code = KAFKA_UNSUPPORTED_VERSION;
    if (is_enabled(request))
        response->error_code = consumer_check_heartbeat(request->shard->broker->config, &heartbeat->message, request->header.version,
                                                        &request->arena, &response->error_message);
    if (response->error_code) {
        answer_heartbeat(request, response);
        return;
    }
    heartbeat->client.id = request->header.client_id.ptr ? request->header.client_id : SLICE_EMPTY;
    heartbeat->client.host = client_host(request, &request->arena);
    heartbeat->visit.op.decide = decide_heartbeat;
    heartbeat->visit.request = request;
    heartbeat->visit.answer = heartbeat_done;
    coordinator_visit(&heartbeat->visit, COORDINATOR_GROUP, heartbeat->message.group_id, false);
}

/* ---- ConsumerGroupDescribe ----------------------------------------------------------------------------------------------------------- */

typedef struct consumer_group_describe_response_described_group described_group;

struct describe;
struct describe_visit { /* of one group */
    struct coordinator_visit visit;
    struct describe *describe;
    struct slice id;
    described_group *described;
};
struct describe {
    struct request *request;
    struct consumer_group_describe_request message;
    struct consumer_group_describe_response response;
    int pending;
};

static void one_described(struct describe *describe) {
    if (--describe->pending == 0)
        request_answer(describe->request, consumer_group_describe, &describe->response);
}

static void decide_describe(struct coordinator_op *op, void *state) {
    struct describe_visit *visit = container_of(op, struct describe_visit, visit.op);
    consumer_describe(state, op->arena, visit->id, visit->described);
}

static void refuse(struct describe_visit *visit, int16_t error) {
    consumer_group_describe_response_described_group_init(visit->described);
    visit->described->group_id = visit->id;
    visit->described->error_code = error;
}

static void describe_done(struct coordinator_visit *base, int16_t error) {
    struct describe_visit *visit = container_of(base, struct describe_visit, visit);
    if (error)
        refuse(visit, error);
    else if (!visit->described->error_code && visit->describe->message.include_authorized_operations)
        visit->described->authorized_operations = GROUP_OPERATIONS_ALL;
    one_described(visit->describe);
}

void handle_consumer_group_describe(struct request *request) {
    struct describe *describe = arena_new(&request->arena, struct describe);
    if (!request_decode(request, consumer_group_describe, &describe->message))
        return;
    int count = describe->message.group_ids_count;
    bool enabled = is_enabled(request);
    struct describe_visit *visits = arena_array(&request->arena, struct describe_visit, count + 1);
    describe->request = request;
    consumer_group_describe_response_init(&describe->response);
    describe->response.groups = arena_array(&request->arena, described_group, count + 1);
    describe->response.groups_count = count;
    describe->pending = count + 1; /* so that the answer does not come before all were asked */
    for (int i = 0; i < count; i++) {
        struct describe_visit *visit = &visits[i];
        visit->describe = describe;
        visit->id = describe->message.group_ids[i];
        visit->described = &describe->response.groups[i];
        consumer_group_describe_response_described_group_init(visit->described);
        if (!enabled || !visit->id.size) {
            refuse(visit, enabled ? KAFKA_INVALID_GROUP_ID : KAFKA_UNSUPPORTED_VERSION);
            one_described(describe);
            continue;
        }
        visit->visit.request = request;
        visit->visit.op.decide = decide_describe;
        visit->visit.answer = describe_done;
        coordinator_visit(&visit->visit, COORDINATOR_GROUP, visit->id, true);
    }
    one_described(describe);
}
