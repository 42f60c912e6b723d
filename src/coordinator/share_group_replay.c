/* Records of share groups, bytes into state. */
#include <stdlib.h>

#include "base/mem.h"
#include "coordinator/share_group_internal.h"
#include "protocol/share_group_current_member_assignment_key.h"
#include "protocol/share_group_current_member_assignment_value.h"
#include "protocol/share_group_member_metadata_key.h"
#include "protocol/share_group_member_metadata_value.h"
#include "protocol/share_group_metadata_key.h"
#include "protocol/share_group_metadata_value.h"
#include "protocol/share_group_state_partition_metadata_key.h"
#include "protocol/share_group_state_partition_metadata_value.h"
#include "protocol/share_group_target_assignment_member_key.h"
#include "protocol/share_group_target_assignment_member_value.h"
#include "protocol/share_group_target_assignment_metadata_key.h"
#include "protocol/share_group_target_assignment_metadata_value.h"

struct change {
    struct groups *groups;
    struct group_record *record;
    struct slice group_id, member_id;
    struct share_group *group;   /* NULL: not there, and a tombstone does not make it */
    struct share_member *member; /* the same */
};

/* Finds what the record is about; values make groups, and with `makes_member` members. */
static void find(struct change *change, bool makes_member) {
    bool other;
    change->group = share_find(change->groups, change->group_id, &other);
    if (!change->group && !change->record->tombstone) {
        if (other) /* of a kind that went without a word */
            groups_remove(groups_find(change->groups, change->group_id));
        change->group = share_create(change->groups, change->group_id);
    }
    if (!change->group || !change->member_id.ptr)
        return;
    change->member = share_find_member(change->group, change->member_id);
    if (!change->member && !change->record->tombstone && makes_member)
        change->member = share_create_member(change->group, change->member_id);
}

static void set_slice(struct slice *at, struct slice value) {
    mem_free((void *)at->ptr);
    *at = value.ptr ? slice_of(mem_strndup((const char *)value.ptr, value.size), value.size) : SLICE_NULL;
}

/* The key, and unless it is a tombstone the value. */
#define DECODE(change, name, into) \
    do {                                                                                                          \
        struct group_record *record_ = (change)->record;                                                          \
        if (!record_->tombstone && record_->version != 0)                                                         \
            return ERR_UNSUPPORTED;                                                                               \
        enum err err_ = name##_key_decode(&record_->key, 0, &key);                                                \
        if (!err_ && !record_->tombstone)                                                                         \
            err_ = name##_value_decode(&record_->value, 0, (into)); \
        if (err_)                                                                                                 \
            return err_;                                                                                          \
        (change)->group_id = key.group_id;                                                                        \
    } while (0)

static enum err replay_member(struct change *change) {
    struct share_group_member_metadata_key key;
    struct share_group_member_metadata_value value;
    DECODE(change, share_group_member_metadata, &value);
    change->member_id = key.member_id;
    find(change, true);
    struct share_member *member = change->member;
    if (!member)
        return ERR_OK;
    if (change->record->tombstone) {
        share_remove_member(member);
        return ERR_OK;
    }
    set_slice(&member->rack, value.rack_id);
    set_slice(&member->client_id, value.client_id);
    set_slice(&member->client_host, value.client_host);
    share_names_free(&member->topics);
    struct share_names names = {value.subscribed_topic_names, value.subscribed_topic_names_count};
    share_names_sort(&names); /* of borrowed names: those that come twice are dropped */
    member->topics = share_names_own(&names);
    return ERR_OK;
}

static enum err replay_group(struct change *change) {
    struct share_group_metadata_key key;
    struct share_group_metadata_value value;
    DECODE(change, share_group_metadata, &value);
    find(change, false);
    if (!change->group)
        return ERR_OK;
    if (change->record->tombstone) {
        groups_remove(&change->group->base);
        return ERR_OK;
    }
    change->group->epoch = value.epoch;
    change->group->metadata_hash = value.metadata_hash;
    return ERR_OK;
}

static enum err replay_target_epoch(struct change *change) {
    struct share_group_target_assignment_metadata_key key;
    struct share_group_target_assignment_metadata_value value;
    DECODE(change, share_group_target_assignment_metadata, &value);
    find(change, false);
    if (!change->group)
        return ERR_OK;
    change->group->assignment_epoch = change->record->tombstone ? -1 : value.assignment_epoch;
    change->group->assignment_ms = change->record->tombstone ? 0 : value.assignment_timestamp;
    return ERR_OK;
}

#define TO_SET(topics, topics_count, ret_set)                                                                      \
    do {                                                                                                          \
        int count_ = 0;                                                                                           \
        for (int t_ = 0; t_ < (topics_count); t_++)                                                               \
            count_ += (topics)[t_].partitions_count;                                                              \
        mem_free((ret_set)->places);                                                                              \
        (ret_set)->places = mem_alloc(sizeof *(ret_set)->places * (size_t)(count_ + 1));                          \
        (ret_set)->count = 0;                                                                                     \
        for (int t_ = 0; t_ < (topics_count); t_++)                                                               \
            for (int p_ = 0; p_ < (topics)[t_].partitions_count; p_++)                                            \
                (ret_set)->places[(ret_set)->count++] = (struct share_place){(topics)[t_].topic_id, (topics)[t_].partitions[p_], -1}; \
        qsort((ret_set)->places, (size_t)(ret_set)->count, sizeof *(ret_set)->places, share_place_cmp);           \
    } while (0)

static enum err replay_target(struct change *change) {
    struct share_group_target_assignment_member_key key;
    struct share_group_target_assignment_member_value value;
    DECODE(change, share_group_target_assignment_member, &value);
    change->member_id = key.member_id;
    find(change, true);
    struct share_member *member = change->member;
    if (!member)
        return ERR_OK;
    member->has_target = !change->record->tombstone;
    if (change->record->tombstone)
        member->target.count = 0;
    else
        TO_SET(value.topic_partitions, value.topic_partitions_count, &member->target);
    return ERR_OK;
}

static enum err replay_current(struct change *change) {
    struct share_group_current_member_assignment_key key;
    struct share_group_current_member_assignment_value value;
    DECODE(change, share_group_current_member_assignment, &value);
    change->member_id = key.member_id;
    find(change, true);
    struct share_member *member = change->member;
    if (!member)
        return ERR_OK;
    member->epoch = change->record->tombstone ? -1 : value.member_epoch;
    member->previous_epoch = change->record->tombstone ? -1 : value.previous_member_epoch;
    if (change->record->tombstone)
        member->assigned.count = 0;
    else
        TO_SET(value.assigned_partitions, value.assigned_partitions_count, &member->assigned);
    return ERR_OK;
}

/* Each list anew; since when a topic is initializing is known from before. */
static void replay_topics(struct share_group *group, const struct share_group_state_partition_metadata_value *value) {
    struct share_topics before = {.by_id = group->initializing.by_id};
    int64_t now = coordinator_now_ms(group->base.groups->coordinator);
    list_init(&before.list);
    list_splice(&before.list, &group->initializing.list);
    share_topics_init(&group->initializing);
    for (int i = 0; i < value->initializing_topics_count; i++) {
        const struct share_group_state_partition_metadata_value_topic_partitions_info *info = &value->initializing_topics[i];
        const struct share_topic *old = share_find_topic(&before, info->topic_id);
        struct share_topic *topic = share_add_topic(&group->initializing, info->topic_id, info->topic_name, info->partitions, info->partitions_count);
        topic->since_ms = old && old->count == topic->count ? old->since_ms : now;
    }
    share_free_topics(&before);
    share_free_topics(&group->initialized);
    share_free_topics(&group->deleting);
    for (int i = 0; i < value->initialized_topics_count; i++) {
        const struct share_group_state_partition_metadata_value_topic_partitions_info *info = &value->initialized_topics[i];
        share_add_topic(&group->initialized, info->topic_id, info->topic_name, info->partitions, info->partitions_count);
    }
    for (int i = 0; i < value->deleting_topics_count; i++)
        share_add_topic(&group->deleting, value->deleting_topics[i].topic_id, value->deleting_topics[i].topic_name, NULL, 0);
}

static enum err replay_states(struct change *change) {
    struct share_group_state_partition_metadata_key key;
    struct share_group_state_partition_metadata_value value;
    DECODE(change, share_group_state_partition_metadata, &value);
    find(change, false);
    struct share_group *group = change->group;
    if (!group)
        return ERR_OK;
    group->has_states_record = !change->record->tombstone;
    group->has_gone = false;
    if (change->record->tombstone) {
        share_free_topics(&group->initializing);
        share_free_topics(&group->initialized);
        share_free_topics(&group->deleting);
    } else {
        replay_topics(group, &value);
    }
    return ERR_OK;
}

enum err share_group_replay(struct groups *groups, struct group_record *record) {
    struct change change = {.groups = groups, .record = record};
    switch (record->type) {
    case 10: return replay_member(&change);
    case 11: return replay_group(&change);
    case 12: return replay_target_epoch(&change);
    case 13: return replay_target(&change);
    case 14: return replay_current(&change);
    default: return replay_states(&change);
    }
}
