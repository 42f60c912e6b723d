/* ShareGroupHeartbeat and ShareGroupDescribe; and what a heartbeat sets going: states of partitions that are new to a group. */
#include "broker/coordinators.h"
#include "broker/handlers/handlers.h"
#include "broker/share_acks.h"
#include "broker/share_admin.h"
#include "coordinator/share_group.h"
#include "protocol/share_group_describe_request.h"

/* ---- ShareGroupHeartbeat ------------------------------------------------------------------------------------------------ */

struct beat {
    struct coordinator_visit visit;
    struct share_group_heartbeat_request message;
    struct share_group_heartbeat_response response;
    struct share_client client;
    struct share_init init;
};

static void decide_beat(struct coordinator_op *op, void *state) {
    struct beat *beat = container_of(op, struct beat, visit.op);
    share_heartbeat(state, op, &beat->message, &beat->client, &beat->response, &beat->init);
}

static void beat_done(struct coordinator_visit *visit, int16_t error) {
    struct beat *beat = container_of(visit, struct beat, visit);
    if (error) {
        share_group_heartbeat_response_init(&beat->response);
        beat->response.error_code = error;
    } else if (beat->init.count) {
        share_init_states(visit->request->shard, beat->message.group_id, &beat->init, NULL, NULL);
    }
    request_answer(visit->request, share_group_heartbeat, &beat->response);
}

void handle_share_group_heartbeat(struct request *request) {
    struct beat *beat = arena_new(&request->arena, struct beat);
    if (!request_decode(request, share_group_heartbeat, &beat->message))
        return;
    const char *message = NULL;
    share_group_heartbeat_response_init(&beat->response);
    if (!share_is_enabled(request->shard))
        beat->response.error_code = KAFKA_UNSUPPORTED_VERSION;
    else if (!share_member_id_is_fine(beat->message.member_id))
        beat->response.error_code = KAFKA_INVALID_REQUEST;
    else
        beat->response.error_code = share_check_heartbeat(&beat->message, &message);
    if (beat->response.error_code) {
        beat->response.error_message = slice_str(message);
        request_answer(request, share_group_heartbeat, &beat->response);
        return;
    }
    beat->client = (struct share_client){.id = request->header.client_id, .host = client_host(request, &request->arena)};
    beat->visit.request = request;
    beat->visit.op.decide = decide_beat;
    beat->visit.answer = beat_done;
    coordinator_visit(&beat->visit, COORDINATOR_GROUP, beat->message.group_id, false);
}

/* ---- ShareGroupDescribe ---------------------------------------------------------------------------------------------------- */

struct describe {
    struct coordinator_visit_each each;
    struct share_group_describe_request message;
    struct share_group_describe_response response;
};

static void look(struct coordinator_visit_each *each, int i, void *state, struct arena *arena) {
    share_describe(state, arena, each->ids[i], &container_of(each, struct describe, each)->response.groups[i]);
}

static void told(struct coordinator_visit_each *each, int i, int16_t error) {
    struct describe *describe = container_of(each, struct describe, each);
    struct share_group_describe_response_described_group *group = &describe->response.groups[i];
    if (error) {
        share_group_describe_response_described_group_init(group);
        group->group_id = each->ids[i];
        group->error_code = error;
    } else if (!group->error_code && describe->message.include_authorized_operations) {
        group->authorized_operations = GROUP_OPERATIONS_ALL;
    }
}

static void described(struct coordinator_visit_each *each) {
    request_answer(each->request, share_group_describe, &container_of(each, struct describe, each)->response);
}

void handle_share_group_describe(struct request *request) {
    struct describe *describe = arena_new(&request->arena, struct describe);
    const struct share_group_describe_request *message = &describe->message;
    if (!request_decode(request, share_group_describe, &describe->message))
        return;
    share_group_describe_response_init(&describe->response);
    describe->response.groups = arena_array(&request->arena, struct share_group_describe_response_described_group, message->group_ids_count + 1);
    describe->response.groups_count = message->group_ids_count;
    describe->each = (struct coordinator_visit_each){.request = request,
                                                     .ids = message->group_ids,
                                                     .count = message->group_ids_count,
                                                     .refusal = share_is_enabled(request->shard) ? 0 : KAFKA_UNSUPPORTED_VERSION,
                                                     .empty_refusal = KAFKA_INVALID_GROUP_ID,
                                                     .look = look,
                                                     .told = told,
                                                     .done = described};
    coordinator_visit_each(&describe->each, COORDINATOR_GROUP);
}
