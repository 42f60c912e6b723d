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

struct describe {
    struct coordinator_visit_each each;
    struct consumer_group_describe_request message;
    struct consumer_group_describe_response response;
};

static void look(struct coordinator_visit_each *each, int i, void *state, struct arena *arena) {
    consumer_describe(state, arena, each->ids[i], &container_of(each, struct describe, each)->response.groups[i]);
}

static void told(struct coordinator_visit_each *each, int i, int16_t error) {
    struct describe *describe = container_of(each, struct describe, each);
    struct consumer_group_describe_response_described_group *group = &describe->response.groups[i];
    if (error) {
        consumer_group_describe_response_described_group_init(group);
        group->group_id = each->ids[i];
        group->error_code = error;
    } else if (!group->error_code && describe->message.include_authorized_operations) {
        group->authorized_operations = GROUP_OPERATIONS_ALL;
    }
}

static void described(struct coordinator_visit_each *each) {
    request_answer(each->request, consumer_group_describe, &container_of(each, struct describe, each)->response);
}

void handle_consumer_group_describe(struct request *request) {
    struct describe *describe = arena_new(&request->arena, struct describe);
    const struct consumer_group_describe_request *message = &describe->message;
    if (!request_decode(request, consumer_group_describe, &describe->message))
        return;
    consumer_group_describe_response_init(&describe->response);
    describe->response.groups = arena_array(&request->arena, struct consumer_group_describe_response_described_group, message->group_ids_count + 1);
    describe->response.groups_count = message->group_ids_count;
    describe->each = (struct coordinator_visit_each){.request = request,
                                                     .ids = message->group_ids,
                                                     .count = message->group_ids_count,
                                                     .refusal = is_enabled(request) ? 0 : KAFKA_UNSUPPORTED_VERSION,
                                                     .empty_refusal = KAFKA_INVALID_GROUP_ID,
                                                     .look = look,
                                                     .told = told,
                                                     .done = described};
    coordinator_visit_each(&describe->each, COORDINATOR_GROUP);
}
