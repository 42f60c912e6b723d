/* From one generation of a classic group to the next: who is waited for, how long, and what timers find. See classic.h. */
#include "coordinator/classic_internal.h"

#include "base/trace.h"

enum { ALL_AWAY_MS = 1000 }; /* how often at most one looks whether somebody came */

/* ---- parked requests ------------------------------------------------------------------------------------------------------------ */

/* A member that asks again has given up its earlier request; Kafka never answers that one. */
void classic_park_join(struct classic_member *member, struct classic_join *join) {
    classic_fail_join(member, KAFKA_REBALANCE_IN_PROGRESS, true);
    member->join = join;
    member->group->members_joining++;
    coordinator_park(join->op);
}

void classic_park_sync(struct classic_member *member, struct classic_sync *sync) {
    classic_fail_sync(member, KAFKA_REBALANCE_IN_PROGRESS);
    member->sync = sync;
    coordinator_park(sync->op);
}

static void classic_resume_join(struct classic_member *member) {
    struct classic_join *join = member->join;
    member->join = NULL;
    member->group->members_joining--;
    coordinator_resume(join->op);
}

void classic_resume_sync(struct classic_member *member) {
    struct classic_sync *sync = member->sync;
    member->sync = NULL;
    coordinator_resume(sync->op);
}

void classic_fail_join(struct classic_member *member, int16_t error, bool with_id) {
    if (!member->join)
        return;
    struct join_group_response *response = &member->join->response;
    join_group_response_init(response);
    response->error_code = error;
    if (with_id)
        response->member_id = arena_slice(member->join->op->arena, member->id);
    classic_resume_join(member);
}

void classic_fail_sync(struct classic_member *member, int16_t error) {
    if (!member->sync)
        return;
    sync_group_response_init(&member->sync->response);
    member->sync->response.error_code = error;
    classic_resume_sync(member);
}

void classic_fail_all(struct classic_group *group, int16_t error) {
    classic_each_member(member, group) {
        classic_fail_join(member, error, true);
        classic_fail_sync(member, error);
    }
}

/* ---- the sync phase ------------------------------------------------------------------------------------------------------------- */

void classic_sync_came(struct classic_member *member) {
    struct classic_group *group = member->group;
    group->syncs_pending -= member->sync_pending;
    member->sync_pending = false;
    if (!group->syncs_pending)
        classic_timer_stop(&group->sync_timer);
}

static void expect_no_syncs(struct classic_group *group) {
    classic_each_member(member, group)
        member->sync_pending = false;
    group->syncs_pending = 0;
    classic_timer_stop(&group->sync_timer);
}

/* ---- the join phase -------------------------------------------------------------------------------------------------------------- */

static int32_t rebalance_timeout_ms(const struct classic_group *group) {
    int32_t timeout_ms = 0;
    classic_each_member(member, group)
        if (member->rebalance_timeout_ms > timeout_ms)
            timeout_ms = member->rebalance_timeout_ms;
    return timeout_ms;
}

static bool all_have_joined(const struct classic_group *group) {
    return group->member_count == group->members_joining && !group->pending.count;
}

static void wait_for_joins(struct classic_group *group, int32_t least_ms) {
    int32_t timeout_ms = rebalance_timeout_ms(group);
    group->delay_ms = -1;
    classic_timer_start(&group->join_timer, timeout_ms > least_ms ? timeout_ms : least_ms);
}

static void drop_absent(struct classic_group *group) {
    list_each_safe(node, &group->members) {
        struct classic_member *member = list_entry(node, struct classic_member, all);
        if (!member->join && !member->instance_id.ptr)
            classic_member_remove(member);
    }
}

/* One that has joined leads. False: nobody has. */
static bool elect(struct classic_group *group) {
    struct classic_member *leader = group->leader.ptr ? classic_member_find(group, group->leader) : NULL;
    if (leader && leader->join)
        return true;
    classic_each_member(member, group) {
        if (member->join) {
            classic_set_leader(group, member->id);
            return true;
        }
    }
    return false;
}

static void begin_generation(struct classic_group *group) {
    struct slice protocol = classic_vote(group);
    check(protocol.ptr, "members of a classic group share no protocol");
    classic_set_protocol(group, protocol);
    classic_find_topics(group);
    classic_enter(group, CLASSIC_COMPLETING);
    group->syncs_pending = group->member_count;
    classic_each_member(member, group) {
        if (member->join) {
            classic_fill_join(member->join, group, member, classic_is_leader(group, member));
            classic_resume_join(member);
        }
        classic_session_start(member);
        member->is_new = false;
        member->sync_pending = true;
    }
    classic_timer_start(&group->sync_timer, rebalance_timeout_ms(group));
}

static void complete(struct classic_group *group, struct coordinator_op *op) {
    classic_timer_stop(&group->join_timer);
    drop_absent(group);
    if (group->member_count && !elect(group)) { /* static members, all away: until their sessions end, even when their timeout is 0 */
        wait_for_joins(group, ALL_AWAY_MS);
        return;
    }
    group->generation = (int32_t)((uint32_t)group->generation + 1);
    expect_no_syncs(group);
    if (group->member_count) {
        begin_generation(group);
    } else {
        classic_set_leader(group, SLICE_NULL);
        classic_set_protocol(group, SLICE_NULL);
        classic_find_topics(group);
        classic_enter(group, CLASSIC_EMPTY);
        classic_add_record(group, op);
    }
    trace_info("groups", "the join phase is complete", TRACE_SLICE("group", group->group.id), TRACE_INT("generation", group->generation),
               TRACE_INT("members", group->member_count), TRACE_SLICE("protocol", group->protocol));
}

/* The first rebalance of a group is not ended early: more members are likely to come. */
static void classic_maybe_complete(struct classic_group *group, struct coordinator_op *op) {
    if (group->state == CLASSIC_PREPARING && group->previous != CLASSIC_EMPTY && all_have_joined(group))
        complete(group, op);
}

void classic_rebalance(struct classic_group *group, struct coordinator_op *op, const char *why) {
    trace_info("groups", "a group rebalances", TRACE_SLICE("group", group->group.id), TRACE_INT("generation", group->generation),
               TRACE_STR("why", why));
    if (group->state == CLASSIC_COMPLETING) {
        classic_each_member(member, group) {
            classic_member_assign(member, SLICE_EMPTY);
            if (member->sync) {
                classic_fail_sync(member, KAFKA_REBALANCE_IN_PROGRESS);
                classic_session_start(member);
            }
        }
    }
    expect_no_syncs(group);
    classic_enter(group, CLASSIC_PREPARING);
    if (group->previous == CLASSIC_EMPTY) {
        int64_t delay_ms = coordinator_config_int(group->group.groups->coordinator, "group.initial.rebalance.delay.ms");
        int64_t left_ms = rebalance_timeout_ms(group) - delay_ms;
        group->delay_ms = (int32_t)delay_ms;
        group->delay_left_ms = (int32_t)(left_ms > 0 ? left_ms : 0);
        classic_timer_start(&group->join_timer, delay_ms);
    } else if (all_have_joined(group)) {
        complete(group, op);
    } else {
        wait_for_joins(group, 0);
    }
}

void classic_rebalance_or_complete(struct classic_group *group, struct coordinator_op *op, const char *why) {
    if (group->state == CLASSIC_PREPARING)
        classic_maybe_complete(group, op);
    else
        classic_rebalance(group, op, why);
}

void classic_stabilize(struct classic_group *group, struct coordinator_op *op, int32_t generation) {
    struct slice protocol = classic_vote(group);
    check(protocol.ptr, "members of a classic group share no protocol");
    classic_set_protocol(group, protocol);
    classic_find_topics(group);
    group->generation = generation;
    group->state = CLASSIC_STABLE;
    classic_add_record(group, op);
    classic_each_member(member, group)
        classic_session_start(member);
}

/* ---- what timers find -------------------------------------------------------------------------------------------------------------- */

/* While members have come, the initial delay goes on in steps of itself, up to the rebalance timeout. */
void classic_join_is_due(struct classic_group *group, struct coordinator_op *op) {
    if (group->state != CLASSIC_PREPARING)
        return;
    if (group->delay_ms < 0 || !group->newcomer || !group->delay_left_ms) {
        complete(group, op);
        return;
    }
    int64_t delay_ms = coordinator_config_int(group->group.groups->coordinator, "group.initial.rebalance.delay.ms");
    if (delay_ms > group->delay_left_ms)
        delay_ms = group->delay_left_ms;
    group->newcomer = false;
    group->delay_left_ms = group->delay_left_ms > group->delay_ms ? group->delay_left_ms - group->delay_ms : 0;
    group->delay_ms = (int32_t)delay_ms;
    classic_timer_start(&group->join_timer, delay_ms);
}

void classic_sync_is_due(struct classic_group *group, struct coordinator_op *op) {
    if ((group->state != CLASSIC_COMPLETING && group->state != CLASSIC_STABLE) || !group->syncs_pending)
        return;
    list_each_safe(node, &group->members) {
        struct classic_member *member = list_entry(node, struct classic_member, all);
        if (member->sync_pending)
            classic_member_remove(member);
    }
    classic_rebalance(group, op, "members did not ask for their assignment in time");
}

/* Members that wait for an answer of ours are alive, but for new ones: their client may have gone, and asked again as another. */
void classic_expire_member(struct classic_member *member, struct coordinator_op *op) {
    struct classic_group *group = member->group;
    if (!member->is_new && (member->join || member->sync))
        return;
    trace_info("groups", "a member's session ended", TRACE_SLICE("group", group->group.id), TRACE_SLICE("member", member->id));
    classic_fail_join(member, KAFKA_UNKNOWN_MEMBER_ID, false);
    classic_member_remove(member);
    if (group->state == CLASSIC_PREPARING) {
        if (all_have_joined(group))
            complete(group, op);
    } else {
        classic_rebalance(group, op, "a member's session ended");
    }
}

void classic_expire_pending(struct classic_pending *pending, struct coordinator_op *op) {
    struct classic_group *group = pending->group;
    classic_pending_remove(pending);
    if (group->state == CLASSIC_PREPARING && all_have_joined(group))
        complete(group, op);
}
