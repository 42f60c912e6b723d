/* The server's assignors of consumer groups: which member shall have which partition. Pure: a description in, lists out.
 *
 * uniform   balanced over all topics, and sticky: what a member has, it keeps where balance allows (assign_uniform.c; where
 *           members subscribe to different topics assign_uneven.c)
 * range     each topic by itself, in contiguous runs, members in order of their ids (assign_range.c)
 *
 * Members come in the order in which Apache Kafka 4.3 goes through them, topics too, so that both give the same result.
 * Neither looks at racks; nor does Kafka. */
#ifndef COORDINATOR_ASSIGN_H
#define COORDINATOR_ASSIGN_H

#include "base/arena.h"
#include "base/err.h"
#include "base/uuid.h"

struct assign_topic {
    struct uuid id;
    int32_t partition_count;
    uint8_t *taken; /* one a partition: some member of the group has it as target */
};
struct assign_partition {
    int topic; /* index into the topics; -1: one that nobody subscribes to, or that is gone */
    int32_t partition;
};
struct assign_list {
    struct assign_partition *items;
    int count, capacity;
};
struct assign_member {
    struct slice id, instance_id; /* instance_id null: dynamic */
    const int *topics;            /* it subscribes to, in the topics' order */
    int topic_count;
    struct assign_list old;       /* its target until now: each topic's partitions together */
    struct assign_list now;       /* the result, in no order */
};
struct assign_group {
    struct arena *arena;
    struct assign_topic *topics;
    int topic_count;
    struct assign_member *members;
    int member_count;
    bool is_even; /* every member subscribes to the same topics */
};

/* INVALID: partitions were left over. */
enum err assign_uniform(struct assign_group *group) MUST_USE;
enum err assign_range(struct assign_group *group) MUST_USE;
/* assign_uniform() where subscriptions differ. */
enum err assign_uneven(struct assign_group *group) MUST_USE;

void assign_list_add(struct arena *arena, struct assign_list *list, int topic, int32_t partition);

/* The order in which a Java hash table goes through keys with this hash code: sort by it. A table that grew to `count`
 * entries, and one that was made as the copy of so many, have different capacities. */
uint32_t java_hash_order(int32_t hash_code, uint32_t capacity);
uint32_t java_grown_capacity(int count);
uint32_t java_copied_capacity(int count);
int32_t java_hash_of_string(struct slice s); /* of UTF-8 */
int32_t java_hash_of_uuid(struct uuid id);

#endif
