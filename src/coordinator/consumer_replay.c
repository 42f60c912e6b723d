/* Records into state: of the log when it is loaded, of an operation right after it was decided.
 *
 * Deletions come as tombstones of a member's current assignment, target and subscription, in this order, and of a group
 * behind all of its members; what is missing between them (compaction took it) is taken as deleted. What a record holds
 * beyond the fields known here stays in the log until the member changes; the record is then written as we know it, as
 * Kafka does. */
#include "base/trace.h"
#include "coordinator/consumer_internal.h"
#include "protocol/consumer_group_current_member_assignment_key.h"
#include "protocol/consumer_group_current_member_assignment_value.h"
#include "protocol/consumer_group_member_metadata_key.h"
#include "protocol/consumer_group_member_metadata_value.h"
#include "protocol/consumer_group_metadata_key.h"
#include "protocol/consumer_group_metadata_value.h"
#include "protocol/consumer_group_partition_metadata_key.h"
#include "protocol/consumer_group_regular_expression_key.h"
#include "protocol/consumer_group_regular_expression_value.h"
#include "protocol/consumer_group_target_assignment_member_key.h"
#include "protocol/consumer_group_target_assignment_member_value.h"
#include "protocol/consumer_group_target_assignment_metadata_key.h"
#include "protocol/consumer_group_target_assignment_metadata_value.h"

static bool is_live(const struct groups *groups) {
    return groups->coordinator->phase == COORDINATOR_ACTIVE;
}

/* The group a record is about: NULL for tombstones of one that is not there. A value makes it, also in the place of a
 * classic group that has offsets only. */
static enum err group_of(struct groups *groups, struct slice id, bool tombstone, struct consumer_group **ret_group) {
    struct group *base = groups_find(groups, id);
    *ret_group = NULL;
    if (base && base->methods->type == GROUP_CONSUMER) {
        *ret_group = consumer_group_of(base);
        return ERR_OK;
    }
    if (tombstone)
        return ERR_OK;
    if (base && (base->methods->type != GROUP_CLASSIC || !classic_group_is_simple(classic_of(base)))) {
        trace_error("coordinator", "a record of a consumer group is about a group of another kind", TRACE_SLICE("group", id));
        return ERR_CORRUPT;
    }
    struct consumer_group *group = consumer_group_create(groups);
    if (base)
        groups_replace(base, &group->group);
    else
        groups_insert(groups, &group->group, id);
    *ret_group = group;
    return ERR_OK;
}

static enum err replay_group(struct groups *groups, struct group_record *record) {
    struct consumer_group_metadata_key key = {0};
    struct consumer_group_metadata_value value = {0};
    struct consumer_group *group;
    enum err err = GROUP_RECORD_DECODE(record, consumer_group_metadata, &key, &value);
    if (!err)
        err = group_of(groups, key.group_id, record->tombstone, &group);
    if (err || !group)
        return err;
    if (record->tombstone) {
        groups_remove(&group->group);
        return ERR_OK;
    }
    group->epoch = value.epoch;
    group->metadata_hash = value.metadata_hash;
    return ERR_OK;
}

static enum err replay_topics(struct groups *groups, struct group_record *record) {
    struct consumer_group_partition_metadata_key key = {0};
    struct consumer_group *group;
    enum err err = consumer_group_partition_metadata_key_decode(&record->key, 0, &key);
    if (!err)
        err = group_of(groups, key.group_id, record->tombstone, &group);
    if (!err && group)
        group->has_topics_record = !record->tombstone;
    return err;
}

static enum err replay_member(struct groups *groups, struct group_record *record) {
    struct consumer_group_member_metadata_key key = {0};
    struct consumer_group_member_metadata_value value = {0};
    struct consumer_group *group;
    enum err err = GROUP_RECORD_DECODE(record, consumer_group_member_metadata, &key, &value);
    if (!err)
        err = group_of(groups, key.group_id, record->tombstone, &group);
    if (err || !group)
        return err;
    if (record->tombstone) {
        struct consumer_member *member = consumer_find_any(group, key.member_id);
        if (member)
            consumer_remove_member(member);
        return ERR_OK;
    }
    struct consumer_subscription subscription = {
        .instance_id = value.instance_id,
        .rack_id = value.rack_id,
        .client_id = value.client_id,
        .client_host = value.client_host,
        .regex = value.subscribed_topic_regex,
        .assignor = value.server_assignor,
        .rebalance_timeout_ms = value.rebalance_timeout_ms,
    };
    subscription.topics = consumer_names_sort(record->value.arena, value.subscribed_topic_names, value.subscribed_topic_names_count,
                                              &subscription.topic_count);
    if (value.classic_member_metadata) {
        subscription.is_classic = true;
        subscription.session_timeout_ms = value.classic_member_metadata->session_timeout_ms;
        subscription.protocol_count = value.classic_member_metadata->supported_protocols_count;
        subscription.protocols = arena_array(record->value.arena, struct consumer_protocol, subscription.protocol_count + 1);
        for (int i = 0; i < subscription.protocol_count; i++)
            subscription.protocols[i] = (struct consumer_protocol){value.classic_member_metadata->supported_protocols[i].name,
                                                                   value.classic_member_metadata->supported_protocols[i].metadata};
    }
    struct consumer_member *member = consumer_get_any(group, key.member_id);
    consumer_set_subscription(member, &subscription);
    if (!subscription.is_classic) {
        classic_timer_stop(&member->join);
        classic_timer_stop(&member->sync);
    }
    if (is_live(groups) && !timer_is_running(&member->session.timer.timer))
        classic_session_extend(&member->session, consumer_session_timeout_ms(group, &subscription));
    return ERR_OK;
}

static enum err replay_target_epoch(struct groups *groups, struct group_record *record) {
    struct consumer_group_target_assignment_metadata_key key = {0};
    struct consumer_group_target_assignment_metadata_value value = {.assignment_epoch = -1};
    struct consumer_group *group;
    enum err err = GROUP_RECORD_DECODE(record, consumer_group_target_assignment_metadata, &key, &value);
    if (!err)
        err = group_of(groups, key.group_id, record->tombstone, &group);
    if (err || !group)
        return err;
    group->target_epoch = value.assignment_epoch;
    group->target_timestamp_ms = value.assignment_timestamp;
    return ERR_OK;
}

static enum err replay_target(struct groups *groups, struct group_record *record) {
    struct consumer_group_target_assignment_member_key key = {0};
    struct consumer_group_target_assignment_member_value value = {0};
    struct consumer_group *group;
    enum err err = GROUP_RECORD_DECODE(record, consumer_group_target_assignment_member, &key, &value);
    if (!err)
        err = group_of(groups, key.group_id, record->tombstone, &group);
    if (err || !group)
        return err;
    if (record->tombstone) {
        struct consumer_member *member = consumer_find_any(group, key.member_id);
        if (member)
            consumer_set_target(member, NULL);
        return ERR_OK;
    }
    struct consumer_partitions target = {0};
    for (int i = 0; i < value.topic_partitions_count; i++)
        target.count += value.topic_partitions[i].partitions_count;
    target.items = arena_array(record->value.arena, struct consumer_partition, target.count + 1);
    int at = 0;
    for (int i = 0; i < value.topic_partitions_count; i++)
        for (int k = 0; k < value.topic_partitions[i].partitions_count; k++)
            target.items[at++] =
                (struct consumer_partition){value.topic_partitions[i].topic_id, value.topic_partitions[i].partitions[k], 0};
    consumer_partitions_sort(&target);
    consumer_set_target(consumer_get_any(group, key.member_id), &target);
    return ERR_OK;
}

/* Before 4.3 there were no epochs of partitions: the member's counts. */
static struct consumer_partitions partitions_of(struct arena *arena, const struct consumer_group_current_member_assignment_value_topic_partitions *topics,
                                                int count, int32_t member_epoch) {
    struct consumer_partitions partitions = {0};
    for (int i = 0; i < count; i++)
        partitions.count += topics[i].partitions_count;
    partitions.items = arena_array(arena, struct consumer_partition, partitions.count + 1);
    int at = 0;
    for (int i = 0; i < count; i++)
        for (int k = 0; k < topics[i].partitions_count; k++)
            partitions.items[at++] = (struct consumer_partition){
                topics[i].topic_id, topics[i].partitions[k],
                topics[i].assignment_epochs_count == topics[i].partitions_count ? topics[i].assignment_epochs[k]
                : member_epoch > 0                                              ? member_epoch
                                                                                : 0};
    consumer_partitions_sort(&partitions);
    return partitions;
}

static void tend_rebalance_timer(struct consumer_member *member) {
    if (member->current->epoch == CONSUMER_EPOCH_LEAVE_STATIC)
        return; /* it is away for a moment, and the clock runs */
    if (member->current->state == CONSUMER_UNREVOKED && !member->subscription->is_classic) {
        member->rebalance_epoch = member->current->epoch;
        classic_timer_start(&member->rebalance, member->subscription->rebalance_timeout_ms);
    } else {
        classic_timer_stop(&member->rebalance);
    }
}

static enum err replay_current(struct groups *groups, struct group_record *record) {
    struct consumer_group_current_member_assignment_key key = {0};
    struct consumer_group_current_member_assignment_value value = {.member_epoch = CONSUMER_EPOCH_LEAVE,
                                                                   .previous_member_epoch = CONSUMER_EPOCH_LEAVE};
    struct consumer_group *group;
    enum err err = GROUP_RECORD_DECODE(record, consumer_group_current_member_assignment, &key, &value);
    if (!err)
        err = group_of(groups, key.group_id, record->tombstone, &group);
    if (err || !group)
        return err;
    struct consumer_member *member = record->tombstone ? consumer_find_member(group, key.member_id) : consumer_get_any(group, key.member_id);
    if (!member)
        return ERR_OK;
    bool is_known = value.state == CONSUMER_STABLE || value.state == CONSUMER_UNREVOKED || value.state == CONSUMER_UNRELEASED;
    struct consumer_current current = {value.member_epoch, value.previous_member_epoch, is_known ? value.state : CONSUMER_UNKNOWN, {0}, {0}};
    struct arena *arena = record->value.arena;
    if (record->tombstone) {
        current.state = member->current->state;
    } else {
        current.assigned = partitions_of(arena, value.assigned_partitions, value.assigned_partitions_count, value.member_epoch);
        current.revoking = partitions_of(arena, value.partitions_pending_revocation, value.partitions_pending_revocation_count, value.member_epoch);
    }
    consumer_set_current(member, &current);
    if (is_live(groups) && !record->tombstone)
        tend_rebalance_timer(member);
    return ERR_OK;
}

static enum err replay_regex(struct groups *groups, struct group_record *record) {
    struct consumer_group_regular_expression_key key = {0};
    struct consumer_group_regular_expression_value value = {0};
    struct consumer_group *group;
    enum err err = GROUP_RECORD_DECODE(record, consumer_group_regular_expression, &key, &value);
    if (!err)
        err = group_of(groups, key.group_id, record->tombstone, &group);
    if (err || !group)
        return err;
    if (record->tombstone) {
        consumer_unset_regex(group, key.regular_expression);
        return ERR_OK;
    }
    int count;
    struct slice *topics = consumer_names_sort(record->value.arena, value.topics, value.topics_count, &count);
    consumer_set_regex(group, key.regular_expression, topics, count, value.version, value.timestamp);
    return ERR_OK;
}

enum err consumer_replay(struct groups *groups, struct group_record *record) {
    switch (record->type) {
    case CONSUMER_RECORD_GROUP: return replay_group(groups, record);
    case CONSUMER_RECORD_TOPICS: return replay_topics(groups, record);
    case CONSUMER_RECORD_MEMBER: return replay_member(groups, record);
    case CONSUMER_RECORD_TARGET_EPOCH: return replay_target_epoch(groups, record);
    case CONSUMER_RECORD_TARGET: return replay_target(groups, record);
    case CONSUMER_RECORD_CURRENT: return replay_current(groups, record);
    case CONSUMER_RECORD_REGEX: return replay_regex(groups, record);
    default: return ERR_UNSUPPORTED;
    }
}
