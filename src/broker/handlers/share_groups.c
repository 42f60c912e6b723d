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

struct description {
    struct request *request;
    struct share_group_describe_request message;
    struct share_group_describe_response response;
    int pending;
};
struct describe_visit {
    struct coordinator_visit visit;
    struct description *description;
    struct share_group_describe_response_described_group *out;
    struct slice group;
};

static void decide_describe(struct coordinator_op *op, void *state) {
    struct describe_visit *describe = container_of(op, struct describe_visit, visit.op);
    share_describe(state, op->arena, describe->group, describe->out);
}

static void finish(struct description *description) {
    if (--description->pending == 0)
        request_answer(description->request, share_group_describe, &description->response);
}

static void described(struct coordinator_visit *visit, int16_t error) {
    struct describe_visit *describe = container_of(visit, struct describe_visit, visit);
    if (error) {
        share_group_describe_response_described_group_init(describe->out);
        describe->out->group_id = describe->group;
        describe->out->error_code = error;
    } else if (!describe->out->error_code && describe->description->message.include_authorized_operations) {
        describe->out->authorized_operations = GROUP_OPERATIONS_ALL;
    }
    finish(describe->description);
}

void handle_share_group_describe(struct request *request) {
    struct description *description = arena_new(&request->arena, struct description);
    if (!request_decode(request, share_group_describe, &description->message))
        return;
    const struct share_group_describe_request *message = &description->message;
    share_group_describe_response_init(&description->response);
    description->request = request;
    description->pending = 1;
    description->response.groups = arena_array(&request->arena, struct share_group_describe_response_described_group, message->group_ids_count + 1);
    description->response.groups_count = message->group_ids_count;
    for (int i = 0; i < message->group_ids_count; i++) {
        struct share_group_describe_response_described_group *out = &description->response.groups[i];
        share_group_describe_response_described_group_init(out);
        out->group_id = message->group_ids[i];
        out->error_code = !share_is_enabled(request->shard) ? KAFKA_UNSUPPORTED_VERSION : !out->group_id.size ? KAFKA_INVALID_GROUP_ID : 0;
        if (out->error_code)
            continue;
        struct describe_visit *describe = arena_new(&request->arena, struct describe_visit);
        *describe = (struct describe_visit){.description = description, .out = out, .group = out->group_id};
        describe->visit.request = request;
        describe->visit.op.decide = decide_describe;
        describe->visit.answer = described;
        description->pending++;
        coordinator_visit(&describe->visit, COORDINATOR_GROUP, describe->group, true);
    }
    finish(description);
}
