/* SyncGroup at a classic group: the leader brings the assignments, everybody takes theirs. See classic.h. */
#include "coordinator/classic_internal.h"

static void refuse(struct classic_sync *sync, int16_t error) {
    sync->response.error_code = error;
}

static void classic_fill_sync(struct classic_sync *sync, const struct classic_group *group, const struct classic_member *member) {
    struct arena *arena = sync->op->arena;
    sync_group_response_init(&sync->response);
    sync->response.protocol_type = arena_slice(arena, group->protocol_type);
    sync->response.protocol_name = arena_slice(arena, group->protocol);
    sync->response.assignment = arena_slice(arena, member->assignment);
}

/* ---- the leader's -------------------------------------------------------------------------------------------------------------------- */

struct settled { /* syncs that one of the leader answers, while its record may still be refused */
    struct classic_group *group;
    struct classic_sync **syncs;
    int count;
};

/* The record is too large: nobody has an assignment, and all join again. */
static void undo_assignments(struct coordinator_op *op, void *state) {
    const struct settled *settled = op->undo_arg;
    (void)state;
    for (int i = 0; i < settled->count; i++) {
        sync_group_response_init(&settled->syncs[i]->response);
        settled->syncs[i]->response.error_code = KAFKA_UNKNOWN_SERVER_ERROR;
    }
    classic_each_member(member, settled->group)
        classic_member_assign(member, SLICE_EMPTY);
    classic_rebalance(settled->group, op, "the assignments are too large for a record");
}

static void take_assignments(struct classic_group *group, const struct sync_group_request *request) {
    classic_each_member(member, group)
        classic_member_assign(member, SLICE_EMPTY);
    for (int i = 0; i < request->assignments_count; i++) {
        struct classic_member *member = classic_member_find(group, request->assignments[i].member_id);
        if (member)
            classic_member_assign(member, request->assignments[i].assignment);
    }
}

/* Nobody sees the assignments before they are on the device: those who wait are answered behind the record. */
static void settle(struct classic_sync *sync, struct classic_group *group) {
    struct settled *settled = arena_new(sync->op->arena, struct settled);
    settled->group = group;
    settled->syncs = arena_array(sync->op->arena, struct classic_sync *, group->member_count);
    take_assignments(group, sync->request);
    classic_add_record(group, sync->op);
    sync->op->undo = undo_assignments;
    sync->op->undo_arg = settled;
    classic_enter(group, CLASSIC_STABLE);
    group->group.groups->rebalances[GROUP_CLASSIC]++;
    classic_each_member(member, group) {
        if (!member->sync)
            continue;
        settled->syncs[settled->count++] = member->sync;
        classic_fill_sync(member->sync, group, member);
        classic_resume_sync(member);
        classic_session_start(member);
    }
}

/* ---- everybody's ---------------------------------------------------------------------------------------------------------------------- */

static bool differs(struct slice given, struct slice own) {
    return given.ptr && own.ptr && !slice_eq(given, own);
}

static int16_t check_request(const struct classic_group *group, const struct sync_group_request *request) {
    int16_t error = classic_check_member(group, request->member_id, request->group_instance_id);
    if (error)
        return error;
    if (request->generation_id != group->generation)
        return KAFKA_ILLEGAL_GENERATION;
    if (differs(request->protocol_type, group->protocol_type) || differs(request->protocol_name, group->protocol))
        return KAFKA_INCONSISTENT_GROUP_PROTOCOL;
    return group->state == CLASSIC_PREPARING ? KAFKA_REBALANCE_IN_PROGRESS : 0;
}

static void sync_classic(struct classic_sync *sync, struct classic_group *group) {
    int16_t error = check_request(group, sync->request);
    if (error) {
        refuse(sync, error);
        return;
    }
    struct classic_member *member = classic_member_find(group, sync->request->member_id);
    classic_sync_came(member);
    if (group->state == CLASSIC_STABLE) {
        classic_fill_sync(sync, group, member);
        return;
    }
    classic_park_sync(member, sync);
    if (classic_is_leader(group, member))
        settle(sync, group);
}

void classic_sync(struct groups *groups, struct classic_sync *sync) {
    struct group *found = groups_find(groups, sync->request->group_id);
    struct classic_group *group = classic_of(found);
    if (!found || found->methods->is_empty(found) || (!group && !found->methods->classic_sync))
        refuse(sync, KAFKA_UNKNOWN_MEMBER_ID);
    else if (group)
        sync_classic(sync, group);
    else
        found->methods->classic_sync(found, sync);
}
