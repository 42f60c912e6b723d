/* Records into state. Tombstones of what is not there are passed over; those that come in another order than Kafka writes
 * them (a member before its position and target, a group before its members) stop the load, as they do in Kafka. */
#include "coordinator/streams_group.h"

#include "base/mem.h"
#include "base/trace.h"
#include "protocol/streams_group_current_member_assignment_key.h"
#include "protocol/streams_group_member_metadata_key.h"
#include "protocol/streams_group_metadata_key.h"
#include "protocol/streams_group_target_assignment_member_value.h"
#include "protocol/streams_group_target_assignment_metadata_value.h"

struct replayed {
    struct groups *groups;
    struct group_record *record;
    struct slice group_id, member_id;
    struct streams_group *group;
    struct streams_member *member;
};

static enum err unfit(const struct replayed *r, const char *why) {
    trace_error("coordinator", "a record of a streams group does not fit", TRACE_SLICE("group", r->group_id), TRACE_INT("type", r->record->type),
                TRACE_STR("why", why));
    return ERR_CORRUPT;
}

/* A group that only has offsets may become one of ours. */
static bool may_replace(const struct group *group) {
    return group->methods == &group_classic_methods && classic_group_is_simple(container_of((struct group *)group, struct classic_group, group));
}

static enum err find_group(struct replayed *r) {
    struct group *found = groups_find(r->groups, r->group_id);
    if (found && found->methods == &group_streams_methods) {
        r->group = streams_group_of(found);
        return ERR_OK;
    }
    if (found && !may_replace(found) && r->record->type != STREAMS_KEY_DESCRIPTION)
        return unfit(r, "the group is of another kind");
    if (r->record->tombstone || r->record->type == STREAMS_KEY_DESCRIPTION) /* what is left of a group that Kafka deleted */
        return ERR_OK;
    r->group = streams_group_create(r->groups);
    r->group->asked = r->groups->asked_creator;
    if (found)
        groups_replace(found, &r->group->group);
    else
        groups_insert(r->groups, &r->group->group, r->group_id);
    return ERR_OK;
}

static void find_member(struct replayed *r, bool create) {
    if (!r->group)
        return;
    r->member = streams_find_member(r->group, r->member_id);
    if (!r->member && create)
        r->member = streams_member_create(r->group, r->member_id);
}

/* ---- 17: the group ------------------------------------------------------------------------------------------------------------------- */

static enum err replay_epoch(struct replayed *r) {
    struct streams_group *group = r->group;
    if (r->record->tombstone) {
        if (!group)
            return ERR_OK;
        if (group->members.count)
            return unfit(r, "it deletes a group that has members");
        if (group->target_epoch != -1)
            return unfit(r, "it deletes a group whose target is there");
        groups_remove(&group->group);
        return ERR_OK;
    }
    struct streams_group_metadata_value value;
    enum err err = streams_group_metadata_value_decode(&r->record->value, r->record->version, &value);
    if (err)
        return err;
    group->epoch = value.epoch;
    group->metadata_hash = value.metadata_hash;
    group->validated_epoch = value.validated_topology_epoch;
    group->stored_description = value.stored_description_topology_epoch;
    group->failed_description = value.failed_description_topology_epoch;
    mem_free(group->configs.pairs);
    group->configs = streams_configs_own(&(struct streams_configs){value.last_assignment_configs_count, value.last_assignment_configs});
    return ERR_OK;
}

/* ---- 19: a member ---------------------------------------------------------------------------------------------------------------------- */

static enum err keep_metadata(struct streams_member *member, const struct group_record *record) {
    struct slice raw = record->raw->value;
    uint8_t *bytes = mem_alloc(raw.size);
    memcpy(bytes, raw.ptr, raw.size);
    struct decoder d = decoder_of(slice_of(bytes + 2, raw.size - 2), record->value.arena);
    streams_member_metadata metadata;
    enum err err = streams_group_member_metadata_value_decode(&d, record->version, &metadata);
    if (err) {
        mem_free(bytes);
        return err;
    }
    size_t size = sizeof metadata.client_tags[0] * (size_t)metadata.client_tags_count;
    struct streams_group_member_metadata_value_key_value *tags = size ? mem_alloc(size) : NULL;
    if (size)
        memcpy(tags, metadata.client_tags, size);
    if (metadata.user_endpoint) {
        struct streams_group_member_metadata_value_endpoint *endpoint = mem_alloc(sizeof *endpoint);
        *endpoint = *metadata.user_endpoint;
        metadata.user_endpoint = endpoint;
    }
    mem_free(member->metadata_bytes);
    mem_free(member->metadata.client_tags);
    mem_free(member->metadata.user_endpoint);
    member->metadata = metadata;
    member->metadata.client_tags = tags;
    member->metadata_bytes = bytes;
    member->metadata_size = raw.size;
    return ERR_OK;
}

/* What its first heartbeat told of its tasks waited for the member to be there. */
static void take_offsets(struct streams_group *group, struct streams_member *member) {
    if (!group->joining.ptr || !slice_eq(group->joining, member->id))
        return;
    member->offsets = group->joining_offsets;
    member->end_offsets = group->joining_end_offsets;
    group->joining_offsets = group->joining_end_offsets = NULL;
    mem_free((void *)group->joining.ptr);
    group->joining = (struct slice){0};
}

static void joined(struct streams_group *group, bool first) {
    struct coordinator *coordinator = group->group.groups->coordinator;
    if (first && !group->is_replacing && !timer_is_running(&group->delay_timer.timer)) {
        int64_t delay_ms = streams_setting(coordinator, group->group.id, "initial.rebalance.delay.ms");
        if (delay_ms > 0)
            classic_timer_start(&group->delay_timer, delay_ms);
    }
    group->is_replacing = false;
}

static enum err replay_member(struct replayed *r) {
    if (!r->record->tombstone) {
        bool first = r->group->members.count == 0, is_new = !streams_find_member(r->group, r->member_id);
        find_member(r, true);
        enum err err = keep_metadata(r->member, r->record);
        if (err || coordinator_is_loading(r->groups->coordinator))
            return err;
        streams_start_session(r->member);
        take_offsets(r->group, r->member);
        if (is_new)
            joined(r->group, first);
        return ERR_OK;
    }
    find_member(r, false);
    if (!r->member)
        return ERR_OK;
    if (r->member->epoch != STREAMS_EPOCH_LEFT)
        return unfit(r, "it removes a member whose position is there");
    if (r->member->target)
        return unfit(r, "it removes a member whose target is there");
    streams_member_destroy(r->member);
    return ERR_OK;
}

/* ---- 20, 21: the target ------------------------------------------------------------------------------------------------------------------ */

static enum err replay_target_epoch(struct replayed *r) {
    struct streams_group *group = r->group;
    if (!r->record->tombstone) {
        struct streams_group_target_assignment_metadata_value value;
        enum err err = streams_group_target_assignment_metadata_value_decode(&r->record->value, r->record->version, &value);
        if (err)
            return err;
        group->target_epoch = value.assignment_epoch;
        group->target_ms = value.assignment_timestamp;
        return ERR_OK;
    }
    if (!group)
        return ERR_OK;
    streams_each_member(member, group)
        if (member->target)
            return unfit(r, "it removes the epoch of targets that are there");
    group->target_epoch = -1;
    group->target_ms = 0;
    return ERR_OK;
}

static enum err replay_target(struct replayed *r) {
    struct streams_group_target_assignment_member_value value;
    if (!r->record->tombstone) {
        enum err err = streams_group_target_assignment_member_value_decode(&r->record->value, r->record->version, &value);
        if (err)
            return err;
    }
    find_member(r, !r->record->tombstone);
    if (!r->member)
        return ERR_OK;
    mem_free(r->member->target);
    r->member->target = NULL;
    if (r->record->tombstone)
        return ERR_OK;
    struct streams_roles target;
#define TASKS(field, role) target.of[role] = streams_tasks_of_ids(&r->groups->scratch, (void *)value.field, value.field##_count)
    TASKS(active_tasks, STREAMS_ACTIVE);
    TASKS(standby_tasks, STREAMS_STANDBY);
    TASKS(warmup_tasks, STREAMS_WARMUP);
#undef TASKS
    r->member->target = streams_roles_own(&target);
    return ERR_OK;
}

/* ---- 22: where a member is ---------------------------------------------------------------------------------------------------------------- */

static void leave_position(struct streams_member *member) {
    mem_free(member->assigned);
    mem_free(member->pending);
    member->assigned = member->pending = NULL;
    member->epoch = member->previous_epoch = STREAMS_EPOCH_LEFT;
}

static void read_tasks(struct replayed *r, const struct streams_group_current_member_assignment_value *value) {
    struct streams_roles assigned, pending;
#define TASKS(field, to, role) to.of[role] = streams_tasks_of_epochs(&r->groups->scratch, value->field, value->field##_count, value->member_epoch)
    TASKS(active_tasks, assigned, STREAMS_ACTIVE);
    TASKS(standby_tasks, assigned, STREAMS_STANDBY);
    TASKS(warmup_tasks, assigned, STREAMS_WARMUP);
    TASKS(active_tasks_pending_revocation, pending, STREAMS_ACTIVE);
    TASKS(standby_tasks_pending_revocation, pending, STREAMS_STANDBY);
    TASKS(warmup_tasks_pending_revocation, pending, STREAMS_WARMUP);
#undef TASKS
    struct streams_member *member = r->member;
    mem_free(member->assigned);
    mem_free(member->pending);
    member->assigned = streams_roles_are_empty(&assigned) ? NULL : streams_roles_own(&assigned);
    member->pending = streams_roles_are_empty(&pending) ? NULL : streams_roles_own(&pending);
}

/* A member that does not give up its tasks in time is fenced. */
static void watch_revocation(struct streams_member *member) {
    if (member->state == STREAMS_MEMBER_UNREVOKED) {
        member->revocation_epoch = member->epoch;
        classic_timer_start(&member->revocation_timer, member->metadata.rebalance_timeout_ms > 0 ? member->metadata.rebalance_timeout_ms : 0);
    } else {
        classic_timer_stop(&member->revocation_timer);
    }
}

static enum err replay_position(struct replayed *r) {
    struct streams_group_current_member_assignment_value value;
    find_member(r, !r->record->tombstone);
    if (r->record->tombstone) {
        if (r->member)
            leave_position(r->member);
        return ERR_OK;
    }
    enum err err = streams_group_current_member_assignment_value_decode(&r->record->value, r->record->version, &value);
    if (err)
        return err;
    r->member->epoch = value.member_epoch;
    r->member->previous_epoch = value.previous_member_epoch;
    r->member->state = value.state >= STREAMS_MEMBER_STABLE && value.state <= STREAMS_MEMBER_UNRELEASED ? (enum streams_member_state)value.state
                                                                                                     : STREAMS_MEMBER_UNKNOWN;
    read_tasks(r, &value);
    if (!coordinator_is_loading(r->groups->coordinator))
        watch_revocation(r->member);
    return ERR_OK;
}

/* ---- 23: the topology ----------------------------------------------------------------------------------------------------------------------- */

static enum err replay_topology(struct replayed *r) {
    struct streams_group *group = r->group;
    if (!group)
        return ERR_OK;
    streams_group_drop_configured(group);
    group->topology = NULL;
    arena_deinit(&group->topology_arena);
    if (r->record->tombstone)
        return ERR_OK;
    struct slice raw = arena_slice(&group->topology_arena, r->record->raw->value);
    struct decoder d = decoder_of(slice_of(raw.ptr + 2, raw.size - 2), &group->topology_arena);
    streams_topology *topology = arena_zalloc(&group->topology_arena, sizeof *topology);
    enum err err = streams_group_topology_value_decode(&d, r->record->version, topology);
    if (!err)
        group->topology = topology;
    return err;
}

enum err streams_replay(struct groups *groups, struct group_record *record) {
    struct replayed r = {.groups = groups, .record = record};
    bool of_member = record->type == STREAMS_KEY_MEMBER || record->type == STREAMS_KEY_TARGET || record->type == STREAMS_KEY_POSITION;
    struct streams_group_member_metadata_key key = {0};
    struct streams_group_metadata_key group_key = {0};
    enum err err = of_member ? streams_group_member_metadata_key_decode(&record->key, 0, &key) : streams_group_metadata_key_decode(&record->key, 0, &group_key);
    if (err)
        return err;
    r.group_id = of_member ? key.group_id : group_key.group_id;
    r.member_id = key.member_id;
    if (!record->tombstone && record->version != 0 && record->type != STREAMS_KEY_DESCRIPTION)
        return ERR_UNSUPPORTED;
    err = find_group(&r);
    if (err)
        return err;
    switch (record->type) {
    case STREAMS_KEY_EPOCH: return replay_epoch(&r);
    case STREAMS_KEY_MEMBER: return replay_member(&r);
    case STREAMS_KEY_TARGET_EPOCH: return replay_target_epoch(&r);
    case STREAMS_KEY_TARGET: return replay_target(&r);
    case STREAMS_KEY_POSITION: return replay_position(&r);
    case STREAMS_KEY_DESCRIPTION: return streams_description_replay(r.group, record);
    default: return replay_topology(&r);
    }
}
