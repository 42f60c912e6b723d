/* What members say besides: that they live (Heartbeat), that they go (LeaveGroup); and what is told of them to those who
 * ask (DescribeGroups). See classic.h. */
#include "coordinator/classic_internal.h"

/* ---- heartbeats ------------------------------------------------------------------------------------------------------------------------ */

static int16_t heartbeat(struct classic_group *group, const struct heartbeat_request *request) {
    int16_t error = classic_check_member(group, request->member_id, request->group_instance_id);
    if (error)
        return error;
    if (request->generation_id != group->generation)
        return KAFKA_ILLEGAL_GENERATION;
    classic_session_start(classic_member_find(group, request->member_id));
    return group->state == CLASSIC_PREPARING ? KAFKA_REBALANCE_IN_PROGRESS : 0;
}

int16_t classic_heartbeat(struct groups *groups, const struct heartbeat_request *request) {
    struct group *found = groups_find(groups, request->group_id);
    struct classic_group *group = classic_of(found);
    if (group)
        return heartbeat(group, request);
    return found && found->methods->classic_heartbeat ? found->methods->classic_heartbeat(found, request) : KAFKA_UNKNOWN_MEMBER_ID;
}

/* ---- leaving ---------------------------------------------------------------------------------------------------------------------------- */

/* A sync that waits is told what a heartbeat would be told from now on; Kafka never answers it. */
static void remove_member(struct classic_member *member) {
    classic_fail_join(member, KAFKA_UNKNOWN_MEMBER_ID, false);
    classic_fail_sync(member, KAFKA_UNKNOWN_MEMBER_ID);
    classic_member_remove(member);
}

static int16_t leave_one(struct classic_group *group, struct slice id, struct slice instance_id) {
    struct classic_pending *pending = classic_pending_find(group, id);
    if (!id.size) { /* an administrator's, who knows static members by their name */
        struct classic_member *holder = instance_id.ptr ? classic_member_by_instance(group, instance_id) : NULL;
        if (!holder)
            return KAFKA_UNKNOWN_MEMBER_ID;
        remove_member(holder);
        return 0;
    }
    if (pending) {
        classic_pending_remove(pending);
        return 0;
    }
    int16_t error = classic_check_member(group, id, instance_id);
    if (!error)
        remove_member(classic_member_find(group, id));
    return error;
}

void classic_leave(struct groups *groups, struct classic_leave *leave) {
    const struct leave_group_request *request = leave->request;
    struct group *found = groups_find(groups, request->group_id);
    struct classic_group *group = classic_of(found);
    bool any_left = false;
    if (found && !group && found->methods->classic_leave) {
        found->methods->classic_leave(found, leave);
        return;
    }
    leave->response.members = arena_array(leave->op->arena, struct leave_group_response_member_response, request->members_count);
    for (int i = 0; i < request->members_count; i++) {
        struct leave_group_response_member_response *answer = &leave->response.members[leave->response.members_count++];
        answer->member_id = request->members[i].member_id;
        answer->group_instance_id = request->members[i].group_instance_id;
        answer->error_code = group ? leave_one(group, answer->member_id, answer->group_instance_id) : KAFKA_UNKNOWN_MEMBER_ID;
        any_left = any_left || !answer->error_code;
    }
    if (any_left && group->state != CLASSIC_EMPTY)
        classic_rebalance_or_complete(group, leave->op, "members left");
}

/* ---- describing --------------------------------------------------------------------------------------------------------------------------- */

enum { NOT_FOUND_VERSION = 6 }; /* earlier, an unknown group was just dead */

static void describe_unknown(struct slice id, bool exists, int16_t version, struct arena *arena,
                             struct describe_groups_response_described_group *described) {
    described->group_state = SLICE_LIT("Dead");
    if (version < NOT_FOUND_VERSION)
        return;
    described->error_code = KAFKA_GROUP_ID_NOT_FOUND;
    described->error_message = slice_str(exists ? arena_printf(arena, "Group %.*s is not a classic group.", SLICE_FMT(id))
                                                : arena_printf(arena, "Group %.*s not found.", SLICE_FMT(id)));
}

void classic_describe(struct groups *groups, struct slice id, int16_t version, struct arena *arena,
                      struct describe_groups_response_described_group *ret_described) {
    struct group *found = groups_find(groups, id);
    const struct classic_group *group = classic_of(found);
    describe_groups_response_described_group_init(ret_described);
    ret_described->group_id = arena_slice(arena, id);
    if (!group) {
        describe_unknown(id, found != NULL, version, arena, ret_described);
        return;
    }
    bool stable = group->state == CLASSIC_STABLE;
    ret_described->group_state = slice_str(found->methods->state_name(found));
    ret_described->protocol_type = arena_slice(arena, found->methods->protocol_type(found));
    if (stable)
        ret_described->protocol_data = arena_slice(arena, group->protocol);
    ret_described->members = arena_array(arena, struct describe_groups_response_described_group_member, group->member_count);
    classic_each_member(member, group)
        ret_described->members[ret_described->members_count++] = (struct describe_groups_response_described_group_member){
            .member_id = arena_slice(arena, member->id),
            .group_instance_id = arena_slice(arena, member->instance_id),
            .client_id = arena_slice(arena, member->client_id),
            .client_host = arena_slice(arena, member->client_host),
            .member_metadata = stable ? arena_slice(arena, classic_member_metadata(member, group->protocol)) : SLICE_EMPTY,
            .member_assignment = arena_slice(arena, member->assignment),
        };
}
