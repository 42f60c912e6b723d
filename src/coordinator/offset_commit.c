#include "coordinator/offset_commit.h"

#include "coordinator/classic.h"
#include "coordinator/offsets.h"
#include "protocol/errors.h"

/* The length of a Java string. */
static size_t utf16_size(struct slice s) {
    size_t size = 0;
    for (size_t i = 0; i < s.size; i++)
        size += ((s.ptr[i] & 0xc0) != 0x80) + (s.ptr[i] >= 0xf0);
    return size;
}

/* The group, made for those who commit without being members; NULL: *ret_error. */
static struct group *find_group(struct groups *groups, const struct offset_commit *commit, int16_t *ret_error) {
    struct group *group = groups_find(groups, commit->group);
    if (group)
        return group;
    if (commit->caller.generation < 0)
        return &classic_group_create(groups, commit->group)->group;
    *ret_error = commit->caller.version >= 9 && !commit->caller.transactional ? KAFKA_GROUP_ID_NOT_FOUND : KAFKA_ILLEGAL_GENERATION;
    return NULL;
}

/* In a transaction a member is told of its epoch as of a generation. */
static int16_t as_told(const struct offset_commit *commit, int16_t error) {
    return commit->caller.transactional && error == KAFKA_STALE_MEMBER_EPOCH ? KAFKA_ILLEGAL_GENERATION : error;
}

static int16_t check_partition(struct group *group, const struct offset_commit *commit, const struct offset_commit_topic *topic,
                               int32_t partition) {
    if (!group->methods->check_commit_partition)
        return 0;
    struct uuid id = topic->id;
    if (commit->caller.transactional) {
        const struct image_topic *image = image_find_topic(group->groups->coordinator->host->image, topic->name);
        id = image ? image->id : UUID_ZERO;
    }
    return as_told(commit, group->methods->check_commit_partition(group, &commit->caller, id, partition));
}

static void add_record(struct coordinator_op *op, const struct offset_commit *commit, const struct offset_commit_topic *topic,
                       const struct offset_commit_partition *partition, int64_t now_ms) {
    struct offset_commit_value value;
    offset_commit_value_init(&value);
    value.offset = partition->offset;
    value.leader_epoch = partition->leader_epoch;
    value.metadata = partition->metadata.ptr ? partition->metadata : SLICE_EMPTY;
    value.commit_timestamp = now_ms;
    if (commit->retention_ms != -1 && __builtin_add_overflow(now_ms, commit->retention_ms, &value.expire_timestamp))
        value.expire_timestamp = INT64_MAX;
    if (!commit->caller.transactional)
        value.topic_id = topic->id;
    offset_add_commit(op, commit->group, topic->name, partition->partition, &value);
}

int16_t offsets_commit(struct groups *groups, struct coordinator_op *op, struct offset_commit *commit) {
    int16_t error = 0;
    struct group *group = find_group(groups, commit, &error);
    if (group)
        error = as_told(commit, group->methods->check_commit(group, &commit->caller));
    size_t limit = groups->offsets->metadata_size_max;
    for (int t = 0; !error && t < commit->count; t++)
        for (int p = 0; !error && p < commit->topics[t].count; p++) {
            struct offset_commit_partition *partition = &commit->topics[t].partitions[p];
            partition->error = utf16_size(partition->metadata) > limit ? KAFKA_OFFSET_METADATA_TOO_LARGE : 0;
            if (!partition->error)
                error = check_partition(group, commit, &commit->topics[t], partition->partition);
        }
    if (error)
        return error;
    int64_t now_ms = coordinator_now_ms(groups->coordinator);
    for (int t = 0; t < commit->count; t++)
        for (int p = 0; p < commit->topics[t].count; p++)
            if (!commit->topics[t].partitions[p].error) {
                add_record(op, commit, &commit->topics[t], &commit->topics[t].partitions[p], now_ms);
                groups->offsets->commits++;
            }
    return 0;
}

int16_t offsets_delete(struct groups *groups, struct coordinator_op *op, struct slice group_id, struct offset_delete_topic *topics, int32_t count) {
    struct group *group = groups_find(groups, group_id);
    if (!group || group->methods->type == GROUP_SHARE)
        return KAFKA_GROUP_ID_NOT_FOUND;
    if (group->methods->type == GROUP_CLASSIC && !group->methods->is_empty(group) &&
        !slice_eq_str(group->methods->protocol_type(group), "consumer"))
        return KAFKA_NON_EMPTY_GROUP;
    struct offsets *offsets = groups->offsets;
    for (int t = 0; t < count; t++) {
        topics[t].error = group->methods->is_subscribed(group, topics[t].name) ? KAFKA_GROUP_SUBSCRIBED_TO_TOPIC : 0;
        const struct offset_topic *topic = offsets_find_topic(offsets, offsets_find_group(offsets, group_id), topics[t].name);
        for (int p = 0; !topics[t].error && topic && p < topics[t].count; p++)
            if (offset_topic_find(topic, topics[t].partitions[p]) || offset_topic_is_pending(offsets, topic, topics[t].partitions[p])) {
                offset_add_tombstone(op, group_id, topics[t].name, topics[t].partitions[p]);
                offsets->deleted++;
            }
    }
    return 0;
}
