/* Committed offsets of the groups of one coordinator, in memory.
 *
 *     offsets -> offset_group (by id) -> offset_topic (by name) -> committed offsets, sorted by partition
 *                                             ^                    pending ones, of transactions that are open
 *     offset_name (interned topic name) ------+ all groups that have offsets of it
 *
 * Memory: 64 bytes an offset, 150 a topic of a group, and the names once. What has nothing any more is freed.
 * offsets.c holds the state and replays; offset_commit.c, offset_fetch.c, offset_expiry.c decide. */
#ifndef COORDINATOR_OFFSETS_H
#define COORDINATOR_OFFSETS_H

#include "coordinator/groups.h"
#include "protocol/offset_commit_value.h"

struct committed_offset {
    int32_t partition, leader_epoch; /* epoch -1: none */
    int64_t offset, commit_ms;
    int64_t expire_ms;               /* -1: by retention */
    int64_t log_offset;              /* of its record: the later one holds */
    struct uuid topic_id;            /* zero: not known */
    uint8_t *metadata;               /* i32 of its size, then the bytes; NULL: empty */
};
struct slice committed_metadata(const struct committed_offset *committed);

struct offset_name {
    struct map_node node;  /* of offsets->names */
    struct list topics;    /* struct offset_topic */
    struct slice name;     /* owned */
};
struct offset_group {
    struct map_node node;  /* of offsets->groups */
    struct list topics;    /* struct offset_topic, the oldest first */
    struct slice id;       /* owned */
};
struct offset_topic {
    struct map_node node;  /* of offsets->topics */
    struct list in_group, in_name;
    struct offset_group *group;
    struct offset_name *name;
    int32_t count, capacity, pending; /* pending: how many */
    struct committed_offset *committed;
    struct pending_offset *first_pending; /* the latest */
};
/* A commit of a transaction that is open. */
struct pending_offset {
    struct map_node node;   /* of offsets->pending, by topic and partition */
    struct list in_transaction;
    struct offset_transaction *transaction;
    struct offset_topic *topic;
    struct pending_offset *next, *previous; /* of the topic */
    struct committed_offset value;
};
struct offset_transaction {
    struct map_node node;   /* of offsets->transactions */
    int64_t producer_id;
    struct list pending;
};

struct offsets {
    struct groups *groups;
    struct map by_group, by_name, topics, pending, transactions;
    int64_t count;          /* of committed offsets */
    size_t metadata_size_max; /* offset.metadata.max.bytes, which Kafka counts in UTF-16 units */
    struct timer expiry_timer; /* offset_expiry.c, as are the next two */
    struct list removed;    /* topics that were deleted */
    uint64_t sweep_left;    /* groups that the sweep under way has not seen */
    uint64_t commits, expired, deleted; /* records, since the coordinator was loaded */
};

/* NULL: none. */
struct offset_group *offsets_find_group(const struct offsets *offsets, struct slice group);
struct offset_name *offsets_find_name(const struct offsets *offsets, struct slice topic);
struct offset_topic *offsets_find_topic(const struct offsets *offsets, const struct offset_group *group, struct slice topic);
struct committed_offset *offset_topic_find(const struct offset_topic *topic, int32_t partition);
/* Some transaction that is open has committed an offset of the partition. */
bool offset_topic_is_pending(const struct offsets *offsets, const struct offset_topic *topic, int32_t partition);

/* Adds the record of a commit, or of the end of an offset. */
void offset_add_commit(struct coordinator_op *op, struct slice group, struct slice topic, int32_t partition,
                       const struct offset_commit_value *value);
void offset_add_tombstone(struct coordinator_op *op, struct slice group, struct slice topic, int32_t partition);
void offsets_stop_expiry(struct offsets *offsets);

#endif
