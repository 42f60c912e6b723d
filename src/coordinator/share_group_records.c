/* Records of share groups, state into bytes. */
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

#define GROUP_KEY(op, type, name, group)                                                     \
    ({                                                                                       \
        struct name message_ = {.group_id = (group)};                                        \
        RECORD_KEY((op)->arena, (type), name, &message_);                                    \
    })
#define MEMBER_KEY(op, type, name, group, member)                                            \
    ({                                                                                       \
        struct name message_ = {.group_id = (group), .member_id = (member)};                 \
        RECORD_KEY((op)->arena, (type), name, &message_);                                    \
    })

void share_add_member(struct coordinator_op *op, struct slice group, const struct share_member *member) {
    struct share_group_member_metadata_value value;
    share_group_member_metadata_value_init(&value);
    value.rack_id = member->rack;
    value.client_id = member->client_id;
    value.client_host = member->client_host;
    value.subscribed_topic_names = member->topics.names;
    value.subscribed_topic_names_count = member->topics.count;
    coordinator_add(op, MEMBER_KEY(op, 10, share_group_member_metadata_key, group, member->id),
                    RECORD_VALUE(op->arena, 0, share_group_member_metadata_value, &value));
}

/* Epoch -1: a tombstone. */
void share_add_epoch(struct coordinator_op *op, struct slice group, int32_t epoch, int64_t hash) {
    struct share_group_metadata_value value;
    share_group_metadata_value_init(&value);
    value.epoch = epoch;
    value.metadata_hash = hash;
    coordinator_add(op, GROUP_KEY(op, 11, share_group_metadata_key, group),
                    epoch < 0 ? SLICE_NULL : RECORD_VALUE(op->arena, 0, share_group_metadata_value, &value));
}

void share_add_target_epoch(struct coordinator_op *op, struct slice group, int32_t epoch, int64_t time_ms) {
    struct share_group_target_assignment_metadata_value value;
    share_group_target_assignment_metadata_value_init(&value);
    value.assignment_epoch = epoch;
    value.assignment_timestamp = time_ms;
    coordinator_add(op, GROUP_KEY(op, 12, share_group_target_assignment_metadata_key, group),
                    epoch < 0 ? SLICE_NULL : RECORD_VALUE(op->arena, 0, share_group_target_assignment_metadata_value, &value));
}

/* A set as the records have it: a topic, its partitions. `type` has topic_id, partitions, partitions_count. */
#define SET_TOPICS(arena, set, type, ret_topics, ret_count)                                                        \
    do {                                                                                                          \
        (ret_topics) = arena_array((arena), struct type, (set)->count + 1);                                       \
        (ret_count) = 0;                                                                                          \
        int32_t *indexes_ = arena_array((arena), int32_t, (set)->count + 1);                                      \
        for (int i_ = 0; i_ < (set)->count; i_++) {                                                               \
            indexes_[i_] = (set)->places[i_].partition;                                                           \
            if (!(ret_count) || !uuid_eq((ret_topics)[(ret_count)-1].topic_id, (set)->places[i_].topic_id))       \
                (ret_topics)[(ret_count)++] = (struct type){.topic_id = (set)->places[i_].topic_id, .partitions = &indexes_[i_]}; \
            (ret_topics)[(ret_count)-1].partitions_count++;                                                       \
        }                                                                                                         \
    } while (0)

void share_add_target(struct coordinator_op *op, struct slice group, struct slice member, const struct share_set *target) {
    struct share_group_target_assignment_member_value value;
    share_group_target_assignment_member_value_init(&value);
    SET_TOPICS(op->arena, target, share_group_target_assignment_member_value_topic_partition, value.topic_partitions, value.topic_partitions_count);
    coordinator_add(op, MEMBER_KEY(op, 13, share_group_target_assignment_member_key, group, member),
                    RECORD_VALUE(op->arena, 0, share_group_target_assignment_member_value, &value));
}

void share_add_current(struct coordinator_op *op, struct slice group, const struct share_member *member) {
    struct share_group_current_member_assignment_value value;
    share_group_current_member_assignment_value_init(&value);
    value.member_epoch = member->epoch;
    value.previous_member_epoch = member->previous_epoch;
    SET_TOPICS(op->arena, &member->assigned, share_group_current_member_assignment_value_topic_partitions, value.assigned_partitions,
               value.assigned_partitions_count);
    coordinator_add(op, MEMBER_KEY(op, 14, share_group_current_member_assignment_key, group, member->id),
                    RECORD_VALUE(op->arena, 0, share_group_current_member_assignment_value, &value));
}

void share_add_member_tombstones(struct coordinator_op *op, struct slice group, struct slice member) {
    coordinator_add(op, MEMBER_KEY(op, 14, share_group_current_member_assignment_key, group, member), SLICE_NULL);
    coordinator_add(op, MEMBER_KEY(op, 13, share_group_target_assignment_member_key, group, member), SLICE_NULL);
    coordinator_add(op, MEMBER_KEY(op, 10, share_group_member_metadata_key, group, member), SLICE_NULL);
}

static struct share_group_state_partition_metadata_value_topic_partitions_info *infos(struct arena *arena, const struct share_topics *topics,
                                                                                      int32_t *ret_count) {
    struct share_group_state_partition_metadata_value_topic_partitions_info *out =
        arena_array(arena, struct share_group_state_partition_metadata_value_topic_partitions_info, topics->by_id.count + 1);
    *ret_count = 0;
    list_each(node, &topics->list) {
        const struct share_topic *topic = list_entry(node, struct share_topic, node);
        if (topic->gone || !topic->count)
            continue;
        out[(*ret_count)++] = (struct share_group_state_partition_metadata_value_topic_partitions_info){
            .topic_id = topic->id, .topic_name = topic->name, .partitions = topic->partitions, .partitions_count = topic->count};
    }
    return out;
}

void share_add_states(struct coordinator_op *op, struct slice group, const struct share_topics *initializing,
                      const struct share_topics *initialized, const struct share_topics *deleting) {
    struct share_group_state_partition_metadata_value value;
    share_group_state_partition_metadata_value_init(&value);
    value.initializing_topics = infos(op->arena, initializing, &value.initializing_topics_count);
    value.initialized_topics = infos(op->arena, initialized, &value.initialized_topics_count);
    value.deleting_topics = arena_array(op->arena, struct share_group_state_partition_metadata_value_topic_info, deleting->by_id.count + 1);
    list_each(node, &deleting->list) {
        const struct share_topic *topic = list_entry(node, struct share_topic, node);
        if (!topic->gone)
            value.deleting_topics[value.deleting_topics_count++] =
                (struct share_group_state_partition_metadata_value_topic_info){.topic_id = topic->id, .topic_name = topic->name};
    }
    coordinator_add(op, GROUP_KEY(op, 15, share_group_state_partition_metadata_key, group),
                    RECORD_VALUE(op->arena, 0, share_group_state_partition_metadata_value, &value));
}

void share_add_states_tombstone(struct coordinator_op *op, struct slice group) {
    coordinator_add(op, GROUP_KEY(op, 15, share_group_state_partition_metadata_key, group), SLICE_NULL);
}
