/* The record of a classic group (key 2), its replay, and what the group does as one of several kinds.
 *
 * The record is the whole group at one generation: its members with the metadata they gave for the chosen protocol, and
 * their assignments. Offers under other protocols are not kept: after a load a member offers what the group had chosen. */
#include "coordinator/classic_internal.h"

#include "base/mem.h"
#include "base/trace.h"
#include "protocol/group_metadata_key.h"
#include "protocol/group_metadata_value.h"

enum { RECORD_GROUP = 2, RECORD_GROUP_VERSION = 3 };

static struct slice key_of(const struct classic_group *group, struct arena *arena) {
    struct group_metadata_key key = {.group = group->group.id};
    return RECORD_KEY(arena, RECORD_GROUP, group_metadata_key, &key);
}

static void add(struct classic_group *group, struct coordinator_op *op, const struct group_metadata_value *value) {
    op->applied = true;
    coordinator_add(op, key_of(group, op->arena), RECORD_VALUE(op->arena, RECORD_GROUP_VERSION, group_metadata_value, value));
}

void classic_add_record(struct classic_group *group, struct coordinator_op *op) {
    struct group_metadata_value value;
    group_metadata_value_init(&value);
    value.protocol_type = group->protocol_type.ptr ? group->protocol_type : SLICE_EMPTY;
    value.generation = group->generation;
    value.protocol = group->protocol;
    value.leader = group->leader;
    value.current_state_timestamp = group->state_since_ms;
    value.members = arena_array(op->arena, struct group_metadata_value_member_metadata, group->member_count + 1);
    classic_each_member(member, group)
        value.members[value.members_count++] = (struct group_metadata_value_member_metadata){
            .member_id = member->id,
            .group_instance_id = member->instance_id,
            .client_id = member->client_id,
            .client_host = member->client_host,
            .rebalance_timeout = member->rebalance_timeout_ms,
            .session_timeout = member->session_timeout_ms,
            .subscription = classic_member_metadata(member, group->protocol),
            .assignment = member->assignment,
        };
    add(group, op, &value);
}

void classic_add_bare_record(struct classic_group *group, struct coordinator_op *op) {
    struct group_metadata_value value;
    group_metadata_value_init(&value);
    value.protocol = value.leader = SLICE_NULL;
    value.current_state_timestamp = group->state_since_ms;
    add(group, op, &value);
}

/* ---- replay ------------------------------------------------------------------------------------------------------------------- */

static enum err add_members(struct classic_group *group, const struct group_metadata_value *value) {
    if (value->members_count && !value->protocol.ptr)
        return ERR_CORRUPT;
    for (int i = 0; i < value->members_count; i++) {
        const struct group_metadata_value_member_metadata *from = &value->members[i];
        struct classic_protocol protocol = {value->protocol, from->subscription};
        if (classic_member_find(group, from->member_id) ||
            (from->group_instance_id.ptr && classic_member_by_instance(group, from->group_instance_id)))
            return ERR_CORRUPT;
        classic_member_assign(classic_member_add(group, &(struct classic_member_spec){
            .id = from->member_id,
            .instance_id = from->group_instance_id,
            .client_id = from->client_id,
            .client_host = from->client_host,
            .protocol_type = value->protocol_type,
            .rebalance_timeout_ms = from->rebalance_timeout == -1 ? from->session_timeout : from->rebalance_timeout,
            .session_timeout_ms = from->session_timeout,
            .protocols = &protocol,
            .protocol_count = 1,
        }), from->assignment);
    }
    return ERR_OK;
}

enum err classic_replay(struct groups *groups, struct group_record *record) {
    struct group_metadata_key key;
    struct group_metadata_value value;
    enum err err = group_metadata_key_decode(&record->key, 0, &key);
    if (err)
        return err;
    struct group *old = groups_find(groups, key.group);
    bool loading = groups->coordinator->phase == COORDINATOR_LOADING;
    if (record->tombstone) { /* when it was just decided, a group of another kind is what comes in its place */
        if (old && (loading || classic_of(old)))
            groups_remove(old);
        return ERR_OK;
    }
    if (!loading)
        return ERR_OK; /* the state has it */
    if (record->version < GROUP_METADATA_VALUE_VERSION_MIN || record->version > GROUP_METADATA_VALUE_VERSION_MAX)
        return ERR_UNSUPPORTED;
    err = group_metadata_value_decode(&record->value, record->version, &value);
    if (err)
        return err;
    struct classic_group *group = classic_group_create_detached(groups);
    if (value.protocol_type.size)
        classic_set_type(group, value.protocol_type);
    classic_set_leader(group, value.leader);
    classic_set_protocol(group, value.protocol);
    group->generation = value.generation;
    group->state_since_ms = value.current_state_timestamp;
    err = add_members(group, &value);
    if (err) {
        classic_group_free(group);
        return err;
    }
    group->state = group->member_count ? CLASSIC_STABLE : CLASSIC_EMPTY;
    if (old)
        groups_replace(old, &group->group);
    else
        groups_insert(groups, &group->group, key.group);
    classic_find_topics(group);
    return ERR_OK;
}

static void over_capacity(struct coordinator_op *op, void *state) {
    struct classic_group *group = coordinator_task_arg(op);
    (void)state;
    classic_rebalance(group, op, "it was loaded with more members than group.max.size");
}

static void loaded(struct group *base) {
    struct classic_group *group = classic_of(base);
    struct coordinator *coordinator = base->groups->coordinator;
    classic_each_member(member, group)
        classic_session_start(member);
    if (group->member_count > coordinator_config_int(coordinator, "group.max.size"))
        coordinator_task(coordinator, over_capacity, group);
}

/* ---- one of several kinds ------------------------------------------------------------------------------------------------------- */

static const char *state_name(const struct group *base) {
    static const char *const names[] = {
        [CLASSIC_EMPTY] = "Empty",
        [CLASSIC_PREPARING] = "PreparingRebalance",
        [CLASSIC_COMPLETING] = "CompletingRebalance",
        [CLASSIC_STABLE] = "Stable",
    };
    return names[container_of(base, struct classic_group, group)->state];
}

static struct slice protocol_type(const struct group *base) {
    struct slice type = container_of(base, struct classic_group, group)->protocol_type;
    return type.ptr ? type : SLICE_EMPTY;
}

static bool is_empty(const struct group *base) {
    return container_of(base, struct classic_group, group)->state == CLASSIC_EMPTY;
}

static bool is_subscribed(const struct group *base, struct slice topic) {
    const struct classic_group *group = container_of(base, struct classic_group, group);
    if (!group->topics_known)
        return group->protocol_type.ptr && slice_eq_str(group->protocol_type, "consumer");
    int low = 0, high = group->topic_count;
    while (low < high) {
        int middle = (low + high) / 2, order = slice_cmp(group->topics[middle], topic);
        if (order == 0)
            return true;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return false;
}

static int64_t empty_since_ms(const struct group *base) {
    const struct classic_group *group = container_of(base, struct classic_group, group);
    return group->state == CLASSIC_EMPTY && group->protocol_type.ptr ? group->state_since_ms : -1;
}

/* Without members, or with members that are known to want other topics. */
static bool offsets_expire(const struct group *base) {
    const struct classic_group *group = container_of(base, struct classic_group, group);
    return group->state == CLASSIC_EMPTY ||
           (group->state == CLASSIC_STABLE && group->topics_known && group->protocol_type.ptr && slice_eq_str(group->protocol_type, "consumer"));
}

static int16_t check_commit(struct group *base, const struct group_caller *caller) {
    struct classic_group *group = classic_of(base);
    if (caller->generation < 0 && group->state == CLASSIC_EMPTY)
        return 0; /* a tool, or a consumer that is in no group */
    if (caller->generation >= 0 || caller->member_id.size || caller->instance_id.ptr) {
        int16_t error = classic_check_member(group, caller->member_id, caller->instance_id);
        if (error)
            return error;
        if (caller->generation != group->generation)
            return KAFKA_ILLEGAL_GENERATION;
    } else if (!caller->transactional && group->state != CLASSIC_EMPTY) {
        return KAFKA_UNKNOWN_MEMBER_ID;
    }
    if (caller->transactional)
        return 0;
    if (group->state == CLASSIC_COMPLETING)
        return KAFKA_REBALANCE_IN_PROGRESS;
    struct classic_member *member = classic_member_find(group, caller->member_id);
    if (member) /* a commit is a sign of life */
        classic_session_start(member);
    return 0;
}

static int16_t check_fetch(struct group *base, const struct group_caller *caller) {
    (void)base, (void)caller;
    return 0;
}

static int16_t check_delete(const struct group *base) {
    return is_empty(base) ? 0 : KAFKA_NON_EMPTY_GROUP;
}

static void add_tombstones(struct group *base, struct coordinator_op *op) {
    coordinator_add(op, key_of(classic_of(base), op->arena), SLICE_NULL);
}

static void free_group(struct group *base) {
    classic_group_free(classic_of(base));
}

const struct group_methods group_classic_methods = {
    .type = GROUP_CLASSIC,
    .state_name = state_name,
    .protocol_type = protocol_type,
    .is_empty = is_empty,
    .is_subscribed = is_subscribed,
    .empty_since_ms = empty_since_ms,
    .offsets_expire = offsets_expire,
    .check_commit = check_commit,
    .check_fetch = check_fetch,
    .check_delete = check_delete,
    .add_tombstones = add_tombstones,
    .free = free_group,
    .loaded = loaded,
};
