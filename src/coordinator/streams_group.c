#include "coordinator/streams_group.h"

#include "base/mem.h"
#include "protocol/errors.h"

/* ---- members ------------------------------------------------------------------------------------------------------------------------- */

static bool member_is(const struct map_node *node, const void *key) {
    return slice_eq(container_of(node, struct streams_member, node)->id, *(const struct slice *)key);
}

struct streams_member *streams_find_member(const struct streams_group *group, struct slice id) {
    struct map_node *node = map_find(&group->members, hash_slice(id), member_is, &id);
    return node ? container_of(node, struct streams_member, node) : NULL;
}

struct streams_member *streams_find_instance(const struct streams_group *group, struct slice id) {
    streams_each_member(member, group)
        if (member->metadata.instance_id.ptr && slice_eq(member->metadata.instance_id, id))
            return member;
    return NULL;
}

struct streams_member *streams_member_create(struct streams_group *group, struct slice id) {
    struct streams_member *member = mem_new(struct streams_member);
    member->group = group;
    member->id = slice_of(mem_strndup((const char *)id.ptr, id.size), id.size);
    member->state = STREAMS_MEMBER_STABLE;
    streams_group_member_metadata_value_init(&member->metadata);
    member->metadata.instance_id = member->metadata.rack_id = (struct slice){0};
    member->metadata.topology_epoch = -1;
    classic_timer_init(&member->session.timer, group->group.groups, streams_session_is_due);
    classic_timer_init(&member->revocation_timer, group->group.groups, streams_revocation_is_due);
    map_insert(&group->members, &member->node, hash_slice(id));
    list_push_back(&group->all_members, &member->all);
    return member;
}

static void free_member(struct streams_member *member) {
    classic_timer_stop(&member->session.timer);
    classic_timer_stop(&member->revocation_timer);
    mem_free(member->metadata_bytes);
    mem_free(member->metadata.client_tags);
    mem_free(member->metadata.user_endpoint);
    mem_free(member->assigned);
    mem_free(member->pending);
    mem_free(member->target);
    mem_free(member->offsets);
    mem_free(member->end_offsets);
    mem_free((void *)member->id.ptr);
    mem_free(member);
}

void streams_member_destroy(struct streams_member *member) {
    struct streams_group *group = member->group;
    map_remove(&group->members, &member->node);
    list_remove(&member->all);
    free_member(member);
    if (!group->members.count && !group->is_replacing) {
        mem_free((void *)group->shutdown_member.ptr);
        group->shutdown_member = (struct slice){0};
    }
}

void streams_start_session(struct streams_member *member) {
    struct coordinator *coordinator = member->group->group.groups->coordinator;
    classic_session_extend(&member->session, streams_setting(coordinator, member->group->group.id, "session.timeout.ms"));
}

const struct streams_roles *streams_or_none(const struct streams_roles *roles) {
    return roles ? roles : &streams_roles_none;
}

struct streams_position streams_position_of(const struct streams_member *member) {
    return (struct streams_position){member->epoch, member->previous_epoch, member->state, *streams_or_none(member->assigned),
                                     *streams_or_none(member->pending)};
}

struct streams_offsets *streams_offsets_own(const struct streams_group_heartbeat_request_task_offset *offsets, int count) {
    size_t bytes = 0;
    for (int i = 0; i < count; i++)
        bytes += offsets[i].subtopology_id.size;
    struct streams_offsets *own = mem_alloc(sizeof *own + sizeof own->offsets[0] * (size_t)count + bytes);
    uint8_t *text = (uint8_t *)&own->offsets[count];
    own->count = count;
    for (int i = 0; i < count; i++) {
        struct slice id = offsets[i].subtopology_id;
        memcpy(text, id.ptr, id.size);
        own->offsets[i] = (struct streams_task_offset){slice_of(text, id.size), offsets[i].partition, offsets[i].offset};
        text += id.size;
    }
    return own;
}

/* ---- the group ------------------------------------------------------------------------------------------------------------------------- */

void streams_group_init(struct streams_group *group) {
    *group = (struct streams_group){.epoch = 1, .target_epoch = 1, .stored_description = -1, .failed_description = -1, .image_offset = -1};
    group->group.methods = &group_streams_methods;
    list_init(&group->all_members);
}

struct streams_group *streams_group_create(struct groups *groups) {
    struct streams_group *group = mem_new(struct streams_group);
    streams_group_init(group);
    classic_timer_init(&group->delay_timer, groups, streams_delay_is_due);
    return group;
}

void streams_group_drop_configured(struct streams_group *group) {
    group->is_configured = false;
    arena_deinit(&group->configured_arena);
}

struct streams_group *streams_find_group(const struct groups *groups, struct slice id, struct arena *arena, const char **ret_message) {
    struct group *found = groups_find(groups, id);
    if (found && found->methods == &group_streams_methods)
        return streams_group_of(found);
    *ret_message = arena_printf(arena, found ? "Group %.*s is not a streams group." : "Group %.*s not found.", SLICE_FMT(id));
    return NULL;
}

/* ---- what other kinds ask of it ------------------------------------------------------------------------------------------------------- */

static const char *state_name(const struct group *base) {
    const struct streams_group *group = streams_group_of(base);
    if (!group->members.count)
        return "Empty";
    if (!group->topology || group->topology->epoch != group->validated_epoch)
        return "NotReady";
    if (group->epoch > group->target_epoch)
        return "Assigning";
    streams_each_member(member, group)
        if (member->state != STREAMS_MEMBER_STABLE || member->epoch != group->target_epoch)
            return "Reconciling";
    return "Stable";
}

static struct slice protocol_type(const struct group *group) {
    (void)group;
    return SLICE_LIT("streams");
}

static bool is_empty(const struct group *group) {
    return streams_group_of(group)->members.count == 0;
}

static bool is_subscribed(const struct group *base, struct slice topic) {
    const struct streams_group *group = streams_group_of(base);
    return group->members.count && group->topology && streams_topology_reader(group->topology, topic);
}

static int64_t empty_since_ms(const struct group *group) {
    (void)group;
    return -1;
}

static bool is_nobodys_commit(const struct streams_group *group, const struct group_caller *caller) {
    return (caller->generation < 0 && !group->members.count) ||
           (caller->transactional && caller->generation == -1 && !caller->member_id.size && !caller->instance_id.ptr);
}

static int16_t check_commit(struct group *base, const struct group_caller *caller) {
    const struct streams_group *group = streams_group_of(base);
    if (is_nobodys_commit(group, caller))
        return 0;
    const struct streams_member *member = streams_find_member(group, caller->member_id);
    if (!member)
        return KAFKA_UNKNOWN_MEMBER_ID;
    if (!caller->transactional && caller->version < 9)
        return KAFKA_UNSUPPORTED_VERSION;
    if (caller->generation > member->epoch || (caller->generation < member->epoch && !group->topology))
        return KAFKA_STALE_MEMBER_EPOCH;
    return 0;
}

/* A member whose epoch is old may commit for tasks that it has had since then, or is about to give up. */
static int16_t check_commit_partition(struct group *base, const struct group_caller *caller, struct uuid topic_id, int32_t partition) {
    const struct streams_group *group = streams_group_of(base);
    const struct streams_member *member = streams_find_member(group, caller->member_id);
    if (is_nobodys_commit(group, caller) || !member || caller->generation == member->epoch)
        return 0;
    const struct image_topic *topic = image_find_topic_id(base->groups->coordinator->host->image, topic_id);
    const streams_subtopology *reader = topic && group->topology ? streams_topology_reader(group->topology, topic->name) : NULL;
    if (!reader)
        return KAFKA_STALE_MEMBER_EPOCH;
    struct streams_task task = {reader->subtopology_id, partition, 0};
    const struct streams_task *found = streams_tasks_find(&streams_or_none(member->assigned)->of[STREAMS_ACTIVE], &task);
    if (!found)
        found = streams_tasks_find(&streams_or_none(member->pending)->of[STREAMS_ACTIVE], &task);
    return found && caller->generation >= found->epoch ? 0 : KAFKA_STALE_MEMBER_EPOCH;
}

static int16_t check_fetch(struct group *base, const struct group_caller *caller) {
    if (!caller->member_id.ptr && caller->generation < 0)
        return 0;
    const struct streams_member *member = streams_find_member(streams_group_of(base), caller->member_id);
    if (!member)
        return KAFKA_UNKNOWN_MEMBER_ID;
    return caller->generation == member->epoch ? 0 : KAFKA_STALE_MEMBER_EPOCH;
}

static int16_t check_delete(const struct group *group) {
    return is_empty(group) ? 0 : KAFKA_NON_EMPTY_GROUP;
}

static void add_tombstones(struct group *base, struct coordinator_op *op) {
    struct streams_group *group = streams_group_of(base);
    struct streams_records records = streams_records_create(op->arena, arena_slice(op->arena, base->id));
    const struct slice nobody = {0};
    if (group->description) {
        streams_record_description(&records, nobody);
        base->groups->descriptions.deleted++;
    }
    streams_each_member(member, group)
        streams_record_tombstone(&records, STREAMS_KEY_POSITION, member->id);
    streams_each_member(member, group)
        streams_record_tombstone(&records, STREAMS_KEY_TARGET, member->id);
    streams_record_tombstone(&records, STREAMS_KEY_TARGET_EPOCH, nobody);
    streams_each_member(member, group)
        streams_record_tombstone(&records, STREAMS_KEY_MEMBER, member->id);
    streams_record_tombstone(&records, STREAMS_KEY_EPOCH, nobody);
    streams_record_tombstone(&records, STREAMS_KEY_TOPOLOGY, nobody);
    streams_records_add_to(&records, op);
}

static void free_group(struct group *base) {
    struct streams_group *group = streams_group_of(base);
    classic_timer_stop(&group->delay_timer);
    list_each_safe(node, &group->all_members)
        free_member(list_entry(node, struct streams_member, all));
    map_deinit(&group->members);
    streams_description_drop(group);
    mem_free(group->configs.pairs);
    mem_free((void *)group->shutdown_member.ptr);
    mem_free((void *)group->joining.ptr);
    mem_free(group->joining_offsets);
    mem_free(group->joining_end_offsets);
    arena_deinit(&group->configured_arena);
    arena_deinit(&group->topology_arena);
    mem_free(group);
}

static void group_loaded(struct group *base) {
    struct streams_group *group = streams_group_of(base);
    streams_each_member(member, group) {
        streams_start_session(member);
        if (member->state == STREAMS_MEMBER_UNREVOKED) {
            member->revocation_epoch = member->epoch;
            classic_timer_start(&member->revocation_timer, member->metadata.rebalance_timeout_ms > 0 ? member->metadata.rebalance_timeout_ms : 0);
        }
    }
}

const struct group_methods group_streams_methods = {
    .type = GROUP_STREAMS,
    .state_name = state_name,
    .protocol_type = protocol_type,
    .is_empty = is_empty,
    .is_subscribed = is_subscribed,
    .empty_since_ms = empty_since_ms,
    .check_commit = check_commit,
    .check_commit_partition = check_commit_partition,
    .check_fetch = check_fetch,
    .check_delete = check_delete,
    .add_tombstones = add_tombstones,
    .free = free_group,
    .loaded = group_loaded,
};
