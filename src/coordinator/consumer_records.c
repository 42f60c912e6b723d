/* Consumer groups' records, as Apache Kafka 4.3 writes them. */
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

#define GROUP_KEY(op, type, name, group)                                                             \
    ({                                                                                               \
        struct name key_ = {.group_id = (group)};                                                    \
        RECORD_KEY((op)->arena, (type), name, &key_);                                                \
    })
#define MEMBER_KEY(op, type, name, group, member)                                                    \
    ({                                                                                               \
        struct name key_ = {.group_id = (group), .member_id = (member)};                             \
        RECORD_KEY((op)->arena, (type), name, &key_);                                                \
    })

static struct slice key_of(struct coordinator_op *op, enum consumer_record_type type, struct slice group, struct slice name) {
    switch (type) {
    case CONSUMER_RECORD_GROUP: return GROUP_KEY(op, type, consumer_group_metadata_key, group);
    case CONSUMER_RECORD_TOPICS: return GROUP_KEY(op, type, consumer_group_partition_metadata_key, group);
    case CONSUMER_RECORD_MEMBER: return MEMBER_KEY(op, type, consumer_group_member_metadata_key, group, name);
    case CONSUMER_RECORD_TARGET_EPOCH: return GROUP_KEY(op, type, consumer_group_target_assignment_metadata_key, group);
    case CONSUMER_RECORD_TARGET: return MEMBER_KEY(op, type, consumer_group_target_assignment_member_key, group, name);
    case CONSUMER_RECORD_CURRENT: return MEMBER_KEY(op, type, consumer_group_current_member_assignment_key, group, name);
    case CONSUMER_RECORD_REGEX: {
        struct consumer_group_regular_expression_key key = {.group_id = group, .regular_expression = name};
        return RECORD_KEY(op->arena, type, consumer_group_regular_expression_key, &key);
    }
    }
    check(false, "no key of type %d", type);
    return SLICE_NULL;
}

void consumer_add_tombstone(struct coordinator_op *op, enum consumer_record_type type, struct slice group, struct slice name) {
    coordinator_add(op, key_of(op, type, group, name), SLICE_NULL);
}

void consumer_add_member_tombstones(struct coordinator_op *op, struct slice group, struct slice member) {
    consumer_add_tombstone(op, CONSUMER_RECORD_CURRENT, group, member);
    consumer_add_tombstone(op, CONSUMER_RECORD_TARGET, group, member);
    consumer_add_tombstone(op, CONSUMER_RECORD_MEMBER, group, member);
}

void consumer_add_group_tombstones(struct coordinator_op *op, const struct consumer_group *group, const struct consumer_member *renamed,
                                   struct slice name) {
    struct slice id = group->group.id;
    static const enum consumer_record_type of_members[] = {CONSUMER_RECORD_CURRENT, CONSUMER_RECORD_TARGET, CONSUMER_RECORD_MEMBER};
    for (int i = 0; i < COUNT_OF(of_members); i++) {
        if (of_members[i] == CONSUMER_RECORD_MEMBER)
            consumer_add_tombstone(op, CONSUMER_RECORD_TARGET_EPOCH, id, SLICE_NULL);
        consumer_each_member(member, group)
            consumer_add_tombstone(op, of_members[i], id, member == renamed ? name : member->id);
    }
    map_each(node, &group->regexes) {
        const struct consumer_regex *regex = container_of(node, struct consumer_regex, node);
        if (regex->is_resolved)
            consumer_add_tombstone(op, CONSUMER_RECORD_REGEX, id, regex->pattern);
    }
    consumer_add_tombstone(op, CONSUMER_RECORD_TOPICS, id, SLICE_NULL);
    consumer_add_tombstone(op, CONSUMER_RECORD_GROUP, id, SLICE_NULL);
}

void consumer_add_member(struct coordinator_op *op, struct slice group, struct slice member, const struct consumer_subscription *s) {
    struct consumer_group_member_metadata_value_classic_member_metadata classic = {.session_timeout_ms = s->session_timeout_ms,
                                                                                   .supported_protocols_count = s->protocol_count};
    classic.supported_protocols = arena_array(op->arena, struct consumer_group_member_metadata_value_classic_protocol, s->protocol_count + 1);
    for (int i = 0; i < s->protocol_count; i++) {
        classic.supported_protocols[i].name = s->protocols[i].name;
        classic.supported_protocols[i].metadata = s->protocols[i].metadata;
    }
    struct consumer_group_member_metadata_value value = {
        .instance_id = s->instance_id,
        .rack_id = s->rack_id,
        .client_id = s->client_id,
        .client_host = s->client_host,
        .subscribed_topic_names = s->topics,
        .subscribed_topic_names_count = s->topic_count,
        .subscribed_topic_regex = s->regex,
        .rebalance_timeout_ms = s->rebalance_timeout_ms,
        .server_assignor = s->assignor,
        .classic_member_metadata = s->is_classic ? &classic : NULL,
    };
    coordinator_add(op, key_of(op, CONSUMER_RECORD_MEMBER, group, member), RECORD_VALUE(op->arena, 0, consumer_group_member_metadata_value, &value));
}

void consumer_add_epoch(struct coordinator_op *op, struct slice group, int32_t epoch, int64_t hash) {
    struct consumer_group_metadata_value value = {.epoch = epoch, .metadata_hash = hash};
    coordinator_add(op, key_of(op, CONSUMER_RECORD_GROUP, group, SLICE_NULL), RECORD_VALUE(op->arena, 0, consumer_group_metadata_value, &value));
}

void consumer_bump_epoch(struct coordinator_op *op, struct slice group, int32_t epoch, int64_t hash) {
    struct groups *groups = op->coordinator->state;
    groups->rebalances[GROUP_CONSUMER]++;
    consumer_add_epoch(op, group, epoch, hash);
}

void consumer_add_target_epoch(struct coordinator_op *op, struct slice group, int32_t epoch, int64_t timestamp_ms) {
    struct consumer_group_target_assignment_metadata_value value = {.assignment_epoch = epoch, .assignment_timestamp = timestamp_ms};
    coordinator_add(op, key_of(op, CONSUMER_RECORD_TARGET_EPOCH, group, SLICE_NULL),
                    RECORD_VALUE(op->arena, 0, consumer_group_target_assignment_metadata_value, &value));
}

/* How many topics a list has, and of each how many partitions; a run begins at items[i]. */
static int run_length(struct consumer_partitions partitions, int from) {
    int end = from + 1;
    while (end < partitions.count && uuid_eq(partitions.items[end].topic, partitions.items[from].topic))
        end++;
    return end - from;
}

void consumer_add_target(struct coordinator_op *op, struct slice group, struct slice member, struct consumer_partitions target) {
    struct consumer_group_target_assignment_member_value value = {0};
    value.topic_partitions = arena_array(op->arena, struct consumer_group_target_assignment_member_value_topic_partition, target.count + 1);
    int32_t *numbers = arena_array(op->arena, int32_t, target.count + 1);
    for (int i = 0, size; i < target.count; i += size) {
        size = run_length(target, i);
        for (int k = i; k < i + size; k++)
            numbers[k] = target.items[k].partition;
        value.topic_partitions[value.topic_partitions_count].topic_id = target.items[i].topic;
        value.topic_partitions[value.topic_partitions_count].partitions = numbers + i;
        value.topic_partitions[value.topic_partitions_count++].partitions_count = size;
    }
    coordinator_add(op, key_of(op, CONSUMER_RECORD_TARGET, group, member),
                    RECORD_VALUE(op->arena, 0, consumer_group_target_assignment_member_value, &value));
}

typedef struct consumer_group_current_member_assignment_value_topic_partitions current_topics;

static current_topics *with_epochs(struct arena *arena, struct consumer_partitions partitions, int32_t *ret_count) {
    current_topics *topics = arena_array(arena, current_topics, partitions.count + 1);
    int32_t *numbers = arena_array(arena, int32_t, partitions.count + 1), *epochs = arena_array(arena, int32_t, partitions.count + 1);
    *ret_count = 0;
    for (int i = 0, size; i < partitions.count; i += size) {
        size = run_length(partitions, i);
        for (int k = i; k < i + size; k++) {
            numbers[k] = partitions.items[k].partition;
            epochs[k] = partitions.items[k].epoch;
        }
        topics[(*ret_count)++] = (current_topics){partitions.items[i].topic, numbers + i, size, epochs + i, size};
    }
    return topics;
}

void consumer_add_current(struct coordinator_op *op, struct slice group, struct slice member, const struct consumer_current *current) {
    struct consumer_group_current_member_assignment_value value = {
        .member_epoch = current->epoch, .previous_member_epoch = current->previous_epoch, .state = current->state};
    value.assigned_partitions = with_epochs(op->arena, current->assigned, &value.assigned_partitions_count);
    value.partitions_pending_revocation = with_epochs(op->arena, current->revoking, &value.partitions_pending_revocation_count);
    coordinator_add(op, key_of(op, CONSUMER_RECORD_CURRENT, group, member),
                    RECORD_VALUE(op->arena, 0, consumer_group_current_member_assignment_value, &value));
}

void consumer_add_regex(struct coordinator_op *op, struct slice group, struct slice pattern, const struct slice *topics, int count,
                        int64_t version, int64_t timestamp_ms) {
    struct consumer_group_regular_expression_value value = {
        .topics = (struct slice *)topics, .topics_count = count, .version = version, .timestamp = timestamp_ms};
    coordinator_add(op, key_of(op, CONSUMER_RECORD_REGEX, group, pattern),
                    RECORD_VALUE(op->arena, 0, consumer_group_regular_expression_value, &value));
}
