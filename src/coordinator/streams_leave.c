/* Members that go: by their own wish, for a while, or because they are silent. */
#include "coordinator/streams_group.h"

#include "base/mem.h"
#include "base/trace.h"
#include "protocol/errors.h"

void streams_refuse(struct streams_heartbeat *heartbeat, int16_t error, const char *message) {
    streams_group_heartbeat_response_init(&heartbeat->response);
    heartbeat->response.error_code = error;
    heartbeat->response.error_message = slice_str(message);
    heartbeat->missing_count = 0;
}

void streams_request_shutdown(struct streams_group *group, struct slice member) {
    if (!group->shutdown_member.ptr)
        group->shutdown_member = slice_of(mem_strndup((const char *)member.ptr, member.size), member.size);
}

/* The member's records end and the group's epoch rises; nothing is assigned before some member's next heartbeat. */
static void fence(struct streams_member *member, struct coordinator_op *op) {
    struct streams_group *group = member->group;
    struct slice id = arena_slice(op->arena, member->id);
    struct streams_records records = streams_records_create(op->arena, arena_slice(op->arena, group->group.id));
    streams_record_tombstone(&records, STREAMS_KEY_POSITION, id);
    streams_record_tombstone(&records, STREAMS_KEY_TARGET, id);
    streams_record_tombstone(&records, STREAMS_KEY_MEMBER, id);
    struct streams_epoch epoch = streams_epoch_of(group);
    epoch.epoch++;
    streams_record_epoch(&records, &epoch);
    if (group->members.count == 1)
        streams_record_target_epoch(&records, epoch.epoch, 0);
    streams_records_add_to(&records, op);
}

static void time_out(struct streams_member *member, struct coordinator_op *op, const char *why) {
    trace_info("coordinator", "a member of a streams group is fenced", TRACE_SLICE("group", member->group->group.id), TRACE_SLICE("member", member->id),
               TRACE_STR("why", why));
    fence(member, op);
}

void streams_session_is_due(struct classic_timer *timer, struct coordinator_op *op) {
    struct streams_member *member = container_of(timer, struct streams_member, session.timer);
    if (classic_session_is_over(&member->session))
        time_out(member, op, "its session timed out");
}

void streams_revocation_is_due(struct classic_timer *timer, struct coordinator_op *op) {
    struct streams_member *member = container_of(timer, struct streams_member, revocation_timer);
    if (member->epoch == member->revocation_epoch)
        time_out(member, op, "it did not give up its tasks in time");
}

/* The first joins have gathered. */
void streams_delay_is_due(struct classic_timer *timer, struct coordinator_op *op) {
    struct streams_group *group = container_of(timer, struct streams_group, delay_timer);
    if (!group->members.count || !group->is_configured || group->epoch <= group->target_epoch)
        return;
    int standby_replicas = streams_configs_int(&group->configs, "num.standby.replicas");
    struct streams_records records = streams_records_create(op->arena, group->group.id);
    if (streams_compute_target(&records, group, &group->configured, group->epoch, standby_replicas, coordinator_now_ms(group->group.groups->coordinator), NULL, NULL))
        streams_records_add_to(&records, op);
}

/* ---- requests ------------------------------------------------------------------------------------------------------------------------- */

static struct streams_member *find_leaving(struct streams_group *group, struct coordinator_op *op, struct streams_heartbeat *heartbeat) {
    const struct streams_group_heartbeat_request *request = heartbeat->request;
    if (!request->instance_id.ptr) {
        struct streams_member *member = streams_find_member(group, request->member_id);
        if (!member)
            streams_refuse(heartbeat, KAFKA_UNKNOWN_MEMBER_ID, arena_printf(op->arena, "Member %.*s is not a member of group %.*s.",
                                                                            SLICE_FMT(request->member_id), SLICE_FMT(request->group_id)));
        return member;
    }
    struct streams_member *member = streams_find_instance(group, request->instance_id);
    if (!member) {
        streams_refuse(heartbeat, KAFKA_UNKNOWN_MEMBER_ID, arena_printf(op->arena, "Instance id %.*s is unknown.", SLICE_FMT(request->instance_id)));
    } else if (!slice_eq(member->id, request->member_id)) {
        streams_refuse(heartbeat, KAFKA_FENCED_INSTANCE_ID,
                       arena_printf(op->arena, "Static member %.*s with instance id %.*s was fenced by member %.*s.", SLICE_FMT(request->member_id),
                                    SLICE_FMT(request->instance_id), SLICE_FMT(member->id)));
        member = NULL;
    }
    return member;
}

/* Will be back within its session: it keeps its tasks. */
static void go_away(struct streams_member *member, struct coordinator_op *op) {
    struct streams_position position = streams_position_of(member);
    position.epoch = STREAMS_EPOCH_AWAY;
    position.pending = streams_roles_none;
    struct streams_tasks active = streams_tasks_create(op->arena, position.assigned.of[STREAMS_ACTIVE].count);
    for (int i = 0; i < position.assigned.of[STREAMS_ACTIVE].count; i++)
        streams_tasks_add(&active, position.assigned.of[STREAMS_ACTIVE].tasks[i].subtopology, position.assigned.of[STREAMS_ACTIVE].tasks[i].partition, 0);
    position.assigned.of[STREAMS_ACTIVE] = active;
    struct streams_records records = streams_records_create(op->arena, member->group->group.id);
    streams_record_position(&records, member->id, &position);
    streams_records_add_to(&records, op);
}

void streams_leave(struct groups *groups, struct coordinator_op *op, struct streams_heartbeat *heartbeat) {
    const struct streams_group_heartbeat_request *request = heartbeat->request;
    const char *message;
    struct streams_group *group = streams_find_group(groups, request->group_id, op->arena, &message);
    if (!group) {
        streams_refuse(heartbeat, KAFKA_GROUP_ID_NOT_FOUND, message);
        return;
    }
    if (request->shutdown_application)
        streams_request_shutdown(group, request->member_id);
    struct streams_member *member = find_leaving(group, op, heartbeat);
    if (!member)
        return;
    heartbeat->response.member_id = request->member_id;
    heartbeat->response.member_epoch = request->member_epoch;
    if (request->member_epoch == STREAMS_EPOCH_AWAY)
        go_away(member, op);
    else
        fence(member, op);
}
